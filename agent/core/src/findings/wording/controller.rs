//! The finding about a controller manager that does not renew its lease.

use crate::base::text::shown;
use crate::base::value::Attributes;
use crate::findings::{Code, Finding, Remedy, Severity, Subject};
use crate::world::cluster::SilentController;

/// The lease, as the agent requests it.
const LEASE: &str = "kubectl get lease -n kube-system kube-controller-manager -o \
                     custom-columns=HOLDER:.spec.holderIdentity,RENEWED:.spec.renewTime";

/// The finding. It says what does not stop, because that is what people fear first.
pub(crate) fn controller(node: &str, silent: &SilentController) -> Finding {
    let code = Code::TokenControllerDown;
    Finding {
        code,
        severity: Severity::Warning,
        subject: Subject::node(node),
        summary: summary(silent),
        deadline: None,
        evidence: evidence(silent),
        remedy: Remedy { text: code.info().action.to_owned(), command: Some(LEASE.to_owned()) },
        trace: None,
    }
}

fn summary(silent: &SilentController) -> String {
    let whose = silent.holder.as_ref().map(|holder| format!(" of {}", shown(holder)));
    format!(
        "kube-controller-manager does not renew its lease: nobody has renewed the one{} for {} or \
         longer. {EFFECT}",
        whose.unwrap_or_default(),
        silent.age
    )
}

fn evidence(silent: &SilentController) -> Attributes {
    Attributes::new()
        .with_some("holder", silent.holder.as_ref())
        .with_some("lease_renewed", silent.renewed)
        .with("unchanged_for_s", silent.age.as_secs())
}

const EFFECT: &str = "Tokens in projected volumes are replaced as before: the API server issues \
                      them. New namespaces get no service account and no kube-root-ca.crt, so \
                      that their pods do not start, and new Secrets get no token.";
