//! Fair shares of something bounded, such as the memory of a queue: who loses when it is full.
//!
//! A pod can make any number of files, and so of findings and alerts. Whoever comes first must not
//! take what belongs to the others. So when the room is used up, the tenant that uses most of it
//! loses of its own. A tenant with little never loses anything to one with much.

use std::collections::BTreeMap;

/// Who uses a part of the room.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Tenant {
    /// The namespace of the pod, where it is known.
    pub namespace: Option<String>,
    /// The UID of the pod; none for the node itself.
    pub pod: Option<String>,
}

/// What one tenant uses.
#[derive(Clone, Debug, Default)]
struct Use {
    amount: usize,
    namespace: Option<String>,
}

/// How much each tenant uses, in a unit of the caller's choice.
#[derive(Clone, Debug)]
pub struct Shares {
    room: usize,
    used: usize,
    /// By the UID of the pod; none for the node itself.
    uses: BTreeMap<Option<String>, Use>,
}

impl Shares {
    /// Nobody uses anything of this room yet.
    pub fn of(room: usize) -> Self {
        Self { room, used: 0, uses: BTreeMap::new() }
    }

    /// `tenant` uses so much more. Its namespace may only be known by now.
    pub fn add(&mut self, tenant: &Tenant, amount: usize) {
        self.used += amount;
        if !self.uses.contains_key(&tenant.pod) {
            self.uses.insert(tenant.pod.clone(), Use::default());
        }
        if let Some(found) = self.uses.get_mut(&tenant.pod) {
            found.amount += amount;
            if found.namespace.is_none() {
                found.namespace.clone_from(&tenant.namespace);
            }
        }
    }

    /// The pod uses so much less; none for the node itself.
    pub fn take(&mut self, pod: &Option<String>, amount: usize) {
        self.used = self.used.saturating_sub(amount);
        let Some(found) = self.uses.get_mut(pod) else { return };
        found.amount = found.amount.saturating_sub(amount);
        if found.amount == 0 {
            self.uses.remove(pod);
        }
    }

    /// Whether more is used than there is room.
    pub fn is_full(&self) -> bool {
        self.used > self.room
    }

    /// Who loses next while there is too little room: the pod that uses most; none inside for the
    /// node itself. A pod is spared while all pods of its namespace together use less than the
    /// share of a namespace, which is half of the room by the number of namespaces. So many pods of
    /// one namespace that use little each take nothing from the few of another one.
    pub fn loser(&self) -> Option<&Option<String>> {
        if self.uses.values().all(|used| used.namespace.is_none()) {
            return self.most(|_, _| true); // each pod is a group of its own, and nothing is counted
        }
        let mut groups: BTreeMap<Group<'_>, usize> = BTreeMap::new();
        for (pod, used) in &self.uses {
            *groups.entry(group(pod.as_deref(), used)).or_default() += used.amount;
        }
        let share = self.room / 2 / groups.len().max(1);
        let is_over = |pod, used| groups.get(&group(pod, used)).is_some_and(|all| *all > share);
        self.most(is_over).or_else(|| self.most(|_, _| true))
    }

    /// Of those that count, who uses most.
    fn most<'a>(
        &'a self,
        counts: impl Fn(Option<&'a str>, &'a Use) -> bool,
    ) -> Option<&'a Option<String>> {
        let all = self.uses.iter().filter(|(pod, used)| counts(pod.as_deref(), used));
        all.max_by_key(|(_, used)| used.amount).map(|(pod, _)| pod)
    }
}

/// Which of these fit into the room: each with its tenant, and what it takes. Of the tenant that
/// loses, the last ones do not.
pub fn fitting(room: usize, items: &[(Tenant, usize)]) -> Vec<bool> {
    let (mut shares, mut fits) = (Shares::of(room), vec![true; items.len()]);
    let mut of_pods: BTreeMap<&Option<String>, Vec<usize>> = BTreeMap::new();
    for (nth, (tenant, amount)) in items.iter().enumerate() {
        shares.add(tenant, *amount);
        of_pods.entry(&tenant.pod).or_default().push(nth);
    }
    while shares.is_full()
        && let Some(loser) = shares.loser().cloned()
        && let Some(last) = of_pods.get_mut(&loser).and_then(Vec::pop)
    {
        fits[last] = false;
        shares.take(&loser, items[last].1);
    }
    fits
}

/// A namespace, or a pod of which it is not known.
type Group<'a> = (Option<&'a str>, Option<&'a str>);

fn group<'a>(pod: Option<&'a str>, used: &'a Use) -> Group<'a> {
    match &used.namespace {
        Some(namespace) => (Some(namespace), None),
        None => (None, pod),
    }
}

