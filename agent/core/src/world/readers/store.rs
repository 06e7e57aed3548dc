//! The readers of every token, and the processes of every pod.

use std::collections::BTreeMap;

use super::habits::{Habits, KnownHabit};
use super::processes::{PodProcesses, may_run};
use super::reader::{Proof, Reader};
use super::seen::{ContainersSeen, ReaderEvent, ReadersSeen};
use super::token::TokenReaders;
use crate::base::time::Reading;
use crate::world::refusals::Refusals;
use crate::world::tokens::{
    self, API_ACCESS, Claims, Generation, GenerationId, MAX_TOKENS, TokenKey,
};

/// The readers of the tokens on this node.
#[derive(Clone, Debug, Default)]
pub struct Readers {
    tokens: ByKey,
    pods: BTreeMap<String, PodProcesses>,
    /// Habits that were learned.
    pub habits: Habits,
    /// The requests with tokens that API servers on this node refused, and who sent them.
    pub refusals: Refusals,
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
    /// Every token of the node.
    pub(crate) all: Option<&'a ByKey>,
}

/// What showed that a reader keeps a token, by its container.
pub(crate) type Proven = (Option<String>, Vec<Proof>);

impl<'a> ReaderFacts<'a> {
    /// The readers of the pod's other tokens for the API server.
    pub(crate) fn of_other_tokens(&self, key: &'a TokenKey) -> impl Iterator<Item = &'a Reader> {
        let tokens = self.all.into_iter().flat_map(|all| all.range(first(&key.pod_uid, "")..));
        let of_pod = tokens.take_while(|(other, _)| other.pod_uid == key.pod_uid);
        let others = of_pod.filter(move |(other, token)| *other != key && token.is_for_api_server);
        others.flat_map(|(_, token)| &token.readers)
    }
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
        let (habits, all) = (Some(&self.habits), Some(&self.tokens));
        ReaderFacts { token: self.of(key), pod, habits, all }
    }

    /// Takes the generation that is in a file now.
    pub(crate) fn generation(
        &mut self,
        key: &TokenKey,
        generation: &Generation,
        directory: Option<&str>,
    ) {
        let readers = self.tokens.entry(key.clone()).or_default();
        readers.is_for_api_server = is_for_api_server(key, &generation.claims);
        readers.generation(generation, directory);
        let pod = self.pods.get(&key.pod_uid);
        readers.make_room(|id| may_run(pod, Some(id)), &generation.seen);
    }

    /// Keeps habits, and what showed that readers keep a token: a connection ends, and the token is
    /// kept still.
    pub(crate) fn learn(&mut self, key: &TokenKey, learned: Vec<KnownHabit>, proofs: Vec<Proven>) {
        self.habits.learn_all(learned);
        let Some(token) = self.tokens.get_mut(key) else { return };
        for (id, found) in proofs {
            let reader = token.readers.iter_mut().find(|reader| reader.container_id == id);
            if let Some(last) = reader.and_then(Reader::last_mut) {
                last.proven = found;
            }
        }
    }

    /// The API server accepted this generation from the pod of the token. Returns whether it had
    /// been replaced.
    pub(crate) fn used(&mut self, key: &TokenKey, of: &GenerationId, now: &Reading) -> bool {
        self.tokens.get_mut(key).is_some_and(|token| token.used(of, now))
    }

    /// Forgets a token.
    pub(crate) fn gone(&mut self, key: &TokenKey) {
        self.tokens.remove(key);
        if !has_token(&self.tokens, &key.pod_uid) {
            self.pods.remove(&key.pod_uid);
        }
    }

    /// Takes a report about the readers of a volume. Returns the tokens whose verdict may differ.
    pub(crate) fn see(&mut self, seen: &ReadersSeen, now: &Reading) -> Vec<TokenKey> {
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
        let of_volume = |key: &TokenKey| key.pod_uid == seen.pod_uid && key.volume == seen.volume;
        let tokens = self.tokens.range_mut(first(&seen.pod_uid, &seen.volume)..);
        let tokens = tokens.take_while(|(key, _)| of_volume(key)).filter(|(key, _)| named(key));
        let pod = self.pods.get(&seen.pod_uid);
        let changed = tokens.filter_map(|(key, token)| {
            let is_changed = token.see(&seen.what, now);
            token.make_room(|id| may_run(pod, Some(id)), now);
            is_changed.then(|| key.clone())
        });
        changed.collect()
    }

