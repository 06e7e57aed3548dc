//! Codes about the API server, the control plane and kubelet.

use super::Entry;

pub(super) const APISERVER_SKEW: Entry = Entry {
    meaning: "The clock of an API server differs. It decides whether a token is valid, and it \
            dates new tokens.",
    found_by: "The Date header of at least three answers of the API server, compared with true \
            time by the time servers, with the clock of another API server that answers in turn, \
            or with the node's clock where no time source confirms that. Or the iat of at least \
            three new tokens: an API server signed them before kubelet wrote them, so it is at \
            least so far ahead. That needs no access to an API server. Of several API servers, the \
            names that only its certificate has tell which one it is. A node whose own clock is \
            wrong is clock.offset. The finding stands for the tokens that the clock dates in the \
            future.",
    severity: "info from 2 s, warning from 10 s, critical where the API server refuses tokens \
            before kubelet replaces them, or where API servers are more than their leeway of \
            60 s apart",
    action: "Repair time synchronisation on the control-plane node. Then restart the pods whose \
            tokens are named then: kubelet does not replace a token that looks new.",
};

pub(super) const APISERVER_REJECTING: Entry = Entry {
    meaning: "An API server on this control-plane node refuses requests (401). The finding has the \
            number of them by reason, and names the pods of any node behind them, as far as the \
            logs show that. A pod of this node that no warning had named is one that tokenwatch \
            missed.",
    found_by: "The API server's own log has the reason, and the audit log the address, of each \
            refused request of the last 10 minutes (apiserver.logs, apiserver.journal). The pod is \
            that of the only user whose requests were accepted from the same address, or it is \
            named in the log (from level 4 on), or the API server lists it as the only pod with \
            that address. An address with several users names nobody, and that of a node names \
            the node. The times in both logs join a reason with an address, where nothing else \
            was refused at that moment.",
    severity: "warning where the log names a pod behind at least three refused requests, or its \
            last token was one that kubelet has replaced; info without: some clients send useless \
            tokens all the time, and an address may be that of several clients",
    action: "Look at the reasons, and at the other findings about the pods that are named. A pod \
            without another finding keeps a token from elsewhere, or an old one: restart it.",
};

pub(super) const TOKEN_CONTROLLER_DOWN: Entry = Entry {
    meaning: "kube-controller-manager does not renew its lease, so it does not work. Tokens in \
            projected volumes are replaced as before, because kubelet requests them from the API \
            server. But new namespaces get no service account and no kube-root-ca.crt, so that \
            their pods do not start, a service account or kube-root-ca.crt that is deleted does \
            not come back, and new Secrets get no token.",
    found_by: "With kubernetes.controller_lease, the agent requests the lease \
            kube-system/kube-controller-manager every five minutes. The renewTime is the same in \
            answers that are at least three times the lease's duration apart (45 s by default). \
            As client-go does, the agent compares the answers with each other, and not with a \
            clock. Not known where the control plane has no such lease.",
    severity: "warning",
    action: "On the control-plane nodes, check that kube-controller-manager runs and reaches the \
            API server. Its log names the reason that it lost its lease.",
};

pub(super) const KUBELET_STALLED: Entry = Entry {
    meaning: "kubelet replaces no token on this node. Each pod's requests fail when its token \
            expires. The finding stands for the late, stalled and expired tokens of all pods, and \
            names the first ones.",
    found_by: "Tokens of pods with at least three different owners are late, and no token on the \
            node was issued after a healthy kubelet would have replaced them. The agent judges by \
            the iat of the tokens. Or kubelet has synced no volume of the node for 5/3 of the \
            longest time that it needs for one (some 160 s with its default settings): the finding \
            then comes before any token is due, and its evidence has unsynced_since. Or kubelet \
            logged the same cause, one of the node, for late tokens of three pods \
            (kubelet_error). The agent also reports whether it reaches the API server itself.",
    severity: "the highest severity of the tokens: info or warning while they are late or not \
            synced, critical shortly before the first of them expires",
    action: "On the node, check that kubelet runs, that it reaches the API server, and that its \
            client certificate is valid. Then restart it: it requests every due token again within \
            two minutes.",
};
