use tokenwatch_core::world::clocks::Step;
use tokenwatch_core::world::observation::SourceState;

use super::*;

#[test]
fn a_step_is_detected_once_with_its_size() {
    let millis = Delta::from_millis;
    let mut steps = StepDetector::new(millis(1_000_000));
    let now = clocks::now();
    assert_eq!(steps.detect(millis(1_000_099), now), None, "less than any daemon steps by");
    assert_eq!(
        steps.detect(millis(1_025_000), now),
        Some(Step { size: Delta::from_secs(25), after: now })
    );
    assert_eq!(steps.detect(millis(1_025_000), now), None);
    assert_eq!(
        steps.detect(millis(935_000), now).map(|step| step.size),
        Some(Delta::from_secs(-90))
    );
    for n in 1..=3 {
        let found = steps.detect(millis(935_000 + n * 40), now).is_some();
        assert_eq!(found, n == 3, "small moves add up");
    }
}

#[test]
fn state_and_status_give_synchronisation_and_leap() {
    let cases = [
        (0, 0, true, Leap::None),
        (5, 0, false, Leap::Unsynchronised),
        (0, libc::STA_UNSYNC, false, Leap::Unsynchronised),
        (1, libc::STA_INS, true, Leap::Insert),
        (2, libc::STA_DEL, true, Leap::Delete),
    ];
    for (state, status, synchronised, leap) in cases {
        let timex = Timex {
            state,
            status,
            max_error: 1_500_000,
            estimated_error: 7,
            frequency: 0,
            tick: TICK,
        };
        let clock = interpret(&timex, Reading::default());
        assert_eq!(
            (clock.synchronised, clock.leap, clock.max_error),
            (synchronised, leap, Delta::from_millis(1_500)),
            "{state} {status}"
        );
    }
}

#[test]
fn steering_adds_tick_and_frequency() {
    for (tick, frequency, ppm) in [
        (10_000, 0, 0),
        (10_000, 1, 1),
        (10_000, -(12 << 16), -12),
        (10_002, -(20 << 16), 180),
        (9_000, 0, -100_000),
    ] {
        assert_eq!(
            steering(&Timex {
                state: 0,
                status: 0,
                max_error: 0,
                estimated_error: 0,
                frequency,
                tick
            }),
            ppm,
            "{tick} {frequency}"
        );
    }
    steering(&Timex {
        state: 0,
        status: 0,
        max_error: 0,
        estimated_error: 0,
        frequency: i64::MIN,
        tick: i64::MIN,
    });
}

/// Compares with CLOCK_MONOTONIC_RAW, read before and after.
#[test]
fn the_monotonic_reading_is_not_slewed() {
    let raw = || {
        let time = nix::time::clock_gettime(nix::time::ClockId::CLOCK_MONOTONIC_RAW).unwrap();
        Delta::from_nanos(time.tv_sec() * 1_000_000_000 + time.tv_nsec())
    };
    let (first, before) = (clocks::now().monotonic, raw());
    std::thread::sleep(Duration::from_millis(50));
    let (after, last) = (raw(), clocks::now().monotonic);
    assert!(
        last - first >= after - before && last - first < after - before + Delta::from_secs(1),
        "{:?} for {:?}",
        last - first,
        after - before
    );
}

#[tokio::test]
async fn it_reports_at_start_and_ends_when_the_receiver_is_dropped() {
    let (out, mut observations) = tokio::sync::mpsc::channel(8);
    let task = tokio::spawn(run(out, Arc::new(Notify::new())));
    assert!(matches!(
        observations.recv().await,
        Some(Observation::Source(SourceState { degraded: None, .. }))
    ));
    assert!(matches!(observations.recv().await, Some(Observation::Kernel(_))));
    drop(observations);
    timeout(Duration::from_secs(5), task).await.unwrap().unwrap();
}
