//! Where a token should be: the paths that held one before a restart, and those of the pods' specs.
//! The engine's query sets them, and the scanner of token files looks there. They carry no fact
//! about a file: they decide only what a look at it means.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use tokenwatch_core::world::tokens::TokenKey;
use tokio::sync::Notify;

/// The expected tokens of one volume: their paths, each with the reason.
pub type Places = BTreeMap<PathBuf, Why>;

/// Why a token is expected at a path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Why {
    /// It held one before a restart.
    Held,
    /// The pod's spec has one there.
    Spec,
}

/// The expected tokens of the node, by pod and volume.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Expected(BTreeMap<String, BTreeMap<String, Arc<Places>>>);

/// Shared between those who know what to expect and the scanner.
#[derive(Clone, Debug, Default)]
pub struct ExpectedTokens(Arc<Shared>);

#[derive(Debug, Default)]
struct Shared {
    /// What was there before a restart.
    held: Vec<TokenKey>,
    current: Mutex<Arc<Expected>>,
    changed: Notify,
}

impl Expected {
    fn new(held: &[TokenKey], specs: &BTreeSet<TokenKey>) -> Self {
        let specs = specs.iter().map(|key| (key, Why::Spec));
        let mut all: BTreeMap<String, BTreeMap<String, Places>> = BTreeMap::new();
        for (key, why) in specs.chain(held.iter().map(|key| (key, Why::Held))) {
            let of_pod = all.entry(key.pod_uid.clone()).or_default();
            let places = of_pod.entry(key.volume.clone()).or_default();
            places.insert(PathBuf::from(&key.path), why);
        }
        let shared = |(name, places)| (name, Arc::new(places));
        let pods = all.into_iter();
        Self(pods.map(|(uid, of)| (uid, of.into_iter().map(shared).collect())).collect())
    }

    /// Those of a volume, if there are any.
    pub(super) fn of(&self, pod_uid: &str, volume: &str) -> Option<&Arc<Places>> {
        self.0.get(pod_uid)?.get(volume)
    }
}

impl ExpectedTokens {
    /// The paths that held a token before a restart.
    pub fn holding(held: Vec<TokenKey>) -> Self {
        let current = Mutex::new(Arc::new(Expected::new(&held, &BTreeSet::new())));
        Self(Arc::new(Shared { held, current, changed: Notify::new() }))
    }

    /// Takes the tokens of the pods' specs, instead of those before.
    pub fn set(&self, specs: &BTreeSet<TokenKey>) {
        let new = Arc::new(Expected::new(&self.0.held, specs));
        *self.0.current.lock().unwrap_or_else(PoisonError::into_inner) = new;
        self.0.changed.notify_one();
    }

    /// As they are now.
    pub(super) fn current(&self) -> Arc<Expected> {
        Arc::clone(&self.0.current.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Returns when they were set since the last call.
    pub(super) async fn changed(&self) {
        self.0.changed.notified().await;
    }
}

/// Why a token is expected at `path`, if one is.
pub(super) fn why(places: Option<&Places>, path: &Path) -> Option<Why> {
    places?.get(path).copied()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_held_stays_whatever_the_specs_have() {
        let key = |pod: &str, path: &str| TokenKey {
            pod_uid: pod.into(),
            volume: "v".into(),
            path: path.into(),
        };
        let expected = ExpectedTokens::holding(vec![key("a", "held")]);
        let found = |pod: &str, path: &str| {
            let current = expected.current();
            why(current.of(pod, "v").map(Arc::as_ref), Path::new(path))
        };
        assert_eq!(found("a", "held"), Some(Why::Held));
        expected.set(&BTreeSet::from([key("a", "held"), key("a", "x"), key("b", "y")]));
        assert_eq!((found("a", "held"), found("a", "x")), (Some(Why::Held), Some(Why::Spec)));
        assert_eq!((found("b", "y"), found("b", "z")), (Some(Why::Spec), None));
        expected.set(&BTreeSet::new());
        assert_eq!((found("a", "held"), found("a", "x")), (Some(Why::Held), None));
    }
}
