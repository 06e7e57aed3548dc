//! A node with every kind of token at a fixed moment, as `check` shows it.

use serde_json::Value;
use tokenwatch_core::findings::Subject;
use tokenwatch_core::world::observation::{FileContent, FileSeen};
use tokenwatch_core::world::tokens::{Claims, ObjectRef, TokenKey};

use super::*;
use crate::cli::tests::{claims, golden, kernel, no_servers, now};

fn seen(pod: &str, content: FileContent) -> Observation {
    let key = TokenKey {
        pod_uid: format!("uid-{pod}"),
        volume: "kube-api-access-x7k2p".into(),
        path: "token".into(),
    };
    Observation::File(FileSeen { key, written_at: None, directory: None, content, signature: None })
}

fn token(claims: Claims) -> FileContent {
    FileContent::Token(Box::new(claims))
}

fn node() -> Vec<Observation> {
    let of = |pod: &str, age, lifetime, warn_after| {
        seen(pod, token(claims(pod, age, lifetime, warn_after)))
    };
    vec![
        // Newer than what the others wait for: kubelet itself works.
        of("fresh-0", 30, 3_600, None),
        of("due-0", 2_900, 3_600, None),
        of("late-0", 3_050, 3_600, None),
        of("stalled-0", 3_300, 31_536_000, Some(3_607)),
        of("expired-0", 3_700, 3_600, None),
        of("a-pod-with-a-name-that-does-not-fit-into-any-column", 1_000, 3_600, None),
        seen("broken-0", FileContent::Malformed { reason: "its payload is cut off".into() }),
        seen("closed-0", FileContent::Unreadable { reason: "open: EACCES".into() }),
    ]
}

fn checked(seen: Vec<Observation>) -> Checked {
    let config = Config { node: "node-1".into(), ..Config::default() };
    let sample = Sample {
        roots: vec!["/var/lib/kubelet".into()],
        problems: Vec::new(),
        pods: None,
        files: seen,
        round: no_servers(),
        kernel: Ok(kernel()),
        at: now(),
    };
    let mut engine = observed(without_waiting(config.clone()), &sample);
    evaluate(&config, &mut engine, sample)
}

/// The same, with one root that could not be read.
fn half_checked(seen: Vec<Observation>) -> Checked {
    Checked { problems: vec!["/var/lib/k0s/kubelet: EACCES".into()], ..checked(seen) }
}

#[test]
fn the_table_shows_the_worst_first_with_remedies() {
    let checked = half_checked(node());
    let table = render::table(&checked, Layout::plain());
    assert!(table.lines().all(|line| line.chars().count() <= 120), "{table}");
    golden("check-table.txt", &table);
    assert_eq!(checked.exit_code(), 1);
}

#[test]
fn the_json_matches_the_golden_file() {
    golden("check.json", &format!("{:#}\n", render::json(&half_checked(node()))));
}

#[test]
fn a_late_rotation_alone_is_no_failure() {
    let late = checked(vec![seen("late-0", token(claims("late-0", 3_050, 3_600, None)))]);
    assert_eq!(
        late.findings.iter().map(|finding| finding.severity).collect::<Vec<_>>(),
        [Severity::Info]
    );
    assert_eq!(late.exit_code(), 0);
    assert!(render::table(&late, Layout::plain()).ends_with("no finding at warning or above\n"));
}

#[test]
fn a_token_of_a_secret_is_not_called_live() {
    let mut sealed = claims("sealed-0", 100, 3_600, None);
    let seal = ObjectRef { name: "seal".into(), uid: Some("u".into()) };
    (sealed.binding.pod, sealed.binding.secret) = (None, Some(seal));
    let fresh = seen("fresh-0", token(claims("fresh-0", 100, 3_600, None)));
    let checked = checked(vec![seen("sealed-0", token(sealed)), fresh]);
    let json = render::json(&checked);
    let of = |pod: &str| {
        let tokens = json["tokens"].as_array().unwrap();
        let is_it = |token: &&Value| token["pod"]["uid"] == format!("uid-{pod}");
        let token = tokens.iter().find(is_it).unwrap();
        [token["bound_to"].as_str().unwrap(), token["verdict"].as_str().unwrap()].map(str::to_owned)
    };
    assert_eq!(of("sealed-0"), ["secret", "uncertain"]);
    assert_eq!(of("fresh-0")[0], "pod");
    let table = render::table(&checked, Layout::plain());
    let line = table.lines().find(|line| line.starts_with("not known: whether the Secrets exist"));
    assert!(line.is_some(), "{table}");
    assert!(table.contains("uid-sealed-0") && !table.contains("uid-fresh-0\n"), "{table}");
    assert_eq!(checked.exit_code(), 0, "nothing shows that it is refused");
}

#[test]
fn an_empty_node_is_healthy() {
    assert_eq!(checked(Vec::new()).exit_code(), 0);
}

#[test]
fn an_unreadable_root_is_not_healthy() {
    let half = half_checked(Vec::new());
    assert_eq!(half.exit_code(), INCOMPLETE);
    let table = render::table(&half, Layout::plain());
    assert!(
        table.contains("not read: /var/lib/k0s/kubelet: EACCES")
            && table.ends_with("in what could be read\n"),
        "{table}"
    );
}

/// What concerns the whole node, and a pod whose namespace is not known, may concern every one.
#[test]
fn one_namespace_keeps_what_may_concern_it() {
    let mut checked = checked(node());
    let subject = Subject::Node { node: "node-1".into() };
    let of_node = Finding { subject, ..checked.findings[0].clone() };
    checked.findings.push(of_node);
    let all = (checked.tokens.len(), checked.findings.len());
    checked.keep(&"shop".parse().unwrap());
    assert_eq!((checked.tokens.len(), checked.findings.len()), all);
    assert!(checked.problems.is_empty());

    checked.keep(&"bank".parse().unwrap());
    let kept: Vec<_> =
        checked.findings.iter().map(|finding| (finding.code.as_str(), &finding.subject)).collect();
    assert_eq!(kept.len(), 3, "{kept:?}");
    assert!(kept.iter().any(|(_, subject)| matches!(subject, Subject::Node { .. })));
    assert!(kept.iter().any(|(code, _)| *code == "token.malformed"));
    assert!(checked.tokens.is_empty() && !checked.problems.is_empty());
    assert_eq!(checked.exit_code(), 1);
    checked.findings.clear();
    assert_eq!(checked.exit_code(), INCOMPLETE, "no all-clear for a namespace without tokens");
}
