//! What answers say about the key of a token, and when to ask for the next one.

use super::*;
use crate::base::time::Wall;
use crate::world::tokens::{
    Claims, Deadlines, KubeletPolicy, ObjectRef, SigningKey, claims_for_tests,
};

const IAT: i64 = 1_800_000_000;

fn at(secs: i64) -> Reading {
    Reading {
        wall: Wall::from_secs(IAT + secs),
        monotonic: Monotonic::from_nanos(secs * 1_000_000_000),
    }
}

fn key() -> TokenKey {
    TokenKey { pod_uid: "pod-uid".into(), volume: "v".into(), path: "token".into() }
}

/// A generation that the key `k1` signed, first seen at second 100.
fn generation(change: impl FnOnce(&mut Claims)) -> Generation {
    let mut claims = claims_for_tests(IAT, 3_600, None);
    claims.key = SigningKey { id: Some("k1".into()), is_external: false };
    change(&mut claims);
    Generation {
        deadlines: Deadlines::of(&claims, &KubeletPolicy::default()),
        claims,
        appeared_at: None,
        seen: at(100),
        previous: None,
    }
}

fn published(sent: i64, ids: &[&str]) -> KeysSeen {
    let set = KeySet::new(None, ids.iter().map(ToString::to_string)).unwrap();
    KeysSeen { sent: at(sent), answer: KeysAnswer::Published(set) }
}

fn refused(sent: i64, id: &str) -> KeysSeen {
    let own = generation(|claims| claims.key.id = Some(id.into())).claims;
    KeysSeen { sent: at(sent), answer: KeysAnswer::Refused(Box::new(own)) }
}

