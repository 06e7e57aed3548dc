//! Token files on the node: found under any name, read without leaving the volume, and followed
//! through rotations.

#![allow(clippy::unwrap_used, clippy::panic)] // helpers of tests may panic, too
#![allow(clippy::disallowed_methods)] // a test starts programs, measures time and makes folders

#[allow(dead_code)] // not every test that includes this file uses all of it
#[path = "support/volumes.rs"]
mod volumes;

use std::ffi::{CString, OsStr};
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use tokenwatch::discovery::roots::Search;
use tokenwatch::proc::ProcFs;
use tokenwatch::sources::volumes::{FilesConfig, Scanner};
use tokenwatch_core::world::observation::Observation;
use tokenwatch_core::world::tokens::{LegacyToken, MAX_TOKEN_BYTES};
use tokenwatch_lab::kubelet::remove_pod;
use tokio::sync::mpsc::Receiver;
use volumes::{Node, by_events, lines, start, token, until};

fn scan(scanner: &mut Scanner) -> Vec<String> {
    let mut out = Vec::new();
    scanner.scan(&mut out);
    lines(&out)
}

#[test]
fn every_token_is_found_by_content_and_only_changes_are_reported() {
    let node = Node::new();
    node.write("p1", 1);
    node.write_files(
        "p2",
        1,
        &[("deep/er/vault", &token(7)), ("token", "no token at all"), ("x", &token(8))],
    );
    let mut scanner = node.scanner();
    assert_eq!(
        scan(&mut scanner),
        ["p1/vol/token token 1", "p2/vol/deep/er/vault token 7", "p2/vol/x token 8"]
    );
    assert_eq!(scan(&mut scanner), [""; 0]);
    node.write("p1", 2);
    assert_eq!(scan(&mut scanner), ["p1/vol/token token 2"]);
    remove_pod(&node.root(), "p2").unwrap();
    assert_eq!(scan(&mut scanner), ["p2/vol/deep/er/vault gone", "p2/vol/x gone"]);
}

/// A Secret-based token (pkg/serviceaccount/legacy.go) of this account.
fn legacy_token(account: &str) -> String {
    let payload = serde_json::json!({
        "iss": "kubernetes/serviceaccount",
        "sub": format!("system:serviceaccount:shop:{account}"),
        "kubernetes.io/serviceaccount/namespace": "shop",
        "kubernetes.io/serviceaccount/secret.name": format!("{account}-token-x"),
        "kubernetes.io/serviceaccount/service-account.name": account,
        "kubernetes.io/serviceaccount/service-account.uid": "u",
    });
    tokenwatch_lab::signer::unsigned(&serde_json::json!({"alg": "RS256"}), &payload, "c2ln")
}

/// What `check` finds of Secret-based tokens: volume, path and Secret of each.
fn legacy(node: &Node) -> Vec<String> {
    let (found, _, _) = tokenwatch::sources::volumes::check(vec![node.root()]);
    let lists = found.into_iter().filter_map(|observation| match observation {
        Observation::Legacy(all) => Some(all),
        _ => None,
    });
    let shown = |one: LegacyToken| {
        let secret = one.claims.secret.unwrap_or_default();
        format!("{} {} {} {secret}", one.key.pod_uid, one.key.volume, one.key.path)
    };
    lists.flatten().map(shown).collect()
}

#[test]
fn secret_based_tokens_are_found_in_secret_volumes_and_in_projected_ones() {
    let node = Node::new();
    node.write("p1", 1);
    assert_eq!(legacy(&node), [""; 0]);
    node.write_files("p2", 1, &[("old/token", &legacy_token("projected")), ("x", "y")]);
    let secret = |pod: &str, volume: &str, files: &[(&str, &str)]| {
        let at = node.root().join("pods").join(pod).join("volumes/kubernetes.io~secret");
        let generation = at.join(volume).join("..2026_11_24_10_00_00.1");
        fs::create_dir_all(&generation).unwrap();
        for (name, content) in files {
            fs::write(generation.join(name), content).unwrap();
            symlink(Path::new("..data").join(name), at.join(volume).join(name)).unwrap();
        }
        symlink("..2026_11_24_10_00_00.1", at.join(volume).join("..data")).unwrap();
    };
    let beside = [("ca.crt", "c"), ("namespace", "shop")];
    let mounted = legacy_token("mounted");
    secret("p1", "ci", &[("token", mounted.as_str()), beside[0], beside[1]]);
    // These are somebody's own Secrets: one has no ca.crt, and is not even read, and the token of
    // one is no token.
    secret("p1", "alike", &[("token", mounted.as_str()), beside[1]]);
    secret("p1", "other", &[("token", "hunter2"), beside[0], beside[1]]);
    secret("p1", "tls", &[("tls.key", "k")]);
    assert_eq!(
        legacy(&node),
        ["p1 ci token mounted-token-x", "p2 vol old/token projected-token-x"]
    );
}

