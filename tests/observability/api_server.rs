//! The part of the Kubernetes API that an agent uses when nothing happens: one list of pods, and a
//! watch that stays open. tests/e2e has a real API server; this one is for the metrics that only an
//! agent with Kubernetes API access has.

use std::io::{BufRead as _, BufReader, Write as _};
use std::net::{TcpListener, TcpStream};
use std::path::Path;

use serde_json::json;

/// Serves until the test's process ends. Writes a kubeconfig for it to `file`.
pub fn start(file: &Path, pods: &'static [&'static str]) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            std::thread::spawn(move || answer(stream, pods));
        }
    });
    let kubeconfig = format!(
        "apiVersion: v1\nkind: Config\ncurrent-context: x\n\
         contexts: [{{name: x, context: {{cluster: c, user: u}}}}]\n\
         clusters: [{{name: c, cluster: {{server: \"http://{address}\"}}}}]\n\
         users: [{{name: u, user: {{token: any}}}}]\n"
    );
    std::fs::write(file, kubeconfig).unwrap();
}

/// Answers one request after the other, until the agent closes the connection.
fn answer(mut stream: TcpStream, pods: &[&str]) -> Option<()> {
    let mut lines = BufReader::new(stream.try_clone().ok()?).lines();
    loop {
        let request = lines.next()?.ok()?;
        while !lines.next()?.ok()?.is_empty() {}
        let (head, body) = if request.contains("watch=true") {
            let object = json!({"kind": "Pod", "metadata": {"resourceVersion": "2"}});
            let bookmark = json!({"type": "BOOKMARK", "object": object}).to_string() + "\n";
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
    let pod = |name: &&str| {
        json!({
            "metadata": {
                "name": name, "namespace": "shop", "uid": format!("uid-{name}"),
                "ownerReferences": [{
                    "apiVersion": "apps/v1", "kind": "DaemonSet", "name": "cart", "uid": "d",
                    "controller": true,
                }],
            },
            "spec": {},
            "status": {"phase": "Running"},
        })
    };
    json!({"metadata": {"resourceVersion": "1"}, "items": pods.iter().map(pod).collect::<Vec<_>>()})
        .to_string()
}
