//! A node's kubelet root as kubelet leaves it: many pods, one projected volume each, on the kind of
//! file system that kubelet uses.

use std::error::Error;
use std::path::{Path, PathBuf};

use tokenwatch::clocks;
use tokenwatch_core::base::time::{Delta, Wall};
use tokenwatch_lab::kubelet::{Payload, Staged, Volume};
use tokenwatch_lab::root::Root;
use tokenwatch_lab::signer::{PodIdentity, Signer, TokenRequest};

/// The admission plugin's lifetime of a token (plugin/pkg/admission/serviceaccount), which the API
/// server extends to a year.
const LIFETIME: Delta = Delta::from_secs(3_607);
/// A little past 80 % of that: due, and not yet late, so that a rotation ends all phases of a
/// generation.
pub const DUE: Delta = Delta::from_secs(2_900);
/// An RS256 signature is this much longer in base64url than the demo's ES256: tokens come to 1.2
/// kB, as on a real cluster.
const LONGER: usize = 256;
/// A cluster's CA certificate has about this many bytes.
const CA_BYTES: usize = 1_100;

/// What is in a volume.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Layout {
    /// A token alone, as pods request one for Vault or for a cloud.
    TokenAlone,
    /// `kube-api-access`: token, `ca.crt`, `namespace`.
    ApiAccess,
}

pub struct Node {
    root: Root,
    signer: Signer,
    pods: Vec<PodIdentity>,
    layout: Layout,
}

impl Node {
    /// With `count` pods, whose tokens are due now.
    pub fn new(count: usize, layout: Layout) -> Result<Self, Box<dyn Error>> {
        // kubelet keeps projected volumes on tmpfs.
        let memory = Path::new("/dev/shm");
        let parent = if memory.is_dir() { memory.to_owned() } else { std::env::temp_dir() };
        let pods = (0..count).map(|number| PodIdentity {
            namespace: "shop".to_owned(),
            name: format!("cart-7c9d8f6b5d-{number:05}"),
            service_account: "cart".to_owned(),
            node: "worker-1".to_owned(),
        });
        let node = Self {
            root: Root::temporary(&parent, "")?,
            signer: Signer::new()?,
            pods: pods.collect(),
            layout,
        };
        for pod in 0..count {
            node.write(pod, DUE)?;
        }
        Ok(node)
    }

    pub fn root(&self) -> &Path {
        self.root.path()
    }

    pub fn len(&self) -> usize {
        self.pods.len()
    }

    pub fn token_paths(&self) -> Vec<PathBuf> {
        (0..self.len()).map(|pod| self.volume(pod).directory().join("token")).collect()
    }

    fn volume(&self, pod: usize) -> Volume {
        self.root.volume(&self.pods[pod].uid(), "kube-api-access-x7k2p")
    }

    /// Writes a token that was issued `age` ago, as kubelet does.
    pub fn write(&self, pod: usize, age: Delta) -> Result<(), Box<dyn Error>> {
        let now = clocks::now().wall;
        self.volume(pod).write(&self.payload(pod, now - age)?, now)?;
        Ok(())
    }

    fn payload(&self, pod: usize, issued_at: Wall) -> Result<Payload, Box<dyn Error>> {
        let request = TokenRequest {
            pod: &self.pods[pod],
            audiences: &[],
            issued_at,
            lifetime: LIFETIME,
            extended: true,
        };
        let token = self.signer.sign(&request)? + &"A".repeat(LONGER);
        let mut payload = Payload::from([("token".into(), token.into_bytes())]);
        if self.layout == Layout::ApiAccess {
            payload.insert("ca.crt".into(), vec![b'c'; CA_BYTES]);
            payload.insert("namespace".into(), b"shop".to_vec());
        }
        Ok(payload)
    }

    /// Everything of a rotation but its moment.
    pub fn prepare(&self, pod: usize) -> Result<Staged, Box<dyn Error>> {
        let now = clocks::now().wall;
        let staged = self.volume(pod).stage(&self.payload(pod, now)?, now)?;
        staged.ok_or_else(|| "the volume holds this token already".into())
    }
}
