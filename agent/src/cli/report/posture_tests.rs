//! The report on posture about an example node, as people and scripts see it.

use tokenwatch_core::base::time::Delta;
use tokenwatch_core::engine::Status;
use tokenwatch_core::world::cluster::{Owner, PodRef};
use tokenwatch_core::world::readers::{ReaderVerdict, ReaderView, Who};
use tokenwatch_core::world::tokens::{LegacyClaims, LegacyToken, TokenKey};

use super::*;
use crate::cli::readers::{Found, example};
use crate::cli::tests::golden;
use crate::reader_list::sample::{healthy, unknown};
use crate::sinks::http::sample::{NOW, empty, token};

fn deployment(pod: &str) -> PodRef {
    PodRef {
        namespace: Some("shop".into()),
        name: Some(pod.into()),
        uid: format!("uid-of-{pod}"),
        owner: Some(Owner { kind: "Deployment".into(), name: "ci".into() }),
        is_claimed: false,
    }
}

fn legacy(pod: &str) -> (LegacyToken, PodRef) {
    let pod = deployment(pod);
    let key = TokenKey { pod_uid: pod.uid.clone(), volume: "ci".into(), path: "token".into() };
    let claims = LegacyClaims {
        namespace: "shop".into(),
        service_account: "ci".into(),
        secret: Some("ci-token-x".into()),
    };
    (LegacyToken { key, claims }, pod)
}

fn found() -> Found {
    let (mut long, mut shared) = (token("long-0", 600), token("shared-0", 600));
    long.claims.expires_at = long.claims.issued_at + Delta::from_secs(30 * 86_400);
    shared.key.volume = "kube-api-access-abcde".into();
    shared.claims.binding.service_account.name = "default".into();
    let never = |container: &str, verdict| ReaderView {
        who: Who { container: Some(container.into()), ..Who::default() },
        verdict,
        ..unknown(&shared, NOW.wall)
    };
    let readers = vec![
        never("app", ReaderVerdict::NeverRead),
        never("mixed", ReaderVerdict::NeverRead), // one of its processes did
        ReaderView {
            who: never("mixed", ReaderVerdict::Current).who,
            ..healthy(&shared, NOW.wall)
        },
        never("perhaps", ReaderVerdict::Unknown),
    ];
    let legacy = vec![legacy("ci-1"), legacy("ci-2")];
    example(&Status { tokens: vec![long, shared], readers, legacy, ..empty() })
}

#[test]
fn each_concern_is_named_by_workload() {
    let found = found();
    let posture = Posture::of(found.list()).unwrap();
    let table = render_posture::table(&posture, &found, Layout::plain());
    assert!(table.lines().all(|line| line.chars().count() <= 120), "{table}");
    golden("report-posture.txt", &table);
    golden("report-posture.json", &format!("{:#}\n", render_posture::json(&posture, &found)));
    golden("report-posture.md", &render_posture::markdown(&posture, &found));
    assert_eq!(posture.exit_code(), 1);
}

#[test]
fn a_node_without_concerns_is_clean_and_an_older_agent_is_named() {
    let found = example(&Status { tokens: vec![token("cart-0", 600)], ..empty() });
    let mut list = found.list().clone();
    assert_eq!(Posture::of(&list).unwrap().exit_code(), 0);
    list.problems = vec!["nothing can be seen".into()];
    assert_eq!(Posture::of(&list).unwrap().exit_code(), 2);
    list.posture = None;
    assert!(Posture::of(&list).is_err());
}