    /// Takes the processes of a pod.
    pub(crate) fn containers(&mut self, seen: ContainersSeen, now: &Reading) -> Vec<TokenKey> {
        if !self.has_room(&seen.pod_uid) {
            return Vec::new();
        }
        let uid = seen.pod_uid.clone();
        self.pods.entry(uid.clone()).or_default().see(seen, now);
        of_pod(&self.tokens, &uid).cloned().collect()
    }

    /// Whether the processes of one more pod can be kept. A pod without a token makes room: nobody
    /// reports its end.
    fn has_room(&mut self, uid: &str) -> bool {
        if self.pods.len() >= MAX_TOKENS && !self.pods.contains_key(uid) {
            let tokens = &self.tokens;
            self.pods.retain(|uid, _| has_token(tokens, uid));
        }
        self.pods.len() < MAX_TOKENS || self.pods.contains_key(uid)
    }
}

/// Whether the API server accepts the token: kubelet's own volumes are for that.
pub(crate) fn is_for_api_server(key: &TokenKey, claims: &Claims) -> bool {
    key.volume.starts_with(API_ACCESS) || tokens::is_for_api_server(claims)
}

type ByKey = BTreeMap<TokenKey, Box<TokenReaders>>;

/// The first key that a token of this volume may have.
fn first(pod_uid: &str, volume: &str) -> TokenKey {
    let (pod_uid, volume) = (pod_uid.to_owned(), volume.to_owned());
    TokenKey { pod_uid, volume, path: String::new() }
}

fn of_pod<'a>(tokens: &'a ByKey, uid: &'a str) -> impl Iterator<Item = &'a TokenKey> {
    tokens.range(first(uid, "")..).map(|(key, _)| key).take_while(move |key| key.pod_uid == uid)
}

fn has_token(tokens: &ByKey, uid: &str) -> bool {
    of_pod(tokens, uid).next().is_some()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::world::tokens::testing::at;
    use crate::world::tokens::{Deadlines, KubeletPolicy, claims_for_tests};

    fn generation() -> Generation {
        let claims = claims_for_tests(1_800_000_000, 600, None);
        let deadlines = Deadlines::of(&claims, &KubeletPolicy::default());
        Generation { claims, deadlines, appeared_at: None, seen: at(0), previous: None }
    }

    fn key(pod: &str, volume: &str, path: &str) -> TokenKey {
        TokenKey { pod_uid: pod.into(), volume: volume.into(), path: path.into() }
    }

    fn seen(pod: &str) -> ContainersSeen {
        ContainersSeen {
            pod_uid: pod.into(),
            containers: Vec::new(),
            partial: false,
            connected: None,
        }
    }

    #[test]
    fn a_report_reaches_the_tokens_of_its_volume_alone() {
        let mut readers = Readers::default();
        let keys = [
            key("a", "v", "token"),
            key("b", "u", "token"),
            key("b", "v", "other"),
            key("b", "v", "token"),
            key("b", "v2", "token"),
            key("c", "v", "token"),
        ];
        for key in &keys {
            readers.generation(key, &generation(), Some("..1"));
        }
        let held = |generations| ReadersSeen {
            pod_uid: "b".into(),
            volume: "v".into(),
            what: ReaderEvent::Held { generations },
        };
        assert_eq!(readers.see(&held(1), &at(1)), keys[2..4]);
        assert_eq!(readers.containers(seen("b"), &at(1)), keys[1..5]);
        readers.gone(&keys[1]);
        assert!(readers.processes("b").is_some(), "it has other tokens");
        for key in &keys {
            readers.gone(key);
        }
        assert!(readers.processes("b").is_none());
    }

    #[test]
    fn pods_without_a_token_make_room_for_others() {
        let mut readers = Readers::default();
        readers.generation(&key("kept", "v", "token"), &generation(), None);
        let _ = readers.containers(seen("kept"), &at(0));
        for nth in 0..=MAX_TOKENS {
            let _ = readers.containers(seen(&format!("other-{nth}")), &at(0));
        }
        assert!(readers.pods.len() <= MAX_TOKENS);
        let newest = format!("other-{MAX_TOKENS}");
        assert!(readers.processes("kept").is_some() && readers.processes(&newest).is_some());
    }
}
