//! Another API server on the same etcd, and which of them kubelet reaches.

use std::path::Path;
use std::process::Command;

use crate::bed::Cluster;
use crate::process::run;
use crate::requests::status_at;
use crate::wait::{secs, until};

/// Starts one with the command line of the first, changed by `change`. Returns its address.
pub fn start(
    cluster: &Cluster,
    name: &str,
    port: &str,
    change: impl FnOnce(String) -> String,
) -> String {
    write(cluster, name, port, change);
    cluster.component(name, &["--only-start"]);
    let address = format!("{}:{port}", cluster.get("NODE_IP"));
    until("the other API server", secs(60), || {
        (status_at(&format!("https://{address}"), cluster.get("TOKEN")) == "200").then_some(())
    });
    address
}

/// Writes its command line.
fn write(cluster: &Cluster, name: &str, port: &str, change: impl FnOnce(String) -> String) {
    let run_folder = Path::new(cluster.get("STATE")).join("run");
    let first = std::fs::read_to_string(run_folder.join("apiserver")).unwrap();
    let script = first
        .replace("audit.log", &format!("{name}-audit.log"))
        .replace("--secure-port 6443", &format!("--secure-port {port}"));
    let file = run_folder.join(name);
    std::fs::write(&file, change(script)).unwrap();
    run(Command::new("chmod").arg("755").arg(&file));
}

/// A certificate of its own for another API server, which the clients of the cluster trust. Returns
/// the flags for it.
pub fn certificate(cluster: &Cluster, name: &str) -> String {
    let file = |kind: &str| format!("{}/etc/{name}-tls.{kind}", cluster.get("STATE"));
    let (settings, key, certificate) = (file("cnf"), file("key"), file("crt"));
    let text = format!(
        "[req]\ndistinguished_name = dn\nx509_extensions = ext\nprompt = no\n[dn]\nCN = {name}\n\
         [ext]\nbasicConstraints = CA:FALSE\nsubjectAltName = DNS:kubernetes, DNS:{name}, IP:{}\n",
        cluster.get("NODE_IP")
    );
    std::fs::write(&settings, text).unwrap();
    let new = ["req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-config"];
    let files = [settings.as_str(), "-keyout", &key, "-out", &certificate];
    run(Command::new("openssl").args(new).args(files));
    let trusted = Path::new(cluster.get("CA_FILE"));
    let both = [trusted, Path::new(&certificate)].map(|file| std::fs::read(file).unwrap());
    std::fs::write(trusted, both.concat()).unwrap();
    format!("--tls-cert-file {certificate} --tls-private-key-file {key}")
}

/// From now on kubelet reaches this API server.
pub fn kubelet_asks(cluster: &Cluster, server: &str) {
    let script = format!("{}/run/relay", cluster.get("STATE"));
    let text = std::fs::read_to_string(&script).unwrap();
    let (before, rest) = text.split_once("--to ").unwrap();
    let end = rest.find(char::is_whitespace).unwrap_or(rest.len());
    std::fs::write(&script, format!("{before}--to {server}{}", &rest[end..])).unwrap();
    cluster.component("relay", &[]);
}

/// The address of the first one.
pub fn first(cluster: &Cluster) -> String {
    cluster.get("APISERVER").trim_start_matches("https://").to_owned()
}
