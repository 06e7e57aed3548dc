//! The node's directory, and what changes it.

use std::path::Path;

use tokenwatch_core::base::time::{Delta, Wall};
use tokenwatch_lab::Error;
use tokenwatch_lab::kubelet::Payload;
use tokenwatch_lab::root::Root;
use tokenwatch_lab::signer::{PodIdentity, Signer, TokenRequest};

use super::script::{Act, Role};

/// The node's name.
pub(super) const NODE: &str = "demo-node";
/// What kubelet puts beside the token. Nothing verifies anything with it here.
const CA: &[u8] = b"-----BEGIN CERTIFICATE-----\nZGVtbw==\n-----END CERTIFICATE-----\n";

/// Where the script happens.
#[derive(Debug)]
pub(super) struct Stage {
    root: Root,
    signer: Signer,
}

impl Stage {
    /// An empty kubelet root in `directory`, and a key.
    pub(super) fn new(directory: &Path) -> Result<Self, Error> {
        Ok(Self { root: Root::at(&directory.join("kubelet"))?, signer: Signer::new()? })
    }

    /// The kubelet's root directory.
    pub(super) fn root(&self) -> &Path {
        self.root.path()
    }

    /// Performs an act of the script, at `now`.
    pub(super) fn act(&self, act: Act, now: Wall) -> Result<(), Error> {
        match act {
            Act::Write { role, age } => self.write(role, age, now),
            Act::Remove(role) => self.root.remove_pod(&identity(role).uid()),
            Act::Watch => Ok(()),
        }
    }

    fn write(&self, role: &Role, age: Delta, now: Wall) -> Result<(), Error> {
        let token = signed(&self.signer, role, now - age)?;
        let volume = self.root.volume(&identity(role).uid(), role.volume);
        volume.write(&payload(role, token), now).map(drop)
    }
}

/// A token for `role`.
pub(super) fn signed(signer: &Signer, role: &Role, issued_at: Wall) -> Result<String, Error> {
    signer.sign(&TokenRequest {
        pod: &identity(role),
        audiences: role.audience.as_slice(),
        issued_at,
        lifetime: role.lifetime,
        extended: role.extended,
    })
}

fn identity(role: &Role) -> PodIdentity {
    PodIdentity {
        namespace: role.namespace.to_owned(),
        name: role.pod.to_owned(),
        service_account: role.service_account.to_owned(),
        node: NODE.to_owned(),
    }
}

/// A volume of the admission plugin holds the token, the cluster's CA and the namespace. Any other
/// holds what the pod's specification lists.
fn payload(role: &Role, token: String) -> Payload {
    let mut payload = Payload::from([(role.path.into(), token.into_bytes())]);
    if role.audience.is_none() {
        payload.insert("ca.crt".into(), CA.to_vec());
        payload.insert("namespace".into(), role.namespace.into());
    }
    payload
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::demo::script::{LEDGER, PROMETHEUS};

    #[test]
    fn pods_appear_with_their_volumes_and_are_removed_completely() {
        let folder = tempfile::tempdir().unwrap();
        let stage = Stage::new(folder.path()).unwrap();
        let now = Wall::from_secs(1_800_000_000);
        for role in [&LEDGER, &PROMETHEUS] {
            stage.act(Act::Write { role, age: Delta::ZERO }, now).unwrap();
        }
        let volume = |role: &Role| {
            stage.root.volume(&identity(role).uid(), role.volume).directory().to_owned()
        };
        assert_eq!(std::fs::read_to_string(volume(&LEDGER).join("namespace")).unwrap(), "payments");
        assert!(
            std::fs::read_to_string(volume(&PROMETHEUS).join("tokens/vault"))
                .unwrap()
                .starts_with("eyJ")
        );
        stage.act(Act::Remove(&LEDGER), now).unwrap();
        assert_eq!(std::fs::read_dir(stage.root().join("pods")).unwrap().count(), 1);
    }
}
