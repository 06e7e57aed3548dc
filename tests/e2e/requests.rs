//! Requests to the API server with the token of a pod.

use std::process::Command;

use crate::bed::Cluster;
use crate::process::{run, text};
use crate::wait::{secs, until};

/// The HTTP status with which the API server answers a request with this token.
pub fn status_for(cluster: &Cluster, token: &str) -> String {
    text(&run(&mut asking(cluster, token)).stdout)
}

/// The request whose answer has that status. It fails if the API server does not answer.
pub fn asking(cluster: &Cluster, token: &str) -> Command {
    asking_at(cluster.get("APISERVER"), token)
}

/// The HTTP status with which the API server at this address answers a request with this token.
pub fn status_at(server: &str, token: &str) -> String {
    text(&asking_at(server, token).output().unwrap().stdout)
}

fn asking_at(server: &str, token: &str) -> Command {
    let url = format!("{server}/api/v1/namespaces/default/pods");
    let mut command = Command::new("curl");
    command.args([
        "-sk",
        "-o",
        "/dev/null",
        "-w",
        "%{http_code}",
        "-H",
        &format!("Authorization: Bearer {token}"),
        &url,
    ]);
    command
}

pub fn token_of(cluster: &Cluster, uid: &str) -> String {
    let volumes =
        cluster.kubelet_root().join("pods").join(uid).join("volumes/kubernetes.io~projected");
    until("a token on the node", secs(60), || {
        let volume = std::fs::read_dir(&volumes).ok()?.flatten().next()?.path();
        std::fs::read_to_string(volume.join("token")).ok()
    })
}
