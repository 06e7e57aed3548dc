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

    /// Whether a pod or service account with this name may be the plugin's own.
    pub fn has_alias(self, name: &str) -> bool {
        self.aliases().iter().any(|alias| name.contains(alias))
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
