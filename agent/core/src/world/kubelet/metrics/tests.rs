//! What two looks at kubelet's counters show, and when the next one comes.

use super::*;
use crate::base::time::Wall;

fn at(secs: i64) -> Reading {
    let monotonic = Monotonic::from_nanos((secs + 10_000) * 1_000_000_000);
    Reading { wall: Wall::from_secs(1_800_000_000 + secs), monotonic }
}

fn requests(accepted: u64) -> RequestCounts {
    RequestCounts { accepted, ..RequestCounts::default() }
}

fn counters(requests: RequestCounts) -> KubeletCounters {
    KubeletCounters { started: Some(at(-500).wall), requests, ..KubeletCounters::default() }
}

/// The sign after looks at these times.
fn sign(looks: &[(i64, MetricsSeen)]) -> Option<MetricsSign> {
    let mut metrics = Metrics::new(true);
    for (secs, seen) in looks {
        let _ = metrics.see(seen, &at(*secs));
    }
    metrics.shown(Some(true), &at(looks.last().unwrap().0)).unwrap().sign
}

fn seen(requests: RequestCounts) -> MetricsSeen {
    MetricsSeen::Counters(counters(requests))
}

/// What one minute adds to counters that were high already.
#[test]
fn only_what_was_counted_between_two_looks_shows_a_cause() {
    let old = RequestCounts {
        accepted: 900,
        unauthorized: 900,
        forbidden: 900,
        throttled: 900,
        failed: 900,
        unanswered: 900,
    };
    let plus = |change: fn(&mut RequestCounts)| {
        let mut new = old;
        change(&mut new);
        new
    };
    let table: [(&str, RequestCounts, Option<MetricsSign>); 10] = [
        ("nothing", old, None),
        ("good ones", plus(|of| of.accepted += 9), None),
        ("401", plus(|of| of.unauthorized += 3), Some(MetricsSign::Unauthorized)),
        ("few 401", plus(|of| of.unauthorized += 2), None),
        (
            "401 of one of two API servers",
            plus(|of| (of.unauthorized, of.accepted) = (909, 901)),
            None,
        ),
        ("429", plus(|of| (of.throttled, of.accepted) = (906, 905)), Some(MetricsSign::Throttled)),
        ("some 429", plus(|of| (of.throttled, of.accepted) = (903, 909)), None),
        ("403 alone", plus(|of| of.forbidden += 9), None),
        ("no answer in one minute", plus(|of| of.unanswered += 9), None),
        ("401 and none", plus(|of| (of.unanswered, of.unauthorized) = (909, 901)), None),
    ];
    for (what, new, expected) in table {
        assert_eq!(sign(&[(0, seen(old))]), None, "one look");
        assert_eq!(sign(&[(0, seen(old)), (60, seen(new))]), expected, "{what}");
    }
}

#[test]
fn no_answer_counts_once_it_lasts_longer_than_a_restart() {
    let lost = |unanswered| seen(RequestCounts { accepted: 9, unanswered, ..requests(9) });
    let away = Some(MetricsSign::Unanswered);
    assert_eq!(sign(&[(0, lost(0)), (60, lost(5))]), None);
    assert_eq!(sign(&[(0, lost(0)), (60, lost(5)), (120, lost(9))]), away);
    let answered = seen(RequestCounts { accepted: 10, unanswered: 9, ..requests(9) });
    assert_eq!(sign(&[(0, lost(0)), (60, lost(5)), (120, answered.clone())]), None);
    assert_eq!(sign(&[(0, lost(0)), (60, lost(5)), (120, lost(9)), (180, answered)]), None);
    let failed = |failed| seen(RequestCounts { failed, ..requests(9) });
    assert_eq!(sign(&[(0, failed(0)), (60, failed(5)), (120, failed(9))]), away);
}

#[test]
fn a_kubelet_that_was_started_again_counts_from_the_beginning() {
    let refused = |unauthorized| RequestCounts { unauthorized, ..RequestCounts::default() };
    let before = counters(RequestCounts { accepted: 4, ..refused(5) });
    let after = KubeletCounters { started: Some(at(40).wall), ..counters(refused(9)) };
    let after = |of| MetricsSeen::Counters(KubeletCounters { requests: refused(of), ..after });
    let looks = [(0, MetricsSeen::Counters(before)), (60, after(9))];
    assert_eq!(sign(&looks), None, "the start shows it, and so does a smaller counter");
    let third = [looks[0].clone(), looks[1].clone(), (120, after(12))];
    assert_eq!(sign(&third), Some(MetricsSign::Unauthorized));
    let same = KubeletCounters { started: Some(at(-499).wall), ..counters(refused(5)) };
    let moved = KubeletCounters { requests: refused(9), ..same };
    let table = [(same, moved, true), (before, same, false)];
    for (one, other, is_same) in table {
        assert_eq!(other.since(&one).is_some(), is_same, "{one:?} {other:?}");
    }
}