#[test]
fn after_a_change_of_another_file_the_same_token_is_in_another_directory() {
    let node = Node::new();
    node.write("p", 1);
    let mut scanner = node.scanner();
    scan(&mut scanner);
    node.write_files("p", 2, &[("token", &token(1)), ("ca.crt", "new"), ("namespace", "shop")]);
    assert_eq!(scan(&mut scanner), ["p/vol/token token 1"]);
    assert_eq!(scan(&mut scanner), [""; 0], "reported once");
}

#[test]
fn anything_in_the_place_of_a_token_is_reported() {
    let node = Node::new();
    node.write("p", 1);
    let mut scanner = node.scanner();
    scan(&mut scanner);
    let table = [
        ("", "the file is empty"),
        ("x", "it holds something other than a token, and held one before, sound or broken"),
        ("eyJ", "a JWT has 3 parts separated by dots, this has 1"),
    ];
    for (generation, (content, reason)) in (2..).zip(table) {
        node.write_files("p", generation, &[("token", content)]);
        assert_eq!(scan(&mut scanner), [format!("p/vol/token malformed: {reason}")]);
        assert_eq!(scan(&mut scanner), [""; 0], "reported once");
    }
    node.write("p", 9);
    assert_eq!(scan(&mut scanner), ["p/vol/token token 9"]);
}

#[test]
fn a_token_rewritten_in_place_is_reported() {
    let node = Node::new();
    node.write("p", 1);
    let mut scanner = node.scanner();
    scan(&mut scanner);
    fs::write(node.volume("p").directory().join("token"), token(2)).unwrap();
    assert_eq!(scan(&mut scanner), ["p/vol/token token 2"]);
}

#[test]
fn the_time_of_writing_is_the_rename_of_data() {
    let node = Node::new();
    node.write("p", 1);
    let mut out = Vec::new();
    node.scanner().scan(&mut out);
    let Observation::File(seen) = &out[0] else { panic!("{out:?}") };
    let age = tokenwatch::clocks::now().wall - seen.written_at.unwrap();
    assert!((0..5).contains(&age.as_secs()), "{age}");
}

fn fifo(path: &Path) {
    nix::unistd::mkfifo(
        CString::new(path.to_str().unwrap()).unwrap().as_c_str(),
        nix::sys::stat::Mode::S_IRWXU,
    )
    .unwrap();
}

#[test]
fn a_hostile_tree_neither_blocks_nor_leads_out_of_the_volume() {
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
    for (link, to) in [
        ("loop", "loop"),
        ("up", "../../../../../secret"),
        ("magic", "/proc/self/cwd"),
        ("zero", "/dev/zero"),
        ("around", "."),
    ] {
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
        [
            "away/vol/..data unreadable: it leads out of the volume and was not followed (EXDEV); \
             kubelet creates no such link: find out what did",
            "bad/vol/huge malformed: it is longer than 65536 bytes",
            "bad/vol/new\\u{a}line token 3",
            "good/vol/token token 1",
        ]
    );
}

/// The files there may be anybody's: they are not read, and that is reported.
#[test]
fn a_volume_whose_data_link_leads_out_is_reported_and_recovers() {
    let node = Node::new();
    fs::create_dir(node.root().join("elsewhere")).unwrap();
    fs::write(node.root().join("elsewhere/token"), token(66)).unwrap();
    let mut scanner = node.scanner();
    let out = "p/vol/token unreadable: the volume's link ..data: it leads out of the volume and \
               was not followed (EXDEV); kubelet creates no such link: find out what did";
    let linked = "p/vol/token unreadable: the volume's link ..data: it leads to another link \
                  and was not followed (ELOOP); kubelet creates no such link: find out what did";
    let absolute = node.root().join("elsewhere").display().to_string();
    let ways = [
        (absolute.as_str(), out),
        ("../../../../../elsewhere", out),
        ("../nowhere", out),
        ("..linked", linked),
        ("..data", linked),
    ];
    for (generation, (to, expected)) in (1..).zip(ways) {
        node.write("p", generation);
        let found = scan(&mut scanner);
        assert_eq!(
            found.iter().filter(|line| line.contains("/token token ")).count(),
            1,
            "{found:?}"
        );
        let volume = node.volume("p").directory().to_owned();
        let _ = symlink(&absolute, volume.join("..linked"));
        symlink(to, volume.join("..astray")).unwrap();
        fs::rename(volume.join("..astray"), volume.join("..data")).unwrap();
        assert_eq!(scan(&mut scanner), [expected], "{to}");
        assert_eq!(scan(&mut scanner), [""; 0], "reported once");
        fs::remove_file(volume.join("..data")).unwrap();
    }
    node.write("p", 9);
    assert_eq!(scan(&mut scanner), ["p/vol/token token 9"]);
}

