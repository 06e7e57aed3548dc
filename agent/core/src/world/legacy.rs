//! The pods that mount Secret-based tokens.

use super::World;
use crate::world::cluster::PodRef;
use crate::world::tokens::LegacyToken;

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
}
