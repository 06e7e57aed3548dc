//! Codes about the API server, the control plane and kubelet.

use super::Entry;

pub(super) const APISERVER_SKEW: Entry = Entry {
    meaning: "The verifier's clock differs from the node's clock.",
    found_by: "The agent does not detect this yet.",
    severity: "warning",
    action: "Repair time synchronisation on the control plane.",
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
