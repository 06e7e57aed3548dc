use proptest::prelude::*;

use super::bound::Range;
use super::intersection::{Selection, agree};
use super::testing::*;
use super::*;
use crate::base::time::{Delta, Reading};

#[test]
fn servers_make_a_state() {
    let off = Err(ExchangeError::Timeout);
    let cases: &[(&str, Vec<Answer<'_>>, ClockState, i64)] = &[
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
        let Selection::Agreed(agreement) = agree(&all) else { return Err(TestCaseError::fail("no agreement")) };
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