/// The items in the order of their ranks, worst first. Of the same rank, the first of each pod come
/// before the second of any: a pod with hundreds does not hide those of the others. An item of no
/// pod counts as the first.
pub fn in_turn<'a, T, Rank: Ord + Clone>(
    items: impl IntoIterator<Item = &'a T>,
    of: impl Fn(&'a T) -> (Rank, Option<&'a str>),
) -> Vec<&'a T> {
    let ranked = with_turns(items.into_iter().map(|item| (of(item), item)));
    ranked.into_iter().map(|(_, item)| item).collect()
}

/// As [`in_turn`]. Of the same turn, the first of each namespace come before the second of any: a
/// namespace with hundreds of pods does not hide the few of another one.
pub fn in_turn_of_tenants<'a, T, Rank: Ord + Clone>(
    items: impl IntoIterator<Item = &'a T>,
    of: impl Fn(&'a T) -> (Rank, &'a Tenant),
) -> Vec<&'a T> {
    let items = items.into_iter().map(|item| (of(item), item));
    let by_pod = with_turns(
        items.map(|((rank, tenant), item)| ((rank, tenant.pod.as_deref()), (tenant, item))),
    );
    let by_namespace = with_turns(
        by_pod.into_iter().map(|(at, (tenant, item))| ((at, tenant.namespace.as_deref()), item)),
    );
    by_namespace.into_iter().map(|(_, item)| item).collect()
}

