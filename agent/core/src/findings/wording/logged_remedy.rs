//! What to do about the cause that kubelet logged.

use super::remedy::{create_account, delete_pod, describe_pod, kubelet_log, renew_pods};
use crate::findings::Remedy;
use crate::world::cluster::{AccountName, PodRef};
use crate::world::kubelet::errors::ErrorCause;

/// Where kubelet's client certificate is by default.
const CERTIFICATE: &str = "openssl x509 -noout -subject -enddate -in \
                           /var/lib/kubelet/pki/kubelet-client-current.pem";

/// The remedy for a token of this pod and service account, if that is proven; none for a cause that
/// is not known.
pub(super) fn of_token(
    cause: ErrorCause,
    pod: &PodRef,
    account: Option<&AccountName>,
) -> Option<Remedy> {
    let command = if cause == ErrorCause::AccountMissing {
        account.and_then(|account| create_account(account, pod))
    } else if cause == ErrorCause::AccountReplaced {
        renew_pods(pod)
    } else if cause == ErrorCause::PodReplaced {
        delete_pod(pod)
    } else if cause == ErrorCause::NotWritten {
        kubelet_log(pod)
    } else {
        describe_pod(pod)
    };
    let of_pod = || Some(Remedy { text: text(cause)?.to_owned(), command });
    of_node(cause).or_else(of_pod)
}

/// The remedy for all tokens of the node; none for a cause that is a pod's, or not known.
pub(super) fn of_node(cause: ErrorCause) -> Option<Remedy> {
    let command = (cause == ErrorCause::Credentials).then(|| CERTIFICATE.to_owned());
    let text = text(cause).filter(|_| cause.is_of_node())?;
    Some(Remedy { text: text.to_owned(), command })
}

fn text(cause: ErrorCause) -> Option<&'static str> {
    Some(match cause {
        ErrorCause::NodeAuthorizer => {
            "Check that the pod still exists, and on this node. If it does, this API server's \
             graph of nodes and pods is behind, as after its start: it catches up within minutes. \
             If it does not catch up, restart that API server."
        }
        ErrorCause::AccountMissing => {
            "Create the service account again, and then restart the pods that use it. Find out \
             who deleted it."
        }
        ErrorCause::AccountReplaced => {
            "Restart the pod: a new pod gets tokens of the new service account."
        }
        ErrorCause::PodMissing => {
            "The pod was deleted, and kubelet has not ended it. Check that its containers have \
             ended. If they run, restart kubelet on this node."
        }
        ErrorCause::PodReplaced => {
            "Delete the pod, so that its controller starts another one. A static pod: restart \
             kubelet."
        }
        ErrorCause::OtherNode => {
            "Two nodes have the pod, or the node changed its name. Compare spec.nodeName of the \
             pod with the name of this node, and end the pod on the wrong one."
        }
        ErrorCause::Audience => {
            "Add the audience to a serviceAccountToken source of the pod. For a CSI driver, add it \
             to tokenRequests of its CSIDriver. Or allow nodes the verb \
             request-serviceaccounts-token-audience on the audience (Kubernetes 1.33)."
        }
        ErrorCause::Credentials => {
            "Check when kubelet's client certificate expires, and whether the API server trusts \
             its issuer. If it has expired, renew it (kubeadm: kubeadm kubeconfig user, or join \
             again) and restart kubelet. Look for certificate signing requests that wait for \
             approval."
        }
        ErrorCause::ServerCertificate => {
            "Check that the serving certificate of the API server is valid now and has the name by \
             which kubelet connects, that kubelet's kubeconfig has the authority that signed it, \
             and the clocks of both."
        }
        ErrorCause::Throttled => {
            "Find out who sends so many requests: look at \
             apiserver_flowcontrol_rejected_requests_total by flow schema. kubelet tries again by \
             itself."
        }
        ErrorCause::ApiServerAway => {
            "From the node, connect to the server that kubelet's kubeconfig names: its load \
             balancer or local proxy, DNS, a firewall, or the API server itself does not answer."
        }
        ErrorCause::SourceMissing => {
            "Create the ConfigMap or Secret again that kubelet's text names, or make it optional \
             in the volume. kube-root-ca.crt is created by kube-controller-manager."
        }
        ErrorCause::CacheNotSynced => {
            "Check kubelet's connection to the API server. If other requests of kubelet succeed, \
             its watches hang: restart kubelet."
        }
        ErrorCause::ClaimDeleted => {
            "The claim ends when no pod uses it: delete the pod, or restore the claim. Its \
             controller must not delete claims of pods that run."
        }
        ErrorCause::NotWritten => {
            "Look at the error in kubelet's text: a full or read-only file system, or too little \
             memory for the tmpfs. Restart the pod when that is repaired."
        }
        ErrorCause::Other => return None,
    })
}
