use tokenwatch_core::time::{Boot, Reading, Wall};

use super::*;

fn at(wall_ms: i64, boot_ms: i64) -> Reading {
    Reading { wall: Wall::from_nanos(wall_ms * 1_000_000), boot: Boot::from_nanos(boot_ms * 1_000_000) }
}

#[test]
fn a_step_is_told_once_with_its_size_and_a_slew_is_none() {
    let mut steps = StepDetector::new(at(1_000_000, 0));
    assert_eq!(steps.look(at(1_064_099, 64_000)), None, "less than any daemon steps by");
    assert_eq!(steps.look(at(1_090_000, 65_000)).map(|step| step.size), Some(Delta::from_secs(25)));
    assert_eq!(steps.look(at(1_091_000, 66_000)), None);
    assert_eq!(steps.look(at(1_002_000, 67_000)).map(|step| step.size), Some(Delta::from_secs(-90)));
    for n in 1..=3 {
        let found = steps.look(at(1_002_000 + n * 1_040, 67_000 + n * 1_000)).is_some();
        assert_eq!(found, n == 3, "small moves add up");
    }
}

#[test]
fn the_kernels_word_is_read_as_it_is_meant() {
    let cases = [
        (0, 0, true, Leap::None),
        (5, 0, false, Leap::Unsynchronised),
        (0, libc::STA_UNSYNC, false, Leap::Unsynchronised),
        (1, libc::STA_INS, true, Leap::Insert),
        (2, libc::STA_DEL, true, Leap::Delete),
    ];
    for (state, status, synchronised, leap) in cases {
        let clock = interpret(&Timex { state, status, max_error: 1_500_000, estimated_error: 7 }, at(0, 0));
        assert_eq!((clock.synchronised, clock.leap, clock.max_error), (synchronised, leap, Delta::from_millis(1_500)), "{state} {status}");
    }
}

#[tokio::test]
async fn it_speaks_at_start_and_ends_when_nobody_listens() {
    let (out, mut observations) = tokio::sync::mpsc::channel(8);
    let task = tokio::spawn(run(out, Arc::new(Notify::new())));
    assert!(matches!(observations.recv().await, Some(Observation::Source(SourceState { degraded: None, .. }))));
    assert!(matches!(observations.recv().await, Some(Observation::Kernel(_))));
    drop(observations);
    timeout(Duration::from_secs(5), task).await.unwrap().unwrap();
}
