//! Who outvotes whom: every count of configured, answering and wrong servers.

use proptest::prelude::*;

use super::testing::*;
use super::*;
use crate::base::time::{Delta, Reading};
use crate::diagnosis::clock_of;
use crate::findings::{Affected, Code, Severity};

const WRONG: i64 = 7_200_000;

/// An answer of one address: `pool` has the largest number of votes of its name, if it is a pool.
fn exchange(
    (name, pool, address): (&str, Option<u8>, &str),
    taken: Reading,
    answer: Option<(i64, i64)>,
) -> Exchange {
    let result = answer.map(|(millis, bound)| {
        sample(taken, Delta::from_millis(millis), Delta::from_millis(bound))
    });
    Exchange {
        server: ServerName { address: Some(address.into()), pool, ..server(name) },
        started: taken.after(Delta::from_millis(-10)),
        ended: taken,
        result: result.ok_or(ExchangeError::Timeout),
    }
}

fn model_of(exchanges: Vec<Exchange>) -> ClockModel {
    let mut model = model();
    let started = at(100).after(Delta::from_millis(-10));
    model.round(&Round { started, ended: at(100), exchanges, voters: Vec::new() });
    model
}

/// Names with one address each: their offsets in milliseconds, or none if they are silent.
fn names(answers: &[Option<i64>]) -> ClockModel {
    let exchange = |(nth, answer): (usize, &Option<i64>)| {
        let (name, address) = (format!("s{nth}"), format!("192.0.2.{nth}"));
        exchange((&name, None, &address), at(100), answer.map(|millis| (millis, 2)))
    };
    model_of(answers.iter().enumerate().map(exchange).collect())
}

fn codes(model: &ClockModel) -> Vec<(Code, Severity)> {
    let findings = clock_of("n1", model, &Affected::default(), &at(300));
    findings.into_iter().map(|finding| (finding.code, finding.severity)).collect()
}

fn summary(model: &ClockModel) -> String {
    clock_of("n1", model, &Affected::default(), &at(300)).remove(0).summary
}

/// Whatever a minority of the configured servers answers, the node is never judged by it.
#[test]
fn each_count_of_configured_answering_and_wrong_servers() {
    for configured in 1..=7_usize {
        for answering in 0..=configured {
            for wrong in 0..=answering {
                let right = answering - wrong;
                let answers: Vec<Option<i64>> = std::iter::repeat_n(Some(0), right)
                    .chain(std::iter::repeat_n(Some(WRONG), wrong))
                    .chain(std::iter::repeat_n(None, configured - answering))
                    .collect();
                let estimate = names(&answers).estimate(&at(100));
                let majority = configured / 2 + 1;
                let state = match (right >= majority, wrong >= majority) {
                    (true, _) => ClockState::Synchronised,
                    (_, true) => ClockState::Off,
                    _ if right > 0 && wrong > 0 => ClockState::Disagreeing,
                    _ => ClockState::Unknown,
                };
                let case = format!("{configured} configured, {right} right, {wrong} wrong");
                assert_eq!(estimate.state, state, "{case}");
                let is_known = matches!(state, ClockState::Synchronised | ClockState::Off);
                assert_eq!(estimate.assumed, !is_known, "{case}");
                assert_eq!(estimate.alone, is_known && configured == 1, "{case}");
                let proven = estimate.true_time(at(100).wall).is_some();
                assert_eq!(proven, state == ClockState::Off && configured > 1, "{case}");
            }
        }
    }
}

#[test]
fn one_of_three_that_answers_proves_nothing_and_is_quoted() {
    let model = names(&[Some(WRONG), None, None]);
    let estimate = model.estimate(&at(100));
    assert_eq!((estimate.state, estimate.assumed), (ClockState::Unknown, true));
    assert_eq!((estimate.offset, estimate.bound), (Delta::ZERO, Limits::default().assumed_bound));
    assert_eq!(model.source(&at(100)), TimeSource::Nothing);
    assert_eq!(codes(&model), [(Code::ClockUnknown, Severity::Warning)]);
    let summary = summary(&model);
    for words in [
        "only 1 of 3 time servers gave a usable answer, which is no majority",
        "s0:123 (192.0.2.0) puts it 2h 00m behind true time",
        "s1:123, s2:123: no answer in time",
    ] {
        assert!(summary.contains(words), "{words}: {summary}");
    }
    let remedy = &clock_of("n1", &model, &Affected::default(), &at(300))[0].remedy.text;
    assert!(remedy.contains("More than half") && remedy.contains("UDP port 123"), "{remedy}");
    assert!(!remedy.contains("step"), "{remedy}");
}

