//! A node with real volumes, and what the sources of token files and of readers report of it.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use nix::mount::{MsFlags, mount};
use tokenwatch::sources::token_volumes::TokenVolumes;
use tokenwatch::sources::volumes::FilesConfig;
use tokenwatch::sources::watchdog::Watchdog;
use tokenwatch::sources::{readers, volumes as files};
use tokenwatch_core::world::observation::Observation;
use tokenwatch_core::world::readers::ReaderEvent;
use tokenwatch_lab::kubelet::Payload;
use tokio::sync::mpsc::{Receiver, channel};

use crate::volumes::{Node, PATIENCE, token};

/// Longer than the agent takes to report an open.
pub(crate) const SOON: Duration = Duration::from_millis(600);
/// Longer than it takes to decide about a sync that did not end.
pub(crate) const LATER: Duration = Duration::from_millis(2_800);
/// After this, an open of the same file is reported again, and a replaced generation is old.
pub(crate) const SPACED: Duration = Duration::from_millis(1_300);

/// Whether this test can run and is alone, where it runs again.
pub(crate) fn is_alone(test: &str) -> bool {
    let is_root = nix::unistd::geteuid().is_root();
    crate::alone::can_run(is_root, "root") && crate::alone::is_alone(test)
}

pub(crate) fn mount_tmpfs(directory: &Path) {
    fs::create_dir_all(directory).unwrap();
    let options = None::<&str>; // like kubelet
    mount(Some("tmpfs"), directory, Some("tmpfs"), MsFlags::empty(), options).unwrap();
}

/// The files of a volume.
pub(crate) const THREE: [(&str, &str); 2] =
    [("ca.crt", "-----BEGIN CERTIFICATE-----"), ("namespace", "shop")];

/// A node, and what the two sources report of it.
pub(crate) struct Bed {
    pub(crate) node: Node,
    seen: Receiver<Observation>,
    /// All that was reported, and whether a test has waited for it.
    pub(crate) lines: Vec<(String, bool)>,
}

impl Bed {
    pub(crate) fn start(node: Node) -> Self {
        Self::with(node, Duration::from_hours(1), 512)
    }

    pub(crate) fn with(node: Node, rescan: Duration, queue: usize) -> Self {
        let followers = TokenVolumes::followed().unwrap();
        let config = FilesConfig {
            rescan,
            followers: followers.clone(),
            ..FilesConfig::new(vec![node.root()])
        };
        let (sender, seen) = channel(queue);
        tokio::spawn(files::run(config, sender.clone()));
        tokio::spawn(readers::run(followers, None, Watchdog::default(), sender));
        Self { node, seen, lines: Vec::new() }
    }

    /// Everything that is reported from now on for some time.
    pub(crate) async fn during(&mut self, time: Duration) -> Vec<String> {
        let (until, from) = (tokio::time::Instant::now() + time, self.lines.len());
        while let Ok(Some(observation)) = tokio::time::timeout_at(until, self.seen.recv()).await {
            self.take(&observation);
        }
        self.lines[from..].iter().map(|(line, _)| line.clone()).collect()
    }

    pub(crate) fn take(&mut self, observation: &Observation) {
        self.lines.extend(line(observation).map(|line| (line, false)));
    }

    pub(crate) fn all(&self) -> impl DoubleEndedIterator<Item = &String> {
        self.lines.iter().map(|(line, _)| line)
    }

    pub(crate) async fn quiet(&mut self, time: Duration, about: &str) {
        let lines = self.during(time).await;
        let opened = lines.iter().any(|line| line.contains("opened") || line.contains("again"));
        assert!(!opened, "{about}: {lines:?}");
    }

    /// Waits for a line that contains `end` and that no test has waited for.
    pub(crate) async fn until(&mut self, end: &str) -> String {
        loop {
            let mut new = self.lines.iter_mut().filter(|(_, is_taken)| !is_taken);
            if let Some((line, is_taken)) = new.find(|(line, _)| line.contains(end)) {
                *is_taken = true;
                return line.clone();
            }
            let next = tokio::time::timeout(PATIENCE, self.seen.recv()).await;
            let Ok(Some(observation)) = next else { panic!("no {end:?} in {:#?}", self.lines) };
            self.take(&observation);
        }
    }

    pub(crate) fn directory(&self, pod: &str) -> PathBuf {
        self.node.volume(pod).directory().to_owned()
    }

    /// The name of the current generation.
    pub(crate) fn current(&self, pod: &str) -> String {
        fs::read_link(self.directory(pod).join("..data")).unwrap().to_str().unwrap().to_owned()
    }

    pub(crate) fn write(&self, pod: &str, generation: i64, has_more: bool) {
        write(&self.node, pod, generation, has_more);
    }

    pub(crate) fn read(&self, pod: &str, path: &str) {
        fs::read(self.directory(pod).join(path)).unwrap();
    }

    /// Rotates, and waits until the new generation is watched.
    pub(crate) async fn rotate(&mut self, pod: &str, generation: i64, has_more: bool) -> String {
        self.write(pod, generation, has_more);
        let current = self.current(pod);
        self.until(&format!("{pod}/vol watching {current}")).await;
        current
    }
}

pub(crate) fn write(node: &Node, pod: &str, generation: i64, has_more: bool) {
    let token = token(generation);
    let others: &[(&str, &str)] = if has_more { &THREE } else { &[] };
    let files: Vec<(&str, &str)> =
        [("token", token.as_str())].iter().chain(others).copied().collect();
    node.write_files(pod, generation, &files);
}

/// A pod with a volume: a tmpfs with the first generation.
pub(crate) fn pod(node: &Node, pod: &str, has_more: bool) {
    mount_tmpfs(node.volume(pod).directory());
    write(node, pod, 1, has_more);
}

pub(crate) fn payload(generation: i64) -> Payload {
    let token = token(generation);
    let files = [("token", token.as_str())].into_iter().chain(THREE);
    files.map(|(path, content)| (PathBuf::from(path), content.as_bytes().to_vec())).collect()
}

/// What a report about readers says.
pub(crate) fn line(observation: &Observation) -> Option<String> {
    let (seen, what) = match observation {
        Observation::Readers(seen) => (seen, &seen.what),
        Observation::Source(state) if state.source == "readers" => {
            return Some(format!("source {}", state.degraded.as_deref().unwrap_or("well")));
        }
        _ => return None,
    };
    let what = match what {
        ReaderEvent::Watching { directory, complete, .. } => {
            format!("watching {directory} {}", if *complete { "completely" } else { "from now" })
        }
        ReaderEvent::Opened { directory, path, .. } => format!("opened {directory} {path}"),
        ReaderEvent::ReadAgain { directory, path, .. } => {
            format!("read again {directory} {}", path.as_deref().unwrap_or("?"))
        }
        ReaderEvent::Held { generations } => format!("held {generations}"),
        ReaderEvent::Missed { why, .. } => format!("missed: {why}"),
        ReaderEvent::Unseen { why } => format!("unseen: {why}"),
    };
    Some(format!("{}/{} {what}", seen.pod_uid, seen.volume))
}

/// A test in a mount namespace of its own.
macro_rules! alone {
    ($name:ident, $body:expr) => {
        #[tokio::test(flavor = "multi_thread")]
        async fn $name() {
            if crate::bed::is_alone(concat!(module_path!(), "::", stringify!($name))) {
                $body.await;
            }
        }
    };
}
pub(crate) use alone;