#[test]
fn a_link_that_leads_out_is_reported_only_where_a_token_was() {
    let node = Node::new();
    fs::write(node.root().join("elsewhere"), token(66)).unwrap();
    node.write("p", 1);
    let mut scanner = node.scanner();
    assert_eq!(scan(&mut scanner), ["p/vol/token token 1"]);
    node.write("p", 2);
    let generation = node.volume("p").directory().join("..data");
    symlink("nowhere", generation.join("broken")).unwrap();
    fs::remove_file(generation.join("token")).unwrap();
    for link in ["token", "foreign"] {
        symlink(node.root().join("elsewhere"), generation.join(link)).unwrap();
    }
    assert_eq!(
        scan(&mut scanner),
        ["p/vol/token malformed: it is no longer a regular file within its volume"]
    );
    assert_eq!(scan(&mut scanner), [""; 0], "reported once");
}

#[test]
fn a_volume_swapped_while_it_is_read_is_read_whole() {
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
fn a_missing_root_is_a_problem_and_hides_no_other() {
    let node = Node::new();
    node.write("p", 1);
    let mut scanner = Scanner::new(vec![PathBuf::from("/nonexistent"), node.root()]);
    let mut out = Vec::new();
    let summary = scanner.scan(&mut out);
    assert_eq!(lines(&out), ["p/vol/token token 1"]);
    assert!(summary.problems[0].contains("/nonexistent/pods"), "{:?}", summary.problems);
    assert_eq!((summary.pods, summary.volumes, summary.tokens), (1, 1, 1));
}

#[tokio::test(flavor = "multi_thread")]
async fn pods_rotations_and_removals_are_noticed_by_events() {
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
async fn without_watches_rescans_find_changes_and_watching_recovers() {
    let node = Node::new();
    (0..5).for_each(|pod| node.write(&format!("p{pod}"), 1));
    let quick = Duration::from_millis(200);
    let mut seen =
        start(FilesConfig { degraded_rescan: quick, max_watches: Some(6), ..by_events(&node) });
    let (lines, _) = until(&mut seen, "source watch").await;
    let degraded = lines.last().unwrap();
    assert!(
        degraded.contains("max_user_watches")
            && degraded.contains("rescans everything every 200.0ms"),
        "{degraded}"
    );
    node.write("p4", 2);
    until(&mut seen, "p4/vol/token token 2").await;
    (2..5).for_each(|pod| remove_pod(&node.root(), &format!("p{pod}")).unwrap());
    until(&mut seen, "source watch well").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_root_may_be_created_later() {
    let node = Node::new();
    fs::remove_dir(node.root().join("pods")).unwrap();
    let mut seen = start(by_events(&node));
    let (lines, _) = until(&mut seen, "source files").await;
    assert!(lines.last().unwrap().contains("ENOENT"), "{lines:?}");
    node.write("p", 1);
    until(&mut seen, "p/vol/token token 1").await;
}

/// An agent that sees nothing has to report that, but not while kubelet restarts, and no longer
/// than it lasts.
#[tokio::test(flavor = "multi_thread")]
async fn a_root_that_stays_missing_is_a_blind_spot_until_it_exists() {
    let node = Node::within("kubelet");
    node.write("p", 1);
    let quick = Duration::from_millis(200);
    let mut seen = start(FilesConfig { degraded_rescan: quick, ..by_events(&node) });
    until(&mut seen, "source files well").await;
    let (away, pods) = (node.root().join("away"), node.root().join("pods"));
    fs::rename(&pods, &away).unwrap();
    until(&mut seen, "ENOENT").await;
    fs::rename(&away, &pods).unwrap();
    let (lines, _) = until(&mut seen, "source files well").await;
    assert!(
        !lines.iter().any(|line| line.contains("Blind")),
        "a short absence is no blind spot: {lines:?}"
    );

    let started = Instant::now();
    fs::remove_dir_all(node.root()).unwrap();
    let (lines, _) = until(&mut seen, "Blind").await;
    assert!(
        started.elapsed() >= Duration::from_secs(10),
        "not before kubelet had its time: {:?}",
        started.elapsed()
    );
    let last = lines.last().unwrap();
    let root = node.root().display().to_string();
    assert!(
        last.matches("BlindSpot {").count() == 1 && last.contains(&format!("directory: {root:?}")),
        "{last}"
    );
    assert!(
        last.contains(
            "(ENOENT); mount kubelet's root directory there, or name the right one with --root"
        ),
        "{last}"
    );
    node.write("p", 2);
    until(&mut seen, "Blind([])").await;
}

/// A recreated directory may have the same inode number: a watch on the old one must not count as
/// one on the new one.
#[tokio::test(flavor = "multi_thread")]
async fn a_root_that_is_recreated_or_moved_is_followed() {
    let node = Node::within("kubelet");
    node.write("p", 1);
    let quick = Duration::from_millis(200);
    let mut seen = start(FilesConfig { degraded_rescan: quick, ..by_events(&node) });
    until(&mut seen, "source files well").await;
    let (elsewhere, pods) = (node.root().with_file_name("elsewhere"), node.root().join("pods"));
    for generation in [2, 12, 22] {
        fs::remove_dir_all(node.root()).unwrap();
        rotations(&node, &mut seen, generation..generation + 4).await;
        fs::rename(&pods, node.root().join("away")).unwrap();
        fs::rename(node.root().join("away"), &pods).unwrap();
        rotations(&node, &mut seen, generation + 4..generation + 8).await;
    }
    fs::rename(node.root(), &elsewhere).unwrap();
    until(&mut seen, "source files the agent cannot scan everything").await;
    symlink(&elsewhere, node.root()).unwrap();
    until(&mut seen, "source files well").await;
    rotations(&node, &mut seen, 40..44).await;
}

/// Each is noticed: the first one by a rescan, the others by events.
async fn rotations(
    node: &Node,
    seen: &mut Receiver<Observation>,
    generations: std::ops::Range<i64>,
) {
    for generation in generations {
        node.write("p", generation);
        until(seen, &format!("p/vol/token token {generation}")).await;
    }
}

/// A second kubelet is installed, below the mount of the host's file system.
#[tokio::test(flavor = "multi_thread")]
async fn a_kubelet_may_be_installed_later() {
    let host = tempfile::tempdir().unwrap();
    let [k0s, later] =
        ["var/lib/k0s/kubelet", "var/lib/kubelet"].map(|root| Node::at(&host.path().join(root)));
    k0s.write("p1", 1);
    fs::remove_dir_all(later.root()).unwrap();
    let search = Search::new(host.path()).with_proc(ProcFs::at(Path::new("/nonexistent")));
    let rescan = Duration::from_millis(200);
    let found = search.all().unwrap();
    let mut seen = start(FilesConfig { rescan, search: Some(search), ..FilesConfig::new(found) });
    until(&mut seen, "p1/vol/token token 1").await;
    until(&mut seen, "source files well").await;
    later.write("p2", 1);
    until(&mut seen, "p2/vol/token token 1").await;
    later.write("p2", 2);
    until(&mut seen, "p2/vol/token token 2").await;
    k0s.write("p1", 2);
    until(&mut seen, "p1/vol/token token 2").await;
}

/// Directories that are no pods, names that are not UTF-8, and directories that are created and
/// removed faster than the agent can scan.
#[tokio::test(flavor = "multi_thread")]
async fn junk_among_the_pods_hides_none_of_them() {
    let node = Node::new();
    let pods = node.root().join("pods");
    for junk in 0..5_000 {
        fs::create_dir(pods.join(format!("junk\n{junk}"))).unwrap();
    }
    let unreadable =
        pods.join(OsStr::from_bytes(b"pod\xff/volumes/kubernetes.io~projected/v\xfe\n"));
    fs::create_dir_all(&unreadable).unwrap();
    fs::write(unreadable.join("token\u{1b}[31m"), token(5)).unwrap();
    fs::write(pods.join("file"), "").unwrap();
    fifo(&pods.join("fifo"));
    symlink("/", pods.join("root")).unwrap();
    node.write("p", 1);
    let mut seen = start(by_events(&node));
    let (lines, _) = until(&mut seen, "source files well").await;
    assert!(
        lines.iter().any(|line| line.contains("token 5"))
            && lines.iter().any(|line| line == "p/vol/token token 1"),
        "{lines:?}"
    );
    let enough = Arc::new(AtomicBool::new(false));
    let churn = std::thread::spawn({
        let (pods, enough) = (pods.clone(), Arc::clone(&enough));
        move || {
            while !enough.load(Ordering::Relaxed) {
                fs::create_dir_all(pods.join("churn/volumes/kubernetes.io~projected/v")).unwrap();
                fs::remove_dir_all(pods.join("churn")).unwrap();
            }
        }
    });
    for generation in 2..50 {
        node.write("p", generation);
        until(&mut seen, &format!("p/vol/token token {generation}")).await;
    }
    enough.store(true, Ordering::Relaxed);
    churn.join().unwrap();
    node.write("p", 50);
    until(&mut seen, "p/vol/token token 50").await;
}

/// Swapped as fast as the disk can: the last report is the last token.
#[tokio::test(flavor = "multi_thread")]
async fn after_many_swaps_the_last_token_is_reported() {
    let node = Node::new();
    node.write("p", 1);
    let mut seen = start(by_events(&node));
    until(&mut seen, "source files well").await;
    let writer = std::thread::spawn(move || {
        (2..=2_000).for_each(|generation| node.write("p", generation));
        node
    });
    let (lines, _) = until(&mut seen, "p/vol/token token 2000").await;
    let _node = writer.join().unwrap();
    assert!(
        lines
            .iter()
            .all(|line| line.starts_with("p/vol/token token ") || line.starts_with("source watch")),
        "{lines:?}"
    );
}

/// Mounting needs root. Without it these tests print that they are skipped; in CI they fail.
fn is_root() -> bool {
    let root = nix::unistd::geteuid().is_root();
    if !root {
        assert!(std::env::var_os("CI").is_none(), "CI has to run this as root: it mounts a tmpfs");
        eprintln!("SKIPPED: needs root to mount a tmpfs");
    }
    root
}

/// Unmounts what a test mounted, even if the test fails.
struct Mounted(PathBuf);

impl Mounted {
    fn over(directory: &Path) -> Self {
        nix::mount::mount(
            Some("tmpfs"),
            directory,
            Some("tmpfs"),
            nix::mount::MsFlags::empty(),
            None::<&str>,
        )
        .unwrap();
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
    // The directory is still there: nothing shows that the volume was removed.
    let (lines, _) = until(&mut seen, "p/vol/token missing: Emptied").await;
    assert!(!lines.iter().any(|line| line.contains("gone")), "{lines:?}");
    fs::remove_dir(&directory).unwrap();
    until(&mut seen, "p/vol/token gone").await;
}

/// Volumes in a mount namespace without propagation: kubelet's marker exists, the mount does not.
#[test]
fn a_volume_mounted_for_kubelet_alone_differs_from_an_empty_one() {
    let node = Node::new();
    node.write("hidden", 1);
    fs::remove_dir_all(node.volume("hidden").directory()).unwrap();
    for pod in ["hidden", "empty"] {
        fs::create_dir_all(node.volume(pod).directory()).unwrap();
    }
    let (observations, _, _) = tokenwatch::sources::volumes::check(vec![node.root()]);
    let [Observation::Blind(spots), Observation::WithoutTokens(bare)] = observations.as_slice()
    else {
        panic!("{observations:?}")
    };
    assert_eq!(bare.as_slice(), ["empty", "hidden"]);
    assert_eq!(spots.iter().map(|spot| spot.pod_uid.as_str()).collect::<Vec<_>>(), ["hidden"]);
    assert!(spots[0].reason.contains("HostToContainer"), "{}", spots[0].reason);
}

#[test]
fn a_visible_mount_is_no_blind_spot_even_while_empty() {
    if !is_root() {
        return;
    }
    let node = Node::new();
    node.write("p", 1);
    fs::remove_dir_all(node.volume("p").directory()).unwrap();
    fs::create_dir_all(node.volume("p").directory()).unwrap();
    let _mounted = Mounted::over(node.volume("p").directory());
    let (observations, _, _) = tokenwatch::sources::volumes::check(vec![node.root()]);
    assert_eq!(lines(&observations), [""; 0]);
}
