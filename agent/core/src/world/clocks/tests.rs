use proptest::prelude::*;

use super::testing::*;
use super::*;
use crate::base::time::{Delta, Reading};

#[test]
fn the_state_follows_from_the_servers_answers() {
    let timeout = Err(ExchangeError::Timeout);
    let cases: &[(&str, Vec<Answer<'_>>, ClockState, i64)] = &[
        ("one server alone is trusted", vec![("a", offset_ms(20))], ClockState::Synchronised, 20),
        (
            "three agree",
            vec![("a", offset_ms(20)), ("b", offset_ms(21)), ("c", offset_ms(22))],
            ClockState::Synchronised,
            21,
        ),
        (
            "one is wrong",
            vec![("a", offset_ms(20)), ("b", offset_ms(20)), ("c", offset_ms(37_250))],
            ClockState::Synchronised,
            20,
        ),
        (
            "the node is behind",
            vec![("a", offset_ms(90_000)), ("b", offset_ms(90_000))],
            ClockState::Off,
            90_000,
        ),
        ("the node is ahead", vec![("a", offset_ms(-90_000))], ClockState::Off, -90_000),
        (
            "two contradict",
            vec![("a", offset_ms(0)), ("b", offset_ms(37_250))],
            ClockState::Disagreeing,
            0,
        ),
        ("no answers", vec![("a", timeout.clone()), ("b", timeout)], ClockState::Unknown, 0),
    ];
    for (name, answers, state, millis) in cases {
        let estimate = after_round(at(100), answers).estimate(&at(100));
        assert_eq!(estimate.state, *state, "{name}");
        assert!(
            (estimate.offset - Delta::from_millis(*millis)).abs() <= Delta::from_millis(5),
            "{name}: {estimate:?}"
        );
    }
}

#[test]
fn a_clock_is_drifting_before_it_is_off() {
    let mut model = model();
    for minute in 0..10 {
        model.round(&round(at(60 * minute), &[("a", offset_ms(30 * minute))]));
    }
    assert_eq!(model.estimate(&at(540)).state, ClockState::Drifting);
    assert_eq!(
        after_round(at(540), &[("a", offset_ms(270))]).estimate(&at(540)).state,
        ClockState::Synchronised
    );
}

#[test]
fn the_frequency_error_that_the_daemon_measured_widens_the_bound() {
    for (steering, ppm) in
        [(0, 100), (-12, 100), (180, 195), (-180, 195), (100_000, 500), (i64::MIN, 500)]
    {
        let mut model = after_round(at(0), &[("a", offset_ms(0))]);
        model.kernel(&KernelClock { steering_ppm: steering, ..kernel(at(0), true) });
        assert_eq!(
            model.estimate(&at(1_000)).bound - model.estimate(&at(0)).bound,
            Delta::from_secs(1_000).drift(ppm),
            "{steering} ppm"
        );
    }
}

#[test]
fn after_a_slew_the_kernels_report_covers_both_times() {
    let mut model = ClockModel::new(Limits::default());
    model.kernel(&kernel(at(0), true));
    // 800 ms can be slewed within 10 s.
    let estimate = model.estimate(&set(at(10), Delta::from_millis(800)));
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
        ClockState::Unknown,
        "this was no slew"
    );
}

