//! Token files on the node: found whatever they are called, read without leaving the volume, followed through rotations.

#![allow(clippy::unwrap_used, clippy::panic)] // the helpers of a test are test code too

#[path = "support/volumes.rs"]
mod volumes;

use std::ffi::CString;
use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use tokenwatch::demo::kubelet::remove_pod;
use tokenwatch::sources::files::{FilesConfig, Scanner};
use tokenwatch_core::observation::Observation;
use tokenwatch_core::token::MAX_TOKEN_BYTES;
use volumes::{Node, by_events, start, token, told, until};

fn scan(scanner: &mut Scanner) -> Vec<String> {
    let mut out = Vec::new();
    scanner.scan(&mut out);
    told(&out)
}

#[test]
fn every_token_is_found_by_content_and_only_changes_are_told() {
    let node = Node::new();
    node.write("p1", 1);
    node.write_files("p2", 1, &[("deep/er/vault", &token(7)), ("token", "no token at all"), ("x", &token(8))]);
    let mut scanner = node.scanner();
    assert_eq!(scan(&mut scanner), ["p1/vol/token token 1", "p2/vol/deep/er/vault token 7", "p2/vol/x token 8"]);
    assert_eq!(scan(&mut scanner), [""; 0]);
    node.write("p1", 2);
    assert_eq!(scan(&mut scanner), ["p1/vol/token token 2"]);
    remove_pod(&node.root(), "p2").unwrap();
    assert_eq!(scan(&mut scanner), ["p2/vol/deep/er/vault gone", "p2/vol/x gone"]);
}

#[test]
fn another_file_of_the_volume_that_changes_is_no_rotation() {
    let node = Node::new();
    node.write("p", 1);
    let mut scanner = node.scanner();
    scan(&mut scanner);
    node.write_files("p", 2, &[("token", &token(1)), ("ca.crt", "new"), ("namespace", "shop")]);
    assert_eq!(scan(&mut scanner), [""; 0]);
}

#[test]
fn a_place_where_a_token_was_is_remembered() {
    let node = Node::new();
    node.write("p", 1);
    let mut scanner = node.scanner();
    scan(&mut scanner);
    let table = [
        ("", "the file is empty"),
        ("x", "it holds something else than a token, and held one before"),
        ("eyJ", "a JWT has 3 parts separated by dots, this has 1"),
    ];
    for (generation, (content, reason)) in (2..).zip(table) {
        node.write_files("p", generation, &[("token", content)]);
        assert_eq!(scan(&mut scanner), [format!("p/vol/token malformed: {reason}")]);
        assert_eq!(scan(&mut scanner), [""; 0], "said once");
    }
    node.write("p", 9);
    assert_eq!(scan(&mut scanner), ["p/vol/token token 9"]);
}

#[test]
fn a_token_rewritten_in_place_is_seen() {
    let node = Node::new();
    node.write("p", 1);
    let mut scanner = node.scanner();
    scan(&mut scanner);
    fs::write(node.volume("p").directory().join("token"), token(2)).unwrap();
    assert_eq!(scan(&mut scanner), ["p/vol/token token 2"]);
}

#[test]
fn when_it_was_written_is_the_rename_of_data() {
    let node = Node::new();
    node.write("p", 1);
    let mut out = Vec::new();
    node.scanner().scan(&mut out);
    let Observation::File(seen) = &out[0] else { panic!("{out:?}") };
    let age = tokenwatch::clocks::now().wall - seen.written_at.unwrap();
    assert!((0..5).contains(&age.as_secs()), "{age}");
}

fn fifo(path: &Path) {
    nix::unistd::mkfifo(CString::new(path.to_str().unwrap()).unwrap().as_c_str(), nix::sys::stat::Mode::S_IRWXU).unwrap();
}

