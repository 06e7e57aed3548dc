use core::net::IpAddr;

use super::users::{UserOf, Users};
use super::*;
use crate::base::time::Wall;
use crate::world::Config;
use crate::world::cluster::AccountName;

fn at(secs: i64) -> Reading {
    let monotonic = Monotonic::from_nanos(secs * 1_000_000_000);
    Reading { wall: Wall::from_secs(1_800_000_000 + secs), monotonic }
}

fn address(last: u32) -> IpAddr {
    IpAddr::from((10 << 24 | last).to_be_bytes())
}

fn account() -> AccountName {
    AccountName { namespace: "shop".into(), name: "cart".into() }
}

fn accepted(from: u32, pod: Option<&str>) -> Accepted {
    let pod = pod.map(|name| AcceptedPod { name: name.into(), uid: format!("uid-{name}") });
    let (node, generation, stale_for) = (None, None, None);
    let user = AcceptedAccount { account: account(), pod, node, generation, stale_for };
    Accepted { address: Some(address(from)), user: Some(user), at: None, agent: None }
}

fn kubelet(from: u32) -> Accepted {
    Accepted { address: Some(address(from)), user: None, at: None, agent: None }
}

fn refused(suspects: Vec<(Suspect, u64)>) -> ServerLogSeen {
    ServerLogSeen { refused: suspects, ..ServerLogSeen::default() }
}

fn world() -> World {
    World::new(&Config::default())
}

/// The pods that are named, with their numbers.
fn named(world: &World, now: i64) -> Vec<(String, u64, Match)> {
    let facts = world.refused(&at(now));
    facts.pods.iter().map(|pod| (pod.pod.full_name(), pod.count, pod.by)).collect()
}

#[test]
fn an_address_names_its_only_user() {
    let mut users = Users::default();
    let now = |secs: i64| at(secs).monotonic;
    let name = |users: &Users, from, secs| match users.of(&address(from), now(secs)) {
        UserOf::One(user) => user.pod.as_ref().map(|pod| pod.name.clone()),
        UserOf::Several => Some("several".to_owned()),
        UserOf::Unknown => None,
    };
    users.see(accepted(1, Some("cart-0")), now(0));
    users.see(accepted(1, Some("cart-0")), now(5));
    assert_eq!(name(&users, 1, 6), Some("cart-0".into()));
    assert_eq!(name(&users, 2, 6), None);
    // The pod is gone, and another one has its address.
    users.see(accepted(1, Some("cart-1")), now(10));
    assert_eq!(name(&users, 1, 20), Some("several".into()));
    assert_eq!(name(&users, 1, 10 + 900), Some("cart-1".into()));
    assert_eq!(name(&users, 1, 10 + 3_661), None, "it may have been gone for long");
    // The address of the node: kubelet, and a pod on its network.
    users.see(accepted(3, Some("proxy-0")), now(10));
    users.see(kubelet(3), now(11));
    assert_eq!(name(&users, 3, 12), Some("several".into()));
    users.see(kubelet(4), now(11));
    assert_eq!(name(&users, 4, 12), None);
}

#[test]
fn addresses_are_bounded_and_the_oldest_are_forgotten() {
    let mut users = Users::default();
    for nth in 0..20_000_u32 {
        users.see(accepted(nth, Some("a")), at(i64::from(nth / 10)).monotonic);
    }
    let is_known = |nth| matches!(users.of(&address(nth), at(2_000).monotonic), UserOf::One(_));
    let known = (0..20_000).filter(|nth| is_known(*nth)).count();
    assert!((4_096..=8_192).contains(&known), "{known}");
    assert!(is_known(19_999) && !is_known(0));
}

#[test]
fn refusals_count_for_ten_minutes() {
    let mut world = world();
    let _ = world.server_log(&at(0), refused(vec![(Suspect::Address(address(1)), 5)]));
    assert_eq!(world.refused(&at(600)).requests, 5);
    assert_eq!(world.refused(&at(601)).requests, 0);
    assert!(!world.readers.refusals.is_quiet(&at(600)));
    assert!(world.readers.refusals.is_quiet(&at(601)));
    let next = world.readers.refusals.next_change(&at(1)).unwrap();
    assert_eq!((next - at(600).monotonic).as_nanos(), 1);
}

/// Both logs have the same requests.
#[test]
fn requests_of_two_logs_are_not_added() {
    let mut world = world();
    let seen = ServerLogSeen {
        reasons: vec![(RefusalReason::Expired, 7), (RefusalReason::Other, 1)],
        refused: vec![(Suspect::Address(address(1)), 6), (Suspect::Account(account()), 3)],
        others: 1,
        ..ServerLogSeen::default()
    };
    let _ = world.server_log(&at(0), seen);
    let facts = world.refused(&at(1));
    assert_eq!((facts.requests, facts.unknown), (8, 5));
    assert_eq!(facts.accounts, [(account(), 3)]);
    assert!(!facts.has_audit);
}

#[test]
fn pods_are_named_by_the_strongest_evidence() {
    let mut world = world();
    let suspects = vec![
        (Suspect::Address(address(1)), 4),
        (Suspect::Address(address(2)), 2),
        (Suspect::Pod { namespace: "shop".into(), name: "cart-0".into() }, 5),
        (Suspect::Address(address(9)), 1),
    ];
    let users = vec![accepted(1, Some("cart-0")), accepted(2, Some("cart-1"))];
    let _ = world.server_log(&at(0), ServerLogSeen { accepted: users, ..refused(suspects) });
    let expected = [("shop/cart-0", 5, Match::Log), ("shop/cart-1", 2, Match::Address)];
    assert_eq!(named(&world, 1), expected.map(|(name, count, by)| (name.to_owned(), count, by)));
    let facts = world.refused(&at(1));
    assert_eq!(facts.pods[0].pod.uid, "uid-cart-0");
    assert_eq!(facts.named().count(), 1, "two refusals are normal");
}

#[test]
fn memory_is_bounded_whoever_sends_what() {
    let mut world = world();
    for step in 0..100_i64 {
        let many = (0..1_000_u32).map(|nth| (Suspect::Address(address(nth)), 1)).collect();
        let _ = world.server_log(&at(step * 40), refused(many));
    }
    let refusals = &world.readers.refusals;
    assert!(refusals.steps.len() <= 21, "{}", refusals.steps.len());
    let kept: usize = refusals.steps.iter().map(|(_, counts)| counts.suspects().count()).sum();
    assert!(kept <= 21 * 64, "{kept}");
    assert_eq!(world.refused(&at(99 * 40)).requests, 16_000, "and all are counted");
}

#[test]
fn a_pod_of_another_node_is_not_judged() {
    let mut world = world();
    let users = vec![accepted(1, Some("cart-0"))];
    let suspects = vec![(Suspect::Pod { namespace: "shop".into(), name: "cart-0".into() }, 4)];
    let _ = world.server_log(&at(0), ServerLogSeen { accepted: users, ..refused(suspects) });
    world.judge_refusals(&at(1), |_| false);
    assert_eq!(world.readers.refusals.figures().unwrap().missed, 0);
    assert!(world.readers.refusals.judged.is_empty());
}