#[test]
fn a_disciplined_kernel_is_a_witness_for_a_minority_that_it_agrees_with() {
    let with_kernel = |answers: &[Option<i64>], synchronised| {
        let mut model = names(answers);
        model.kernel(&kernel(at(100), synchronised));
        model
    };
    let witnessed = with_kernel(&[Some(20), None, None], true);
    let estimate = witnessed.estimate(&at(100));
    assert_eq!((estimate.state, estimate.assumed), (ClockState::Synchronised, false));
    assert_eq!(witnessed.source(&at(100)), TimeSource::ServersAndKernel);
    // Either of them may be the one that is right.
    let interval = estimate.interval(at(100).wall);
    assert!(interval.lo <= at(100).wall && interval.hi >= at(100).wall + Delta::from_millis(22));
    assert!(codes(&witnessed).is_empty());

    for (answers, synchronised, state) in [
        (&[Some(20), None, None][..], false, ClockState::Unknown),
        (&[Some(WRONG), None, None], true, ClockState::Unknown),
        (&[Some(0), Some(WRONG), None], true, ClockState::Disagreeing),
        (&[Some(0), Some(0), Some(WRONG), None, None], true, ClockState::Disagreeing),
        // A majority needs no witness, and one that contradicts it changes nothing.
        (&[Some(WRONG), Some(WRONG), None], true, ClockState::Off),
        // Nobody answers: the kernel alone, as ever.
        (&[None, None, None], true, ClockState::Synchronised),
    ] {
        let model = with_kernel(answers, synchronised);
        assert_eq!(model.estimate(&at(100)).state, state, "{answers:?} {synchronised}");
    }
    let summary = summary(&with_kernel(&[Some(WRONG), None, None], true));
    assert!(summary.contains("the kernel's report contradicts them"), "{summary}");
}

#[test]
fn a_name_has_one_vote_however_many_addresses_it_has() {
    let lies = |addresses: &[&str]| {
        let mut exchanges: Vec<Exchange> = addresses
            .iter()
            .map(|address| exchange(("liar", None, address), at(100), Some((WRONG, 2))))
            .collect();
        for (name, address) in [("a", "192.0.2.1"), ("b", "192.0.2.2")] {
            exchanges.push(exchange((name, None, address), at(100), Some((0, 2))));
        }
        model_of(exchanges)
    };
    let four = ["198.51.100.1", "198.51.100.2", "198.51.100.3", "198.51.100.4"];
    for addresses in [&four[..], &["198.51.100.1", "2001:db8::1"], &["198.51.100.1"]] {
        let model = lies(addresses);
        assert_eq!(model.estimate(&at(100)).state, ClockState::Synchronised, "{addresses:?}");
        assert_eq!(codes(&model), [(Code::ClockServersDisagree, Severity::Warning)], "one, named");
        assert!(summary(&model).contains("according to 2 of 3 time servers"), "{addresses:?}");
    }
    // A dual-stack name and a name with one address: neither outvotes the other.
    let two = model_of(vec![
        exchange(("a", None, "192.0.2.1"), at(100), Some((0, 2))),
        exchange(("liar", None, "198.51.100.1"), at(100), Some((WRONG, 2))),
        exchange(("liar", None, "2001:db8::1"), at(100), Some((WRONG, 2))),
    ]);
    assert_eq!(two.estimate(&at(100)).state, ClockState::Disagreeing);
}

#[test]
fn an_address_that_cannot_be_reached_takes_no_vote_away() {
    let model = model_of(vec![
        exchange(("a", None, "192.0.2.1"), at(100), Some((0, 2))),
        exchange(("a", None, "2001:db8::1"), at(100), None),
    ]);
    let estimate = model.estimate(&at(100));
    assert_eq!((estimate.state, estimate.alone), (ClockState::Synchronised, true));
    assert!(codes(&model).is_empty());
}

