use crate::base::time::Wall;
use crate::diagnosis::token_tests::{IAT, at, clock, diagnose, facts, next_change, tracked};
use crate::findings::{Code, Finding, Severity};
use crate::world::Facts;
use crate::world::clocks::{ClockState, Estimate};
use crate::world::cluster::{Container, Known, MountedPart, Phase, Pod, PodStage, TokenMount};
use crate::world::readers::{MountKind, PodProcesses, ReaderFacts, RunningContainer, SeenMount};
use crate::world::tokens::Tracked;

fn container(name: &str, part: MountedPart, started: Option<i64>) -> Container {
    let mount = TokenMount {
        volume: "v".into(),
        path: "token".into(),
        mount_path: format!("/run/{name}"),
        part,
        convention: None,
    };
    let started = started.map(|age| Wall::from_secs(IAT + age));
    Container { name: name.into(), started, tokens: vec![mount], ..Container::default() }
}

fn pod(containers: Vec<Container>) -> Pod {
    let (namespace, name) = ("shop".into(), "cart-0".into());
    Pod { namespace, name, containers, phase: Phase::Running, ..Pod::default() }
}

fn good() -> Estimate {
    clock(ClockState::Synchronised, 0, false)
}

fn found(token: &Tracked, pod: &Pod, age: i64, clock: &Estimate) -> Option<Finding> {
    let known = Some(Known { pod, age: None });
    let facts = Facts { known, stage: PodStage::of(pod), ..facts(clock) };
    let findings = diagnose(token, &at(age), facts).findings;
    findings.into_iter().find(|finding| finding.code == Code::Subpath)
}

#[test]
fn a_sub_path_is_found_when_the_container_starts() {
    use MountedPart::{Directory, File, Whole};
    use Severity::{Critical, Info, Warning};
    let (plain, extended) = (tracked(3_600, None), tracked(31_536_000, Some(3_607)));
    // (token, part, start of the container, age, severity)
    let table = [
        (&plain, Whole, Some(5), 10, None),
        (&plain, File, None, 10, Some(Warning)),
        (&plain, File, Some(5), 10, Some(Warning)),
        (&plain, File, Some(5), 3_669, Some(Warning)),
        (&plain, File, Some(5), 3_670, Some(Critical)),
        (&plain, File, Some(-3_000), 10, Some(Warning)),
        (&plain, File, Some(-3_700), 10, Some(Critical)),
        (&plain, Directory, Some(5), 10, Some(Warning)),
        (&plain, Directory, Some(-5), 10, Some(Critical)),
        (&extended, File, Some(5), 10, Some(Info)),
        (&extended, File, Some(5), 4_000, Some(Info)),
        (&extended, Directory, Some(5), 10, Some(Warning)),
    ];
    for (token, part, started, age, expected) in table {
        let pod = pod(vec![container("app", part, started)]);
        let severity = found(token, &pod, age, &good()).map(|finding| finding.severity);
        assert_eq!(severity, expected, "{part:?}, started {started:?}, age {age}");
    }
}

#[test]
fn a_pod_that_ends_keeps_no_token() {
    let token = tracked(3_600, None);
    let pod = pod(vec![container("app", MountedPart::File, Some(5))]);
    let deletion = Some(Wall::from_secs(IAT + 900));
    for pod in [
        Pod { deletion, ..pod.clone() },
        Pod { phase: Phase::Succeeded, ..pod.clone() },
        Pod { phase: Phase::Failed, ..pod },
    ] {
        assert_eq!(found(&token, &pod, 10, &good()), None);
    }
}

