//! The questions and answers about an example token, as people and scripts see them.

use tokenwatch_core::base::time::Delta;
use tokenwatch_core::engine::{AccountState, ApiClock};
use tokenwatch_core::world::clocks::{ClockState, Estimate};
use tokenwatch_core::world::cluster::{
    AccountLoss, Container, Convention, MountedPart, Pod, PodStage, TokenMount,
};
use tokenwatch_core::world::keys::{KeySet, KeyState};
use tokenwatch_core::world::tokens::ObjectRef;

use super::questions::{Answer, Finds};
use super::*;
use crate::cli::tests::golden;
use crate::reader_list::sample::{healthy, stale};
use crate::sinks::http::sample::{NOW, token};

/// A good token, of which everything is known.
fn good() -> Why {
    let token = token("cart-0", 600);
    let issuer = token.claims.issuer.clone();
    Why {
        stage: PodStage::Active,
        account: AccountState::Exists,
        key: KeyState::Known,
        published: KeySet::new(Some(&issuer), ["k1".to_owned(), "k2".to_owned()]),
        clock: Estimate {
            offset: Delta::from_millis(2),
            bound: Delta::from_millis(9),
            assumed: false,
            alone: false,
            state: ClockState::Synchronised,
        },
        api_clock: Some(ApiClock {
            ahead: Delta::from_millis(120),
            bound: Delta::from_millis(400),
            answers: 4,
        }),
        findings: Vec::new(),
        token,
    }
}

fn reasons(why: Why, readers: Option<Vec<Reader>>) -> Reasons {
    let off = Some("the Kubernetes API is not enabled (kubernetes.enabled)".to_owned());
    let missing = Missing { pod: off.clone(), account: off.clone(), keys: off };
    Reasons { tokens: vec![why], others: Vec::new(), readers, missing, at: NOW.wall }
}

fn answer(why: Why, nth: usize) -> Answer {
    let reasons = reasons(why, Some(Vec::new()));
    reasons.answers(&reasons.tokens[0])[nth - 1].clone()
}

#[test]
fn a_good_token_has_good_answers() {
    let why = good();
    let reader = Reader::of(&healthy(&why.token, NOW.wall));
    let reasons = reasons(why, Some(vec![reader]));
    golden("explain-why-good.txt", &render::text(&reasons, Layout::plain()));
    golden("explain-why-good.json", &format!("{:#}\n", render::json(&reasons)));
    assert_eq!(reasons.exit_code(), 0);
    let finds = reasons.answers(&reasons.tokens[0]).map(|answer| answer.finds);
    let open = finds.iter().filter(|finds| **finds == Finds::NotKnown).count();
    assert_eq!((open, finds.contains(&Finds::Bad)), (1, false), "only the controller: {finds:?}");
}

#[test]
fn what_no_source_shows_is_not_known_and_has_a_reason() {
    let why = Why {
        stage: PodStage::Unknown,
        account: AccountState::NotKnown,
        key: KeyState::Open,
        published: None,
        clock: Estimate { state: ClockState::Unknown, assumed: true, ..good().clock },
        api_clock: None,
        ..good()
    };
    let reasons = reasons(why, None);
    golden("explain-why-unknown.txt", &render::text(&reasons, Layout::plain()));
    for nth in [1, 2, 4, 5, 6, 7] {
        let answer = &reasons.answers(&reasons.tokens[0])[nth - 1];
        assert_eq!(answer.finds, Finds::NotKnown, "{answer:?}");
        assert!(answer.text.to_lowercase().contains("not known"), "{answer:?}");
    }
}

#[test]
fn each_reason_for_a_refusal_is_a_bad_answer() {
    let lost = |loss| Why { account: AccountState::Lost(loss), ..good() };
    let off = Estimate { state: ClockState::Off, offset: Delta::from_secs(90), ..good().clock };
    let ahead = ApiClock { ahead: Delta::from_secs(-90), ..good().api_clock.unwrap() };
    let table = [
        (1, Why { stage: PodStage::Terminating { deletion: NOW.wall }, ..good() }, "being deleted"),
        (2, lost(AccountLoss::Missing), "does not exist"),
        (2, lost(AccountLoss::Replaced), "created again"),
        (5, Why { clock: off, ..good() }, "behind true time"),
        (5, Why { api_clock: Some(ahead), ..good() }, "behind the node's"),
        (6, Why { key: KeyState::Unknown, ..good() }, "and not that of the token"),
        (6, Why { key: KeyState::Missing, ..good() }, "and not that of the token"),
        (6, Why { key: KeyState::Split, ..good() }, "not always"),
    ];
    for (nth, why, expected) in table {
        let answer = answer(why, nth);
        assert_eq!(answer.finds, Finds::Bad, "{answer:?}");
        assert!(answer.text.contains(expected), "{answer:?}");
    }
}

