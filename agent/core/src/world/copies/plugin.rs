//! The CNI plugins that are known to keep a kubeconfig on the host.

use serde::{Deserialize, Serialize};

/// A CNI plugin.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Plugin {
    /// Multus.
    Multus,
    /// Whereabouts.
    Whereabouts,
    /// Calico, also as a part of Canal.
    Calico,
    /// Cilium.
    Cilium,
    /// Istio's CNI plugin.
    IstioCni,
    /// Linkerd's CNI plugin.
    LinkerdCni,
    /// kube-router.
    KubeRouter,
    /// Spiderpool.
    Spiderpool,
}

impl Plugin {
    /// Every plugin. The name of an earlier one in a path counts: `whereabouts` in `multus.d`
    /// belongs to Whereabouts.
    pub const ALL: [Self; 8] = [
        Self::Whereabouts,
        Self::IstioCni,
        Self::LinkerdCni,
        Self::KubeRouter,
        Self::Spiderpool,
        Self::Multus,
        Self::Calico,
        Self::Cilium,
    ];

    /// The name in paths, texts and evidence.
    pub fn name(self) -> &'static str {
        match self {
            Self::Multus => "multus",
            Self::Whereabouts => "whereabouts",
            Self::Calico => "calico",
            Self::Cilium => "cilium",
            Self::IstioCni => "istio-cni",
            Self::LinkerdCni => "linkerd-cni",
            Self::KubeRouter => "kube-router",
            Self::Spiderpool => "spiderpool",
        }
    }

    /// The plugin with a file at `path`, by the last two parts of it: `multus.d/multus.kubeconfig`.
    pub fn of_path(path: &str) -> Option<Self> {
        let mut parts = path.rsplit('/').map(str::to_ascii_lowercase);
        let mut find = || {
            let part = parts.next()?;
            Self::ALL.into_iter().find(|plugin| part.contains(plugin.name()))
        };
        find().or_else(find)
    }

    /// The values of `type` in CNI configurations.
    pub fn types(self) -> &'static [&'static str] {
        match self {
            Self::Multus => &["multus", "multus-cni", "multus-shim"],
            Self::Whereabouts => &["whereabouts"],
            Self::Calico => &["calico", "calico-ipam"],
            Self::Cilium => &["cilium-cni", "cilium"],
            Self::IstioCni => &["istio-cni"],
            Self::LinkerdCni => &["linkerd-cni"],
            Self::KubeRouter => &["kube-router"],
            Self::Spiderpool => &["spiderpool", "coordinator"],
        }
    }

    /// What the names of its pods and service accounts contain. Multus also installs Whereabouts
    /// (OpenShift, RKE2).
    pub fn aliases(self) -> &'static [&'static str] {
        match self {
            Self::Multus => &["multus"],
            Self::Whereabouts => &["whereabouts", "multus"],
            Self::Calico => &["calico", "canal"],
            Self::Cilium => &["cilium"],
            Self::IstioCni => &["istio-cni"],
            Self::LinkerdCni => &["linkerd-cni"],
            Self::KubeRouter => &["kube-router"],
            Self::Spiderpool => &["spiderpool", "multus"],
        }
    }

    /// The names of the DaemonSets whose pods write the file, without the name of a release before
    /// them. Whereabouts: on OpenShift, a pod of Multus installs it.
    fn daemons(self) -> &'static [&'static str] {
        match self {
            Self::Multus => &["multus", "multus-ds", "multus-ds-amd64", "multus-ds-arm64"],
            Self::Whereabouts => {
                &["whereabouts", "whereabouts-ds", "multus-additional-cni-plugins"]
            }
            Self::Calico => &["calico-node", "canal"],
            Self::Cilium => &["cilium"],
            Self::IstioCni => &["istio-cni", "istio-cni-node"],
            Self::LinkerdCni => &["linkerd-cni"],
            Self::KubeRouter => &["kube-router"],
            Self::Spiderpool => &["spiderpool-agent"],
        }
    }

    /// The DaemonSet that a pod with this name is of, if it is one that writes the file: the name
    /// and five random characters. The names of a Deployment's pods have a part more.
    pub fn daemon_of(self, pod: &str) -> Option<&'static str> {
        let owner = pod.rsplit_once('-').map(|(owner, _)| owner);
        let is_of = |daemon: &&&str| {
            [Some(pod), owner].into_iter().flatten().any(|name| {
                let release = name.strip_suffix(**daemon);
                release.is_some_and(|release| release.is_empty() || release.ends_with('-'))
            })
        };
        self.daemons().iter().find(is_of).copied()
    }

    /// Whether a pod or service account with this name may be the plugin's own.
    pub fn has_alias(self, name: &str) -> bool {
        self.aliases().iter().any(|alias| name.contains(alias))
    }

    /// Whether a pod or service account with this name shows that the plugin runs. That of Multus
    /// shows it only if `is_by_multus`: Multus also runs without the plugins that it may install.
    pub fn runs_as(self, name: &str, is_by_multus: bool) -> bool {
        let counts = |alias: &str| alias != "multus" || self == Self::Multus || is_by_multus;
        self.aliases().iter().any(|alias| counts(alias) && name.contains(alias))
    }

    /// The aliases in `name`, of all plugins: what a pseudonym keeps of it.
    pub fn aliases_in(name: &str) -> Vec<&'static str> {
        let all = Self::ALL.into_iter().flat_map(Self::aliases).copied();
        let mut found: Vec<&'static str> = all.filter(|alias| name.contains(alias)).collect();
        found.sort_unstable();
        found.dedup();
        found
    }

    /// Whether objects in the API (NetworkAttachmentDefinitions) or the plugin's own pod use the
    /// file: then no CNI configuration has to name it.
    pub fn is_used_unnamed(self) -> bool {
        match self {
            Self::Whereabouts | Self::KubeRouter | Self::Spiderpool => true,
            Self::Multus | Self::Calico | Self::Cilium | Self::IstioCni | Self::LinkerdCni => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_pods_that_write_the_file_are_those_of_a_daemon_set() {
        use Plugin::{Calico, Cilium, IstioCni, KubeRouter, LinkerdCni, Multus, Spiderpool};
        let table = [
            (Multus, "kube-multus-ds-x7k2p", true),
            (Multus, "multus-x7k2p", true),
            (Multus, "rke2-multus-ds-x7k2p", true),
            (Multus, "multus-admission-controller-6d8f-x7k2p", false),
            (Multus, "multus-additional-cni-plugins-x7k2p", false),
            (Plugin::Whereabouts, "multus-additional-cni-plugins-x7k2p", true),
            (Plugin::Whereabouts, "whereabouts-x7k2p", true),
            (Plugin::Whereabouts, "kube-multus-ds-x7k2p", false),
            (Calico, "calico-node-x7k2p", true),
            (Calico, "rke2-canal-x7k2p", true),
            (Calico, "calico-kube-controllers-7d4b9-x7k2p", false),
            (Calico, "calico-typha-7d4b9-x7k2p", false),
            (Calico, "canal-api-0", false),
            (Cilium, "cilium-x7k2p", true),
            (Cilium, "cilium-operator-7d4b9-x7k2p", false),
            (IstioCni, "istio-cni-node-x7k2p", true),
            (LinkerdCni, "linkerd-cni-x7k2p", true),
            (KubeRouter, "kube-router-x7k2p", true),
            (Spiderpool, "spiderpool-agent-x7k2p", true),
            (Spiderpool, "spiderpool-controller-7d4b9-x7k2p", false),
        ];
        for (plugin, pod, writes) in table {
            assert_eq!(plugin.daemon_of(pod).is_some(), writes, "{pod}");
        }
    }
}
