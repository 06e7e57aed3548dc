//! As much of a Kubernetes API as an agent asks for when nothing happens: one list of pods, and a
//! watch that stays open. The real one is in tests/e2e; this is for the figures that only an agent
//! with access to one has.

use std::io::{BufRead as _, BufReader, Write as _};
use std::net::{TcpListener, TcpStream};
use std::path::Path;

use serde_json::json;

/// Serves until the test's process ends. The way to it, as a kubeconfig in `file`.
pub fn start(file: &Path, pods: &'static [&'static str]) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            std::thread::spawn(move || answer(stream, pods));
        }
    });
    let kubeconfig = format!(
        "apiVersion: v1\nkind: Config\ncurrent-context: x\ncontexts: [{{name: x, context: {{cluster: c, user: u}}}}]\n\
         clusters: [{{name: c, cluster: {{server: \"http://{address}\"}}}}]\nusers: [{{name: u, user: {{token: any}}}}]\n"
    );
    std::fs::write(file, kubeconfig).unwrap();
}

/// Request after request; nothing once the agent is gone.
fn answer(mut stream: TcpStream, pods: &[&str]) -> Option<()> {
    let mut lines = BufReader::new(stream.try_clone().ok()?).lines();
    loop {
        let request = lines.next()?.ok()?;
        while !lines.next()?.ok()?.is_empty() {}
        let (head, body) = if request.contains("watch=true") {
            let bookmark = json!({"type": "BOOKMARK", "object": {"kind": "Pod", "metadata": {"resourceVersion": "2"}}}).to_string() + "\n";
            (
                "Transfer-Encoding: chunked".to_owned(),
                format!("{:x}\r\n{bookmark}\r\n", bookmark.len()),
            )
        } else {
            let body = listed(pods);
            (format!("Content-Length: {}", body.len()), body)
        };
        write!(stream, "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n{head}\r\n\r\n{body}")
            .ok()?;
    }
}

fn listed(pods: &[&str]) -> String {
    let pod = |name: &&str| json!({"metadata": {"name": name, "namespace": "shop", "uid": name}, "spec": {}, "status": {"phase": "Running"}});
    json!({"metadata": {"resourceVersion": "1"}, "items": pods.iter().map(pod).collect::<Vec<_>>()})
        .to_string()
}
