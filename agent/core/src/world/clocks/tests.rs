use proptest::prelude::*;

use super::bound::Range;
use super::intersection::{Outcome, agree};
use super::testing::*;
use super::*;
use crate::base::time::{Delta, Reading};
use crate::findings::{Code, Severity};

fn model() -> ClockModel {
    ClockModel::new(Limits { servers_configured: true, ..Limits::default() })
}

fn after_round(taken: Reading, told: &[Told<'_>]) -> ClockModel {
    let mut model = model();
    model.round(&round(taken, told));
    model
}

fn codes(model: &ClockModel, now: &Reading) -> Vec<(Code, Severity, Option<String>)> {
    model
        .findings(now)
        .into_iter()
        .map(|finding| (finding.code, finding.severity, finding.server))
        .collect()
}

#[test]
fn servers_make_a_state() {
    let off = Err(ExchangeError::Timeout);
    let cases: &[(&str, Vec<Told<'_>>, ClockState, i64)] = &[
        ("one alone is believed", vec![("a", says(20))], ClockState::Synchronised, 20),
        (
            "three agree",
            vec![("a", says(20)), ("b", says(21)), ("c", says(22))],
            ClockState::Synchronised,
            21,
        ),
        (
            "one is wrong",
            vec![("a", says(20)), ("b", says(20)), ("c", says(37_250))],
            ClockState::Synchronised,
            20,
        ),
        (
            "the node is behind",
            vec![("a", says(90_000)), ("b", says(90_000))],
            ClockState::Off,
            90_000,
        ),
        ("the node is ahead", vec![("a", says(-90_000))], ClockState::Off, -90_000),
        ("two contradict", vec![("a", says(0)), ("b", says(37_250))], ClockState::Disagreeing, 0),
        ("silence", vec![("a", off.clone()), ("b", off)], ClockState::Unknown, 0),
    ];
    for (name, told, state, millis) in cases {
        let estimate = after_round(at(100), told).estimate(&at(100));
        assert_eq!(estimate.state, *state, "{name}");
        assert!(
            (estimate.offset - Delta::from_millis(*millis)).abs() <= Delta::from_millis(5),
            "{name}: {estimate:?}"
        );
    }
}

#[test]
fn the_wrong_server_is_named_and_the_node_is_not() {
    let model = after_round(at(100), &[("a", says(0)), ("b", says(1)), ("c", says(37_250))]);
    let votes: Vec<_> = model.servers().iter().map(|report| report.vote).collect();
    assert_eq!(votes, [Vote::Agrees, Vote::Agrees, Vote::Falseticker]);
    assert_eq!(
        codes(&model, &at(100)),
        [(Code::ClockServersDisagree, Severity::Warning, Some(server("c").to_string()))]
    );
    assert!(model.findings(&at(100))[0].summary.contains("37.2s ahead of true time"));
}

#[test]
fn a_node_that_is_off_is_told_with_sign_and_size_and_once() {
    for (millis, side, severity) in
        [(37_250, "behind", Severity::Warning), (-90_000, "ahead of", Severity::Critical)]
    {
        let mut model =
            after_round(at(100), &[("a", says(millis)), ("b", says(millis)), ("c", says(millis))]);
        model.kernel(&kernel(at(100), false));
        let findings = model.findings(&at(1_000));
        assert_eq!(findings[0].code, Code::ClockOffset);
        assert_eq!(findings[0].severity, severity);
        assert!(findings[0].summary.contains(side), "{}", findings[0].summary);
        assert!(
            findings[1..].iter().all(|finding| finding.severity == Severity::Info),
            "one cause, one warning: {findings:?}"
        );
    }
}

#[test]
fn what_no_longer_vouches_becomes_unknown_in_time() {
    let model = after_round(at(100), &[("a", says(0))]);
    assert_eq!(model.estimate(&at(1_899)).state, ClockState::Synchronised);
    assert!(
        model.estimate(&at(1_899)).bound > model.estimate(&at(100)).bound,
        "age widens the bound"
    );
    assert_eq!(model.next_change(&at(300)), Some(at(1_900).monotonic));
    assert_eq!(model.estimate(&at(1_900)).state, ClockState::Unknown);
    assert_eq!(codes(&model, &at(1_900)), [(Code::ClockUnknown, Severity::Warning, None)]);
}

#[test]
fn silence_at_start_is_no_finding_before_the_grace_is_over() {
    let mut model = model();
    assert!(codes(&model, &at(0)).is_empty());
    model.kernel(&kernel(at(0), false));
    assert!(codes(&model, &at(10_000)).is_empty(), "no round was heard");
    model.round(&round(at(10), &[("a", Err(ExchangeError::Timeout))]));
    assert!(codes(&model, &at(159)).is_empty());
    assert_eq!(codes(&model, &at(160)), [(Code::ClockUnknown, Severity::Warning, None)]);
}

#[test]
fn silence_says_what_to_repair() {
    let resolve = || Err(ExchangeError::Resolve("no".to_owned()));
    let cases: [(&[Told<'_>], &str); 3] = [
        (&[("a", resolve()), ("b", resolve())], "name resolution"),
        (&[("a", resolve()), ("b", Err(ExchangeError::Timeout))], "UDP port 123"),
        (&[("a", Err(ExchangeError::Timeout))], "UDP port 123"),
    ];
    for (told, words) in cases {
        let finding = after_round(at(0), told).findings(&at(200)).remove(0);
        assert!(finding.remedy.text.contains(words), "{}", finding.remedy.text);
    }
}

#[test]
fn the_kernel_vouches_where_no_server_does_until_its_own_bound_is_too_wide() {
    let mut model = ClockModel::new(Limits::default());
    model.kernel(&kernel(at(0), true));
    assert_eq!(
        (model.estimate(&at(0)).state, model.vouched_by(&at(0))),
        (ClockState::Synchronised, VouchedBy::Kernel)
    );
    assert_eq!(model.estimate(&at(3_000)).state, ClockState::Unknown);
    model.kernel(&kernel(at(3_000), false));
    assert_eq!(codes(&model, &at(3_000)), [(Code::ClockUnknown, Severity::Info, None)]);
}

#[test]
fn a_clock_that_no_daemon_keeps_is_told_once_whoever_answers() {
    for (told, code) in
        [(says(0), Code::ClockUnsynchronized), (Err(ExchangeError::Timeout), Code::ClockUnknown)]
    {
        let mut model = after_round(at(0), &[("a", told)]);
        model.kernel(&kernel(at(0), false));
        let [finding] = model.findings(&at(200)).try_into().unwrap();
        assert_eq!(finding.code, code);
        assert!(
            finding.summary.to_lowercase().contains("no time daemon keeps")
                || finding.summary.contains("no daemon keeps"),
            "{}",
            finding.summary
        );
    }
}

#[test]
fn a_step_moves_the_offset_at_once_and_is_forgotten_once_measured() {
    let mut model = after_round(at(100), &[("a", says(0))]);
    let size = Delta::from_secs(90);
    let now = set(at(110), size);
    model.step(&step(at(110), size));
    let estimate = model.estimate(&now);
    assert_eq!(estimate.state, ClockState::Stepped);
    assert!((estimate.offset + size).abs() < Delta::from_millis(1), "{estimate:?}");
    let told: Vec<_> =
        codes(&model, &now).into_iter().map(|(code, severity, _)| (code, severity)).collect();
    assert_eq!(
        told,
        [(Code::ClockOffset, Severity::Critical), (Code::ClockStepped, Severity::Info)]
    );
    model.round(&round(set(at(120), size), &[("a", says(-90_000))]));
    assert_eq!(model.estimate(&set(at(120), size)).state, ClockState::Off);
    assert_eq!(model.next_change(&set(at(120), size)), Some(at(170).monotonic));
    let later: Vec<_> =
        codes(&model, &set(at(171), size)).into_iter().map(|(code, ..)| code).collect();
    assert_eq!(later, [Code::ClockOffset]);
}

#[test]
fn a_step_that_repairs_the_clock_is_told_and_clears_the_offset() {
    let mut model = after_round(at(100), &[("a", says(-90_000))]);
    let size = Delta::from_secs(-90);
    model.step(&step(at(110), size));
    model.round(&round(set(at(111), size), &[("a", says(0))]));
    assert_eq!(codes(&model, &set(at(112), size)), [(Code::ClockStepped, Severity::Warning, None)]);
}

#[test]
fn a_clock_that_runs_away_is_drifting_before_it_is_off() {
    let mut model = model();
    for minute in 0..10 {
        model.round(&round(at(60 * minute), &[("a", says(30 * minute))]));
    }
    assert_eq!(model.estimate(&at(540)).state, ClockState::Drifting);
    assert_eq!(
        after_round(at(540), &[("a", says(270))]).estimate(&at(540)).state,
        ClockState::Synchronised
    );
}

#[test]
fn a_leap_second_is_no_offset_and_is_told_as_what_it_is() {
    let midnight = 60;
    let before_midnight = set(at(100), Delta::from_secs(6_300 - midnight));
    assert_eq!(before_midnight.after(Delta::from_secs(midnight)).wall.as_secs() % 86_400, 0);
    let mut model = after_round(before_midnight, &[("a", says(0))]);
    model.kernel(&KernelClock { leap: Leap::Insert, ..kernel(before_midnight, true) });
    let second = Delta::from_secs(-1);
    let leap = step(before_midnight.after(Delta::from_secs(midnight)), second);
    let mut plain = model.clone();
    model.step(&leap);
    assert_eq!(
        codes(&model, &leap.after),
        [(Code::ClockStepped, Severity::Info, None)],
        "{:?}",
        model.estimate(&leap.after)
    );
    assert!(
        model.findings(&leap.after)[0].summary.contains("leap second"),
        "{}",
        model.findings(&leap.after)[0].summary
    );
    assert!(model.estimate(&leap.after).offset.abs() < Delta::from_millis(1));

    plain.kernel(&kernel(before_midnight, true));
    plain.step(&leap);
    assert_eq!(codes(&plain, &leap.after)[0].0, Code::ClockOffset, "nobody announced this one");
    let early = step(before_midnight.after(Delta::from_secs(midnight - 30)), second);
    model.step(&early);
    assert!(
        !model.findings(&early.after).iter().any(|finding| finding.summary.contains("leap second")),
        "nor does it come half a minute early"
    );
}

#[test]
fn hardware_is_as_bad_as_its_daemon_has_found_it() {
    for (steering, ppm) in
        [(0, 100), (-12, 100), (180, 195), (-180, 195), (100_000, 500), (i64::MIN, 500)]
    {
        let mut model = after_round(at(0), &[("a", says(0))]);
        model.kernel(&KernelClock { steering_ppm: steering, ..kernel(at(0), true) });
        assert_eq!(
            model.estimate(&at(1_000)).bound - model.estimate(&at(0)).bound,
            Delta::from_secs(1_000).drift(ppm),
            "{steering} ppm"
        );
    }
}

#[test]
fn a_clock_slewed_after_the_kernels_word_may_have_been_wrong_before_or_be_wrong_now() {
    let mut model = ClockModel::new(Limits::default());
    model.kernel(&kernel(at(0), true));
    let estimate = model.estimate(&set(at(10), Delta::from_millis(800))); // within what can be slewed in 10 s
    let interval = estimate.interval(at(10).wall);
    assert!(
        interval.lo + Delta::from_millis(1_600) <= at(10).wall + Delta::from_millis(800)
            && interval.hi >= at(10).wall,
        "{estimate:?}"
    );
    assert_eq!(estimate.state, ClockState::Synchronised, "neither is proven");
    assert_eq!(
        model.estimate(&set(at(60), Delta::from_secs(5))).state,
        ClockState::Unknown,
        "too far to prove anything"
    );
    assert_eq!(
        model.estimate(&set(at(10), Delta::from_secs(90))).state,
        ClockState::Off,
        "this was no slew"
    );
}

#[test]
fn spans_of_a_round_hang_together() {
    let told = round(
        at(100),
        &[("a", says(0)), ("b", says(0)), ("c", says(37_250)), ("d", Err(ExchangeError::Timeout))],
    );
    let mut model = model();
    model.round(&told);
    let spans = model.spans(&told);
    assert_eq!(spans.len(), 5);
    assert!(spans[1..].iter().all(|span| span.parent == Some(spans[0].span_id) && span.trace_id == spans[0].trace_id));
    assert!(spans[1..].iter().all(|span| span.start >= spans[0].start
        && span.end <= spans[0].end
        && span.kind == crate::traces::SpanKind::Client));
    assert_eq!(
        spans[3].attributes.get(crate::base::schema::NTP_VERDICT),
        Some(&"falseticker".into())
    );
    assert_eq!(spans[4].attributes.get(crate::base::schema::ERROR_TYPE), Some(&"timeout".into()));
    assert!(spans[4].error.is_some() && spans[0].error.is_none());
    assert_eq!(model.spans(&told), spans, "derived, not drawn");
    let nobody = round(at(100), &[]);
    assert!(model.spans(&nobody).is_empty());
}

#[test]
fn names_of_servers_are_read_as_they_are_shown() {
    for (text, host, port) in [
        ("ntp.example", "ntp.example", 123),
        ("192.0.2.1:11123", "192.0.2.1", 11_123),
        ("[2001:db8::1]:99", "2001:db8::1", 99),
        ("::1", "::1", 123),
    ] {
        let server: ServerName = text.parse().unwrap();
        assert_eq!((server.host.as_str(), server.port), (host, port));
        assert_eq!(server.to_string().parse(), Ok(server));
    }
    for wrong in ["", "a b", "host:0", "host:x", "[::1", "a:1:2"] {
        assert!(wrong.parse::<ServerName>().is_err(), "{wrong}");
    }
}

/// Honest ranges hold the truth; liars claim anything and are fewer.
fn votes() -> impl Strategy<Value = (i64, Vec<Range>, Vec<Range>)> {
    let truth = -1_000_000_i64..1_000_000;
    let slack = || (0_i64..5_000, 0_i64..5_000);
    (
        truth,
        prop::collection::vec(slack(), 1..6),
        prop::collection::vec((-2_000_000_i64..2_000_000, 0_i64..10_000), 0..5),
    )
        .prop_map(|(truth, honest, mut lies)| {
            lies.truncate(honest.len() - 1);
            let range = |lo, hi| Range { lo: Delta::from_nanos(lo), hi: Delta::from_nanos(hi) };
            let honest = honest.into_iter().map(|(a, b)| range(truth - a, truth + b)).collect();
            (truth, honest, lies.into_iter().map(|(lo, width)| range(lo, lo + width)).collect())
        })
}

proptest! {
    #[test]
    fn a_majority_that_is_right_is_never_led_astray((truth, honest, lies) in votes(), turn in 0_usize..10) {
        let mut all: Vec<_> = honest.iter().chain(&lies).copied().map(Some).collect();
        let turn = turn % all.len();
        all.rotate_left(turn);
        let Outcome::Agreed(agreement) = agree(&all) else { return Err(TestCaseError::fail("no agreement")) };
        let found = Range::around(agreement.offset, agreement.bound);
        let one = Delta::from_nanos(1); // a middle that falls between two nanoseconds
        prop_assert!((agreement.offset - Delta::from_nanos(truth)).abs() <= agreement.bound);
        let reach = honest.iter().copied().reduce(Range::hull).unwrap();
        prop_assert!(found.lo + one >= reach.lo && found.hi <= reach.hi + one, "{found:?} beyond {reach:?}");
        let wrongly = all.iter().zip(&agreement.votes).any(|(range, vote)| *vote == Vote::Falseticker && range.unwrap().meets(&Range::around(Delta::from_nanos(truth), Delta::ZERO)));
        prop_assert!(!wrongly, "an honest server was called a falseticker");
    }
}

/// A day in the life of a clock: its hardware is off by `hardware` ppm, and a daemon slews the wall
/// clock at these rates (ppm), for so many seconds each.
fn lives() -> impl Strategy<Value = (i64, Vec<(i64, i64)>)> {
    (
        -HARDWARE_PPM..=HARDWARE_PPM,
        prop::collection::vec((-100_500_i64..=100_500, 0_i64..120), 1..14),
    )
}

proptest! {
    #[test]
    fn however_the_clock_is_slewed_the_interval_holds_true_time((hardware, slews) in lives(), server_error in -5_i64..=5) {
        let mut model = model();
        let (mut truth, mut now) = (at(0).wall, at(0));
        model.round(&round(now, &[("a", says(server_error))]));
        for (slew, secs) in slews {
            let elapsed = Delta::from_secs(secs);
            truth = truth + elapsed;
            let age = elapsed + elapsed.fraction(hardware, 1_000_000);
            now = Reading { wall: now.wall + age + age.fraction(slew, 1_000_000), monotonic: now.monotonic + age };
            let estimate = model.estimate(&now);
            let interval = estimate.interval(now.wall);
            let rounding = Delta::from_nanos(50); // of this test's own sums
            prop_assert!(!estimate.assumed && interval.lo - rounding <= truth && truth <= interval.hi + rounding, "{estimate:?} misses {truth:?} at {now:?}");
            prop_assert!(estimate.bound <= Delta::from_millis(5) + age_of(&now).drift(HARDWARE_PPM) + rounding, "no wider than it must be");
        }
    }
}

fn age_of(now: &Reading) -> Delta {
    now.monotonic - at(0).monotonic
}
