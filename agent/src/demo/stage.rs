//! The node's directory, and what changes it.

use std::collections::BTreeMap;
use std::path::Path;
use std::thread;
use std::time::Duration;

use tokenwatch_core::base::time::{Delta, Wall};
use tokenwatch_lab::Error;
use tokenwatch_lab::client::Client;
use tokenwatch_lab::kubelet::{Payload, Volume};
use tokenwatch_lab::root::Root;
use tokenwatch_lab::signer::{PodIdentity, Signer, TokenRequest};

use super::script::{Act, Role};

/// The node's name.
pub(super) const NODE: &str = "demo-node";
/// How long kubelet here writes the files of a volume before it makes them current. The agent sets
/// its watches meanwhile, and then sees the first moment of a token. Without them it claims less,
/// so this is long enough for a busy machine.
const WRITES_FOR: Duration = Duration::from_millis(100);
/// What kubelet puts beside the token. Nothing verifies anything with it here.
const CA: &[u8] = b"-----BEGIN CERTIFICATE-----\nZGVtbw==\n-----END CERTIFICATE-----\n";

/// Where the script happens.
#[derive(Debug)]
pub(super) struct Stage {
    root: Root,
    signer: Signer,
    /// The programs that use tokens, by their pods.
    programs: BTreeMap<&'static str, Client>,
}

impl Stage {
    /// An empty kubelet root in `directory`, and a key.
    pub(super) fn new(directory: &Path) -> Result<Self, Error> {
        let root = Root::at(&directory.join("kubelet"))?;
        Ok(Self { root, signer: Signer::new()?, programs: BTreeMap::new() })
    }

    /// The kubelet's root directory.
    pub(super) fn root(&self) -> &Path {
        self.root.path()
    }

    /// Performs an act of the script, at `now`.
    pub(super) fn act(&mut self, act: Act, now: Wall) -> Result<(), Error> {
        match act {
            Act::Write { role, age } => self.write(role, age, now),
            Act::Use { role, keeps } => self.start(role, keeps),
            Act::Remove(role) => {
                self.programs.remove(role.pod);
                self.root.remove_pod(&identity(role).uid())
            }
            Act::Watch => Ok(()),
        }
    }

    /// Every program reads its token, as before a request.
    pub(super) fn use_tokens(&self) -> Result<(), Error> {
        self.programs.values().try_for_each(|program| program.read().map(drop))
    }

    fn start(&mut self, role: &Role, keeps: bool) -> Result<(), Error> {
        let file = self.volume(role).directory().join(role.path);
        let program = if keeps { Client::keeping(&file)? } else { Client::reopening(&file) };
        self.programs.insert(role.pod, program);
        Ok(())
    }

    fn volume(&self, role: &Role) -> Volume {
        self.root.volume(&identity(role).uid(), role.volume)
    }

    fn write(&self, role: &Role, age: Delta, now: Wall) -> Result<(), Error> {
        let token = signed(&self.signer, role, now - age)?;
        let Some(staged) = self.volume(role).stage(&payload(role, token), now)? else {
            return Ok(());
        };
        thread::sleep(WRITES_FOR);
        staged.swap()?;
        staged.finish()
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
        let mut stage = Stage::new(folder.path()).unwrap();
        let now = Wall::from_secs(1_800_000_000);
        for role in [&LEDGER, &PROMETHEUS] {
            stage.act(Act::Write { role, age: Delta::ZERO }, now).unwrap();
        }
        let read = |role: &Role, file: &str| {
            std::fs::read_to_string(stage.volume(role).directory().join(file)).unwrap()
        };
        assert_eq!(read(&LEDGER, "namespace"), "payments");
        assert!(read(&PROMETHEUS, "tokens/vault").starts_with("eyJ"));
        stage.act(Act::Use { role: &LEDGER, keeps: true }, now).unwrap();
        stage.use_tokens().unwrap();
        stage.act(Act::Remove(&LEDGER), now).unwrap();
        assert_eq!(std::fs::read_dir(stage.root().join("pods")).unwrap().count(), 1);
        stage.use_tokens().expect("the program of a pod that is removed ends with it");
    }
}
