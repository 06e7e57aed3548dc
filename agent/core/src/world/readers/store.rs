//! The readers of every token, and the processes of every pod.

use std::collections::BTreeMap;

use super::habits::Habits;
use super::processes::PodProcesses;
use super::seen::{ContainersSeen, ReaderEvent, ReadersSeen};
use super::token::TokenReaders;
use crate::base::time::Reading;
use crate::world::tokens::{Generation, MAX_TOKENS, TokenKey};

/// The readers of the tokens on this node.
#[derive(Clone, Debug, Default)]
pub struct Readers {
    tokens: BTreeMap<TokenKey, Box<TokenReaders>>,
    pods: BTreeMap<String, PodProcesses>,
    /// Habits that were learned.
    pub habits: Habits,
}

/// What is known of the readers of one token.
#[derive(Clone, Copy, Debug, Default)]
pub struct ReaderFacts<'a> {
    /// Their reads; none if nothing is known of them.
    pub token: Option<&'a TokenReaders>,
    /// The processes of the pod; none if the agent cannot see them.
    pub pod: Option<&'a PodProcesses>,
    /// The habits that were learned.
    pub habits: Option<&'a Habits>,
}

impl Readers {
    /// The readers of a token; none if nothing is known of them.
    pub fn of(&self, key: &TokenKey) -> Option<&TokenReaders> {
        self.tokens.get(key).map(Box::as_ref)
    }

    /// The processes of a pod; none if the agent cannot see them.
    pub fn processes(&self, pod_uid: &str) -> Option<&PodProcesses> {
        self.pods.get(pod_uid)
    }

    /// What is known of the readers of a token.
    pub fn facts(&self, key: &TokenKey) -> ReaderFacts<'_> {
        let pod = self.processes(&key.pod_uid);
        ReaderFacts { token: self.of(key), pod, habits: Some(&self.habits) }
    }

    /// Takes the generation that is in a file now.
    pub(crate) fn generation(
        &mut self,
        key: &TokenKey,
        generation: &Generation,
        directory: Option<&str>,
    ) {
        let readers = self.tokens.entry(key.clone()).or_default();
        readers.generation(generation, directory);
    }

    /// Forgets a token.
    pub(crate) fn gone(&mut self, key: &TokenKey) {
        self.tokens.remove(key);
        let has_token = self.tokens.keys().any(|other| other.pod_uid == key.pod_uid);
        if !has_token {
            self.pods.remove(&key.pod_uid);
        }
    }

    /// Takes a report about the readers of a volume. Returns the tokens whose verdict may differ.
    pub(crate) fn see(&mut self, seen: &ReadersSeen, now: &Reading) -> Vec<TokenKey> {
        let of_volume = |key: &TokenKey| key.pod_uid == seen.pod_uid && key.volume == seen.volume;
        let named = |key: &TokenKey| match &seen.what {
            ReaderEvent::Opened { path, .. } => *path == key.path,
            ReaderEvent::ReadAgain { path, .. } => {
                path.as_ref().is_none_or(|path| *path == key.path)
            }
            ReaderEvent::Watching { .. }
            | ReaderEvent::Held { .. }
            | ReaderEvent::Missed { .. }
            | ReaderEvent::Unseen { .. } => true,
        };
        let tokens = self.tokens.iter_mut().filter(|(key, _)| of_volume(key) && named(key));
        let changed =
            tokens.filter_map(|(key, token)| token.see(&seen.what, now).then(|| key.clone()));
        changed.collect()
    }

    /// Takes the processes of a pod.
    pub(crate) fn containers(&mut self, seen: ContainersSeen, now: &Reading) -> Vec<TokenKey> {
        if self.pods.len() >= MAX_TOKENS && !self.pods.contains_key(&seen.pod_uid) {
            return Vec::new();
        }
        let uid = seen.pod_uid.clone();
        self.pods.entry(uid.clone()).or_default().see(seen, now);
        self.tokens.keys().filter(|key| key.pod_uid == uid).cloned().collect()
    }
}
