use super::*;
use crate::base::time::Wall;
use crate::findings::Code;
use crate::world::Config;
use crate::world::cluster::{ClusterSeen, Container, MountedPart, Phase, Pod, TokenMount};
use crate::world::observation::{BlindSpot, FileContent, FileSeen, Observation};
use crate::world::tokens::{ObjectRef, claims_for_tests};

const IAT: i64 = 1_800_000_000;
/// The machine has run for an hour.
const UP: i64 = 3_600;

fn at(age: i64) -> Reading {
    Reading {
        wall: Wall::from_secs(IAT + age),
        monotonic: Monotonic::from_nanos((UP + age) * 1_000_000_000),
    }
}

fn key() -> TokenKey {
    TokenKey { pod_uid: "u".into(), volume: "v".into(), path: "token".into() }
}

fn file(key: TokenKey, content: FileContent) -> Observation {
    Observation::File(FileSeen { key, written_at: None, directory: None, content, signature: None })
}

fn missing(absence: Absence) -> Observation {
    file(key(), FileContent::Missing(absence))
}

fn token(key: TokenKey) -> Observation {
    let mut claims = claims_for_tests(IAT, 3_600, None);
    claims.binding.pod = Some(ObjectRef { name: "cart-0".into(), uid: Some("u".into()) });
    file(key, FileContent::Token(Box::new(claims)))
}

/// A pod whose container mounts the token, and started long ago.
fn pod(phase: Phase, deletion: Option<i64>) -> Pod {
    let mount = TokenMount {
        volume: "v".into(),
        path: "token".into(),
        mount_path: "/t".into(),
        part: MountedPart::Whole,
        convention: None,
    };
    let app = Container {
        name: "app".into(),
        volumes: vec!["v".into()],
        started: Some(Wall::from_secs(IAT - 7_200)),
        tokens: vec![mount],
        ..Container::default()
    };
    Pod {
        uid: "u".into(),
        namespace: "shop".into(),
        name: "cart-0".into(),
        containers: vec![app],
        phase,
        deletion: deletion.map(|age| Wall::from_secs(IAT + age)),
        ..Pod::default()
    }
}

/// Another pod of this node.
fn other() -> Pod {
    Pod { uid: "x".into(), phase: Phase::Running, ..Pod::default() }
}

fn listed(pods: Vec<Pod>) -> Observation {
    Observation::Cluster(ClusterSeen::Listed(pods))
}

fn running() -> Observation {
    listed(vec![pod(Phase::Running, None)])
}

fn bare() -> Observation {
    Observation::WithoutTokens(vec!["u".into()])
}

fn world() -> World {
    World::new(&Config::default())
}

/// A world that took these observations.
fn learned(observations: impl IntoIterator<Item = (i64, Observation)>) -> World {
    let mut world = world();
    for (age, observation) in observations {
        let _ = world.learn(&at(age), observation);
    }
    world
}

/// The severities of the findings about the token; nothing while the agent cannot tell.
fn severities(world: &World, age: i64) -> Option<Vec<Severity>> {
    absent(world, &key(), &at(age))
        .findings
        .map(|all| all.iter().map(|finding| finding.severity).collect())
}

#[test]
fn what_a_missing_token_means_depends_on_the_pod() {
    use Absence::{Emptied, EmptyVolume, NoFile};
    use Severity::{Critical, Warning};
    let unreachable = || Observation::Cluster(ClusterSeen::Unreachable { reason: "403".into() });
    let started = |started| {
        let mut pod = pod(Phase::Running, None);
        let other = Container { name: "other".into(), ..pod.containers[0].clone() };
        pod.containers[0].started = started;
        pod.containers.push(Container { tokens: vec![], volumes: vec!["w".into()], ..other });
        listed(vec![pod])
    };
    // (the pod, by absence: no file, emptied, empty volume)
    let table = [
        ("nobody knows", None, [Some(Warning), Some(Warning), None]),
        ("no answer", Some(unreachable()), [Some(Warning), Some(Warning), None]),
        ("not listed", Some(listed(vec![other()])), [None, None, None]),
        ("not listed on another node", Some(listed(vec![])), [Some(Warning), Some(Warning), None]),
        ("runs", Some(running()), [Some(Critical); 3]),
        ("its container waits", Some(started(None)), [Some(Warning); 3]),
        (
            "starts",
            Some(listed(vec![pod(Phase::Pending, None)])),
            [Some(Warning), Some(Warning), None],
        ),
        ("terminates", Some(listed(vec![pod(Phase::Running, Some(60))])), [None; 3]),
        ("failed", Some(listed(vec![pod(Phase::Failed, None)])), [None; 3]),
        ("succeeded", Some(listed(vec![pod(Phase::Succeeded, None)])), [None; 3]),
    ];
    for (life, cluster, expected) in table {
        for (absence, expected) in [NoFile, Emptied, EmptyVolume].into_iter().zip(expected) {
            let seen = cluster.clone().map(|seen| (2, seen));
            let here = Observation::WithoutTokens(vec!["x".into()]);
            let world = learned([(1, missing(absence))].into_iter().chain(seen).chain([(3, here)]));
            let found = severities(&world, 20);
            assert_eq!(found, Some(Vec::from_iter(expected)), "{life}, {absence:?}");
        }
    }
}

