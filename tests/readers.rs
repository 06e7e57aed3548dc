//! Who opens token files, from real volumes: each a tmpfs of its own, written as kubelet does. Every
//! test runs alone in its own mount namespace.

#![allow(clippy::expect_used, clippy::unwrap_used, clippy::panic)] // a failed test panics
#![allow(clippy::disallowed_methods)] // a test starts programs, measures time and makes folders
#![allow(unsafe_code)] // one test maps a file

#[allow(dead_code)] // not every test that includes this file uses all of it
#[path = "support/node.rs"]
mod node;
#[allow(dead_code)]
#[path = "support/volumes.rs"]
mod volumes;

use std::fs::{self, File};
use std::io::{Read as _, Seek as _, SeekFrom};
use std::os::fd::AsRawFd as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use nix::mount::{MntFlags, MsFlags, mount, umount2};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::Value;
use tokenwatch::sources::token_volumes::TokenVolumes;
use tokenwatch::sources::volumes::FilesConfig;
use tokenwatch::sources::{readers, volumes as files};
use tokenwatch_core::base::time::Wall;
use tokenwatch_core::world::observation::Observation;
use tokenwatch_core::world::readers::ReaderEvent;
use tokenwatch_lab::kubelet::{Payload, remove_pod};
use tokio::sync::mpsc::{Receiver, channel};
use volumes::{Node, PATIENCE, token};

/// Tells a test that it runs in its own namespace.
const ALONE: &str = "TEST_IS_ALONE";
/// Longer than the agent takes to report an open.
const SOON: Duration = Duration::from_millis(600);
/// Longer than it takes to decide about a sync that did not end.
const LATER: Duration = Duration::from_millis(2_800);
/// After this, an open of the same file is reported again, and a replaced generation is old.
const SPACED: Duration = Duration::from_millis(1_300);

/// Runs this test again, alone in its own mount namespace. True within it.
fn is_alone(test: &str) -> bool {
    if std::env::var_os(ALONE).is_some() {
        return true;
    }
    let mut unshared = Command::new("unshare");
    unshared.args(["--mount", "--propagation", "private"]);
    let may = Command::new("unshare").args(["--mount", "true"]).stderr(Stdio::null()).status();
    if !may.is_ok_and(|status| status.success()) {
        assert!(std::env::var_os("CI").is_none(), "CI has to run this: it needs root");
        eprintln!("SKIPPED: `unshare --mount` is not allowed here, so no volume can be mounted");
        return false;
    }
    let again = unshared
        .arg(std::env::current_exe().unwrap())
        .args([test, "--exact", "--nocapture"])
        .env(ALONE, "1")
        .status();
    assert!(again.unwrap().success(), "{test}, alone");
    false
}

fn mount_tmpfs(directory: &Path) {
    fs::create_dir_all(directory).unwrap();
    let options = None::<&str>; // like kubelet
    mount(Some("tmpfs"), directory, Some("tmpfs"), MsFlags::empty(), options).unwrap();
}

