//! A kubelet root that a kubelet-like writer fills, and what the agent's source of token files
//! observes there.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use serde_json::json;
use tokenwatch::sources::volumes::{FilesConfig, Scanner, run};
use tokenwatch_core::base::time::Wall;
use tokenwatch_core::world::observation::{FileContent, Observation};
use tokenwatch_lab::kubelet::{Payload, Volume};
use tokenwatch_lab::root::Root;
use tokenwatch_lab::signer::unsigned;
use tokio::sync::mpsc::{Receiver, channel};

/// Far longer than anything here takes: a test that waits this long has failed.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

/// A kubelet root. Dropping it removes it, unless it is at a given place.
pub(crate) struct Node(Root);

impl Node {
    pub(crate) fn new() -> Self {
        Self::within("")
    }

    /// A root called `name` in a temporary directory.
    pub(crate) fn within(name: &str) -> Self {
        Self(Root::temporary(&std::env::temp_dir(), name).unwrap())
    }

    /// A root at a given place.
    pub(crate) fn at(root: &Path) -> Self {
        Self(Root::at(root).unwrap())
    }

    pub(crate) fn root(&self) -> PathBuf {
        self.0.path().to_owned()
    }

    pub(crate) fn volume(&self, pod: &str) -> Volume {
        self.0.volume(pod, "vol")
    }

    /// Writes what kubelet writes: a token and the files beside it.
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

    /// Writes a token, alone in another volume of the pod.
    pub(crate) fn write_to(&self, pod: &str, volume: &str, generation: i64) {
        let payload: Payload = [("token".into(), token(generation).into_bytes())].into();
        let at = Wall::from_secs(1_800_000_000 + generation);
        self.0.volume(pod, volume).write(&payload, at).unwrap();
    }

    pub(crate) fn scanner(&self) -> Scanner {
        Scanner::new(vec![self.root()])
    }
}

/// Issued `generation` seconds after a fixed time.
pub(crate) fn token(generation: i64) -> String {
    let issued = 1_800_000_000 + generation;
    let claims = json!({
        "aud": ["a"], "exp": issued + 600, "iat": issued, "jti": format!("jti-{generation}"),
        "kubernetes.io": {"namespace": "shop"}, "sub": "system:serviceaccount:shop:cart",
    });
    unsigned(&json!({"alg": "ES256", "kid": "k"}), &claims, "c2ln")
}

/// One line for each observation: what, where, and its content in short. Pods without tokens are
/// left out: most tests have some.
pub(crate) fn lines(observations: &[Observation]) -> Vec<String> {
    let is_about_files =
        |observation: &&Observation| !matches!(observation, Observation::WithoutTokens(_));
    observations.iter().filter(is_about_files).map(line).collect()
}

pub(crate) fn line(observation: &Observation) -> String {
    match observation {
        Observation::File(seen) => match &seen.content {
            FileContent::Token(claims) => {
                format!("{} token {}", seen.key, claims.issued_at.as_secs() - 1_800_000_000)
            }
            FileContent::Malformed { reason } => format!("{} malformed: {reason}", seen.key),
            FileContent::Unreadable { reason } => format!("{} unreadable: {reason}", seen.key),
            FileContent::Missing(absence) => format!("{} missing: {absence:?}", seen.key),
        },
        Observation::Gone(key) => format!("{key} gone"),
        Observation::LeftOut(key) => format!("{key} left out"),
        Observation::Source(state) => {
            format!("source {} {}", state.source, state.degraded.as_deref().unwrap_or("well"))
        }
        other => format!("{other:?}"),
    }
}

/// With the next rescan so far away that only events lead to observations.
pub(crate) fn by_events(node: &Node) -> FilesConfig {
    FilesConfig { rescan: Duration::from_hours(1), ..FilesConfig::new(vec![node.root()]) }
}

pub(crate) fn start(config: FilesConfig) -> Receiver<Observation> {
    let (sender, receiver) = channel(64);
    tokio::spawn(run(config, sender));
    receiver
}

/// The observations up to the first line that contains `end`, and how long that took.
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
