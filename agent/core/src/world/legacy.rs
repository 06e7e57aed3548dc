//! The pods that mount Secret-based tokens, and whether a pod still uses its tokens.

use super::World;
use crate::base::time::{Reading, Wall};
use crate::world::cluster::{PodRef, PodStage};
use crate::world::tokens::{LegacyToken, TokenKey};

impl World {
    /// The pod that mounts a Secret-based token. Its Secret is in its namespace.
    pub fn pod_of_legacy(&self, token: &LegacyToken) -> PodRef {
        let uid = &token.key.pod_uid;
        let claimed = || PodRef {
            namespace: Some(token.claims.namespace.clone()),
            uid: uid.clone(),
            ..PodRef::default()
        };
        self.cluster.pod(uid).map_or_else(claimed, PodRef::known)
    }

    /// Whether the pod of a token may still use it. `token` has its `iat`, and when it was seen.
    pub fn is_used(&self, key: &TokenKey, token: Option<(Wall, Reading)>, now: &Reading) -> bool {
        match self.cluster.stage(&key.pod_uid, token, now) {
            PodStage::Unknown | PodStage::Active | PodStage::Terminating { .. } => true,
            PodStage::Ended(_) | PodStage::Deleted(_) => false,
        }
    }
}