fn unmount(directory: &Path) {
    let started = Instant::now();
    while let Err(error) = umount2(directory, MntFlags::empty()) {
        assert!(started.elapsed() < PATIENCE, "{}: {error}", directory.display());
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// The files of a volume.
const THREE: [(&str, &str); 2] = [("ca.crt", "-----BEGIN CERTIFICATE-----"), ("namespace", "shop")];

/// A node, and what the two sources report of it.
struct Bed {
    node: Node,
    seen: Receiver<Observation>,
    /// All that was reported, and whether a test has waited for it.
    lines: Vec<(String, bool)>,
}

impl Bed {
    fn start(node: Node) -> Self {
        Self::with(node, Duration::from_hours(1), 512)
    }

    fn with(node: Node, rescan: Duration, queue: usize) -> Self {
        let followers = TokenVolumes::followed().unwrap();
        let config = FilesConfig {
            rescan,
            followers: followers.clone(),
            ..FilesConfig::new(vec![node.root()])
        };
        let (sender, seen) = channel(queue);
        tokio::spawn(files::run(config, sender.clone()));
        tokio::spawn(readers::run(followers, None, sender));
        Self { node, seen, lines: Vec::new() }
    }

    /// Everything that is reported from now on for some time.
    async fn during(&mut self, time: Duration) -> Vec<String> {
        let (until, from) = (tokio::time::Instant::now() + time, self.lines.len());
        while let Ok(Some(observation)) = tokio::time::timeout_at(until, self.seen.recv()).await {
            self.take(&observation);
        }
        self.lines[from..].iter().map(|(line, _)| line.clone()).collect()
    }

    fn take(&mut self, observation: &Observation) {
        self.lines.extend(line(observation).map(|line| (line, false)));
    }

    fn all(&self) -> impl DoubleEndedIterator<Item = &String> {
        self.lines.iter().map(|(line, _)| line)
    }

    async fn quiet(&mut self, time: Duration, about: &str) {
        let lines = self.during(time).await;
        let opened = lines.iter().any(|line| line.contains("opened") || line.contains("again"));
        assert!(!opened, "{about}: {lines:?}");
    }

    /// Waits for a line that contains `end` and that no test has waited for.
    async fn until(&mut self, end: &str) -> String {
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

    fn directory(&self, pod: &str) -> PathBuf {
        self.node.volume(pod).directory().to_owned()
    }

    /// The name of the current generation.
    fn current(&self, pod: &str) -> String {
        fs::read_link(self.directory(pod).join("..data")).unwrap().to_str().unwrap().to_owned()
    }

    fn write(&self, pod: &str, generation: i64, has_more: bool) {
        write(&self.node, pod, generation, has_more);
    }

    fn read(&self, pod: &str, path: &str) {
        fs::read(self.directory(pod).join(path)).unwrap();
    }

    /// Rotates, and waits until the new generation is watched.
    async fn rotate(&mut self, pod: &str, generation: i64, has_more: bool) -> String {
        self.write(pod, generation, has_more);
        let current = self.current(pod);
        self.until(&format!("{pod}/vol watching {current}")).await;
        current
    }
}

fn write(node: &Node, pod: &str, generation: i64, has_more: bool) {
    let token = token(generation);
    let others: &[(&str, &str)] = if has_more { &THREE } else { &[] };
    let files: Vec<(&str, &str)> =
        [("token", token.as_str())].iter().chain(others).copied().collect();
    node.write_files(pod, generation, &files);
}

/// A pod with a volume: a tmpfs with the first generation.
fn pod(node: &Node, pod: &str, has_more: bool) {
    mount_tmpfs(node.volume(pod).directory());
    write(node, pod, 1, has_more);
}

fn payload(generation: i64) -> Payload {
    let token = token(generation);
    let files = [("token", token.as_str())].into_iter().chain(THREE);
    files.map(|(path, content)| (PathBuf::from(path), content.as_bytes().to_vec())).collect()
}

/// What a report about readers says.
fn line(observation: &Observation) -> Option<String> {
    let (seen, what) = match observation {
        Observation::Readers(seen) => (seen, &seen.what),
        Observation::Source(state) if state.source == "readers" => {
            return Some(format!("source {}", state.degraded.as_deref().unwrap_or("well")));
        }
        _ => return None,
    };
    let what = match what {
        ReaderEvent::Watching { directory, complete } => {
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

macro_rules! alone {
    ($name:ident, $body:expr) => {
        #[tokio::test(flavor = "multi_thread")]
        async fn $name() {
            if is_alone(stringify!($name)) {
                $body.await;
            }
        }
    };
}

alone!(a_client_is_told_from_kubelet_and_from_walks, async {
    for has_more in [false, true] {
        let node = Node::new();
        pod(&node, "p", has_more);
        let mut bed = Bed::start(node);
        let first = bed.current("p");
        bed.until(&format!("p/vol watching {first} from now")).await;
        bed.quiet(SOON, "the agent's own first scan").await;
        for _ in 0..5 {
            bed.write("p", 1, has_more); // nothing changed
        }
        bed.quiet(SOON, "syncs of kubelet").await;
        bed.node.volume("p").measure().unwrap();
        bed.quiet(SOON, "statistics of kubelet").await;
        assert!(fs::read_dir(bed.directory("p")).unwrap().count() > 0);
        assert!(fs::read_dir(bed.directory("p").join("..data")).unwrap().count() > 0);
        fs::metadata(bed.directory("p").join("token")).unwrap();
        bed.quiet(LATER, "listing the volume and the generation").await;

        bed.read("p", "token");
        bed.until(&format!("p/vol opened {first} token")).await;
        tokio::time::sleep(SPACED).await;
        bed.read("p", "..data/token");
        bed.until(&format!("p/vol opened {first} token")).await;
        tokio::time::sleep(SPACED).await;
        bed.write("p", 1, has_more);
        bed.read("p", "token");
        bed.write("p", 1, has_more);
        bed.until(&format!("p/vol opened {first} token")).await; // in one batch
        tokio::time::sleep(SPACED).await;
        bed.node.volume("p").measure().unwrap();
        bed.read("p", "token");
        bed.until(&format!("p/vol opened {first} token")).await; // after statistics
        if has_more {
            bed.read("p", "ca.crt");
            bed.quiet(LATER, "a client that reads no token").await;
            assert!(fs::read_dir(bed.directory("p").join("..data")).unwrap().count() > 0);
            bed.read("p", "token");
            bed.until(&format!("p/vol opened {first} token")).await; // who lists, and reads one file
        }
        let second = bed.rotate("p", 2, has_more).await;
        bed.quiet(SOON, "a rotation").await;
        bed.read("p", "token");
        bed.until(&format!("p/vol opened {second} token")).await;
    }
});

alone!(the_agent_never_reports_itself, async {
    let node = Node::new();
    for (number, has_more) in [(0, false), (1, true), (2, true)] {
        pod(&node, &format!("p{number}"), has_more);
    }
    // Files this new are read again by each scan.
    let mut bed = Bed::with(node, Duration::from_millis(50), 512);
    for generation in 2..12 {
        bed.quiet(Duration::from_millis(300), "rescans").await;
        for number in 0..3 {
            bed.write(&format!("p{number}"), generation, number > 0);
        }
    }
    bed.quiet(LATER, "the last rescans").await;
    bed.read("p1", "token");
    bed.until("p1/vol opened").await;
});

alone!(the_first_open_after_a_rotation_is_seen_while_the_agent_reads, async {
    let node = Node::new();
    pod(&node, "p", true);
    let mut bed = Bed::start(node);
    bed.until("p/vol watching").await;
    for generation in 2..42 {
        let staged = bed.node.volume("p").stage(&payload(generation), Wall::from_secs(generation));
        let staged = staged.unwrap().unwrap();
        tokio::time::sleep(Duration::from_millis(60)).await; // the agent may be starved
        staged.swap().unwrap();
        bed.read("p", "token"); // at the same time as the agent
        staged.finish().unwrap();
        let current = bed.current("p");
        bed.until(&format!("p/vol watching {current} completely")).await;
        bed.until(&format!("p/vol opened {current} token")).await;
    }
});

alone!(readers_in_other_mount_namespaces_are_seen, async {
    let node = Node::new();
    pod(&node, "p", true);
    let container = node.root().join("container");
    fs::create_dir(&container).unwrap();
    let mut bed = Bed::start(node);
    let first = bed.current("p");
    bed.until("p/vol watching").await;
    let script = r#"mount --bind "$0" "$1" && mount -o remount,bind,ro "$1" && cat "$1/token""#;
    let status = Command::new("unshare")
        .args(["--mount", "--propagation", "private", "sh", "-c", script])
        .args([&bed.directory("p"), &container])
        .stdout(Stdio::null())
        .status();
    assert!(status.unwrap().success());
    bed.until(&format!("p/vol opened {first} token")).await;
});

alone!(a_descriptor_that_is_kept_is_held_and_read_again, async {
    let node = Node::new();
    pod(&node, "p", true);
    let mut bed = Bed::start(node);
    let first = bed.current("p");
    bed.until("p/vol held 0").await;
    let mut kept = File::open(bed.directory("p").join("token")).unwrap();
    bed.until(&format!("p/vol opened {first} token")).await;
    bed.rotate("p", 2, true).await;
    bed.until("p/vol held 1").await;
    bed.quiet(SOON, "nobody reads").await;
    kept.seek(SeekFrom::Start(0)).unwrap();
    kept.read_to_string(&mut String::new()).unwrap();
    bed.until(&format!("p/vol read again {first} token")).await;
    drop(kept);
    bed.until("p/vol held 0").await;
    let third = bed.rotate("p", 3, true).await;
    bed.until("p/vol held 0").await;
    bed.read("p", "token");
    bed.until(&format!("p/vol opened {third} token")).await;
});

alone!(a_mapping_and_a_subpath_are_held, async {
    let node = Node::new();
    for name in ["mapped", "mounted", "directory"] {
        pod(&node, name, name == "mapped");
    }
    let mounted = node.root().join("subpath");
    File::create(&mounted).unwrap();
    let mut bed = Bed::start(node);
    for name in ["mapped", "mounted", "directory"] {
        bed.until(&format!("{name}/vol watching")).await;
    }
    bed.during(SOON).await;
    let file = File::open(bed.directory("mapped").join("token")).unwrap();
    // SAFETY: a new private mapping of an open file, for reading; nothing else knows its address.
    let mapping = unsafe {
        let (protection, flags) = (libc::PROT_READ, libc::MAP_PRIVATE);
        libc::mmap(std::ptr::null_mut(), 4_096, protection, flags, file.as_raw_fd(), 0)
    };
    drop(file);
    let old = bed.directory("mounted").join(bed.current("mounted")).join("token");
    mount(Some(&old), &mounted, None::<&str>, MsFlags::MS_BIND, None::<&str>).unwrap();
    let directory = bed.directory("directory").join(bed.current("directory"));
    let working_directory = File::open(directory).unwrap();
    bed.during(SOON).await;

    let dead = bed.current("mounted");
    for name in ["mapped", "mounted", "directory"] {
        bed.write(name, 2, name == "mapped");
    }
    let lines = bed.during(LATER).await;
    for expected in ["mapped/vol held 1", "mounted/vol held 1", "directory/vol held 0"] {
        assert!(lines.iter().any(|line| line == expected), "{expected}: {lines:?}");
    }
    fs::read(&mounted).unwrap();
    bed.until(&format!("mounted/vol read again {dead} token")).await;
    unmount(&mounted);
    // SAFETY: the mapping that was made above, which nothing uses.
    unsafe { libc::munmap(mapping, 4_096) };
    drop(working_directory);
    let lines = bed.during(SPACED).await;
    for expected in ["mapped/vol held 0", "mounted/vol held 0"] {
        assert!(lines.iter().any(|line| line == expected), "{expected}: {lines:?}");
    }
});

alone!(generations_held_before_the_agent_started_are_counted, async {
    let node = Node::new();
    pod(&node, "p", false);
    pod(&node, "free", true);
    let mut kept = Vec::new();
    for generation in 2..5 {
        kept.push(File::open(node.volume("p").directory().join("token")).unwrap());
        write(&node, "p", generation, false);
        write(&node, "free", generation, true);
    }
    let plain = node.volume("plain").directory().to_owned();
    write(&node, "plain", 1, false); // in the file system of the root: cannot be counted
    assert!(plain.is_dir());
    let mut bed = Bed::start(node);
    let lines = bed.during(LATER).await;
    assert!(lines.iter().any(|line| line == "p/vol held 3"), "{lines:?}");
    assert!(lines.iter().any(|line| line == "free/vol held 0"), "{lines:?}");
    assert!(!lines.iter().any(|line| line.starts_with("plain/vol held")), "{lines:?}");
    drop(kept);
    bed.rotate("p", 6, false).await;
    bed.until("p/vol held 0").await;
});

alone!(a_storm_of_rotations_is_followed, async {
    let node = Node::new();
    pod(&node, "p", true);
    let mut bed = Bed::start(node);
    bed.until("p/vol watching").await;
    for generation in 2..60 {
        bed.write("p", generation, true);
    }
    bed.quiet(LATER, "rotations without a client").await;
    let last = bed.current("p");
    bed.until(&format!("watching {last}")).await;
    bed.read("p", "token");
    bed.until(&format!("p/vol opened {last} token")).await;
    bed.rotate("p", 100, true).await;
    bed.until("p/vol held 0").await;
});

alone!(a_busy_file_costs_few_reports_and_hides_no_rotation, async {
    let node = Node::new();
    pod(&node, "busy", false);
    pod(&node, "rare", false);
    let mut bed = Bed::start(node);
    bed.until("busy/vol watching").await;
    bed.until("rare/vol watching").await;
    let path = bed.directory("busy").join("token");
    let (stop, opens) = (std::sync::Arc::new(std::sync::atomic::AtomicBool::new(false)), 40_000);
    let reading = std::thread::spawn({
        let stop = std::sync::Arc::clone(&stop);
        move || {
            for _ in 0..opens {
                if stop.load(std::sync::atomic::Ordering::Relaxed) {
                    return;
                }
                drop(File::open(&path).unwrap());
                std::thread::sleep(Duration::from_micros(40));
            }
        }
    });
    bed.during(Duration::from_secs(2)).await;
    bed.read("rare", "token");
    bed.until("rare/vol opened").await;
    let second = bed.rotate("busy", 2, false).await;
    bed.until(&format!("busy/vol opened {second} token")).await;
    stop.store(true, std::sync::atomic::Ordering::Relaxed);
    reading.join().unwrap();
    let reports = bed.all().filter(|line| line.contains("busy/vol opened")).count();
    assert!((2..=8).contains(&reports), "{reports}: {:?}", bed.lines);
    assert!(!bed.all().any(|line| line.contains("missed")), "{:?}", bed.lines);
});

alone!(lost_events_are_reported_and_everything_is_watched_again, async {
    let node = Node::new();
    for number in 0..3 {
        pod(&node, &format!("p{number}"), false);
    }
    // Nobody takes the observations, so the thread waits and does not read its queue.
    let mut bed = Bed::with(node, Duration::from_hours(1), 1);
    for number in 0..3 {
        bed.until(&format!("p{number}/vol watching")).await;
    }
    bed.during(SOON).await;
    for _ in 0..3 {
        bed.read("p2", "token");
        tokio::time::sleep(SPACED).await;
    }
    let limit = fs::read_to_string("/proc/sys/fs/inotify/max_queued_events").unwrap();
    for _ in 0..limit.trim().parse::<usize>().unwrap() {
        bed.read("p0", "token");
        bed.read("p1", "token");
    }
    let lines = bed.during(LATER).await;
    for number in 0..3 {
        let missed = format!("p{number}/vol missed: the kernel's queue of inotify events");
        assert!(lines.iter().any(|line| line.starts_with(&missed)), "{lines:?}");
        let again = lines.iter().rfind(|line| line.starts_with(&format!("p{number}/vol watching")));
        assert!(again.is_some_and(|line| line.ends_with("from now")), "{lines:?}");
    }
    assert!(lines.iter().any(|line| line.starts_with("source the kernel's queue")), "{lines:?}");
    assert_eq!(lines.iter().rfind(|line| line.starts_with("source")).unwrap(), "source well");
    bed.read("p2", "token");
    bed.until("p2/vol opened").await;
});

alone!(a_new_pod_a_removed_one_and_a_volume_mounted_again_are_followed, async {
    let node = Node::new();
    fs::create_dir_all(node.root().join("pods")).unwrap();
    let mut bed = Bed::start(node);
    bed.during(SPACED).await;
    for round in 0..3 {
        pod(&bed.node, "p", true);
        bed.until("p/vol watching").await;
        bed.read("p", "token");
        bed.until("p/vol opened").await;
        for generation in [2, 3] {
            bed.rotate("p", generation + round * 10, true).await;
            bed.read("p", "token");
            bed.until("p/vol opened").await;
        }
        unmount(&bed.directory("p"));
        mount_tmpfs(&bed.directory("p"));
        write(&bed.node, "p", 5, true);
        bed.until(&format!("p/vol watching {}", bed.current("p"))).await;
        bed.read("p", "token");
        bed.until("p/vol opened").await;
        unmount(&bed.directory("p"));
        remove_pod(&bed.node.root(), "p").unwrap();
        bed.during(SOON).await;
    }
    let watching: Vec<&String> = bed.all().filter(|line| line.contains("watching")).collect();
    println!("{watching:#?}");
});

alone!(tokens_in_directories_of_a_volume_are_followed, async {
    let node = Node::new();
    mount_tmpfs(node.volume("p").directory());
    let write = |node: &Node, generation| {
        let (one, two) = (token(generation), token(generation + 500));
        node.write_files("p", generation, &[("a/b/vault", &one), ("token", &two), ("a/x", "x")]);
    };
    write(&node, 1);
    let mut bed = Bed::start(node);
    bed.until("p/vol watching").await;
    write(&bed.node, 1);
    bed.quiet(SOON, "a sync of kubelet").await;
    bed.read("p", "a/b/vault");
    let first = bed.current("p");
    bed.until(&format!("p/vol opened {first} a/b/vault")).await;
    for generation in 2..6 {
        write(&bed.node, generation);
        let current = bed.current("p");
        bed.until(&format!("p/vol watching {current}")).await;
        bed.quiet(SOON, "a rotation").await;
        bed.read("p", "a/b/vault");
        bed.until(&format!("p/vol opened {current} a/b/vault")).await;
        bed.read("p", "token");
        bed.until(&format!("p/vol opened {current} token")).await;
    }
});

/// The built agent, and what it records.
struct Agent {
    child: Child,
    folder: tempfile::TempDir,
}

impl Drop for Agent {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Agent {
    /// Started by `launcher`, with further arguments.
    fn start(launcher: &[&str], arguments: &[&str]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let mut command = Command::new(launcher[0]);
        command.args(&launcher[1..]).args([env!("CARGO_BIN_EXE_tokenwatch"), "run"]);
        command.args(["--clock-discover", "false", "--files-rescan", "1s", "--record"]);
        command.arg(folder.path().join("recording")).args(arguments);
        command.stdout(File::create(folder.path().join("out")).unwrap());
        command.stderr(File::create(folder.path().join("log")).unwrap());
        Self { child: node::bare(&mut command).spawn().unwrap(), folder }
    }

    fn text(&self, file: &str) -> String {
        fs::read_to_string(self.folder.path().join(file)).unwrap_or_default()
    }

    fn wait(&self, file: &str, words: &str, times: usize) {
        let started = Instant::now();
        while self.text(file).matches(words).count() < times {
            let log = self.text("log");
            assert!(
                started.elapsed() < PATIENCE,
                "no {words:?} in {file} {times} times:\n{}\n{log}",
                self.text(file)
            );
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    fn signal(&self, signal: Signal) {
        kill(Pid::from_raw(i32::try_from(self.child.id()).unwrap()), signal).unwrap();
    }
}

/// A token that is valid now.
fn write_now(node: &Node, pod: &str, age: i64) {
    let token = node::token(&node::payload(pod, age, 600));
    let payload = Payload::from([(PathBuf::from("token"), token.into_bytes())]);
    node.volume(pod).write(&payload, Wall::from_secs(1_800_000_000 - age)).unwrap();
}

/// As in its container: the host's mounts come through propagation, Landlock confines it, and of
/// all capabilities it has the one that reads files.
#[test]
fn the_confined_agent_sees_opens_and_held_generations() {
    if !is_alone("the_confined_agent_sees_opens_and_held_generations") {
        return;
    }
    let host = tempfile::tempdir().unwrap();
    mount_tmpfs(host.path());
    mount(None::<&str>, host.path(), None::<&str>, MsFlags::MS_SHARED, None::<&str>).unwrap();
    let node = Node::at(&host.path().join("var/lib/kubelet"));
    mount_tmpfs(node.volume("p").directory());
    write_now(&node, "p", 400);
    let launcher = [
        "unshare",
        "--mount",
        "--propagation",
        "slave",
        "setpriv",
        "--inh-caps=-all,+dac_read_search",
        "--bounding-set=-all,+dac_read_search",
    ];
    let agent = Agent::start(&launcher, &["--host-prefix", host.path().to_str().unwrap()]);
    agent.wait("recording", "\"watching\"", 1);
    let token = node.volume("p").directory().join("token");
    fs::read(&token).unwrap();
    agent.wait("recording", "\"opened\"", 1);
    let kept = File::open(&token).unwrap();
    write_now(&node, "p", 300);
    agent.wait("recording", "\"held\":{\"generations\":1}", 1);
    agent.wait("recording", "\"watching\"", 2);
    drop(kept);
    agent.wait("recording", "\"held\":{\"generations\":0}", 2);
    mount_tmpfs(node.volume("later").directory());
    write_now(&node, "later", 200);
    agent.wait("recording", "\"watching\"", 3);
    fs::read(node.volume("later").directory().join("token")).unwrap();
    agent.wait("recording", "\"opened\"", 2);
    std::thread::sleep(SPACED * 2); // some rescans
    assert!(
        agent.text("recording").matches("\"opened\"").count() <= 3,
        "{}",
        agent.text("recording")
    );
    assert!(agent.text("log").contains("source works source=readers"), "{}", agent.text("log"));
    let confined = agent.text("log");
    assert!(!confined.contains("not confined"), "{confined}");
    agent.signal(Signal::SIGTERM);
}

#[test]
fn the_setting_turns_it_off() {
    let node = Node::new();
    write_now(&node, "p", 400);
    let root = node.root();
    let agent = Agent::start(&["env"], &["--readers", "false", "--root", root.to_str().unwrap()]);
    agent.wait("log", "source works source=files", 1);
    fs::read(node.volume("p").directory().join("token")).unwrap();
    std::thread::sleep(SOON);
    assert!(!agent.text("recording").contains("\"readers\""), "{}", agent.text("recording"));
    assert!(!agent.text("log").contains("source=readers"), "{}", agent.text("log"));
}

/// What an agent cannot see it reports as unseen, and sees it once the limit is raised.
#[test]
fn a_limit_of_watches_is_reported_for_each_volume() {
    let node = Node::new();
    for pod in 0..4 {
        write_now(&node, &format!("p{pod}"), 400);
    }
    let lower = r#"echo "$1" > "/proc/sys/user/$0" && shift && exec "$@""#;
    let launcher =
        ["unshare", "--user", "--map-root-user", "sh", "-c", lower, "max_inotify_watches", "14"];
    let root = node.root();
    let agent = Agent::start(&launcher, &["--root", root.to_str().unwrap()]);
    agent.wait("log", "fs.inotify.max_user_watches (sysctl); the agent cannot see who reads", 1);
    agent.wait("recording", "\"unseen\"", 1);
    let pid = agent.child.id().to_string();
    let raised = Command::new("nsenter")
        .args(["--target", &pid, "--user", "--preserve-credentials", "sh", "-c"])
        .arg("echo 1000 > /proc/sys/user/max_inotify_watches")
        .status();
    assert!(raised.unwrap().success());
    agent.wait("recording", "\"watching\"", 4);
    agent.wait("log", "source works source=readers", 2);
    let watched: Vec<Value> = agent
        .text("recording")
        .lines()
        .filter(|line| line.contains("\"watching\""))
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    assert!(watched.len() >= 4);
}
