//! Memory is bounded, and the newest error of a volume counts.

use super::*;

fn at(age: i64) -> Reading {
    let monotonic = Monotonic::from_nanos((age + 100_000) * 1_000_000_000);
    Reading { wall: Wall::from_secs(1_800_000_000 + age), monotonic }
}

fn error(pod: usize, volume: usize, age: i64) -> KubeletError {
    KubeletError {
        pod: ErrorPod::Uid(format!("u-{pod}")),
        of: ErrorScope::Volume(format!("v-{volume}")),
        cause: ErrorCause::ApiServerAway,
        text: String::new(),
        at: at(age).wall,
        by: ErrorSource::Log,
    }
}

#[test]
fn the_errors_of_few_pods_are_kept() {
    let mut errors = Errors::default();
    for nth in 0..1_000 {
        errors.see(error(nth, 0, i64::try_from(nth).unwrap()), &at(1_000));
        for volume in 0..20 {
            errors.see(error(999, volume, 0), &at(1_000));
        }
    }
    assert_eq!(errors.pods.len(), MAX_PODS);
    assert!(errors.pods.contains_key(&ErrorPod::Uid("u-999".into())), "the newest ones");
    assert!(!errors.pods.contains_key(&ErrorPod::Uid("u-1".into())));
    assert!(errors.pods.values().all(|kept| kept.len() <= MAX_OF_POD));
}

#[test]
fn a_repeated_error_is_no_change_and_an_older_one_is_dropped() {
    let mut errors = Errors::default();
    assert!(errors.see(error(1, 1, 10), &at(20)));
    assert!(!errors.see(error(1, 1, 15), &at(20)), "the same cause");
    let other = |age| KubeletError { cause: ErrorCause::Throttled, ..error(1, 1, age) };
    assert!(!errors.see(other(12), &at(20)), "older than what is known");
    assert!(errors.see(other(16), &at(20)));
    assert!(!errors.see(error(2, 1, 30), &at(20)), "ahead");
    assert!(!errors.see(error(2, 1, -90_000), &at(20)), "too old");
}
