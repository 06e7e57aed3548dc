//! A node of every kind of token at a fixed moment, as it is shown.

use tokenwatch_core::world::observation::{FileContent, FileSeen};
use tokenwatch_core::world::tokens::{Claims, TokenKey};

use super::*;
use crate::cli::tests::{claims, golden, kernel, nobody_asked, now};

fn seen(pod: &str, content: FileContent) -> Observation {
    let key = TokenKey {
        pod_uid: format!("uid-{pod}"),
        volume: "kube-api-access-x7k2p".into(),
        path: "token".into(),
    };
    Observation::File(FileSeen { key, written_at: None, content })
}

fn token(claims: Claims) -> FileContent {
    FileContent::Token(Box::new(claims))
}

fn node() -> Vec<Observation> {
    let of = |pod: &str, age, lifetime, warn_after| {
        seen(pod, token(claims(pod, age, lifetime, warn_after)))
    };
    vec![
        of("fresh-0", 1_000, 3_600, None),
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
    let config = at_once(Config { node: "node-1".into(), ..Config::default() });
    judge(
        config,
        seen,
        &nobody_asked(),
        Ok(kernel()),
        now(),
        vec!["/var/lib/kubelet".into()],
        Vec::new(),
    )
}

/// The same, with one root that could not be read.
fn half_checked(seen: Vec<Observation>) -> Checked {
    Checked { problems: vec!["/var/lib/k0s/kubelet: EACCES".into()], ..checked(seen) }
}

#[test]
fn the_table_shows_the_worst_first_and_what_to_do() {
    let checked = half_checked(node());
    let table = render::table(&checked, Page::plain());
    assert!(table.lines().all(|line| line.chars().count() <= 120), "{table}");
    golden("check-table.txt", &table);
    assert_eq!(checked.exit_code(), 1);
}

#[test]
fn the_json_is_the_contracts() {
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
    assert!(render::table(&late, Page::plain()).ends_with("nothing at warning or above\n"));
}

#[test]
fn an_empty_node_is_well() {
    assert_eq!(checked(Vec::new()).exit_code(), 0);
}

#[test]
fn what_was_not_looked_at_is_not_called_well() {
    let half = half_checked(Vec::new());
    assert_eq!(half.exit_code(), COULD_NOT_LOOK);
    let told = render::table(&half, Page::plain());
    assert!(
        told.contains("not looked at: /var/lib/k0s/kubelet: EACCES")
            && told.ends_with("in what was looked at\n"),
        "{told}"
    );
}