#[test]
fn whether_a_secret_exists_is_not_known() {
    let sealed = |verdict| {
        let mut why = good();
        let seal = ObjectRef { name: "seal".into(), uid: None };
        why.token.verdict = verdict;
        (why.token.claims.binding.pod, why.token.claims.binding.secret) = (None, Some(seal));
        why
    };
    let open = answer(sealed(Verdict::Uncertain), 3);
    assert_eq!(open.finds, Finds::NotKnown, "{open:?}");
    assert!(open.text.contains("bound to Secret seal. Not known whether that still"), "{open:?}");
    assert!(open.text.contains("kubelet does not replace it"), "{open:?}");
    assert_eq!(answer(sealed(Verdict::Dead), 3).finds, Finds::Bad);
    assert!(answer(sealed(Verdict::Uncertain), 8).text.contains("kubelet does not replace it"));
}

#[test]
fn a_stale_reader_is_restarted_and_the_exit_status_tells() {
    let why = good();
    let reader = Reader::of(&stale(&why.token, NOW.wall));
    let reasons = reasons(why, Some(vec![reader]));
    let answer = &reasons.answers(&reasons.tokens[0])[6];
    assert!(answer.text.starts_with("Yes, of container worker"), "{answer:?}");
    assert_eq!((answer.finds, reasons.exit_code()), (Finds::Bad, 1));
}

#[test]
fn names_from_outside_are_escaped() {
    let mut why = good();
    why.token.pod.name = Some("a\u{1b}[31m".into());
    why.token.claims.issuer = "https://x\r\nevil: ".into();
    let reasons = reasons(why, None);
    let text = render::text(&reasons, Layout::plain());
    assert!(!text.contains('\u{1b}') && !text.contains('\r'), "{text}");
}

/// A good token for this audience, in a pod whose containers read it by this convention.
fn read_by(audience: &str, convention: Option<Convention>) -> Why {
    let mut why = good();
    why.token.claims.audiences = vec![audience.into()];
    let mount = TokenMount {
        volume: why.token.key.volume.clone(),
        path: why.token.key.path.clone(),
        mount_path: "/t".into(),
        part: MountedPart::Whole,
        convention,
    };
    let container = Container { tokens: vec![mount], ..Container::default() };
    why.token.known = Some(Pod { containers: vec![container], ..Pod::default() });
    why
}

#[test]
fn the_answer_names_who_verifies_the_token_and_what_is_published_of_that() {
    let (vault, default) = (Some(Convention::VaultAgent), "https://kubernetes.default.svc");
    let accepts = "Vault usually accepts it for 1m 00s after exp";
    let table: [(&str, _, &[&str], &[&str]); 6] = [
        (default, None, &["the token is for the API server."], &["Vault", "not documented"]),
        (
            default,
            vault,
            &[
                "annotation vault.hashicorp.com/agent-inject",
                "Kubernetes method accepts that if it names no audience",
                "bound_audiences",
                accepts,
            ],
            &["an old key"],
        ),
        ("vault", vault, &["must name its audience", "bound_audiences", accepts], &["an old key"]),
        ("vault", None, &["is for Vault.", accepts], &["annotation"]),
        (
            "sts.amazonaws.com",
            None,
            &["is for AWS STS.", "count on exp"],
            &["Vault", "accepts a key"],
        ),
        ("somebody", None, &["for another verifier"], &["Vault", "count on exp"]),
    ];
    for (audience, convention, expected, others) in table {
        let Answer { text, finds, .. } = answer(read_by(audience, convention), 6);
        assert_eq!(finds, Finds::Good, "nobody is accused: {text}");
        assert!(expected.iter().all(|part| text.contains(part)), "{audience}: {text}");
        assert!(!others.iter().any(|part| text.contains(part)), "{audience}: {text}");
    }
}

#[test]
fn after_a_replacement_of_the_key_the_answer_says_how_long_others_accept_the_old_one() {
    let table = [
        ("vault", "Vault accepts an old key until it sees a token of the new one"),
        ("identity.l5d.io", "linkerd keeps no keys"),
        ("api://AzureADTokenExchange", "how long Microsoft Entra accepts a key"),
    ];
    for (audience, expected) in table {
        let why = Why { key: KeyState::Unknown, ..read_by(audience, None) };
        let Answer { text, .. } = answer(why, 6);
        assert!(text.contains(expected), "{text}");
    }
}
