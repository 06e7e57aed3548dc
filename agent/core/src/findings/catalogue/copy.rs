//! Codes about copies of tokens on the host.

use super::Entry;

pub(super) const COPY_STALE: Entry = Entry {
    meaning: "A file on the host holds a copy of a token, and nobody writes the copy again. \
            kubelet replaces the token in the pod's volume, and not the copy. CNI plugins keep \
            such a copy in their kubeconfig. When the API server refuses it, no pod can be created \
            or deleted on the node.",
    found_by: "The agent decodes the tokens in the kubeconfigs and token files of CNI plugins \
            (copies.enabled) and in the files of the setting copies.paths. It finds a copy that \
            has expired; whose pod does not exist any more, which makes the API server refuse it \
            whatever its exp; whose signature does not fit the key that it names, or whose key the \
            API server does not publish any more (both with kubernetes.enabled); whose token \
            kubelet replaced in the volume of its pod more than 5 min ago; that belongs to a pod \
            which is not the plugin's; or that was requested and not renewed (for Calico: 52 % of \
            its lifetime).",
    severity: "critical if the API server refuses the copy, or will do so soon (a tenth of its \
            lifetime, at most 1 h); warning before that, and where only some API servers lack the \
            key; info for an extended copy until 14 days \
            before it expires, for a file that nothing uses any more, and for the token of a pod \
            on the node that is not known to be the plugin's",
    action: "Restart the plugin's pod on this node: it writes the file when it starts. Then use a \
            version of the plugin that writes the file again when its token changes. Delete a \
            file that is left over.",
};
