//! Codes about the API server, the control plane and kubelet.

use super::Entry;

pub(super) const APISERVER_SKEW: Entry = Entry {
    meaning: "The clock of an API server differs. It decides whether a token is valid, and it \
            dates new tokens.",
    found_by: "The Date header of at least three answers of the API server, compared with true \
            time by the time servers, with the clock of another API server that answers in turn, \
            or with the node's clock where no time source confirms that. A node whose own clock \
            is wrong is clock.offset.",
    severity: "info from 2 s, warning from 10 s, critical where the API server refuses tokens \
            before kubelet replaces them, or where API servers are more than their leeway of \
            60 s apart",
    action: "Repair time synchronisation on the control-plane node. Then restart the pods whose \
            tokens are future-dated: kubelet does not replace those.",
};

pub(super) const APISERVER_REJECTING: Entry = Entry {
    meaning: "The API server answers 401 to tokens that should work.",
    found_by: "The agent does not detect this yet.",
    severity: "critical",
    action: "Compare the signing keys with the verification keys.",
};

pub(super) const TOKEN_CONTROLLER_DOWN: Entry = Entry {
    meaning: "Nothing creates Secret tokens and root CA ConfigMaps.",
    found_by: "The agent does not detect this yet.",
    severity: "warning",
    action: "Check kube-controller-manager.",
};

pub(super) const KUBELET_STALLED: Entry = Entry {
    meaning: "kubelet replaces no token on this node. Each pod's requests fail when its token \
            expires. The finding stands for the late, stalled and expired tokens of all pods, and \
            names the first ones.",
    found_by: "Tokens of pods with at least three different owners are late, and no token on the \
            node was issued after a healthy kubelet would have replaced them. The agent judges by \
            the iat of the tokens. Or kubelet has synced no volume of the node for 5/3 of the \
            longest time that it needs for one (some 160 s with its default settings): the finding \
            then comes before any token is due, and its evidence has unsynced_since. The agent \
            also reports whether it reaches the API server itself.",
    severity: "the highest severity of the tokens: info or warning while they are late or not \
            synced, critical shortly before the first of them expires",
    action: "On the node, check that kubelet runs, that it reaches the API server, and that its \
            client certificate is valid. Then restart it: it requests every due token again within \
            two minutes.",
};
