//! A kubelet root in a temporary directory, with tokens as kubelet writes them. The signatures are
//! not real: nothing here verifies them.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{SystemTime, UNIX_EPOCH};

use serde_json::{Value, json};
use tokenwatch_core::base::time::Wall;
use tokenwatch_lab::kubelet::{Payload, Volume};
use tokenwatch_lab::root::Root;
use tokenwatch_lab::signer::unsigned;

/// The part of a token that no output may contain.
pub(crate) const SIGNATURE: &str = "c2lnbmF0dXJlLXRoYXQtbm9ib2R5LXNlZXM";

/// Leaves a command no variable but the path to programs: the variables of this machine are not
/// part of a test. The agents of several tests run at the same time, and only one could listen.
pub(crate) fn bare(command: &mut Command) -> &mut Command {
    command
        .env_clear()
        .env("PATH", std::env::var_os("PATH").unwrap_or_default())
        .env("TOKENWATCH_HTTP_ENABLED", "false")
}

/// Seconds since the epoch.
pub(crate) fn now() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970");
    i64::try_from(since.as_secs()).expect("before 2262")
}

/// A bound token's payload, issued `age` seconds ago for `lifetime` seconds.
pub(crate) fn payload(pod: &str, age: i64, lifetime: i64) -> Value {
    let issued = now() - age;
    json!({
        "iss": "https://kubernetes.default.svc", "aud": ["https://kubernetes.default.svc"],
        "sub": "system:serviceaccount:shop:cart",
        "iat": issued, "nbf": issued, "exp": issued + lifetime, "jti": format!("{pod}-{issued}"),
        "kubernetes.io": {
            "namespace": "shop", "serviceaccount": {"name": "cart", "uid": "sa-uid"},
            "pod": {"name": pod, "uid": format!("uid-{pod}")},
            "node": {"name": "node-1"},
        },
    })
}

/// The whole token.
pub(crate) fn token(payload: &Value) -> String {
    unsigned(&json!({"alg": "RS256", "kid": "key-1"}), payload, SIGNATURE)
}

/// A kubelet root. Dropping it removes it.
pub(crate) struct Node(Root);

impl Node {
    /// Without pods.
    pub(crate) fn new() -> Self {
        Self(Root::temporary(&std::env::temp_dir(), "").expect("a kubelet root"))
    }

    /// Without pods, at its usual place in a host's file system.
    #[allow(dead_code)] // not every test that includes this file needs it
    pub(crate) fn of_host() -> Self {
        Self(Root::temporary(&std::env::temp_dir(), "var/lib/kubelet").expect("a kubelet root"))
    }

    /// Writes a file of the host, by its path there, for a root of [`Self::of_host`].
    #[allow(dead_code)] // not every test that includes this file needs it
    pub(crate) fn host_file(&self, path: &str, content: &str) -> PathBuf {
        let host = self.root().ancestors().nth(3).expect("a host");
        let path = host.join(path.trim_start_matches('/'));
        std::fs::create_dir_all(path.parent().expect("a directory")).expect("a directory");
        std::fs::write(&path, content).expect("a file");
        path
    }

    /// The root.
    pub(crate) fn root(&self) -> &Path {
        self.0.path()
    }

    /// Any file in it.
    #[allow(dead_code)] // not every test that includes this file needs it
    pub(crate) fn file(&self, name: &str, content: &str) -> PathBuf {
        let path = self.root().join(name);
        std::fs::write(&path, content).expect("a file");
        path
    }

    /// Makes `content` the token of the pod, as kubelet does. The pod has one volume with one
    /// token.
    pub(crate) fn pod(&self, pod: &str, content: &str) {
        let payload = Payload::from([("token".into(), content.into())]);
        self.volume(pod).write(&payload, Wall::from_secs(now())).expect("a volume");
    }

    /// The pod's volume.
    pub(crate) fn volume(&self, pod: &str) -> Volume {
        self.0.volume(&format!("uid-{pod}"), "kube-api-access")
    }
}

/// Makes twice as many events as the inotify queue holds, and leaves no file behind. A process that
/// is being stopped may still take some of them. The kernel merges only events that are equal and
/// adjacent.
#[allow(dead_code)] // not every test that includes this file needs it
pub(crate) fn overflow(root: &Path) {
    let limit: usize = std::fs::read_to_string("/proc/sys/fs/inotify/max_queued_events")
        .expect("a limit")
        .trim()
        .parse()
        .expect("a number");
    let passing = root.join("pods/passing");
    for _ in 0..limit {
        std::fs::create_dir(&passing).expect("a passing directory");
        std::fs::remove_dir(&passing).expect("a passing directory");
    }
}