#[test]
fn a_name_whose_addresses_contradict_each_other_has_no_vote() {
    let split = |others: &[(&str, i64)]| {
        let mut exchanges = vec![
            exchange(("pair", None, "192.0.2.1"), at(100), Some((0, 2))),
            exchange(("pair", None, "192.0.2.2"), at(100), Some((WRONG, 2))),
        ];
        for (nth, (name, millis)) in others.iter().enumerate() {
            let address = format!("198.51.100.{nth}");
            exchanges.push(exchange((name, None, &address), at(100), Some((*millis, 2))));
        }
        model_of(exchanges)
    };
    let alone = split(&[]);
    assert_eq!(alone.estimate(&at(100)).state, ClockState::Disagreeing);
    let summary_alone = summary(&alone);
    let words = "The addresses of time server pair:123 contradict each other by 2h 00m";
    assert!(summary_alone.starts_with(words), "{summary_alone}");

    let one = split(&[("b", 0)]);
    assert_eq!(one.estimate(&at(100)).state, ClockState::Disagreeing, "one of two");
    let words = "The addresses of pair:123 contradict each other: it has no vote.";
    assert!(summary(&one).contains(words), "{}", summary(&one));
    let two = split(&[("b", 0), ("c", 1)]);
    assert_eq!(two.estimate(&at(100)).state, ClockState::Synchronised, "two of three");
    assert!(summary(&two).contains("pair:123 (192.0.2.2) is 2h 00m ahead"), "{}", summary(&two));
}

#[test]
fn a_pool_has_a_vote_for_each_address_up_to_its_maximum() {
    use ClockState::{Off, Synchronised, Unknown};
    let pool = |most: u8, answers: &[Option<i64>]| {
        let one = |(nth, answer): (usize, &Option<i64>)| {
            let address = format!("192.0.2.{nth}");
            exchange(("pool", Some(most), &address), at(100), answer.map(|millis| (millis, 2)))
        };
        model_of(answers.iter().enumerate().map(one).collect())
    };
    let state = |model: &ClockModel| {
        let estimate = model.estimate(&at(100));
        (estimate.state, estimate.alone)
    };
    assert_eq!(state(&pool(4, &[Some(0), Some(1), Some(0), Some(WRONG)])), (Synchronised, false));
    assert_eq!(state(&pool(4, &[Some(WRONG), None, None, None])), (Unknown, false));
    assert_eq!(state(&pool(4, &[Some(WRONG), Some(WRONG)])), (Off, false));
    assert_eq!(state(&pool(1, &[Some(WRONG), Some(WRONG)])), (Off, true), "one vote");
    assert_eq!(state(&pool(4, &[Some(0)])), (Synchronised, true), "it has no other address");

    // Two names outvote a pool with a maximum of one.
    let mut model = names(&[Some(0), Some(0)]);
    let lies = |address| exchange(("pool", Some(1), address), at(101), Some((WRONG, 2)));
    let exchanges = vec![lies("203.0.113.1"), lies("203.0.113.2")];
    model.round(&Round { started: at(101), ended: at(101), exchanges, voters: Vec::new() });
    assert_eq!(model.estimate(&at(101)).state, Synchronised);
}

#[test]
fn former_addresses_of_a_pool_have_no_vote_once_others_answer() {
    let round = |secs: i64, addresses: [u8; 3], answer: Option<(i64, i64)>| Round {
        started: at(secs),
        ended: at(secs),
        exchanges: addresses
            .iter()
            .map(|nth| {
                let address = format!("192.0.2.{nth}");
                exchange(("pool", Some(3), &address), at(secs), answer)
            })
            .collect(),
        voters: Vec::new(),
    };
    let mut model = model();
    model.round(&round(100, [1, 2, 3], None));
    assert_eq!(model.estimate(&at(100)).state, ClockState::Unknown);
    model.round(&round(164, [4, 5, 6], Some((0, 2))));
    assert_eq!(model.estimate(&at(164)).state, ClockState::Synchronised);
}

#[test]
fn a_server_that_is_not_queried_keeps_its_vote_for_a_day() {
    let mut model = names(&[Some(0), None, None]);
    let one = |secs: i64| {
        let exchanges = vec![exchange(("s0", None, "192.0.2.0"), at(secs), Some((WRONG, 2)))];
        Round { started: at(secs), ended: at(secs), exchanges, voters: Vec::new() }
    };
    // The others have refused the agent for a day (DENY).
    model.round(&one(80_000));
    assert_eq!(model.estimate(&at(80_000)).state, ClockState::Unknown);
    model.round(&one(90_000));
    assert_eq!(model.estimate(&at(90_000)).state, ClockState::Off, "their names were taken over");
}

/// A round of these names with their addresses and what each answers, in which `voters` are
/// configured.
fn configured(voters: &[&str], answers: &[(&str, &str, Option<i64>)]) -> ClockModel {
    let of = |(name, address, answer): &(&str, &str, Option<i64>)| {
        exchange((name, None, address), at(100), answer.map(|millis| (millis, 2)))
    };
    let exchanges = answers.iter().map(of).collect();
    let voters = voters.iter().map(|name| server(name)).collect();
    let mut model = model();
    model.round(&Round { started: at(100), ended: at(100), exchanges, voters });
    model
}