#[test]
fn a_running_pod_without_its_token_is_found_by_its_spec() {
    let world = learned([(0, bare()), (5, running())]);
    assert_eq!(severities(&world, 14), None, "a file that is being replaced");
    assert_eq!(severities(&world, 15), Some(vec![Severity::Critical]));
    let finding = absent(&world, &key(), &at(15)).findings.unwrap().remove(0);
    assert_eq!(
        finding.summary,
        "Token \"token\" of pod shop/cart-0 (volume v) is missing: the pod's spec has a \
         service-account token there, and the agent finds none. The pod runs."
    );
    assert_eq!((finding.code, finding.deadline), (Code::Missing, None));
    assert_eq!(finding.remedy.command.as_deref(), Some("kubectl describe pod -n shop cart-0"));
}

/// A pod that starts has ten minutes, by its spec or with a volume that kubelet has made. Once it
/// runs, a file has time again to be found.
#[test]
fn a_pod_that_does_not_get_beyond_its_start_misses_its_token() {
    let pending = || listed(vec![pod(Phase::Pending, None)]);
    let here = || Observation::WithoutTokens(vec![key().pod_uid]);
    let empty = missing(Absence::EmptyVolume);
    let spec = || vec![(0, here()), (1, pending()), (590, pending())];
    for observations in [spec(), [vec![(1, empty)], spec()].concat()] {
        let world = learned(observations.clone());
        assert_eq!(severities(&world, 600), Some(vec![]), "it starts");
        let again = absent(&world, &key(), &at(600)).next;
        assert_eq!(again, Some(at(601).monotonic));
        assert_eq!(severities(&world, 601), Some(vec![Severity::Warning]));
        let finding = absent(&world, &key(), &at(601)).findings.unwrap().remove(0);
        assert!(finding.summary.ends_with(" The pod has not started."), "{}", finding.summary);
        let deleted = learned([observations.clone(), vec![(600, listed(vec![other()]))]].concat());
        assert_eq!(severities(&deleted, 700), Some(vec![]), "it is gone");
        let found = learned([observations, vec![(600, token(key()))]].concat());
        assert_eq!(severities(&found, 700), Some(vec![]), "it got its token");
    }
    let runs = learned([spec(), vec![(595, running())]].concat());
    assert_eq!(severities(&runs, 604), None, "a file that is being replaced");
    assert_eq!(severities(&runs, 605), Some(vec![Severity::Critical]));
    let quick = learned(
        [vec![(0, here()), (1, pending()), (4, running())], vec![(9, token(key()))]].concat(),
    );
    assert_eq!(severities(&quick, 20), Some(vec![]));
}

/// Where the agent cannot look, or looks at another directory, nothing is missing.
#[test]
fn a_pod_whose_directory_the_agent_does_not_see_is_no_finding() {
    let hidden = Observation::Blind(vec![BlindSpot {
        pod_uid: "u".into(),
        volume: "v".into(),
        directory: "/d".into(),
        reason: "not mounted here".into(),
        is_partly: false,
    }]);
    let another = || TokenKey { volume: "other".into(), ..key() };
    // (what else is seen, whether the token counts as missing)
    let table: [(&str, Vec<Observation>, bool); 5] = [
        ("nothing of the pod", vec![], false),
        ("its directory", vec![bare()], true),
        ("another token of it", vec![token(another())], true),
        ("another pod", vec![Observation::WithoutTokens(vec!["x".into()])], false),
        ("its directory, but not the volume", vec![bare(), hidden], false),
    ];
    for (what, others, expected) in table {
        let world = learned(others.into_iter().chain([running()]).map(|seen| (0, seen)));
        assert_eq!(severities(&world, 60).is_some_and(|all| !all.is_empty()), expected, "{what}");
    }
}

#[test]
fn pods_that_need_no_token_are_no_finding() {
    let with = |change: fn(&mut Pod)| {
        let mut pod = pod(Phase::Running, None);
        change(&mut pod);
        pod
    };
    let table = [
        ("terminates", pod(Phase::Running, Some(90))),
        ("failed", pod(Phase::Failed, None)),
        ("succeeded", pod(Phase::Succeeded, None)),
        ("has no phase", pod(Phase::Unknown, None)),
        ("mounts no token", with(|pod| pod.containers.clear())),
        ("mounts it in an init container", with(|pod| pod.containers[0].tokens.clear())),
    ];
    for (what, pod) in table {
        let world = learned([(0, bare()), (1, listed(vec![pod]))]);
        assert_eq!(severities(&world, 600), Some(vec![]), "{what}");
        assert_eq!(world.absent.iter().count(), 0, "{what}");
    }
}

