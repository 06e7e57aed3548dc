//! Memory that is kept, and allocations on the hot path, counted by an allocator. The hot path is a
//! rescan of unchanged volumes, which allocates nothing per volume, and a token that is read again,
//! which allocates nothing.

// A failed test panics, and a global allocator is an unsafe trait.
#![allow(clippy::unwrap_used, clippy::panic, unsafe_code)]

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::fs;
use std::path::Path;

use serde_json::json;
use tokenwatch::clocks;
use tokenwatch::sources::signatures::SharedKeys;
use tokenwatch::sources::volumes::Scanner;
use tokenwatch_core::base::time::{Delta, Reading, Wall};
use tokenwatch_core::world::cluster::{
    Cluster, ClusterSeen, Container, MountedPart, Owner, Phase, Pod, TokenMount,
};
use tokenwatch_core::world::tokens::{Decoded, Scratch, decode};
use tokenwatch_lab::kubelet::{Payload, Volume};
use tokenwatch_lab::signer::{Signer, unsigned};

/// Counts per thread, so that a test does not count what another one does at the same time.
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
    // A thread that is ending has no counter any more.
    let _ = COUNT.try_with(|count| count.set(count.get() + 1));
    hold(before, after);
}

/// A thread may free what another allocated, so the sum may wrap; differences are still right.
fn hold(before: usize, after: usize) {
    let _ = HELD.try_with(|held| held.set(held.get().wrapping_add(after).wrapping_sub(before)));
}

fn allocations(of: impl FnOnce()) -> u64 {
    let before = COUNT.get();
    of();
    COUNT.get() - before
}

fn token(number: usize) -> String {
    let claims = json!({
        "aud": ["https://kubernetes.default.svc"], "iss": "https://kubernetes.default.svc",
        "exp": 1_831_536_000, "iat": 1_800_000_000, "nbf": 1_800_000_000,
        "jti": format!("jti-{number}"), "sub": "system:serviceaccount:shop:cart",
        "kubernetes.io": {
            "namespace": "shop",
            "node": {"name": "n", "uid": "u"}, "pod": {"name": "p", "uid": "u"},
            "serviceaccount": {"name": "cart", "uid": "u"}, "warnafter": 1_800_003_607,
        },
    });
    unsigned(&json!({"alg": "RS256", "kid": "k"}), &claims, "c2ln")
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

/// An hour ahead, so that all files are old: only an old file is not read again.
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

/// The allocations of one scan that reports nothing.
fn allocations_of_scan(scanner: &mut Scanner, tokens: usize) -> u64 {
    let mut out = Vec::new();
    let took = allocations(|| assert_eq!(scanner.scan(&mut out).tokens, tokens));
    assert!(out.is_empty(), "{out:?}");
    took
}

#[test]
fn a_rescan_of_unchanged_volumes_allocates_the_same_for_one_as_for_many() {
    let (_one, mut one) = node(1);
    let (_many, mut many) = node(200);
    let _room_for_paths = allocations_of_scan(&mut one, 1) + allocations_of_scan(&mut many, 200);
    let (for_one, for_many) =
        (allocations_of_scan(&mut one, 1), allocations_of_scan(&mut many, 200));
    assert_eq!(for_one, for_many);
    assert!(for_one <= 8, "{for_one} allocations; the roots and their listing need a handful");
}

/// With keys, a scan compares a version for each token, and nothing else.
#[test]
fn a_rescan_with_keys_allocates_the_same() {
    let (_root, mut scanner) = node(200);
    let without = (0..2).map(|_| allocations_of_scan(&mut scanner, 200)).min();
    let keys = SharedKeys::default();
    scanner.check_signatures(keys.clone());
    let jwks = json!({"keys": [Signer::new().unwrap().jwk()]});
    keys.take(&serde_json::from_value(jwks).unwrap(), Wall::from_secs(1));
    let mut checked = Vec::new();
    let _ = scanner.scan(&mut checked);
    assert_eq!(checked.len(), 200, "each token once");
    let with = (0..2).map(|_| allocations_of_scan(&mut scanner, 200)).min();
    assert_eq!(with, without);
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

/// Files that change in place, so that every scan has to list and read them: each volume costs a
/// few allocations, and no more.
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
    let took = allocations_of_scan(&mut scanner, 50);
    // The list of a volume's files is created again: its buffer, three names and the link's target,
    // a few times over.
    assert!(took <= 50 * 12 + 20, "{took}");
}

/// A pod of a Deployment with a sidecar, with names of the usual length. Both containers mount the
/// token of the API server.
fn pod(number: usize) -> Pod {
    let volume = "kube-api-access-x7k2p".to_owned();
    let mount = TokenMount {
        volume: volume.clone(),
        path: "token".to_owned(),
        mount_path: "/var/run/secrets/kubernetes.io/serviceaccount".to_owned(),
        part: MountedPart::Whole,
        convention: None,
    };
    let container = |name: &str| Container {
        id: None,
        name: name.to_owned(),
        image: format!("registry.example/team/{name}:2027.1.15-a1b2c3d"),
        volumes: vec![volume.clone()],
        started: None,
        tokens: vec![mount.clone()],
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
fn a_known_pod_takes_less_than_two_kilobytes() {
    const PODS: usize = 250;
    let mut cluster = Cluster::default();
    let before = HELD.get();
    let changed =
        cluster.see(ClusterSeen::Listed((0..PODS).map(pod).collect()), &Reading::default());
    drop(changed);
    let each = HELD.get().wrapping_sub(before) / PODS;
    println!("bytes held for a pod with two containers: {each}");
    assert!((300..2_048).contains(&each), "{each} bytes");
}
