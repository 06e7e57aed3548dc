//! The node's folder and the hands that write into it.

use std::io;
use std::path::{Path, PathBuf};

use tokenwatch_core::base::time::{Delta, Wall};

use super::script::{Act, Role};
use tokenwatch_lab::kubelet::{Payload, Volume, remove_pod};
use tokenwatch_lab::signer::{PodIdentity, SignError, Signer, TokenRequest};

/// The node's name.
pub(super) const NODE: &str = "demo-node";
/// What kubelet puts beside the token; nobody verifies anything with it here.
const CA: &[u8] = b"-----BEGIN CERTIFICATE-----\nZGVtbw==\n-----END CERTIFICATE-----\n";

/// Where the script is carried out.
#[derive(Debug)]
pub(super) struct Stage {
    root: PathBuf,
    signer: Signer,
}

impl Stage {
    /// An empty kubelet root in `folder`, and a key.
    pub(super) fn new(folder: &Path) -> io::Result<Self> {
        let root = folder.join("kubelet");
        std::fs::create_dir_all(root.join("pods"))?;
        Ok(Self { root, signer: Signer::new().map_err(io::Error::other)? })
    }

    /// The kubelet's root directory.
    pub(super) fn root(&self) -> &Path {
        &self.root
    }

    /// Does what the script says, at `now`.
    pub(super) fn act(&self, act: Act, now: Wall) -> io::Result<()> {
        match act {
            Act::Write { role, age } => self.write(role, age, now),
            Act::Remove(role) => remove_pod(&self.root, &identity(role).uid()),
            Act::Watch => Ok(()),
        }
    }

    fn write(&self, role: &Role, age: Delta, now: Wall) -> io::Result<()> {
        let token = signed(&self.signer, role, now - age).map_err(io::Error::other)?;
        let volume = Volume::new(&self.root, &identity(role).uid(), role.volume);
        volume.write(&payload(role, token), now).map(drop)
    }
}

/// A token for `role`.
pub(super) fn signed(signer: &Signer, role: &Role, issued_at: Wall) -> Result<String, SignError> {
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

/// A volume made by the admission plugin holds the token, the cluster's CA and the namespace; any
/// other holds what the pod asked for.
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
    fn pods_come_with_their_volumes_and_go_whole() {
        let folder = tempfile::tempdir().unwrap();
        let stage = Stage::new(folder.path()).unwrap();
        let now = Wall::from_secs(1_800_000_000);
        for role in [&LEDGER, &PROMETHEUS] {
            stage.act(Act::Write { role, age: Delta::ZERO }, now).unwrap();
        }
        let volume = |role: &Role| {
            Volume::new(stage.root(), &identity(role).uid(), role.volume).directory().to_owned()
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