/// The items by rank and turn: the how many-th item of that rank and owner it is. One of no owner
/// has the first turn.
fn with_turns<'a, T, Rank: Ord + Clone>(
    items: impl IntoIterator<Item = ((Rank, Option<&'a str>), T)>,
) -> Vec<((Rank, usize), T)> {
    let mut seen: BTreeMap<(Rank, &str), usize> = BTreeMap::new();
    let mut turn = |rank: &Rank, owner| {
        let count = seen.entry((rank.clone(), owner)).or_default();
        std::mem::replace(count, *count + 1)
    };
    let items = items.into_iter();
    let ranked = items.map(|((rank, owner), item)| {
        let turn = owner.map_or(0, |owner| turn(&rank, owner));
        ((rank, turn), item)
    });
    let mut ranked: Vec<_> = ranked.collect();
    ranked.sort_by(|(a, _), (b, _)| a.cmp(b));
    ranked
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    type Uses = Vec<(Tenant, usize)>;

    fn tenant(namespace: &str, pod: &str) -> Tenant {
        let namespace = (!namespace.is_empty()).then(|| namespace.to_owned());
        Tenant { namespace, pod: Some(pod.to_owned()) }
    }

    /// What is left of these uses once nothing is too much.
    fn shared(room: usize, uses: &[(Tenant, usize)]) -> Vec<usize> {
        let mut shares = Shares::of(room);
        for (tenant, amount) in uses {
            shares.add(tenant, *amount);
        }
        while shares.is_full() {
            let loser = shares.loser().cloned().unwrap();
            shares.take(&loser, 1);
        }
        let left =
            |(of, _): &(Tenant, usize)| shares.uses.get(&of.pod).map_or(0, |used| used.amount);
        uses.iter().map(left).collect()
    }

    #[test]
    fn whoever_uses_most_loses() {
        let many = |namespace: &str, count: usize, each: usize| {
            (0..count).map(|nth| (tenant(namespace, &format!("{namespace}{nth}")), each)).collect()
        };
        let one = |namespace: &str, each| vec![(tenant(namespace, "hog"), each)];
        // (what it shows, who uses what, what the first of each list keeps)
        let table: [(&str, [Uses; 2], [usize; 2]); 6] = [
            ("there is room", [many("a", 10, 4), one("b", 60)], [4, 60]),
            ("one pod with too much", [many("a", 10, 4), one("b", 1_000)], [4, 60]),
            ("the same in one namespace", [many("a", 10, 4), one("a", 1_000)], [4, 60]),
            ("namespaces that nobody knows", [many("", 10, 4), one("", 1_000)], [4, 60]),
            ("many honest pods and one without measure", [many("a", 20, 4), one("b", 99)], [3, 25]),
            ("many pods of one namespace", [many("a", 200, 1), one("b", 20)], [0, 20]),
        ];
        for (what, uses, expected) in table {
            let first = uses[0].len();
            let left = shared(100, &uses.concat());
            let of_first = left[..first].iter().min().copied().unwrap();
            assert_eq!([of_first, left[first]], expected, "{what}: {left:?}");
        }
    }

    #[test]
    fn nothing_is_left_of_an_owner_that_uses_nothing() {
        let mut shares = Shares::of(10);
        shares.add(&tenant("a", "p"), 11);
        assert!(shares.is_full());
        shares.take(&Some("p".into()), 11);
        shares.take(&Some("never".into()), 5);
        assert_eq!((shares.used, shares.loser(), shares.uses.len()), (0, None, 0));
    }

    #[test]
    fn what_does_not_fit_is_the_last_of_whoever_has_most() {
        // (what it shows, pod and amount of each item, which fit into 10)
        type Case = (&'static str, &'static [(&'static str, usize)], &'static [bool]);
        let table: [Case; 5] = [
            ("all fit", &[("a", 4), ("b", 6)], &[true, true]),
            (
                "many small",
                &[("a", 4), ("b", 2), ("b", 2), ("b", 2), ("b", 2)],
                &[true, true, true, true, false],
            ),
            ("one large", &[("a", 4), ("b", 900)], &[true, false]),
            ("before the others", &[("b", 9), ("b", 9), ("a", 4)], &[false, false, true]),
            ("nothing", &[], &[]),
        ];
        for (what, items, expected) in table {
            let items: Uses = items.iter().map(|(pod, used)| (tenant("", pod), *used)).collect();
            assert_eq!(fitting(10, &items), expected, "{what}");
        }
    }

    #[test]
    fn no_pod_hides_another() {
        let items = ["1a", "1a", "1a", "1b", "2b", "1", "2a", "1"];
        let pod = |item: &'static str| item.get(1..).filter(|pod| !pod.is_empty());
        let sorted = in_turn(&items, |item| (&item[..1], pod(item)));
        let sorted: Vec<&str> = sorted.into_iter().copied().collect();
        assert_eq!(sorted, ["1a", "1b", "1", "1", "1a", "1a", "2b", "2a"]);
    }

    #[test]
    fn no_namespace_hides_another() {
        // (namespace and pod, in the order in which they come)
        let items = ["a/1", "a/2", "a/3", "a/1", "b/9", "a/4", "b/9", "/7"].map(|name| {
            let (namespace, pod) = name.split_once('/').unwrap();
            (name, tenant(namespace, pod))
        });
        let sorted = in_turn_of_tenants(&items, |(_, tenant)| ((), tenant));
        let sorted: Vec<&str> = sorted.into_iter().map(|(name, _)| *name).collect();
        assert_eq!(sorted, ["a/1", "b/9", "/7", "a/2", "a/3", "a/4", "a/1", "b/9"]);
    }

    proptest! {
        /// Whatever the others have, all of a pod fits that has no more than an equal part of the
        /// room; and no more fits than there is room.
        #[test]
        fn all_of_a_pod_with_little_fits(
            items in proptest::collection::vec((0_u8..12, 0_usize..40), 0..60),
        ) {
            let items: Uses =
                items.into_iter().map(|(pod, used)| (tenant("", &pod.to_string()), used)).collect();
            let of = |pod: &Option<String>| {
                items.iter().filter(|(tenant, _)| tenant.pod == *pod).map(|(_, used)| used).sum()
            };
            let fits = fitting(100, &items);
            let kept = items.iter().zip(&fits).filter(|(_, fits)| **fits);
            prop_assert!(kept.map(|((_, used), _)| used).sum::<usize>() <= 100);
            for ((tenant, _), fits) in items.iter().zip(&fits) {
                let used: usize = of(&tenant.pod);
                prop_assert!(*fits || used > 100 / 2 / 12, "{tenant:?} {used}");
            }
        }
    }

    proptest! {
        /// A pod with no more than its part of the room, if all namespaces get the same half of it
        /// and all pods the other, never loses anything.
        #[test]
        fn a_pod_with_little_loses_nothing(
            uses in proptest::collection::vec((0_u8..4, 0_u8..12, 0_usize..80), 1..24),
        ) {
            let uses: BTreeMap<Tenant, usize> = uses
                .into_iter()
                .map(|(of, pod, used)| (tenant(&format!("n{of}"), &format!("{of}-{pod}")), used))
                .collect();
            let uses: Vec<(Tenant, usize)> = uses.into_iter().collect();
            let little = 100 / 2 / uses.len();
            let left = shared(100, &uses);
            for ((tenant, used), left) in uses.iter().zip(&left) {
                prop_assert!(*used > little || left == used, "{tenant:?} {used} {left}");
            }
            let before: usize = uses.iter().map(|(_, used)| used).sum();
            let after: usize = left.iter().sum();
            prop_assert_eq!(before.min(100), after);
        }
    }
}
