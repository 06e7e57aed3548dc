//! Which tokens the containers of a pod need, and when.

use super::{Container, Phase, Pod, TokenMount};
use crate::world::tokens::TokenKey;

impl Pod {
    /// Whether its containers run, as far as the API server knows. kubelet mounts every volume
    /// before that.
    pub fn is_running(&self) -> bool {
        self.phase == Phase::Running
    }

    /// The tokens that its containers need. kubelet does not set up a volume that no container
    /// mounts.
    pub fn needed(&self) -> Vec<TokenKey> {
        let mounts = self.containers.iter().flat_map(|container| &container.tokens);
        let mut keys: Vec<TokenKey> = mounts.map(|mount| self.key(mount)).collect();
        keys.sort_unstable();
        keys.dedup();
        keys
    }

    fn key(&self, mount: &TokenMount) -> TokenKey {
        let (volume, path) = (mount.volume.clone(), mount.path.clone());
        TokenKey { pod_uid: self.uid.clone(), volume, path }
    }

    /// Whether a container needs this token.
    pub fn needs(&self, key: &TokenKey) -> bool {
        self.mounts(key).next().is_some()
    }

    /// The mounts of this token, each with its container.
    pub fn mounts<'a>(
        &'a self,
        key: &'a TokenKey,
    ) -> impl Iterator<Item = (&'a Container, &'a TokenMount)> {
        let mounts = self
            .containers
            .iter()
            .flat_map(|container| container.tokens.iter().map(move |mount| (container, mount)));
        mounts.filter(|(_, mount)| mount.volume == key.volume && mount.path == key.path)
    }

    /// Whether a container that needs this token runs. True if the status does not show which
    /// containers run.
    pub fn uses(&self, key: &TokenKey) -> bool {
        let unknown = self.containers.iter().all(|container| container.started.is_none());
        unknown || self.mounts(key).any(|(container, _)| container.started.is_some())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::time::Wall;
    use crate::world::cluster::MountedPart;

    fn mount(volume: &str, path: &str) -> TokenMount {
        TokenMount {
            volume: volume.into(),
            path: path.into(),
            mount_path: "/t".into(),
            part: MountedPart::Whole,
            convention: None,
        }
    }

    fn key(volume: &str, path: &str) -> TokenKey {
        TokenKey { pod_uid: "u".into(), volume: volume.into(), path: path.into() }
    }

    fn pod(containers: Vec<Container>) -> Pod {
        Pod { uid: "u".into(), phase: Phase::Running, containers, ..Pod::default() }
    }

    #[test]
    fn a_token_that_several_containers_mount_is_needed_once() {
        let container = |tokens| Container { tokens, ..Container::default() };
        let pod = pod(vec![
            container(vec![mount("b", "token"), mount("a", "token")]),
            container(vec![mount("b", "token"), mount("b", "vault/token")]),
            container(vec![]),
        ]);
        let expected = [key("a", "token"), key("b", "token"), key("b", "vault/token")];
        assert_eq!(pod.needed(), expected);
        assert!(pod.needs(&expected[2]) && !pod.needs(&key("a", "vault/token")));
        assert_eq!(pod.mounts(&key("b", "token")).count(), 2);
    }

    #[test]
    fn only_a_container_that_runs_uses_its_token() {
        let container = |volume: &str, started: Option<i64>| Container {
            started: started.map(Wall::from_secs),
            tokens: vec![mount(volume, "token")],
            ..Container::default()
        };
        let waiting = pod(vec![container("a", None), container("b", Some(1))]);
        assert!(!waiting.uses(&key("a", "token")) && waiting.uses(&key("b", "token")));
        let unknown = pod(vec![container("a", None), container("b", None)]);
        assert!(unknown.uses(&key("a", "token")), "by the phase, one runs");
    }
}