#[test]
fn the_finding_names_container_path_and_end() {
    use MountedPart::{Directory, File};
    let plain = tracked(3_600, None);
    let named = "Token \"token\" of pod shop/cart-0 (volume v) is never replaced in a container: ";
    let app = |part, started| vec![container("app", part, started)];
    let both = vec![container("app", File, Some(5)), container("proxy", File, Some(-60))];
    // (containers, the rest of the summary, the deadline)
    let table = [
        (
            app(File, Some(5)),
            "container app mounts it by subPath at /run/app. The container's token expires in \
             59m 50s, at 2027-01-15T09:00:00Z. Then requests get 401.",
            Some(3_600),
        ),
        (
            both,
            "container proxy mounts it by subPath at /run/proxy (and 1 more). The container's \
             token expires in 58m 50s, at 2027-01-15T08:59:00Z at the latest. Then requests get \
             401.",
            Some(3_540),
        ),
        (
            app(File, None),
            "container app mounts it by subPath at /run/app. The container keeps the token of its \
             start until that expires.",
            None,
        ),
        (
            app(Directory, Some(5)),
            "container app mounts its directory by subPath at /run/app. kubelet deletes the files \
             there at the next rotation, due at 2027-01-15T08:48:00Z.",
            Some(2_880),
        ),
        (
            app(Directory, Some(-5)),
            "container app mounts its directory by subPath at /run/app. kubelet has rotated the \
             token since the container started, and the file is gone there.",
            Some(0),
        ),
    ];
    for (containers, words, deadline) in table {
        let finding = found(&plain, &pod(containers), 10, &good()).unwrap();
        assert_eq!(finding.summary, format!("{named}{words}"));
        assert_eq!(finding.deadline, deadline.map(|age| Wall::from_secs(IAT + age)));
    }
}

#[test]
fn an_extended_token_works_until_its_real_end() {
    let extended = tracked(31_536_000, Some(3_607));
    let pod = pod(vec![container("app", MountedPart::File, Some(5))]);
    let finding = found(&extended, &pod, 10, &good()).unwrap();
    assert!(
        finding.summary.ends_with(
            "The container's token works until 2028-01-15T08:00:00Z, because the API server \
             extends its expiry."
        ),
        "{}",
        finding.summary
    );
}

#[test]
fn the_severity_changes_when_the_containers_token_fails_by_true_time() {
    let token = tracked(3_600, None);
    let pod = pod(vec![container("app", MountedPart::File, Some(5))]);
    let slow = clock(ClockState::Off, 600, false);
    assert_eq!(found(&token, &pod, 3_060, &slow).unwrap().severity, Severity::Warning);
    assert_eq!(found(&token, &pod, 3_070, &slow).unwrap().severity, Severity::Critical);
    let facts = Facts { known: Some(Known { pod: &pod, age: None }), ..facts(&slow) };
    let mut now = at(2_900);
    let mut changes = Vec::new();
    while let Some(next) =
        next_change(&token, &now, facts).filter(|next| *next <= at(3_100).monotonic)
    {
        now = now.after(next - now.monotonic);
        changes.push(now.wall);
    }
    assert!(changes.contains(&at(3_070).wall), "{changes:?}");
}

#[test]
fn without_the_cluster_the_kernel_shows_the_mounts() {
    let token = tracked(3_600, None);
    let processes = |path: &str, started: i64| {
        let (directory, path) = ("..2027".to_owned(), path.to_owned());
        let kind = MountKind::Subpath { directory, path, deleted: true };
        let mount = SeenMount { volume: "v".into(), mount_path: "/run/app".into(), kind };
        let started = Wall::from_secs(IAT + started);
        let container = RunningContainer {
            id: "8d0c5a2b9e7f4c1d".repeat(4),
            started,
            program: "cart".into(),
            mounts: vec![mount],
            library: None,
        };
        PodProcesses { containers: vec![container], ..PodProcesses::default() }
    };
    // (path of the mount in the volume, start of the container, severity)
    let table = [
        ("token", 5, Some(Severity::Warning)),
        ("token", -3_700, Some(Severity::Critical)),
        ("", 5, Some(Severity::Warning)),
        ("ca.crt", 5, None),
    ];
    for (path, started, expected) in table {
        let (pod, clock) = (processes(path, started), good());
        let readers = ReaderFacts { pod: Some(&pod), ..ReaderFacts::default() };
        let findings = diagnose(&token, &at(10), Facts { readers, ..facts(&clock) }).findings;
        let found = findings.into_iter().find(|finding| finding.code == Code::Subpath);
        assert_eq!(found.as_ref().map(|found| found.severity), expected, "{path:?}");
        let named = |found: &Finding| found.summary.contains("container 8d0c5a2b9e7f mounts it");
        assert!(found.is_none_or(|found| path.is_empty() || named(&found)), "{path:?}");
    }
}
