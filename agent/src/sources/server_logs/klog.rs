//! The messages of the API server's own log, in klog's text form:
//!
//! `E1128 04:17:00.1 1 authentication.go:75] "Unable to authenticate the request" err="[…]"`
//!
//! The texts are those of Kubernetes 1.29 to 1.36 (endpoints/filters/authentication.go and
//! pkg/serviceaccount/claims.go).

use tokenwatch_core::world::cluster::AccountName;
use tokenwatch_core::world::refusals::{RefusalReason, Suspect};

use super::Logged;
use super::reason::reason;
use crate::sources::logs::klog::after_header;
use crate::sources::logs::name::namespaced;
use crate::sources::logs::time::{LineTime, klog_time};

/// The message of a refused request.
pub(super) const REFUSED: &str = "Unable to authenticate the request";
/// The message of a request with a token for somebody else.
const AUDIENCE: &str = "unable to match the audience: ";

/// Who is behind a refused request, at log level 4: how the message begins, and whether the name
/// that follows is that of a pod. "Pod UID no longer matches" is not among them: the pod that has
/// the name now is another one.
const NAMING: [(&str, bool); 5] = [
    ("Could not retrieve bound pod ", true),
    ("Bound pod is deleted and awaiting removal: ", true),
    ("Could not retrieve service account ", false),
    ("Service account has been deleted ", false),
    ("Service account UID no longer matches ", false),
];

/// What a line of text shows.
pub(super) fn text(line: &str) -> Option<Logged> {
    let text = after_header(line)?;
    let quoted = text.strip_prefix('"').and_then(|text| text.strip_prefix(REFUSED));
    match quoted.and_then(|rest| rest.strip_prefix("\" err=")) {
        Some(error) => Some(Logged::Refused(reason(error), time(line))),
        None => message(text, time(line)),
    }
}

fn time(line: &str) -> Option<LineTime> {
    klog_time(line).map(LineTime::Local)
}

/// What a message without values shows.
pub(super) fn message(text: &str, time: Option<LineTime>) -> Option<Logged> {
    if text.starts_with(AUDIENCE) {
        return Some(Logged::Refused(RefusalReason::Audience, time));
    }
    let (rest, is_pod) =
        NAMING.iter().find_map(|(begin, is_pod)| Some((text.strip_prefix(begin)?, *is_pod)))?;
    let named = rest.split([' ', ':']).next().unwrap_or_default();
    let (namespace, name) = namespaced(named)?;
    Some(Logged::Named(if is_pod {
        Suspect::Pod { namespace, name }
    } else {
        Suspect::Account(AccountName { namespace, name })
    }))
}