#[test]
fn a_name_votes_because_it_is_configured_whoever_else_has_its_addresses() {
    const LIE: Option<i64> = Some(WRONG);
    let of_liars = [
        ("e1", "192.0.2.2", Some(0)), // the address of b
        ("e1", "198.51.100.1", LIE),
        ("e1", "198.51.100.2", LIE),
        ("e1", "198.51.100.3", LIE),
        ("e2", "192.0.2.3", Some(0)), // the address of c
        ("e2", "198.51.100.4", LIE),
        ("e2", "198.51.100.5", LIE),
        ("e2", "198.51.100.6", LIE),
    ];
    let of = |count: usize, honest: &[(&'static str, &'static str, Option<i64>)]| {
        [&of_liars[..count], honest].concat()
    };
    let (b, c, d) = (("b", "192.0.2.2"), ("c", "192.0.2.3"), ("d", "192.0.2.4"));
    let right = |(name, address)| (name, address, Some(0));
    let five = ["e1", "e2", "b", "c", "d"];
    // (who is configured, what was answered, the state, who votes)
    let table = [
        (&five[..], of(8, &[right(b), right(c), right(d)]), ClockState::Synchronised, 5),
        (&five, of(8, &[right(d)]), ClockState::Disagreeing, 5),
        (&["e1", "b"], of(4, &[right(b)]), ClockState::Disagreeing, 2),
        (&["e1", "b"], of(4, &[]), ClockState::Disagreeing, 2),
        (&["b", "c"], vec![right(b)], ClockState::Unknown, 2),
    ];
    for (voters, answers, state, count) in table {
        let model = configured(voters, &answers);
        let estimate = model.estimate(&at(100));
        assert_eq!((estimate.state, estimate.alone), (state, false), "{voters:?} {answers:?}");
        assert_eq!(ClockFacts::new(&model, &at(100)).voters(), count, "{voters:?}");
    }
}

#[test]
fn a_configured_name_keeps_its_vote_until_the_configuration_changes() {
    let mut model = configured(&["a", "b", "c"], &[("a", "192.0.2.1", Some(WRONG))]);
    let round = |secs: i64, voters: &[&str]| Round {
        started: at(secs),
        ended: at(secs),
        exchanges: vec![exchange(("a", None, "192.0.2.1"), at(secs), Some((WRONG, 2)))],
        voters: voters.iter().map(|name| server(name)).collect(),
    };
    model.round(&round(90_000, &["a", "b", "c"]));
    assert_eq!(model.estimate(&at(90_000)).state, ClockState::Unknown, "one of three, for a day");
    model.round(&round(90_064, &["a"]));
    assert_eq!(model.estimate(&at(90_064)).state, ClockState::Off, "the others were its aliases");
    // Answers of a name that votes no more are nobody's.
    let mut other = round(90_128, &["b"]);
    other.exchanges = vec![exchange(("b", None, "192.0.2.2"), at(90_128), Some((0, 2)))];
    model.round(&other);
    assert!(model.estimate(&at(90_128)).offset.abs() < Delta::from_millis(3));
    assert_eq!(model.servers().len(), 1);
}

#[test]
fn one_name_in_two_spellings_has_one_vote() {
    for (one, other) in [("ntp.a", "NTP.A."), ("192.0.2.7", "::ffff:192.0.2.7")] {
        let model = model_of(vec![
            exchange((one, None, "192.0.2.7"), at(100), Some((WRONG, 2))),
            exchange((other, None, "192.0.2.7"), at(100), Some((WRONG, 2))),
            exchange(("ntp.b", None, "192.0.2.8"), at(100), Some((0, 2))),
        ]);
        assert_eq!(model.estimate(&at(100)).state, ClockState::Disagreeing, "{one} {other}");
    }
}