/// A step in either direction may have corrected the clock or made it wrong. Only what was measured
/// after it shows which; what does not depend on the wall clock stays.
#[test]
fn a_step_takes_away_what_the_kernel_alone_had_confirmed() {
    let (confirmed, lost) = (kernel(at(0), true), kernel(at(100), false));
    let hour = Delta::from_secs(3_600);
    let again = kernel(set(at(100), hour), true);
    let servers = [("a", offset_ms(0)), ("b", offset_ms(0))];
    // (what it shows, the step, servers before it, the kernel's report after it, state and offset)
    let table = [
        (
            "a small step stays within the bound",
            Delta::from_millis(900),
            false,
            None,
            ClockState::Stepped,
            -450,
        ),
        ("nothing is proven", hour, false, None, ClockState::Unknown, 0),
        ("nor backwards", -hour, false, None, ClockState::Unknown, 0),
        ("until the kernel confirms it", hour, false, Some(again), ClockState::Synchronised, 0),
        ("or does not", hour, false, Some(lost), ClockState::Unknown, 0),
        ("servers do not depend on it", hour, true, None, ClockState::Stepped, -3_600_000),
    ];
    for (what, size, has_servers, report, state, millis) in table {
        let mut model = ClockModel::new(Limits::default());
        model.kernel(&confirmed);
        if has_servers {
            model.round(&round(at(1), &servers));
        }
        model.step(&step(at(100), size));
        if let Some(report) = &report {
            model.kernel(report);
        }
        let now = set(at(101), size);
        let estimate = model.estimate(&now);
        assert_eq!(estimate.state, state, "{what}");
        let off = estimate.offset - Delta::from_millis(millis);
        assert!(off.abs() <= Delta::from_millis(60), "{what}: {estimate:?}");
        let facts = ClockFacts::new(&model, &now);
        assert_eq!(facts.expects_kernel(), report.is_none() && size.abs() == hour, "{what}");
    }
}

#[test]
fn nobody_waits_for_a_kernel_that_does_not_report_again() {
    let mut model = ClockModel::new(Limits::default());
    model.kernel(&kernel(at(0), true));
    model.step(&step(at(100), Delta::from_secs(3_600)));
    let waits = |secs| {
        let now = set(at(secs), Delta::from_secs(3_600));
        (ClockFacts::new(&model, &now).expects_kernel(), model.next_change(&now))
    };
    assert_eq!(waits(149), (true, Some(at(150).monotonic)));
    assert!(!waits(150).0);
}

#[test]
fn server_names_parse_and_print() {
    for (text, host, port) in [
        ("ntp.example", "ntp.example", 123),
        ("192.0.2.1:11123", "192.0.2.1", 11_123),
        ("[2001:db8::1]:99", "2001:db8::1", 99),
        ("::1", "::1", 123),
        ("fe80::1%eth0", "fe80::1%eth0", 123),
        ("[fe80::1%2]:99", "fe80::1%2", 99),
    ] {
        let server: ServerName = text.parse().unwrap();
        assert_eq!((server.host.as_str(), server.port), (host, port));
        assert_eq!(server.to_string().parse(), Ok(server));
    }
    for wrong in ["", "a b", "host:0", "host:x", "[::1", "a:1:2", "::1%", "::1%a/b", "host%eth0"] {
        assert!(wrong.parse::<ServerName>().is_err(), "{wrong}");
    }
}

/// The frequency error of the hardware in ppm, and the slews of the wall clock by a daemon: rate in
/// ppm and duration in seconds.
fn slewed_clocks() -> impl Strategy<Value = (i64, Vec<(i64, i64)>)> {
    (
        -HARDWARE_PPM..=HARDWARE_PPM,
        prop::collection::vec((-100_500_i64..=100_500, 0_i64..120), 1..14),
    )
}

proptest! {
    #[test]
    fn the_interval_contains_true_time_of_a_slewed_clock(
        (hardware, slews) in slewed_clocks(),
        server_error in -5_i64..=5,
    ) {
        let mut model = model();
        let (mut truth, mut now) = (at(0).wall, at(0));
        model.round(&round(now, &[("a", offset_ms(server_error))]));
        for (slew, secs) in slews {
            let elapsed = Delta::from_secs(secs);
            truth = truth + elapsed;
            let age = elapsed + elapsed.fraction(hardware, 1_000_000);
            now = Reading {
                wall: now.wall + age + age.fraction(slew, 1_000_000),
                monotonic: now.monotonic + age,
            };
            let estimate = model.estimate(&now);
            let interval = estimate.interval(now.wall);
            let rounding = Delta::from_nanos(50); // the sums of this test round
            let contains =
                interval.lo - rounding <= truth && truth <= interval.hi + rounding;
            prop_assert!(
                !estimate.assumed && contains,
                "{estimate:?} does not contain {truth:?} at {now:?}"
            );
            let needed = Delta::from_millis(5) + age_of(&now).drift(HARDWARE_PPM);
            prop_assert!(estimate.bound <= needed + rounding, "no wider than it must be");
        }
    }
}

fn age_of(now: &Reading) -> Delta {
    now.monotonic - at(0).monotonic
}