/// kubelet still has to mount the volumes of pods that the API server reports as running from
/// before the start.
#[test]
fn kubelet_has_five_minutes_after_the_machine_started() {
    let boot = |secs| Reading {
        wall: Wall::from_secs(IAT + secs),
        monotonic: Monotonic::from_nanos(secs * 1_000_000_000),
    };
    let mut world = world();
    let _ = world.learn(&boot(20), bare());
    let _ = world.learn(&boot(20), running());
    let at = |secs| absent(&world, &key(), &boot(secs));
    assert_eq!(at(100).findings, None);
    assert_eq!(at(100).next, Some(boot(300).monotonic));
    assert_eq!(at(300).findings.unwrap().len(), 1);
}

/// A Job that ended while the API server could not be reached has no volumes any more.
#[test]
fn only_a_pod_that_is_reported_as_running_afterwards_misses_its_token() {
    let unreachable = || Observation::Cluster(ClusterSeen::Unreachable { reason: "EOF".into() });
    let before = [(0, token(key())), (1, running())];
    let cut_off = learned(
        before.clone().into_iter().chain([(100, unreachable()), (110, Observation::Gone(key()))]),
    );
    assert_eq!(severities(&cut_off, 1_000), None);
    let later = learned(before.into_iter().chain([
        (110, Observation::Gone(key())),
        (125, Observation::Cluster(ClusterSeen::Unchanged)),
        (130, unreachable()),
    ]));
    assert_eq!(severities(&later, 1_000), Some(vec![Severity::Critical]));
}

#[test]
fn a_token_that_was_there_has_the_deadline_of_its_last_generation() {
    let world = learned([(0, token(key())), (1, running()), (50, missing(Absence::Emptied))]);
    let finding = absent(&world, &key(), &at(51)).findings.unwrap().remove(0);
    assert_eq!(finding.deadline, Some(Wall::from_secs(IAT + 3_600)));
    assert!(
        finding.summary.ends_with(
            "A running container may still have the last one, which kubelet no longer renews; it \
             expires at 2027-01-15T09:00:00Z."
        ),
        "{}",
        finding.summary
    );
    let alone = learned([(0, token(key())), (50, missing(Absence::Emptied))]);
    let facts = alone.absent_facts(&key(), &at(51)).unwrap();
    assert_eq!(facts.pod_ref().name, Some("cart-0".into()), "by the claims of the last generation");
}

#[test]
fn a_token_that_appears_is_no_longer_absent() {
    for absence in [Absence::NoFile, Absence::Emptied, Absence::EmptyVolume] {
        let mut world = learned([(0, running()), (1, missing(absence))]);
        assert!(world.learn(&at(30), token(key())).node);
        assert_eq!(severities(&world, 31), Some(vec![]));
    }
    let mut world = learned([(0, bare()), (0, running())]);
    let _ = world.learn(&at(60), Observation::Cluster(ClusterSeen::PodGone("u".into())));
    assert_eq!(world.absent.iter().count(), 0, "the pod is gone, and needs no token");
}

/// The volumes of 1, 2 pods are empty, and nobody knows the pods.
fn emptied(pods: &[&str]) -> Vec<(i64, Observation)> {
    let key = |pod: &&str| TokenKey { pod_uid: (*pod).into(), ..key() };
    let absent = |pod: &&str| (0, file(key(pod), FileContent::Missing(Absence::EmptyVolume)));
    pods.iter().map(absent).collect()
}

#[test]
fn empty_volumes_of_unknown_pods_are_one_finding_about_the_node() {
    let well = || TokenKey { pod_uid: "well".into(), ..key() };
    let of = |observations: Vec<(i64, Observation)>| {
        empty_volumes(&learned(observations), &at(20)).map(|empty| (empty.pods, empty.severity()))
    };
    assert_eq!(of(vec![]), None);
    assert_eq!(of(emptied(&["a"])), Some((1, Severity::Info)), "it may be a leftover");
    assert_eq!(of(emptied(&["a", "b"])), Some((2, Severity::Warning)));
    let with_token = emptied(&["a", "b"]).into_iter().chain([(1, token(well()))]).collect();
    assert_eq!(of(with_token), Some((2, Severity::Info)), "kubelet sets up volumes");
    let here = Observation::WithoutTokens(vec!["x".into()]);
    let api = [(1, listed(vec![other()])), (2, here)];
    let with_api = emptied(&["a", "b"]).into_iter().chain(api).collect();
    assert_eq!(of(with_api), None, "the API server knows no such pods");
    let finding = wording::empty_volumes(
        "n1",
        &empty_volumes(&learned(emptied(&["a", "b"])), &at(20)).unwrap(),
    );
    assert_eq!(
        finding.summary,
        "No pod on node n1 has a token: 2 token volumes of 2 pods stay empty, and kubelet does not \
         set them up. Such pods do not start. If the machine was restarted, kubelet may not reach \
         the API server."
    );
}
