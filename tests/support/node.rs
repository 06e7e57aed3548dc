//! A kubelet root in a temporary folder, with tokens as kubelet writes them. The signatures are not
//! real: nobody here checks them.

use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};

/// The part of a token that must never be seen again.
pub(crate) const SIGNATURE: &str = "c2lnbmF0dXJlLXRoYXQtbm9ib2R5LXNlZXM";

/// With no variable but the path to programs: what somebody has set for the agent, or for the test
/// bed, is not what is tested. Agents run beside one another in tests, and only one of them could
/// listen.
pub(crate) fn bare(command: &mut std::process::Command) -> &mut std::process::Command {
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
        "iss": "https://kubernetes.default.svc", "aud": ["https://kubernetes.default.svc"], "sub": "system:serviceaccount:shop:cart",
        "iat": issued, "nbf": issued, "exp": issued + lifetime, "jti": format!("{pod}-{issued}"),
        "kubernetes.io": {
            "namespace": "shop", "serviceaccount": {"name": "cart", "uid": "sa-uid"}, "pod": {"name": pod, "uid": format!("uid-{pod}")},
            "node": {"name": "node-1"},
        },
    })
}

/// The whole token.
pub(crate) fn token(payload: &Value) -> String {
    let part = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
    format!("{}.{}.{SIGNATURE}", part(&json!({"alg": "RS256", "kid": "key-1"})), part(payload))
}

/// A kubelet root; gone when dropped.
pub(crate) struct Node(tempfile::TempDir);

impl Node {
    /// Without pods.
    pub(crate) fn new() -> Self {
        let node = Self(tempfile::tempdir().expect("a temporary folder"));
        std::fs::create_dir(node.root().join("pods")).expect("pods");
        node
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

    /// A volume with one token, written as kubelet's AtomicWriter does.
    pub(crate) fn pod(&self, pod: &str, content: &str) {
        let volume = self
            .root()
            .join("pods")
            .join(format!("uid-{pod}"))
            .join("volumes/kubernetes.io~projected/kube-api-access");
        let data = volume.join("..2026_01_01_00_00_00.1");
        std::fs::create_dir_all(&data).expect("a volume");
        std::fs::write(data.join("token"), content).expect("a token");
        std::os::unix::fs::symlink("..2026_01_01_00_00_00.1", volume.join("..data"))
            .expect("..data");
        std::os::unix::fs::symlink("..data/token", volume.join("token")).expect("token");
    }

    /// The next generation of that token: beside the old one, then renamed into its place.
    #[allow(dead_code)] // not every test that includes this file rotates
    pub(crate) fn rotate(&self, pod: &str, generation: &str, content: &str) {
        let volume = self
            .root()
            .join("pods")
            .join(format!("uid-{pod}"))
            .join("volumes/kubernetes.io~projected/kube-api-access");
        std::fs::create_dir_all(volume.join(generation)).expect("a generation");
        std::fs::write(volume.join(generation).join("token"), content).expect("a token");
        std::os::unix::fs::symlink(generation, volume.join("..data_tmp")).expect("..data_tmp");
        std::fs::rename(volume.join("..data_tmp"), volume.join("..data")).expect("..data");
    }
}

/// Twice as many events as make the queue run over, because a process that is being stopped may
/// still take some, and nothing left of them. The kernel merges only events that are alike and
/// neighbours.
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
