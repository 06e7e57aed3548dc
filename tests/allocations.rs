//! Memory per pod, and allocations of the hot path, measured by a counting allocator. The hot path
//! allocates nothing: a scan of volumes that have not changed, and a token that is read again.

// A failed test panics, and a global allocator is an unsafe trait.
#![allow(clippy::unwrap_used, clippy::panic, unsafe_code)]

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::fs;
use std::path::Path;

use base64::Engine as _;
use tokenwatch::clocks;
use tokenwatch::demo::kubelet::{Payload, Volume};
use tokenwatch::sources::volumes::Scanner;
use tokenwatch_core::base::time::{Delta, Reading, Wall};
use tokenwatch_core::world::cluster::{Cluster, ClusterSeen, Container, Owner, Phase, Pod};
use tokenwatch_core::world::tokens::{Decoded, Scratch, decode};

/// Counts for each thread separately, so that tests do not count each other's allocations.
struct Counting;

thread_local! {
    static COUNT: Cell<u64> = const { Cell::new(0) };
    static HELD: Cell<usize> = const { Cell::new(0) };
}

// SAFETY: every call is passed on to the system's allocator unchanged; counting allocates nothing.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count(0, layout.size());
        // SAFETY: the caller's promises are passed on.
        unsafe { System.alloc(layout) }
    }

    unsafe fn realloc(&self, at: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        count(layout.size(), size);
        // SAFETY: the caller's promises are passed on.
        unsafe { System.realloc(at, layout, size) }
    }

    unsafe fn dealloc(&self, at: *mut u8, layout: Layout) {
        hold(layout.size(), 0);
        // SAFETY: the caller's promises are passed on.
        unsafe { System.dealloc(at, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

fn count(before: usize, after: usize) {
    let _ = COUNT.try_with(|count| count.set(count.get() + 1)); // a thread that is ending has none
    hold(before, after);
}

/// Memory may be allocated by one thread and freed by another: the sum wraps, and differences are
/// right.
fn hold(before: usize, after: usize) {
    let _ = HELD.try_with(|held| held.set(held.get().wrapping_add(after).wrapping_sub(before)));
}

fn allocations(of: impl FnOnce()) -> u64 {
    let before = COUNT.get();
    of();
    COUNT.get() - before
}

fn token(number: usize) -> String {
    let part = |text: &str| base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(text);
    let payload = format!(
        r#"{{"aud":["https://kubernetes.default.svc"],"exp":1831536000,"iat":1800000000,
        "iss":"https://kubernetes.default.svc",
        "jti":"jti-{number}",
        "kubernetes.io":{{"namespace":"shop","node":{{"name":"n","uid":"u"}},
        "pod":{{"name":"p","uid":"u"}},
        "serviceaccount":{{"name":"cart","uid":"u"}},"warnafter":1800003607}},
        "nbf":1800000000,"sub":"system:serviceaccount:shop:cart"}}"#
    );
    format!("{}.{}.c2ln", part(r#"{"alg":"RS256","kid":"k"}"#), part(&payload))
}

fn write(root: &Path, pod: usize) {
    let payload = Payload::from([
        ("token".into(), token(pod).into_bytes()),
        ("ca.crt".into(), b"-----BEGIN CERTIFICATE-----".to_vec()),
        ("namespace".into(), b"shop".to_vec()),
    ]);
    Volume::new(root, &format!("pod-{pod}"), "kube-api-access")
        .write(&payload, Wall::from_secs(1_800_000_000))
        .unwrap();
}

/// Clocks for which all files were written long ago: only then are stamps trusted.
fn later() -> Reading {
    let (now, hour) = (clocks::now(), Delta::from_secs(3_600));
    Reading { wall: now.wall + hour, monotonic: now.monotonic + hour }
}

/// A node's tree, and a scanner that knows it.
fn node(pods: usize) -> (tempfile::TempDir, Scanner) {
    let root = tempfile::tempdir().unwrap();
    (0..pods).for_each(|pod| write(root.path(), pod));
    let mut scanner = Scanner::with_clocks(vec![root.path().to_owned()], later);
    assert_eq!(scanner.scan(&mut Vec::new()).tokens, pods);
    (root, scanner)
}

/// Allocations of one scan that reports nothing.
fn scan(scanner: &mut Scanner, tokens: usize) -> u64 {
    let mut out = Vec::new();
    let took = allocations(|| assert_eq!(scanner.scan(&mut out).tokens, tokens));
    assert!(out.is_empty(), "{out:?}");
    took
}

#[test]
fn a_scan_without_changes_allocates_the_same_for_one_volume_as_for_many() {
    let (_one, mut one) = node(1);
    let (_many, mut many) = node(200);
    let _room_for_paths = scan(&mut one, 1) + scan(&mut many, 200);
    let (for_one, for_many) = (scan(&mut one, 1), scan(&mut many, 200));
    assert_eq!(for_one, for_many);
    assert!(
        for_one <= 8,
        "{for_one} allocations, of which the roots and the listing of them need a handful"
    );
}

#[test]
fn a_token_that_is_read_again_is_recognised_without_an_allocation() {
    let (bytes, mut scratch) = (token(1).into_bytes(), Scratch::new());
    let mut identify = || match decode(&bytes, &mut scratch) {
        Decoded::Token(parsed) => parsed.identity(),
        other => panic!("{other:?}"),
    };
    let first = identify(); // makes room
    let mut again = None;
    assert_eq!(allocations(|| again = Some(identify())), 0);
    assert_eq!(again, Some(first));
}

/// Files written in place, so that every scan lists and reads: each volume costs a few allocations.
#[test]
fn files_that_are_read_again_cost_a_bounded_number_each() {
    let (root, mut scanner) = node(50);
    let touch = |pod: usize| {
        let file = Volume::new(root.path(), &format!("pod-{pod}"), "kube-api-access")
            .directory()
            .join("token");
        fs::write(file, token(pod)).unwrap(); // the same bytes, a new ctime
    };
    (0..50).for_each(touch);
    let took = scan(&mut scanner, 50);
    // The list of a volume's files is created again: its buffer, three names and the link's target,
    // a few times.
    assert!(took <= 50 * 12 + 20, "{took}");
}

/// A pod of a Deployment with a sidecar, with names of usual length.
fn pod(number: usize) -> Pod {
    let container = |name: &str| Container {
        name: name.to_owned(),
        image: format!("registry.example/team/{name}:2027.1.15-a1b2c3d"),
        volumes: vec!["kube-api-access-x7k2p".to_owned()],
    };
    Pod {
        uid: format!("0b5e7c1e-3d0a-4f43-9a55-{number:012}"),
        namespace: "shop-production".to_owned(),
        name: format!("cart-service-7d9c6b5f4-{number:05}"),
        owner: Some(Owner { kind: "Deployment".to_owned(), name: "cart-service".to_owned() }),
        service_account: Some("cart-service".to_owned()),
        containers: vec![container("cart-service"), container("proxy")],
        phase: Phase::Running,
        ..Pod::default()
    }
}

#[test]
fn what_is_known_of_a_pod_takes_less_than_a_kilobyte() {
    const PODS: usize = 250;
    let mut cluster = Cluster::default();
    let before = HELD.get();
    let changed =
        cluster.see(ClusterSeen::Listed((0..PODS).map(pod).collect()), &Reading::default());
    drop(changed);
    let each = HELD.get().wrapping_sub(before) / PODS;
    println!("bytes held for a pod with two containers: {each}");
    assert!((300..1_024).contains(&each), "{each} bytes");
}
