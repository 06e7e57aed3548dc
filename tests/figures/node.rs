//! A node's kubelet root as kubelet leaves it: many pods, one projected volume each, on the kind of
//! file system that kubelet uses.

use std::error::Error;
use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use tokenwatch::clocks;
use tokenwatch_core::base::time::{Delta, Wall};
use tokenwatch_lab::kubelet::{Payload, Volume};
use tokenwatch_lab::scratch::Scratch;
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
    /// A token alone, as a pod asks for one for Vault or a cloud.
    TokenAlone,
    /// `kube-api-access`: token, `ca.crt`, `namespace`.
    ApiAccess,
}

pub struct Node {
    folder: Scratch,
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
            folder: Scratch::new(&parent)?,
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
        self.folder.path()
    }

    pub fn len(&self) -> usize {
        self.pods.len()
    }

    pub fn token_paths(&self) -> Vec<PathBuf> {
        (0..self.len()).map(|pod| self.volume(pod).directory().join("token")).collect()
    }

    fn volume(&self, pod: usize) -> Volume {
        Volume::new(self.root(), &self.pods[pod].uid(), "kube-api-access-x7k2p")
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
    pub fn prepare(&self, pod: usize) -> Result<Rotation, Box<dyn Error>> {
        let volume = self.volume(pod).directory().to_owned();
        let now = clocks::now().wall;
        let (old, new) =
            (fs::read_link(volume.join("..data"))?, format!("..rotation.{}", now.as_nanos()));
        fs::create_dir(volume.join(&new))?;
        for (name, content) in self.payload(pod, now)? {
            fs::write(volume.join(&new).join(name), content)?;
        }
        symlink(&new, volume.join("..data_tmp"))?;
        Ok(Rotation { old: volume.join(old), volume })
    }
}

pub struct Rotation {
    volume: PathBuf,
    old: PathBuf,
}

impl Rotation {
    /// The moment itself.
    pub fn rename(&self) -> std::io::Result<()> {
        fs::rename(self.volume.join("..data_tmp"), self.volume.join("..data"))
    }

    pub fn clean_up(&self) -> std::io::Result<()> {
        fs::remove_dir_all(&self.old)
    }
}
