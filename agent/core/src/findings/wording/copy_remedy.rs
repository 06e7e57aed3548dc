//! What to do about a copy of a token on the host.

use super::remedy::{delete_pod, safe};
use crate::findings::{Code, CopyFault, Remedy};
use crate::world::copies::{CopyFacts, Owner, Plugin, Use};

/// The remedy for a fault of a file on `node`.
pub(super) fn of(node: &str, fault: CopyFault, facts: &CopyFacts<'_>) -> Remedy {
    if facts.usage() == Use::Unused {
        let text = "Delete the file if nothing uses it: no CNI configuration has to change for \
                    that.";
        return Remedy { text: text.to_owned(), command: None };
    }
    if fault == CopyFault::UnknownPod {
        return Remedy { text: UNKNOWN_POD.to_owned(), command: list(node, facts) };
    }
    let plugin = facts.plugin().filter(|_| facts.owner != Owner::Unknown);
    let text = plugin.map_or_else(unknown, |plugin| of_plugin(plugin).to_owned());
    let restart = facts.writer.as_ref().and_then(delete_pod);
    Remedy { text, command: restart.or_else(|| list(node, facts)) }
}

fn unknown() -> String {
    "Find out what writes the file, and restart that, so that it writes the file again. Let it \
     write the file whenever its token changes, or name the token in the pod's volume (tokenFile) \
     instead of copying it."
        .to_owned()
}

/// What makes the plugin write the file, and what makes it do so by itself.
fn of_plugin(plugin: Plugin) -> &'static str {
    match plugin {
        Plugin::Multus => MULTUS,
        Plugin::Whereabouts => WHEREABOUTS,
        Plugin::Calico => CALICO,
        Plugin::IstioCni => ISTIO,
        Plugin::LinkerdCni => LINKERD,
        Plugin::Cilium | Plugin::KubeRouter | Plugin::Spiderpool => Code::CopyStale.info().action,
    }
}

const UNKNOWN_POD: &str = "Find out which pod writes the file. If it is the pod of this token, \
                           nothing is wrong: the plugin is installed under another name. If not, \
                           restart the plugin's pod on this node: it writes the file when it \
                           starts.";
const MULTUS: &str = "Restart the Multus pod on this node: it writes the file when it starts. The \
                      thin plugin copies its token only then. Use the thick plugin, or a version \
                      of the thin one that writes the file again when its token changes.";
const WHEREABOUTS: &str = "Restart the pod that installs Whereabouts on this node: it writes the \
                           file when it starts. Use a version of Whereabouts that writes the file \
                           again when its token changes (whereabouts pull request 577).";
const CALICO: &str = "Restart the calico-node pod on this node. calico-node renews this file \
                      itself, at the latest after half of the token's lifetime: look in its log \
                      for token_watch, check that CALICO_MANAGE_CNI is not false, and that its \
                      role may create serviceaccounts/token. A version with calico pull request \
                      12595 also wakes up when its own token changes.";
const ISTIO: &str = "Restart the istio-cni pod on this node: it writes the file when it starts. If \
                     that pod does not start, because the plugin refuses it with the old token, \
                     first remove istio-cni from the CNI configuration on the node. Use a version \
                     of Istio that writes the file again when its token changes.";
const LINKERD: &str = "Restart the linkerd-cni pod on this node: it writes the file when it \
                       starts. Use a version of linkerd-cni that watches its token \
                       (linkerd2-proxy-init pull request 440).";

/// Lists the pods that may write the file.
fn list(node: &str, facts: &CopyFacts<'_>) -> Option<String> {
    let (node, plugin) = (safe(node)?, facts.plugin()?.name());
    Some(format!(
        "kubectl get pods -A -o wide --field-selector spec.nodeName={node} | grep {plugin}"
    ))
}
