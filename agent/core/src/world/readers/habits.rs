//! Habits that were learned, by workload: a container that is new, or an agent that is, need not
//! learn them again.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::Habit;
use crate::base::time::Wall;
use crate::world::cluster::{Container, PodRef};
use crate::world::tokens::{API_ACCESS, TokenKey};

/// Habits that are kept. The one that was not seen for the longest time makes room: a node runs
/// some hundred containers, and its pods come and go.
const MAX_HABITS: usize = 1_024;

/// The container of a workload, and the token that it reads.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct HabitKey {
    /// Namespace of the workload.
    pub namespace: String,
    /// The pod's owner (`Deployment cart`), or the pod where it has none.
    pub workload: String,
    /// Name of the container.
    pub container: String,
    /// Its image: another version may read in another way.
    pub image: String,
    /// Name of the volume; of kubelet's own volumes the part that all of them share.
    pub volume: String,
    /// Path of the token in the volume.
    pub path: String,
}

impl HabitKey {
    /// Of a container that reads a token; none where the pod's names are not known.
    pub fn new(pod: &PodRef, container: &Container, key: &TokenKey) -> Option<Self> {
        let is_own = key.volume.starts_with(API_ACCESS);
        let owner = pod.owner.as_ref().map(ToString::to_string);
        Some(Self {
            namespace: pod.namespace.clone()?,
            workload: owner.or_else(|| Some(format!("Pod {}", pod.name.as_ref()?)))?,
            container: container.name.clone(),
            image: container.image.clone(),
            volume: if is_own { API_ACCESS.to_owned() } else { key.volume.clone() },
            path: key.path.clone(),
        })
    }
}

/// A habit of a workload's container.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct KnownHabit {
    /// Whose habit it is.
    pub key: HabitKey,
    /// The habit.
    pub habit: Habit,
    /// How many generations showed it.
    pub generations: u32,
    /// Whether evidence showed that the container used a token which had been replaced.
    pub is_confirmed: bool,
    /// When it was first seen, on the node's clock; long ago, if an earlier agent did not note it.
    #[serde(default)]
    pub since: Wall,
    /// When it was last seen.
    pub at: Wall,
}

/// The habits that are known.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Habits(BTreeMap<HabitKey, KnownHabit>);

impl Habits {
    /// The habit of a container.
    pub fn get(&self, key: &HabitKey) -> Option<&KnownHabit> {
        self.0.get(key)
    }

    /// Every habit, ordered by key.
    pub fn iter(&self) -> impl Iterator<Item = &KnownHabit> {
        self.0.values()
    }

    /// Takes habits. Each replaces what was known; only that the use was confirmed stays known as
    /// long as the habit is the same.
    pub(crate) fn learn_all(&mut self, habits: Vec<KnownHabit>) {
        for habit in habits {
            self.learn(habit);
        }
    }

    fn learn(&mut self, habit: KnownHabit) {
        let before = self.0.get(&habit.key).filter(|before| before.habit == habit.habit);
        let is_confirmed = habit.is_confirmed || before.is_some_and(|before| before.is_confirmed);
        let since = before.map_or(habit.since, |before| before.since.min(habit.since));
        self.0.insert(habit.key.clone(), KnownHabit { is_confirmed, since, ..habit });
        if self.0.len() > MAX_HABITS {
            self.forget_oldest();
        }
    }

    fn forget_oldest(&mut self) {
        let oldest = self.0.values().min_by_key(|habit| habit.at).map(|habit| habit.key.clone());
        oldest.map(|key| self.0.remove(&key));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn habit(container: &str, habit: Habit, is_confirmed: bool, at: i64) -> KnownHabit {
        let key = HabitKey {
            namespace: "shop".into(),
            workload: "Deployment cart".into(),
            container: container.into(),
            image: "cart:1".into(),
            volume: API_ACCESS.into(),
            path: "token".into(),
        };
        let at = Wall::from_secs(at);
        KnownHabit { key, habit, generations: 1, is_confirmed, since: at, at }
    }

    #[test]
    fn what_was_confirmed_stays_so_while_the_habit_is_the_same() {
        let mut habits = Habits::default();
        let key = habit("app", Habit::Once, true, 0).key;
        for (next, expected) in [
            (habit("app", Habit::Once, true, 1), true),
            (habit("app", Habit::Once, false, 2), true),
            (habit("app", Habit::EachRequest, false, 3), false),
            (habit("app", Habit::Once, false, 4), false),
        ] {
            habits.learn(next);
            assert_eq!(habits.get(&key).unwrap().is_confirmed, expected);
        }
    }

    #[test]
    fn the_oldest_habit_makes_room() {
        let mut habits = Habits::default();
        for (nth, at) in (0..=MAX_HABITS).zip(0..) {
            habits.learn(habit(&nth.to_string(), Habit::Once, false, at));
        }
        assert_eq!(habits.iter().count(), MAX_HABITS);
        assert!(habits.get(&habit("0", Habit::Once, false, 0).key).is_none());
    }

    #[test]
    fn pods_of_one_workload_share_their_habits() {
        let key = |volume: &str| TokenKey {
            pod_uid: "u".into(),
            volume: volume.into(),
            path: "token".into(),
        };
        let pod = |name: &str| PodRef {
            namespace: Some("shop".into()),
            name: Some(name.into()),
            uid: name.into(),
            owner: Some(crate::world::cluster::Owner {
                kind: "Deployment".into(),
                name: "cart".into(),
            }),
            is_claimed: false,
        };
        let app = Container { name: "app".into(), image: "cart:1".into(), ..Container::default() };
        let newer = Container { image: "cart:2".into(), ..app.clone() };
        let of = |name: &str, volume: &str| HabitKey::new(&pod(name), &app, &key(volume));
        assert_ne!(of("a", "vault"), HabitKey::new(&pod("a"), &newer, &key("vault")));
        assert_eq!(of("a", "kube-api-access-x"), of("b", "kube-api-access-y"));
        assert_ne!(of("a", "vault"), of("b", "other"));
        assert_eq!(HabitKey::new(&PodRef::default(), &app, &key("x")), None);
    }
}
