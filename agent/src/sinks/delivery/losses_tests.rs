use super::*;
use AlertEvent::{Cleared, Raised, Reminded};

fn about(id: &str, event: AlertEvent) -> About {
    About { id: FindingId(id.into()), event, tenant: Tenant::default() }
}

fn about_of(pod: &str, id: &str) -> About {
    let tenant = Tenant { namespace: None, pod: Some(pod.into()) };
    About { tenant, ..about(id, Raised) }
}

fn asked(losses: &mut Losses) -> (u64, Vec<&str>, Vec<&str>) {
    losses.accepted();
    losses.ask();
    let Again { round, raised, reminded } = losses.asked();
    (*round, raised.iter().map(|id| &**id).collect(), reminded.iter().map(|id| &**id).collect())
}

fn all(losses: &Losses) -> Vec<&str> {
    losses.all().map(|id| &*id.0).collect()
}

#[test]
fn two_alerts_are_together_what_a_collector_lacks_of_them() {
    let table = [
        (Raised, Raised, Some(Raised)),
        (Raised, Reminded, Some(Raised)),
        (Raised, Cleared, None),
        (Reminded, Reminded, Some(Reminded)),
        (Reminded, Cleared, Some(Cleared)),
        (Cleared, Raised, Some(Reminded)),
        (Cleared, Cleared, Some(Cleared)),
    ];
    for (earlier, later, expected) in table {
        assert_eq!(joined(earlier, later), expected, "{earlier:?}, {later:?}");
    }
}

#[test]
fn what_was_given_up_is_asked_for_until_it_is_queued_again() {
    let mut losses = Losses::default();
    assert_eq!(asked(&mut losses), (0, vec![], vec![]));
    let given_up = [("a", Raised), ("a", Reminded), ("b", Reminded), ("c", Cleared)];
    for (number, (id, event)) in (1..).zip(given_up) {
        losses.give_up(&about(id, event), number);
    }
    assert_eq!(asked(&mut losses), (1, vec!["a"], vec!["b"]));
    assert!(losses.replace(&mut about("a", Raised), 5));
    assert_eq!(asked(&mut losses), (2, vec![], vec!["b"]));
    assert!(losses.replace(&mut about("b", Cleared), 6), "the collector knows that it was raised");
    assert_eq!(asked(&mut losses), (2, vec![], vec!["b"]), "no new round");
    assert_eq!(all(&losses), ["c"]);
}

#[test]
fn nobody_gets_the_end_of_what_he_never_got() {
    let mut losses = Losses::default();
    losses.give_up(&about("a", Raised), 1);
    assert!(!losses.replace(&mut about("a", Cleared), 2));
    assert_eq!(losses.all().count(), 0);
}

#[test]
fn what_a_collector_refuses_for_good_is_not_asked_for() {
    let mut losses = Losses::default();
    losses.settle(&about("a", Raised), 1, Settled::Refused);
    losses.settle(&about("b", Cleared), 2, Settled::Refused);
    assert_eq!(asked(&mut losses), (0, vec![], vec![]));
    assert_eq!(all(&losses), ["a"]);
}

/// What the engine does not report again, although it was asked for it, is not there any more.
#[test]
fn what_the_engine_does_not_know_is_no_loss() {
    let mut losses = Losses::default();
    for (number, id) in (1..).zip(["dead", "queued", "lost-again"]) {
        losses.give_up(&about(id, Raised), number);
    }
    losses.settle(&about("refused", Raised), 4, Settled::Refused);
    losses.answered(0);
    assert_eq!(asked(&mut losses).1, ["dead", "lost-again", "queued"]);
    losses.give_up(&about("later", Raised), 5);
    assert!(losses.replace(&mut about("queued", Raised), 6));
    assert!(losses.replace(&mut about("lost-again", Raised), 7));
    losses.give_up(&about("lost-again", Raised), 7);
    losses.answered(1);
    assert_eq!(all(&losses), ["later", "lost-again", "refused"]);
    assert_eq!(asked(&mut losses).1, ["later", "lost-again"]);
}

/// The engine may not have answered yet, or not be able to answer.
#[test]
fn whatever_is_not_answered_keeps_nothing_else_from_being_asked_for() {
    let mut losses = Losses::default();
    for number in 0..3 * MOST_AT_ONCE as u64 {
        losses.give_up(&about_of("crowd", &format!("crowd-{number:03}")), number);
    }
    losses.give_up(&about_of("honest", "honest"), 999);
    let mut rounds = Vec::new();
    for _ in 0..4 {
        rounds.extend(asked(&mut losses).1.into_iter().map(str::to_owned));
    }
    assert_eq!(rounds.iter().position(|id| id == "honest"), Some(1), "in turn with the crowd");
    let different: std::collections::BTreeSet<_> = rounds.iter().collect();
    assert_eq!((rounds.len(), different.len()), (4 * MOST_AT_ONCE, 3 * MOST_AT_ONCE + 1));
}

#[test]
fn many_losses_stay_within_bounds() {
    let mut losses = Losses::default();
    for event in [Cleared, Raised] {
        for number in 0..2 * MOST_KEPT {
            losses.give_up(&about(&format!("{event:?}-{number:05}"), event), number as u64);
        }
    }
    let (_, raised, _) = asked(&mut losses);
    assert_eq!(raised.len(), MOST_AT_ONCE);
    assert_eq!((losses.active.len(), losses.cleared.len()), (MOST_KEPT, MOST_KEPT));
}