#[test]
fn a_hostile_tree_neither_hangs_nor_leads_astray() {
    let node = Node::new();
    node.write("good", 1);
    fs::write(node.root().join("secret"), token(66)).unwrap();
    let bad = node.volume("bad").directory().to_owned();
    fs::create_dir_all(bad.join("a/b/c/d/e/f/g/h/i/j/k")).unwrap();
    fs::write(bad.join("a/b/c/d/e/f/g/h/i/j/k/token"), token(67)).unwrap();
    fs::write(bad.join("new\nline"), token(3)).unwrap();
    fs::write(bad.join("huge"), format!("eyJ{}", "a".repeat(MAX_TOKEN_BYTES))).unwrap();
    fifo(&bad.join("token"));
    let _socket = std::os::unix::net::UnixListener::bind(bad.join("socket")).unwrap();
    for (link, to) in
        [("loop", "loop"), ("up", "../../../../../secret"), ("magic", "/proc/self/cwd"), ("zero", "/dev/zero"), ("around", ".")]
    {
        symlink(to, bad.join(link)).unwrap();
    }
    symlink(node.root().join("secret"), bad.join("absolute")).unwrap();
    symlink("../../../../..", node.root().join("pods/linked")).unwrap();
    let away = node.volume("away").directory().to_owned();
    fs::create_dir_all(&away).unwrap();
    symlink(node.root(), away.join("..data")).unwrap();
    symlink("..data/secret", away.join("token")).unwrap();
    assert_eq!(
        scan(&mut node.scanner()),
        ["bad/vol/huge malformed: longer than 65536 bytes", "bad/vol/new\\u{a}line token 3", "good/vol/token token 1",]
    );
}

#[test]
fn volumes_swapped_while_they_are_read_are_always_whole() {
    let node = Node::new();
    node.write("p", 1);
    let mut scanner = node.scanner();
    let first = scan(&mut scanner);
    assert_eq!(first.len(), 1);
    std::thread::scope(|scope| {
        let writer = scope.spawn(|| (2..300).for_each(|generation| node.write("p", generation)));
        while !writer.is_finished() {
            for line in scan(&mut scanner) {
                assert!(line.starts_with("p/vol/token token "), "{line}");
            }
        }
    });
    scan(&mut scanner);
    assert_eq!(scan(&mut scanner), [""; 0]);
}

#[test]
fn a_root_that_is_missing_is_a_problem_and_hides_no_other() {
    let node = Node::new();
    node.write("p", 1);
    let mut scanner = Scanner::new(vec![PathBuf::from("/nonexistent"), node.root()]);
    let mut out = Vec::new();
    let summary = scanner.scan(&mut out);
    assert_eq!(told(&out), ["p/vol/token token 1"]);
    assert!(summary.problems[0].contains("/nonexistent/pods"), "{:?}", summary.problems);
    assert_eq!((summary.pods, summary.volumes, summary.tokens), (1, 1, 1));
}

