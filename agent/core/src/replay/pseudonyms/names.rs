//! One name to one pseudonym.

use core::net::IpAddr;

use sha2::{Digest, Sha256};

use super::Pseudonyms;
use crate::base::ids::hex;
use crate::world::copies::Plugin;
use crate::world::tokens::{API_ACCESS, telling_part};

/// What makes the pseudonyms of one recording its own. Wiped when it is dropped.
#[derive(Clone, zeroize::ZeroizeOnDrop)]
pub struct Key([u8; 32]);

impl Key {
    /// From random bytes.
    pub fn new(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }
}

/// What a name names, for whoever reads the recording.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Account,
    Address,
    /// An issuer, too: it is often an audience of the same token.
    Audience,
    Container,
    ContainerId,
    /// Of an owner's kind, which may be named after who wrote it.
    Controller,
    Credential,
    Directory,
    Host,
    Image,
    Key,
    /// Of no kind that is known.
    Name,
    Namespace,
    Node,
    Owner,
    Path,
    Pod,
    Program,
    Uid,
    Volume,
}

impl Kind {
    fn prefix(self) -> &'static str {
        match self {
            Self::Account => "account",
            Self::Address => "address",
            Self::Audience => "audience",
            Self::Container => "container",
            Self::ContainerId => "container-id",
            Self::Controller => "kind",
            Self::Credential => "jti",
            Self::Directory => "directory",
            Self::Host => "host",
            Self::Image => "image",
            Self::Key => "key",
            Self::Name => "name",
            Self::Namespace => "namespace",
            Self::Node => "node",
            Self::Owner => "owner",
            Self::Path => "path",
            Self::Pod => "pod",
            Self::Program => "program",
            Self::Uid => "uid",
            Self::Volume => "volume",
        }
    }
}

/// The path of the token in kubelet's own volumes.
pub(super) const TOKEN: &str = "token";
/// What kubelet's directories are called on every node.
const DIRECTORIES: [&str; 7] =
    ["var", "lib", "kubelet", "pods", "volumes", "kubernetes.io~projected", "host"];

/// What follows the name of a plugin where the pod is not of the DaemonSet that writes the file.
const NO_DAEMON: &str = "other-pod";

/// The CNI plugins in the name of a pod or an account. They stay: the diagnosis of a copied token
/// asks whether it is the plugin's own.
fn plugins(kind: Kind, name: &str) -> String {
    let kept =
        if matches!(kind, Kind::Account | Kind::Pod) { Plugin::aliases_in(name) } else { vec![] };
    let daemons = Plugin::ALL.into_iter().filter(|_| kind == Kind::Pod);
    let mut daemons = daemons.filter_map(|plugin| plugin.daemon_of(name));
    let last = match daemons.next() {
        Some(daemon) => Some(daemon),
        None if kind == Kind::Pod && !kept.is_empty() => Some(NO_DAEMON),
        None => None,
    };
    kept.into_iter().chain(last).flat_map(|part| ["-", part]).collect()
}

/// The service that a token is for. It stays: the agent judges readers by it.
fn verifier(kind: Kind, name: &str) -> Option<&'static str> {
    telling_part(name).filter(|_| kind == Kind::Audience)
}

/// What stays of a name, behind its pseudonym.
fn kept(kind: Kind, name: &str) -> String {
    let verifier = verifier(kind, name).map(|part| format!("-{part}")).unwrap_or_default();
    plugins(kind, name) + &verifier
}

impl Pseudonyms {
    /// The pseudonym of a name. What is empty stays so: it names nothing.
    pub(super) fn name(&self, kind: Kind, name: &str) -> String {
        let access = kind == Kind::Volume && name.starts_with(API_ACCESS);
        match name {
            "" => String::new(),
            _ if access => format!("{API_ACCESS}{}", self.hash(name)),
            _ if verifier(kind, name) == Some(name) => name.to_owned(),
            _ => format!("{}-{}{}", kind.prefix(), self.hash(name), kept(kind, name)),
        }
    }

    /// The same, of a name that may be missing.
    pub(super) fn some_name(&self, kind: Kind, name: Option<String>) -> Option<String> {
        name.map(|name| self.name(kind, &name))
    }

    /// A host by its name or address.
    pub(super) fn host(&self, host: &str) -> String {
        let kind = if host.parse::<IpAddr>().is_ok() { Kind::Address } else { Kind::Host };
        self.name(kind, host)
    }

    /// A token's path in its volume.
    pub(super) fn path(&self, path: &str) -> String {
        self.parts(Kind::Path, path, &[TOKEN])
    }

    /// A directory on the node.
    pub(super) fn directory(&self, directory: &str) -> String {
        self.parts(Kind::Directory, directory, &DIRECTORIES)
    }

    fn parts(&self, kind: Kind, path: &str, plain: &[&str]) -> String {
        let part = |part: &str| match part {
            part if plain.contains(&part) => part.to_owned(),
            part => self.name(kind, part),
        };
        path.split('/').map(part).collect::<Vec<_>>().join("/")
    }

    /// 48 bits: among a million names that meet, two are alike once in 500 recordings.
    pub(super) fn hash(&self, name: &str) -> String {
        let hash = Sha256::new()
            .chain_update(b"tokenwatch/pseudonym/1\0")
            .chain_update(self.key.0)
            .chain_update(name)
            .finalize();
        hex(&hash[..6])
    }
}
