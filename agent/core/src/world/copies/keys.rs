//! What the keys of the API servers show of a copy. A copy may be for the API server of another
//! cluster, whose keys the agent does not know: it is judged only where something shows that it is
//! for this one.

use super::{CopiedFile, CopiedToken, CopyServer, Mention};
use crate::base::time::Reading;
use crate::world::World;
use crate::world::keys::KeyState;
use crate::world::tokens::{Bound, Claims};

/// What the answers of the API servers show of the key that signed a copy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CopyKey {
    /// This.
    Judged(KeyState),
    /// Nothing.
    NotJudged(NotJudged),
}

/// Why the answers of the API servers show nothing of the key of a copy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NotJudged {
    /// No API server has shown its keys.
    NoAnswer,
    /// The token names no key.
    NoId,
    /// A signer outside of the API server may keep good keys to itself (KEP-740).
    External,
    /// The kubeconfig names another address than that of the API server.
    OtherServer,
    /// No token that kubelet requested here from that API server has its issuer.
    OtherIssuer,
    /// Only the settings name the file. Many clusters have the same issuer.
    Anybodys,
}

impl CopyKey {
    /// The state of the key, if the answers show one.
    pub fn state(self) -> Option<KeyState> {
        match self {
            Self::Judged(state) => Some(state),
            Self::NotJudged(_) => None,
        }
    }

    /// For evidence.
    pub fn text(self) -> &'static str {
        match self {
            Self::Judged(KeyState::NotChecked | KeyState::Open) => "not known yet",
            Self::Judged(KeyState::Known) => "known",
            Self::Judged(KeyState::Split) => "only some API servers have it",
            Self::Judged(KeyState::Suspected) => "suspected",
            Self::Judged(KeyState::Missing) => "missing in the last answers",
            Self::Judged(KeyState::Unknown) => "no API server has it",
            Self::NotJudged(why) => why.text(),
        }
    }
}

impl NotJudged {
    /// For evidence.
    fn text(self) -> &'static str {
        match self {
            Self::NoAnswer => "not checked, because no API server has shown its keys",
            Self::NoId => "not checked, because the token names no key",
            Self::External => "not checked, because an external signer may keep its keys back",
            Self::OtherServer => OTHER_SERVER,
            Self::OtherIssuer => OTHER_ISSUER,
            Self::Anybodys => ANYBODYS,
        }
    }
}

const OTHER_SERVER: &str = "not checked, because the kubeconfig names another address than that \
                            of the API server: it may be for another cluster";
const OTHER_ISSUER: &str = "not checked, because no token that kubelet requested here from the API \
                            server has its issuer: it may be for another cluster";
const ANYBODYS: &str = "not checked, because nothing shows that the file is for this cluster: its \
                        token is bound to no pod on this node";

impl World {
    /// What the answers of the API servers show of the key of this copy.
    pub fn copy_key(&self, file: &CopiedFile, token: &CopiedToken) -> CopyKey {
        let keys = &self.cluster.keys;
        let id = token.claims.key.id.as_deref().filter(|id| !id.is_empty());
        match (id, self.not_judged(file, token)) {
            (_, Some(why)) => CopyKey::NotJudged(why),
            (None, None) => CopyKey::NotJudged(NotJudged::NoId),
            (Some(id), None) => CopyKey::Judged(keys.state_of(id, file.since.monotonic)),
        }
    }

    /// Why the keys of the API servers show nothing of this copy, if they do not.
    fn not_judged(&self, file: &CopiedFile, token: &CopiedToken) -> Option<NotJudged> {
        let claims = &token.claims;
        let is_plugins = file.seen.mention != Mention::Configured || file.seen.plugin.is_some();
        let is_own = is_plugins || token.api_server == Some(CopyServer::Own);
        let of_here = self.is_of_listed_pod(claims);
        let reasons = [
            (NotJudged::NoAnswer, self.cluster.keys.published().is_none()),
            (NotJudged::External, claims.key.is_external),
            (NotJudged::OtherServer, !of_here && token.api_server == Some(CopyServer::Other)),
            (NotJudged::OtherIssuer, !of_here && !self.is_of_issuer_here(claims)),
            (NotJudged::Anybodys, !of_here && !is_own),
        ];
        reasons.into_iter().find(|(_, is_so)| *is_so).map(|(why, _)| why)
    }

    /// Whether the token is bound to a pod that the API server lists. No other cluster has a pod of
    /// this UID.
    fn is_of_listed_pod(&self, claims: &Claims) -> bool {
        match claims.binding.bound() {
            Bound::Pod(pod) => {
                pod.uid.as_deref().is_some_and(|uid| self.cluster.pod(uid).is_some())
            }
            Bound::Secret(_) | Bound::Node(_) | Bound::Nothing => false,
        }
    }

    /// Whether kubelet requested a token with this issuer from the API server that the agent asks.
    /// So that one is this node's.
    fn is_of_issuer_here(&self, claims: &Claims) -> bool {
        let mut requested = self.tokens.iter().filter_map(|tracked| {
            let pod = self.cluster.pod(&tracked.key.pod_uid)?;
            tracked.current.as_ref().filter(|_| pod.needs(&tracked.key))
        });
        requested.any(|of| of.claims.issuer == claims.issuer)
    }

    /// Asks for the keys again soon, where the answers leave something open about a copy.
    pub(in crate::world) fn want_keys_of_copies(&mut self, now: &Reading) {
        let states = self.copies.iter().flat_map(|file| {
            file.seen.tokens.iter().filter_map(|token| self.copy_key(file, token).state())
        });
        for state in states.filter(|state| is_open(*state)).collect::<Vec<_>>() {
            self.cluster.keys.want(state, now);
        }
    }
}

/// Whether the next answers may tell more. A copy without a key may stay for weeks: once that is
/// certain, the usual rounds are enough.
fn is_open(state: KeyState) -> bool {
    match state {
        KeyState::Open | KeyState::Missing => true,
        KeyState::NotChecked
        | KeyState::Known
        | KeyState::Split
        | KeyState::Suspected
        | KeyState::Unknown => false,
    }
}
