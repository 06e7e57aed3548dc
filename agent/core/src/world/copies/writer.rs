//! The pods on this node that may write a copy.

use std::collections::BTreeMap;

use super::Plugin;
use crate::world::World;
use crate::world::cluster::PodRef;
use crate::world::tokens::{Bound, Claims, Tracked};

/// Whose token a copy holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Owner {
    /// Its plugin's, as far as the agent can tell.
    Plugin,
    /// That of a pod which is not known to be the plugin's.
    Unknown,
    /// That of another pod: the plugin's own pod is on this node.
    Other,
}

/// The pods on this node that may write a copy.
#[derive(Clone, Debug)]
pub(super) struct Writers {
    /// The one that writes it, if only one comes into question.
    pub(super) one: Option<PodRef>,
    /// Whether the plugin runs on this node.
    pub(super) runs: bool,
    pub(super) owner: Owner,
}

impl World {
    /// The pods that may write the copy with these claims.
    pub(super) fn writers(&self, plugin: Option<Plugin>, copy: &Claims) -> Writers {
        let Some(plugin) = plugin else {
            return Writers { one: None, runs: false, owner: Owner::Plugin };
        };
        let has_daemon = self.pods_with(|_, of| is_daemon(plugin, of)).next().is_some();
        let owner = match (is_of_other(plugin, copy), has_daemon) {
            (false, _) => Owner::Plugin,
            (true, false) => Owner::Unknown,
            (true, true) => Owner::Other,
        };
        let one = self.one_writer(plugin, copy, owner);
        let is_by_multus = is_of_plugin(Plugin::Multus, copy);
        let runs = self.pods_with(|_, of| runs(plugin, of, is_by_multus)).next().is_some();
        Writers { runs: runs || one.is_some(), one, owner }
    }

    /// The pod of the copy; else the only one with its account; else the only one of a DaemonSet
    /// that writes the file. Another pod of the plugin may be anything.
    fn one_writer(&self, plugin: Plugin, copy: &Claims, owner: Owner) -> Option<PodRef> {
        let uid = match copy.binding.bound() {
            Bound::Pod(pod) => pod.uid.as_deref(),
            Bound::Secret(_) | Bound::Node(_) | Bound::Nothing => None,
        };
        let may_be_own = owner != Owner::Other;
        let own = || self.only(|of, _| may_be_own && Some(of.key.pod_uid.as_str()) == uid);
        let same = || self.only(|_, of| may_be_own && has_account_of(of, copy));
        let daemon = || self.only(|_, of| is_daemon(plugin, of));
        let tracked = own().or_else(same).or_else(daemon)?;
        Some(PodRef::of(tracked, self.cluster.pod(&tracked.key.pod_uid)))
    }

    /// The tokens on this node, with their claims, that `wanted` selects. The claims of a file
    /// count only if they are about its own pod.
    fn pods_with(
        &self,
        wanted: impl Fn(&Tracked, &Claims) -> bool,
    ) -> impl Iterator<Item = &Tracked> {
        self.tokens.iter().filter(move |tracked| {
            let current = tracked.current.as_ref().filter(|_| is_of_own_pod(tracked));
            current.is_some_and(|current| wanted(tracked, &current.claims))
        })
    }

    /// A token of the only pod that `wanted` selects.
    fn only(&self, wanted: impl Fn(&Tracked, &Claims) -> bool) -> Option<&Tracked> {
        let of_pods: BTreeMap<&str, &Tracked> =
            self.pods_with(wanted).map(|of| (of.key.pod_uid.as_str(), of)).collect();
        of_pods.values().next().copied().filter(|_| of_pods.len() == 1)
    }
}

fn is_of_own_pod(tracked: &Tracked) -> bool {
    let claims = tracked.current.as_ref().map(|current| &current.claims);
    let pod = claims.and_then(|claims| claims.binding.pod.as_ref());
    pod.is_some_and(|pod| pod.uid.as_ref() == Some(&tracked.key.pod_uid))
}

fn is_daemon(plugin: Plugin, claims: &Claims) -> bool {
    claims.binding.pod.as_ref().is_some_and(|pod| plugin.daemon_of(&pod.name).is_some())
}

fn has_account_of(claims: &Claims, copy: &Claims) -> bool {
    let (one, other) = (&claims.binding, &copy.binding);
    one.namespace == other.namespace && one.service_account.name == other.service_account.name
}

fn runs(plugin: Plugin, claims: &Claims, is_by_multus: bool) -> bool {
    let binding = &claims.binding;
    let pod = binding.pod.as_ref().is_some_and(|pod| plugin.runs_as(&pod.name, is_by_multus));
    pod || plugin.runs_as(&binding.service_account.name, is_by_multus)
}

fn is_of_plugin(plugin: Plugin, claims: &Claims) -> bool {
    let binding = &claims.binding;
    let pod = binding.pod.as_ref().is_some_and(|pod| plugin.has_alias(&pod.name));
    pod || plugin.has_alias(&binding.service_account.name)
}

/// Whether a token that is bound to a pod is not the plugin's.
fn is_of_other(plugin: Plugin, claims: &Claims) -> bool {
    matches!(claims.binding.bound(), Bound::Pod(_)) && !is_of_plugin(plugin, claims)
}