#[tokio::test(flavor = "multi_thread")]
async fn pods_rotations_and_removals_are_seen_by_events() {
    let node = Node::new();
    node.write("p1", 1);
    let mut seen = start(by_events(&node));
    until(&mut seen, "source files well").await;
    node.write("p1", 2);
    until(&mut seen, "p1/vol/token token 2").await;
    for pod in 0..20 {
        node.write(&format!("new{pod}"), 3);
        let (_, took) = until(&mut seen, &format!("new{pod}/vol/token token 3")).await;
        assert!(took < Duration::from_secs(1), "{took:?}");
    }
    for pod in 0..20 {
        node.write(&format!("new{pod}"), 4);
        until(&mut seen, &format!("new{pod}/vol/token token 4")).await;
    }
    remove_pod(&node.root(), "p1").unwrap();
    until(&mut seen, "p1/vol/token gone").await;
    node.write("p1", 5);
    until(&mut seen, "p1/vol/token token 5").await;
    node.write("p1", 6);
    until(&mut seen, "p1/vol/token token 6").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn without_watches_passes_do_and_it_is_said_and_recovered() {
    let node = Node::new();
    (0..5).for_each(|pod| node.write(&format!("p{pod}"), 1));
    let quick = Duration::from_millis(200);
    let mut seen = start(FilesConfig { degraded_rescan: quick, max_watches: Some(6), ..by_events(&node) });
    let (lines, _) = until(&mut seen, "source watch").await;
    let degraded = lines.last().unwrap();
    assert!(degraded.contains("max_user_watches") && degraded.contains("looked at every 200.0ms"), "{degraded}");
    node.write("p4", 2);
    until(&mut seen, "p4/vol/token token 2").await;
    (2..5).for_each(|pod| remove_pod(&node.root(), &format!("p{pod}")).unwrap());
    until(&mut seen, "source watch well").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_root_may_come_later() {
    let node = Node::new();
    fs::remove_dir(node.root().join("pods")).unwrap();
    let mut seen = start(by_events(&node));
    let (lines, _) = until(&mut seen, "source files").await;
    assert!(lines.last().unwrap().contains("ENOENT"), "{lines:?}");
    node.write("p", 1);
    until(&mut seen, "p/vol/token token 1").await;
}

/// Mounts need root; without it the tests that make them say so and end, but not in CI.
fn is_root() -> bool {
    let root = nix::unistd::geteuid().is_root();
    if !root {
        assert!(std::env::var_os("CI").is_none(), "CI has to run this as root: it mounts a tmpfs");
        eprintln!("SKIPPED: needs root to mount a tmpfs");
    }
    root
}

/// Unmounts what a test mounted, whatever becomes of the test.
struct Mounted(PathBuf);

impl Mounted {
    fn over(directory: &Path) -> Self {
        nix::mount::mount(Some("tmpfs"), directory, Some("tmpfs"), nix::mount::MsFlags::empty(), None::<&str>).unwrap();
        Self(directory.to_owned())
    }
}

impl Drop for Mounted {
    fn drop(&mut self) {
        let _ = nix::mount::umount2(&self.0, nix::mount::MntFlags::MNT_DETACH);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tmpfs_mounted_over_a_watched_directory_is_followed() {
    if !is_root() {
        return;
    }
    let node = Node::new();
    let mut seen = start(by_events(&node));
    until(&mut seen, "source files well").await;
    let directory = node.volume("p").directory().to_owned();
    fs::create_dir_all(&directory).unwrap();
    tokio::time::sleep(Duration::from_millis(300)).await; // the covered directory is watched by now
    let mounted = Mounted::over(&directory);
    tokio::time::sleep(Duration::from_millis(300)).await;
    for generation in 1..4 {
        let started = Instant::now();
        node.write("p", generation);
        until(&mut seen, &format!("p/vol/token token {generation}")).await;
        assert!(started.elapsed() < Duration::from_secs(1));
    }
    drop(mounted);
    until(&mut seen, "p/vol/token gone").await;
}

/// Volumes as a mount namespace without propagation shows them: kubelet's mark is there, the mount is not.
#[test]
fn a_volume_mounted_for_kubelet_alone_is_told_apart_from_an_empty_one() {
    let node = Node::new();
    node.write("hidden", 1);
    fs::remove_dir_all(node.volume("hidden").directory()).unwrap();
    for pod in ["hidden", "empty"] {
        fs::create_dir_all(node.volume(pod).directory()).unwrap();
    }
    let (observations, _) = tokenwatch::sources::files::check(vec![node.root()]);
    let [Observation::Blind(spots)] = observations.as_slice() else { panic!("{observations:?}") };
    assert_eq!(spots.iter().map(|spot| spot.pod_uid.as_str()).collect::<Vec<_>>(), ["hidden"]);
    assert!(spots[0].reason.contains("HostToContainer"), "{}", spots[0].reason);
}

#[test]
fn a_mount_that_is_seen_is_no_blind_spot_even_while_empty() {
    if !is_root() {
        return;
    }
    let node = Node::new();
    node.write("p", 1);
    fs::remove_dir_all(node.volume("p").directory()).unwrap();
    fs::create_dir_all(node.volume("p").directory()).unwrap();
    let _mounted = Mounted::over(node.volume("p").directory());
    let (observations, _) = tokenwatch::sources::files::check(vec![node.root()]);
    assert_eq!(told(&observations), [""; 0]);
}
