//! A kubelet root that a kubelet-like writer fills, and what the agent's source of token files
//! tells of it.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use base64::Engine as _;
use tokenwatch::sources::volumes::{FilesConfig, Scanner, run};
use tokenwatch_core::base::time::Wall;
use tokenwatch_core::world::observation::{FileContent, Observation};
use tokenwatch_lab::kubelet::{Payload, Volume};
use tokio::sync::mpsc::{Receiver, channel};

/// Far more than anything here takes; a test that waits this long has failed.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

/// A kubelet root; gone when dropped, unless it was made at a place of somebody else's.
pub(crate) struct Node {
    root: PathBuf,
    _folder: Option<tempfile::TempDir>,
}

impl Node {
    pub(crate) fn new() -> Self {
        Self::within("")
    }

    /// Below a folder of its own.
    pub(crate) fn within(name: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let node = Self::at(&folder.path().join(name));
        Self { _folder: Some(folder), ..node }
    }

    /// At a given place.
    pub(crate) fn at(root: &Path) -> Self {
        fs::create_dir_all(root.join("pods")).unwrap();
        Self { root: root.to_owned(), _folder: None }
    }

    pub(crate) fn root(&self) -> PathBuf {
        self.root.clone()
    }

    pub(crate) fn volume(&self, pod: &str) -> Volume {
        Volume::new(&self.root(), pod, "vol")
    }

    /// What kubelet writes: a token, and what stands beside it.
    pub(crate) fn write(&self, pod: &str, generation: i64) {
        self.write_files(
            pod,
            generation,
            &[
                ("token", &token(generation)),
                ("ca.crt", "-----BEGIN CERTIFICATE-----"),
                ("namespace", "shop"),
            ],
        );
    }

    pub(crate) fn write_files(&self, pod: &str, generation: i64, files: &[(&str, &str)]) {
        let payload: Payload = files
            .iter()
            .map(|(path, content)| (PathBuf::from(path), content.as_bytes().to_vec()))
            .collect();
        self.volume(pod).write(&payload, Wall::from_secs(1_800_000_000 + generation)).unwrap();
    }

    pub(crate) fn scanner(&self) -> Scanner {
        Scanner::new(vec![self.root()])
    }
}

pub(crate) fn token(generation: i64) -> String {
    let part = |text: &str| base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(text);
    let issued = 1_800_000_000 + generation;
    let payload = format!(
        r#"{{"aud":["a"],"exp":{},"iat":{issued},"jti":"jti-{generation}","kubernetes.io":{{"namespace":"shop"}},"sub":"system:serviceaccount:shop:cart"}}"#,
        issued + 600
    );
    format!("{}.{}.c2ln", part(r#"{"alg":"ES256","kid":"k"}"#), part(&payload))
}

/// One line for each observation: what, where, and in short what was in it.
pub(crate) fn told(observations: &[Observation]) -> Vec<String> {
    observations.iter().map(line).collect()
}

pub(crate) fn line(observation: &Observation) -> String {
    match observation {
        Observation::File(seen) => match &seen.content {
            FileContent::Token(claims) => {
                format!("{} token {}", seen.key, claims.issued_at.as_secs() - 1_800_000_000)
            }
            FileContent::Malformed { reason } => format!("{} malformed: {reason}", seen.key),
            FileContent::Unreadable { reason } => format!("{} unreadable: {reason}", seen.key),
        },
        Observation::Gone(key) => format!("{key} gone"),
        Observation::Source(state) => {
            format!("source {} {}", state.source, state.degraded.as_deref().unwrap_or("well"))
        }
        other => format!("{other:?}"),
    }
}

/// A rescan so far away that only events can bring anything.
pub(crate) fn by_events(node: &Node) -> FilesConfig {
    FilesConfig { rescan: Duration::from_hours(1), ..FilesConfig::new(vec![node.root()]) }
}

pub(crate) fn start(config: FilesConfig) -> Receiver<Observation> {
    let (sender, receiver) = channel(64);
    tokio::spawn(run(config, sender));
    receiver
}

/// What comes, up to the first line that contains `end`, and how long it took.
pub(crate) async fn until(
    observations: &mut Receiver<Observation>,
    end: &str,
) -> (Vec<String>, Duration) {
    let (started, mut lines) = (Instant::now(), Vec::new());
    loop {
        let next = tokio::time::timeout(PATIENCE, observations.recv()).await;
        let Ok(Some(observation)) = next else { panic!("no {end:?} in {lines:?}") };
        lines.push(line(&observation));
        if lines.last().unwrap().contains(end) {
            return (lines, started.elapsed());
        }
    }
}