#[test]
fn an_old_look_is_no_beginning() {
    let refused = |unauthorized| seen(RequestCounts { unauthorized, ..requests(9) });
    assert_eq!(sign(&[(0, refused(0)), (1_300, refused(9))]), None);
    let mut metrics = Metrics::new(true);
    let _ = metrics.see(&refused(9), &at(0));
    assert_eq!(metrics.shown(None, &at(1_201)), None, "nor does it count for ever");
}

#[test]
fn a_certificate_that_has_expired_counts_unless_requests_are_accepted() {
    let expired = |accepted| {
        let certificate_left = Some(Delta::from_secs(-60));
        let of = KubeletCounters { certificate_left, ..counters(requests(accepted)) };
        MetricsSeen::Counters(of)
    };
    let has_expired = Some(MetricsSign::CertificateExpired);
    assert_eq!(sign(&[(0, expired(9))]), has_expired);
    assert_eq!(sign(&[(0, expired(9)), (60, expired(9))]), has_expired);
    assert_eq!(sign(&[(0, expired(9)), (60, expired(10))]), None, "a token, or a clock");
}

/// kubelet asks the API server about the agent's token: its answer shows whether it can.
#[test]
fn a_kubelet_that_refuses_a_good_token_cannot_ask_about_it() {
    let good = || seen(requests(9));
    let refused = MetricsSeen::Refused;
    let cannot = Some(MetricsSign::CannotVerify);
    let table = [
        (vec![(0, good()), (60, refused(401)), (160, refused(401))], cannot),
        (vec![(0, good()), (60, refused(401)), (160, refused(500))], cannot),
        (vec![(0, good()), (60, refused(401)), (120, refused(401))], None),
        (vec![(0, good()), (60, refused(401)), (120, good()), (180, refused(401))], None),
        (vec![(60, refused(401)), (160, refused(401))], None),
        (vec![(0, good()), (60, refused(403)), (160, refused(403))], None),
        (
            vec![(0, good()), (60, MetricsSeen::Closed), (160, MetricsSeen::Closed)],
            Some(MetricsSign::NotRunning),
        ),
        (vec![(60, MetricsSeen::Closed), (160, MetricsSeen::Closed)], None),
    ];
    for (looks, expected) in table {
        assert_eq!(sign(&looks), expected, "{looks:?}");
    }
    let mut metrics = Metrics::new(true);
    for (secs, seen) in [(0, good()), (60, refused(401)), (160, refused(401))] {
        let _ = metrics.see(&seen, &at(secs));
    }
    for reaches in [None, Some(false)] {
        assert_eq!(metrics.shown(reaches, &at(160)).unwrap().sign, None, "its token may be bad");
    }
}

#[test]
fn it_is_asked_once_and_then_only_while_somebody_wants_it() {
    let mut metrics = Metrics::new(true);
    assert!(metrics.take_turn(false, &at(0)));
    let _ = metrics.see(&seen(requests(1)), &at(1));
    assert!((0..9_000).all(|secs| !metrics.take_turn(false, &at(secs))));
    let asked: Vec<i64> = (9_000..12_000).filter(|of| metrics.take_turn(true, &at(*of))).collect();
    let expected = [9_000, 9_060, 9_120, 9_180, 9_240, 9_300, 9_420, 9_660, 10_140, 10_620];
    assert_eq!(asked[..10], expected, "at most once a minute, and then more rarely");
    assert!(!metrics.take_turn(false, &at(12_000)));
    assert!(metrics.take_turn(true, &at(12_001)), "another trouble");
    let mut disabled = Metrics::new(false);
    assert!(!disabled.take_turn(true, &at(0)) && disabled.next_turn(true).is_none());
}

#[test]
fn the_first_look_is_repeated_a_few_times_until_there_is_an_answer() {
    let mut metrics = Metrics::new(true);
    let asked: Vec<i64> = (0..9_000).filter(|of| metrics.take_turn(false, &at(*of))).collect();
    assert_eq!(asked, [0, 60, 120, 180, 240]);
}
