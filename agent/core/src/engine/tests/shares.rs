//! A pod without measure takes nothing of what is kept of the others.

use super::*;
use crate::world::World;
use crate::world::cluster::{Container, MountedPart, Phase, TokenMount};
use crate::world::tokens::Absence;

/// More than the agent keeps of all pods together.
const MANY: usize = 3_000;

fn of(pod: &str, nth: usize) -> TokenKey {
    TokenKey { path: format!("f-{nth:04}"), ..key(pod) }
}

fn with(key: TokenKey, content: FileContent) -> Observation {
    let (written_at, directory, signature) = (None, None, None);
    Observation::File(FileSeen { key, written_at, directory, content, signature })
}

fn missing(key: TokenKey) -> Observation {
    with(key, FileContent::Missing(Absence::NoFile))
}

fn malformed(key: TokenKey) -> Observation {
    with(key, FileContent::Malformed { reason: "a part is missing".into() })
}

/// A world that takes these of the pod without measure, and one of each of some others, whichever
/// come first.
fn worlds(observed: fn(TokenKey) -> Observation) -> [World; 2] {
    [true, false].map(|is_first| {
        let hog = || (0..MANY).map(|nth| of("hog", nth));
        let others = || ["a", "b", "z"].into_iter().map(|pod| of(pod, 0));
        let keys: Vec<TokenKey> = if is_first {
            hog().chain(others()).collect()
        } else {
            others().chain(hog()).collect()
        };
        let mut world = World::new(&Config::default());
        for key in keys {
            let _ = world.learn(&at(1), observed(key));
        }
        world
    })
}

#[test]
fn the_paths_that_held_a_token_are_kept_of_every_pod() {
    for world in worlds(malformed) {
        let held = world.learned().held;
        let pods: Vec<&str> = held.iter().map(|key| key.pod_uid.as_str()).take(4).collect();
        assert_eq!(pods, ["a", "b", "hog", "z"], "the first of each comes first");
        assert!((1_000..=2_048).contains(&held.len()), "{}", held.len());
    }
}

#[test]
fn the_missing_tokens_of_every_pod_are_known() {
    for world in worlds(missing) {
        for pod in ["a", "b", "hog", "z"] {
            assert!(world.absent.get(&of(pod, 0)).is_some(), "{pod}");
        }
        assert!(world.absent.iter().count() <= 2_048);
    }
}

#[test]
fn what_is_asked_of_the_files_is_asked_for_every_pod() {
    let pod = |uid: &str, tokens: usize| {
        let mount = |nth| {
            let TokenKey { volume, path, .. } = of(uid, nth);
            let (mount_path, part) = ("/t".into(), MountedPart::Whole);
            TokenMount { volume, path, mount_path, part, convention: None }
        };
        let tokens = (0..tokens).map(mount).collect();
        let started = Some(Wall::from_secs(IAT));
        let container = Container { started, tokens, ..Container::default() };
        Pod {
            uid: uid.into(),
            phase: Phase::Running,
            containers: vec![container],
            ..Pod::default()
        }
    };
    let mut world = World::new(&Config::default());
    let pods = vec![pod("a-hog", MANY), pod("z", 2)];
    let _ = world.learn(&at(1), Observation::Cluster(ClusterSeen::Listed(pods)));
    let lacking = world.lacking(&at(1));
    assert!((0..2).all(|nth| lacking.contains(&of("z", nth))));
    assert_eq!(lacking.len(), 2_048);
}

#[test]
fn a_missing_token_that_makes_room_is_not_good() {
    let mut engine = engine();
    let _ = engine.step(&at(1), token("p", 0, 3_600));
    for nth in 0..2_048 {
        let _ = engine.step(&at(1), missing(of("hog", nth)));
    }
    let active = |engine: &Engine| {
        engine.findings().iter().filter(|finding| finding.code == Code::Missing).count()
    };
    let mut age = 2;
    while active(&engine) < 2_048 && age < 600 {
        let _ = engine.step(&at(age), Observation::Tick);
        age += 30;
    }
    assert_eq!(active(&engine), 2_048);
    let reports = engine.step(&at(age), missing(of("p", 0))).reports;
    let [closed] = summaries(&reports).try_into().unwrap();
    assert!(closed.contains("f-2047") && closed.contains("is not followed any more"), "{closed}");
    assert!(closed.contains("Nothing shows that it is good"), "{closed}");
    // It stays so, however often it is seen.
    let again = engine.step(&at(age + 1), missing(of("hog", 2_047))).reports;
    assert_eq!(summaries(&again), [""; 0]);
}
