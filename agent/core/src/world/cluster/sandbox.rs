//! How far a pod is separated from its node.

use serde::{Deserialize, Serialize};

/// What the pod's spec says about that.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Isolation {
    /// Whether it uses the node's network (`spec.hostNetwork`).
    pub host_network: bool,
    /// The sandbox that its RuntimeClass names, if it is a known one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sandbox: Option<Sandbox>,
}

/// A sandbox that opens files in place of the pod's processes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Sandbox {
    /// gVisor. Its gofer opens the files, and its kernel keeps what it has read.
    Gvisor,
    /// Kata Containers. virtiofsd opens the files, or a copy is made for the virtual machine.
    Kata,
}

impl Sandbox {
    /// By the name of a RuntimeClass (`spec.runtimeClassName`). The name is free; these are in the
    /// projects' documentation (`gvisor`, `runsc`, `kata`, `kata-qemu`, `kata-cc`).
    pub fn of_class(name: &str) -> Option<Self> {
        let name = name.to_ascii_lowercase();
        let has = |word: &str| name.contains(word);
        match () {
            () if has("gvisor") || has("runsc") => Some(Self::Gvisor),
            () if has("kata") => Some(Self::Kata),
            () => None,
        }
    }

    /// Why the node does not show who reads in it.
    pub fn hides_reads(self) -> &'static str {
        match self {
            Self::Gvisor => "the pod runs in gVisor, which opens files for it and keeps them",
            Self::Kata => {
                "the pod runs in Kata Containers, and its reads stay in a virtual machine"
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sandboxes_are_known_by_the_name_of_their_class() {
        for (name, expected) in [
            ("gvisor", Some(Sandbox::Gvisor)),
            ("runsc-kvm", Some(Sandbox::Gvisor)),
            ("kata-qemu-tdx", Some(Sandbox::Kata)),
            ("Kata", Some(Sandbox::Kata)),
            ("nvidia", None),
            ("runc", None),
            ("", None),
        ] {
            assert_eq!(Sandbox::of_class(name), expected, "{name}");
        }
    }
}