#[test]
fn one_configured_server_gives_an_offset_and_accuses_nobody() {
    for millis in [700, -90_000, WRONG] {
        let model = names(&[Some(millis)]);
        let estimate = model.estimate(&at(100));
        assert_eq!((estimate.state, estimate.alone), (ClockState::Off, true));
        assert!((estimate.offset - Delta::from_millis(millis)).abs() < Delta::from_millis(1));
        let interval = estimate.interval(at(100).wall);
        let claimed = at(100).wall + Delta::from_millis(millis);
        assert!(interval.lo <= claimed.min(at(100).wall), "{interval:?}");
        assert!(interval.hi >= claimed.max(at(100).wall), "{interval:?}");
        assert_eq!(codes(&model), [(Code::ClockOffset, Severity::Warning)], "{millis}");
        let mut stepped = model.clone();
        stepped.step(&step(at(99), Delta::from_secs(-100)));
        let found = clock_of("n1", &stepped, &Affected::default(), &at(130));
        let of_step = found.iter().find(|finding| finding.code == Code::ClockStepped).unwrap();
        assert!(of_step.summary.contains("By the only time server"), "{}", of_step.summary);
        let summary = summary(&model);
        let words = "One server does not show whether the node or the server is wrong";
        assert!(summary.contains(words), "{summary}");
        let remedy =
            format!("{:?}", clock_of("n1", &model, &Affected::default(), &at(100))[0].remedy);
        assert!(!remedy.contains("step"), "{remedy}");
    }
}

/// Start and width of what each address of a name claims: around true time, or anywhere if it lies.
type Voter = Vec<Option<(i64, i64)>>;

fn voter(lies: bool) -> impl Strategy<Value = Voter> {
    let honest = (0_i64..5_000, 0_i64..5_000).prop_map(|(lo, hi)| (-lo, lo + hi));
    // Far away, or close enough to overlap with what others claim.
    let any = (prop_oneof![-9_000_000_i64..9_000_000, -9_000_i64..9_000], 0_i64..8_000);
    let claim = if lies { any.boxed() } else { honest.boxed() };
    prop::collection::vec(prop::option::weighted(0.7, claim), 1..5)
}

/// Fewer liars than half of the voters.
fn electorate() -> impl Strategy<Value = Vec<Voter>> {
    (1_usize..8).prop_flat_map(|count| {
        let liars = count.div_ceil(2) - 1;
        (
            prop::collection::vec(voter(true), 0..=liars),
            prop::collection::vec(voter(false), count),
            0_usize..8,
        )
            .prop_map(move |(wrong, right, rotation)| {
                let mut all: Vec<Voter> = wrong.into_iter().chain(right).take(count).collect();
                all.rotate_left(rotation % count);
                all
            })
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1_000))]
    #[test]
    fn the_interval_contains_true_time_or_the_clock_is_not_known(
        voters in electorate(),
        truth in -9_000_000_i64..9_000_000,
        with_kernel: bool,
    ) {
        let mut exchanges = Vec::new();
        for (nth, voter) in voters.iter().enumerate() {
            for (at_nth, claim) in voter.iter().enumerate() {
                let (name, address) = (format!("s{nth}"), format!("192.0.2.{}", nth * 8 + at_nth));
                let mut one = exchange((&name, None, &address), at(100), Some((0, 0)));
                one.result = claim.ok_or(ExchangeError::Timeout).map(|(lo, width)| {
                    let (middle, half) = (truth + lo + width / 2, width / 2 + 1);
                    sample(at(100), Delta::from_nanos(middle), Delta::from_nanos(half))
                });
                exchanges.push(one);
            }
        }
        let mut model = model_of(exchanges);
        // The kernel is right: true time is within its bound, which is at least 100 ms.
        if with_kernel {
            model.kernel(&kernel(at(100), true));
        }
        let estimate = model.estimate(&at(100));
        if !estimate.assumed {
            let error = (estimate.offset - Delta::from_nanos(truth)).abs();
            prop_assert!(error <= estimate.bound + Delta::from_nanos(1), "{estimate:?}");
        }
        let named = model.servers().into_iter().filter(|report| report.vote == Vote::Falseticker);
        for report in named {
            let sample = report.result.unwrap();
            let error = (sample.offset - Delta::from_nanos(truth)).abs();
            prop_assert!(error > sample.root_distance, "a server that is right was accused");
        }
    }

    /// A name with any number of addresses is no more than one name.
    #[test]
    fn a_name_never_outvotes_two(addresses in 1_usize..16, lie in -9_000_i64..9_000) {
        let mut exchanges: Vec<Exchange> = (0..addresses)
            .map(|nth| {
                let address = format!("198.51.100.{nth}");
                exchange(("liar", None, &address), at(100), Some((lie, 2)))
            })
            .collect();
        exchanges.push(exchange(("a", None, "192.0.2.1"), at(100), Some((0, 2))));
        exchanges.push(exchange(("b", None, "192.0.2.2"), at(100), Some((0, 2))));
        let estimate = model_of(exchanges).estimate(&at(100));
        prop_assert!(estimate.offset.abs() <= Delta::from_millis(3), "{estimate:?}");
        prop_assert!(!estimate.assumed);
    }
}