/// What makes a token one that no answer can judge, and how.
type Row = (&'static str, fn(&mut Claims));

fn true_time(secs: i64) -> Interval {
    Interval::new(at(secs).wall, Delta::ZERO, Delta::from_secs(1))
}

fn keys_of(cluster_configured: bool, jitter_seed: u16) -> Keys {
    Keys::new(&Config { cluster_configured, jitter_seed, ..Config::default() })
}

fn after_answers(answers: Vec<KeysSeen>) -> Keys {
    let mut keys = keys_of(true, 0);
    for answer in answers {
        let sent = (answer.sent.monotonic - Monotonic::default()).as_secs();
        keys.see(answer, &true_time(sent), None);
    }
    keys
}

fn state(answers: Vec<KeysSeen>) -> KeyState {
    after_answers(answers).state(&key(), &generation(|_| ()))
}

#[test]
fn the_last_answers_tell_the_state_of_a_key() {
    use KeyState::{Known, Missing, Open, Split, Unknown};
    // Which of the answers has the key, oldest first.
    let table: &[(&str, KeyState)] = &[
        ("", Open),
        ("+", Known),
        ("-", Open), // the round is not complete
        ("--", Open),
        ("---", Missing), // they may be of one of several API servers
        ("--------", Missing),
        ("---------", Unknown),
        ("+++-", Open),
        ("+++---", Missing),
        ("+++---------", Unknown), // removed
        ("-+", Split),
        ("+++-+-", Split),
        ("---+", Split),
        ("-++++++++++++++++++++++++++++++++++++++++++++++", Split),
        ("-++++++++++++++++++++++++++++++++++++++++++++++++", Known), // the key is back
        ("---+++---", Split),
    ];
    for (text, expected) in table {
        let sets = text.chars().map(|has| if has == '+' { ["k1", "k2"] } else { ["k2", "k3"] });
        let answers: Vec<_> = (200..).step_by(20).zip(sets).collect();
        let answers = answers.iter().map(|(sent, ids)| published(*sent, ids)).collect();
        assert_eq!(state(answers), *expected, "{text}");
    }
}

#[test]
fn an_answer_from_before_a_token_accuses_it_of_nothing() {
    assert_eq!(state(vec![published(99, &["k2"])]), KeyState::Open, "the key may be newer");
    assert_eq!(state(vec![published(100, &["k2"])]), KeyState::Open);
    assert_eq!(state(vec![published(99, &["k1"])]), KeyState::Known);
    assert_eq!(state(vec![published(99, &["k2"]), published(101, &["k1"])]), KeyState::Known);
}

#[test]
fn answers_that_differed_before_a_token_came_leave_open_whether_all_have_its_key() {
    use KeyState::{Known, Open, Split};
    // Which of the answers has the key, oldest first: before the token, and since.
    let table: [(&str, &str, KeyState); 10] = [
        ("---+", "", Known), // the key is newer than the first answers
        ("+-", "", Open),
        ("+-+", "", Open),
        ("-+-", "", Open),
        ("+-+", "-", Open), // the round is not complete
        ("+-+", "-+", Split),
        ("+-+", "+-+", Split),
        ("+-+", "+++", Open), // all three may be of the same API server
        ("+-+", "+++++", Known),
        ("+-++++++", "", Known),
    ];
    for (before, since, expected) in table {
        let times = (100 - i64::try_from(before.len()).unwrap()..=100).zip(before.chars());
        let times = times.chain((101..).zip(since.chars()));
        let answer = |(sent, has)| published(sent, if has == '+' { &["k1"] } else { &["k2"] });
        assert_eq!(state(times.map(answer).collect()), expected, "{before} {since}");
    }
}

#[test]
fn tokens_that_no_answer_can_judge_are_not_checked() {
    let keys = after_answers((200..209).map(|sent| published(sent, &["k2"])).collect());
    let state = |change: fn(&mut Claims)| keys.state(&key(), &generation(change));
    assert_eq!(state(|_| ()), KeyState::Unknown);
    let table: [Row; 5] = [
        ("an external signer", |claims| claims.key.is_external = true),
        ("no key id", |claims| claims.key.id = None),
        ("an empty key id", |claims| claims.key.id = Some(String::new())),
        ("bound to a pod of a virtual cluster", |claims| {
            claims.binding.pod = Some(ObjectRef { name: "p".into(), uid: Some("other".into()) });
        }),
        ("bound to no pod", |claims| claims.binding.pod = None),
    ];
    for (what, change) in table {
        assert_eq!(state(change), KeyState::NotChecked, "{what}");
    }
}

#[test]
fn a_lasting_refusal_of_the_agents_token_makes_its_key_suspect() {
    use KeyState::{Known, Missing, Open, Split, Suspected, Unknown};
    let known = || published(150, &["k1"]);
    let without = |count: i64| (300..300 + count).map(|sent| published(sent, &["k2"]));
    let refusals = || [refused(200, "k1"), refused(260, "k1")].into_iter();
    let with = |count: i64| (210..210 + count).map(|sent| published(sent, &["k1"]));
    let starts = |at: i64| {
        let later = (at + 10..at + 16).map(|sent| published(sent, &["k1"]));
        [refused(at, "k1")].into_iter().chain(later)
    };
    let table: Vec<(Vec<KeysSeen>, KeyState)> = vec![
        (vec![refused(200, "k1")], Open), // an API server that starts
        (vec![refused(200, "k1"), refused(249, "k1")], Open),
        (refusals().collect(), Suspected),
        (vec![known(), refused(200, "k1")], Open), // what was known is from before
        ([known()].into_iter().chain(refusals()).collect(), Suspected),
        (vec![known(), refused(200, "k9"), refused(260, "k9")], Known), // of another key
        (refusals().chain([published(300, &["k1"])]).collect(), Split),
        (refusals().chain(without(1)).collect(), Open),
        // An API server that started, and then all is well.
        (vec![known(), refused(200, "k1"), published(201, &["k1"])], Open),
        ([known(), refused(200, "k1")].into_iter().chain(with(5)).collect(), Open),
        ([known(), refused(200, "k1")].into_iter().chain(with(6)).collect(), Known),
        ([refused(200, "k1")].into_iter().chain(with(6)).chain(without(3)).collect(), Missing),
        // It does so again hours later.
        (starts(200).chain(starts(9_000)).collect(), Known),
        // One of two API servers refuses the agent in two rounds.
        (vec![refused(200, "k1"), known(), refused(260, "k1"), published(261, &["k1"])], Split),
        (refusals().chain(without(3)).collect(), Missing),
        (refusals().chain(without(9)).collect(), Unknown),
        // The agent's token has expired: that is why.
        (vec![refused(3_700, "k1"), refused(3_800, "k1")], Open),
    ];
    for (answers, expected) in table {
        assert_eq!(state(answers.clone()), expected, "{answers:?}");
    }
}

#[test]
fn a_refusal_by_a_wrong_clock_tells_nothing_about_keys() {
    let state = |ahead: Option<i64>| {
        let mut keys = keys_of(true, 0);
        for sent in [200, 260] {
            let verifier = ahead.map(|ahead| true_time(sent + ahead));
            keys.see(refused(sent, "k1"), &true_time(sent), verifier);
        }
        keys.state(&key(), &generation(|_| ()))
    };
    let table = [
        (None, KeyState::Suspected),
        (Some(0), KeyState::Suspected),
        (Some(7_200), KeyState::Open),  // it has expired there
        (Some(-7_200), KeyState::Open), // it is not valid there yet
    ];
    for (ahead, expected) in table {
        assert_eq!(state(ahead), expected, "{ahead:?}");
    }
}

#[test]
fn an_api_server_that_refuses_the_agent_may_have_the_other_keys() {
    // Two API servers: one has k2 alone and answers, the other has k1 alone and refuses.
    let answers = (0..30).map(|nth| {
        let sent = 200 + 20 * nth;
        if nth % 3 == 2 { refused(sent, "k9") } else { published(sent, &["k2"]) }
    });
    assert_eq!(state(answers.collect()), KeyState::Missing, "and never unknown everywhere");
}

#[test]
fn requests_are_rare_and_come_soon_where_something_is_open() {
    let mut keys = keys_of(true, 0);
    let next = |keys: &Keys| keys.next_turn().map(|next| (next - Monotonic::default()).as_secs());
    assert_eq!(next(&keys), None, "the agent has not started");
    keys.begin(&at(100));
    assert!(keys.take_turn(&at(100)) && !keys.take_turn(&at(101)));
    assert_eq!(next(&keys), Some(160), "no answer yet");
    keys.see(published(100, &["k1"]), &true_time(100), None);
    assert_eq!(next(&keys), Some(1_900));
    keys.want(KeyState::Known, &at(110));
    assert_eq!(next(&keys), Some(1_900));
    keys.want(KeyState::Open, &at(110));
    assert_eq!(next(&keys), Some(160), "a new key, and no more than one round a minute");
    keys.want(KeyState::Split, &at(300));
    assert_eq!(next(&keys), Some(160), "that is due already");
    assert!(keys.take_turn(&at(300)));
    keys.want(KeyState::Open, &at(310));
    assert_eq!(next(&keys), Some(360), "no answer yet");
    assert!(keys.take_turn(&at(360)));
    keys.want(KeyState::Open, &at(370));
    assert_eq!(next(&keys), Some(480), "the next round may have none, either");
    let mut other = keys_of(true, u16::MAX);
    other.begin(&at(0));
    assert!(!other.take_turn(&at(29)) && other.take_turn(&at(30)), "not all at once");
    let off = keys_of(false, 0);
    assert_eq!((next(&off), off.is_enabled()), (None, false));
}

#[test]
fn rounds_without_an_answer_become_rare() {
    let (mut keys, mut asked) = (keys_of(true, 0), Vec::new());
    keys.begin(&at(0));
    for age in 0..10_000 {
        asked.extend(keys.take_turn(&at(age)).then_some(age));
    }
    assert_eq!(asked, [0, 60, 180, 420, 900, 1_860, 3_660, 5_460, 7_260, 9_060]);
    keys.see(published(9_060, &["k1"]), &true_time(9_060), None);
    assert!(!keys.take_turn(&at(10_859)) && keys.take_turn(&at(10_860)));
    assert!(keys.take_turn(&at(10_920)), "from the beginning");
}

#[test]
fn an_api_server_that_comes_back_is_asked() {
    let mut keys = keys_of(true, 0);
    keys.begin(&at(0));
    assert!(keys.take_turn(&at(0)));
    keys.see(published(0, &["k1"]), &true_time(0), None);
    keys.reached(true, &at(300));
    assert!(!keys.take_turn(&at(301)), "it was not away");
    keys.reached(false, &at(310));
    assert!(keys.take_turn(&at(310)), "it may refuse the agent's token");
    keys.reached(false, &at(320));
    assert!(!keys.take_turn(&at(369)) && keys.take_turn(&at(370)));
    keys.reached(true, &at(371));
    assert!(!keys.take_turn(&at(400)) && keys.take_turn(&at(430)), "it may have other keys");
}

#[test]
fn a_set_that_cannot_be_kept_whole_is_none() {
    let ids = |count: usize| (0..count).map(|id| id.to_string());
    assert!(KeySet::new(None, ids(0)).is_none());
    assert_eq!(KeySet::new(None, ids(128)).unwrap().ids.len(), 128);
    assert!(KeySet::new(None, ids(129)).is_none());
    let long = KeySet::new(None, ["k".repeat(300)]).unwrap();
    assert_eq!(long.ids[0].len(), 253, "cut like the id in a token");
}

proptest::proptest! {
    /// API servers that keep each key for as long as a token has it are never accused, whatever
    /// the order in which the agent learns of tokens and answers.
    #[test]
    fn a_careful_replacement_of_keys_accuses_nobody(
        steps in proptest::collection::vec((0..4u8, 1..200i64), 1..60),
    ) {
        let (mut keys, mut now) = (keys_of(true, 0), 0i64);
        let (mut verifies, mut signs) = (vec![0usize], 0usize);
        let mut token: Option<Generation> = None;
        for (what, wait) in steps {
            now += wait;
            match what {
                0 => verifies.push(verifies.iter().max().unwrap() + 1),
                1 => signs = *verifies.iter().max().unwrap(),
                2 => {
                    let id = Some(format!("k{signs}"));
                    token = Some(Generation { seen: at(now), ..generation(|of| of.key.id = id) });
                    let used = signs;
                    verifies.retain(|key| *key >= used);
                }
                _ => {
                    let ids: Vec<String> = verifies.iter().map(|key| format!("k{key}")).collect();
                    let ids: Vec<&str> = ids.iter().map(String::as_str).collect();
                    keys.see(published(now, &ids), &true_time(now), None);
                }
            }
            let state = token.as_ref().map(|token| keys.state(&key(), token));
            proptest::prop_assert!(state.is_none_or(|state| !state.is_bad()), "{:?}", state);
        }
    }
}
