//! What kubelet logged about a token that it does not replace.

use crate::base::text::shown;
use crate::base::value::Attributes;
use crate::findings::TokenFault;
use crate::world::Facts;
use crate::world::clocks::ClockState;
use crate::world::cluster::PodStage;
use crate::world::kubelet::errors::{ErrorCause, ErrorScope, ErrorSource, Logged};

/// Characters of kubelet's text in a sentence, those at its end: Go puts the cause last. The
/// evidence has all that is kept.
const QUOTED: usize = 110;

/// The error that explains this fault, if kubelet logged one.
pub(super) fn of<'a>(fault: TokenFault, facts: &Facts<'a>) -> Option<Logged<'a>> {
    facts.kubelet.logged.filter(|_| is_of_rotation(fault))
}

/// Whether the fault is that kubelet did not replace the token.
pub(super) fn is_of_rotation(fault: TokenFault) -> bool {
    matches!(
        fault,
        TokenFault::RotationLate
            | TokenFault::RotationStalled
            | TokenFault::Unsynced(_)
            | TokenFault::Expired
    )
}

/// The sentence, with a space before it.
pub(super) fn sentence(logged: &Logged<'_>) -> String {
    let did = did(logged);
    let text = quoted(&logged.error.text);
    let cause = cause(logged.error.cause);
    let volume = match &logged.error.of {
        ErrorScope::Pod { volume } => format!(" (volume {})", shown(volume)),
        ErrorScope::Volume(_) | ErrorScope::Request { .. } => String::new(),
    };
    match cause {
        Some(cause) => format!(" {did}: {cause}{volume}. Its text: \"{text}\".{}", beside(logged)),
        None => format!(" {did}{volume}: \"{text}\"."),
    }
}

/// `kubelet logged why 40s ago`
fn did(logged: &Logged<'_>) -> String {
    let what = match logged.error.by {
        ErrorSource::Log | ErrorSource::Journal => "logged",
        ErrorSource::Event => "reported",
    };
    if logged.is_last() {
        format!("kubelet {what} why {} ago, and no error since", logged.age)
    } else {
        format!("kubelet {what} why {} ago", logged.age)
    }
}

/// What this agent sees that differs.
fn beside(logged: &Logged<'_>) -> &'static str {
    let is_away = logged.error.cause == ErrorCause::ApiServerAway;
    let is_missing = logged.error.cause == ErrorCause::AccountMissing;
    if is_missing && logged.has_account {
        return " The API server has shown this agent that the account exists.";
    }
    own_reach(logged.reaches_api.filter(|_| is_away))
}

/// Whether this agent reaches the API server, where kubelet does not.
pub(super) fn own_reach(reaches_api: Option<bool>) -> &'static str {
    match reaches_api {
        Some(true) => " This agent reaches the API server, so look at kubelet's own connection.",
        Some(false) => " This agent does not reach the API server either.",
        None => "",
    }
}

/// The cause in words; none if the text names none that is known.
pub(super) fn cause(cause: ErrorCause) -> Option<&'static str> {
    Some(match cause {
        ErrorCause::NodeAuthorizer => {
            "the API server refuses to issue the token, because its node authorizer does not know \
             that the pod runs on this node"
        }
        ErrorCause::AccountMissing => "the service account does not exist",
        ErrorCause::AccountReplaced => "the service account was deleted and created again",
        ErrorCause::PodMissing => "the API server does not know the pod",
        ErrorCause::PodReplaced => "the pod was deleted and created again under the same name",
        ErrorCause::OtherNode => "by the API server, the pod runs on another node",
        ErrorCause::Audience => {
            "no volume of the pod names the audience, and the API server gives kubelet no token \
             for another one"
        }
        ErrorCause::Credentials => {
            "the API server does not accept kubelet's own client certificate"
        }
        ErrorCause::ServerCertificate => {
            "kubelet does not accept the certificate of the API server"
        }
        ErrorCause::Throttled => "the API server limits the rate of requests",
        ErrorCause::ApiServerAway => "kubelet does not reach the API server",
        ErrorCause::SourceMissing => "a ConfigMap or Secret of the volume is missing",
        ErrorCause::CacheNotSynced => {
            "kubelet's cache of ConfigMaps and Secrets has not synced with the API server"
        }
        ErrorCause::ClaimDeleted => {
            "a PersistentVolumeClaim of the pod is being deleted, and kubelet renews no volume of \
             the pod before that ends"
        }
        ErrorCause::NotWritten => "kubelet cannot write the files of the volume",
        ErrorCause::Other => return None,
    })
}

/// The end of kubelet's text, safe to print.
pub(super) fn quoted(text: &str) -> String {
    let text = shown(text);
    match text.char_indices().rev().nth(QUOTED) {
        Some((before, _)) => {
            let rest = text.get(before..).unwrap_or_default();
            format!("…{}", rest.chars().skip(1).collect::<String>())
        }
        None => text.into_owned(),
    }
}

/// The evidence: what was logged, when and where, and which other causes something rules out.
pub(super) fn evidence(logged: &Logged<'_>, facts: &Facts<'_>) -> Attributes {
    let error = logged.error;
    Attributes::new()
        .with("kubelet_error", error.cause.name())
        .with("kubelet_error_text", shown(&error.text).into_owned())
        .with("kubelet_error_at", error.at)
        .with("kubelet_error_source", error.by.name())
        .with("kubelet_error_lasts", !logged.is_last())
        .with("ruled_out", ruled_out(logged, facts).as_slice())
}

/// Each other cause that something rules out, and what does.
fn ruled_out(logged: &Logged<'_>, facts: &Facts<'_>) -> Vec<String> {
    let synced = facts.kubelet.failed_renewals.filter(|count| *count > 0);
    let synced =
        synced.map(|count| format!("kubelet is held up: it synced the volume {count} times"));
    let others = others(logged, facts).into_iter().filter(|(is_so, _)| *is_so);
    others.map(|(_, what)| what.to_owned()).chain(synced).collect()
}

fn others(logged: &Logged<'_>, facts: &Facts<'_>) -> [(bool, &'static str); 4] {
    let cause = logged.error.cause;
    let reaches = logged.reaches_api == Some(true) && !cause.is_of_node();
    let has_account = logged.has_account && !is_of_account(cause);
    let runs = facts.stage == PodStage::Active && !is_of_pod(cause);
    let is_right = facts.clock.state == ClockState::Synchronised;
    [
        (reaches, "API server: this agent reaches it"),
        (has_account, "service account: it exists with the UID in the token"),
        (runs, "end of the pod: the API server shows that it runs on this node"),
        (is_right, "clock of the node: time sources confirm it"),
    ]
}

fn is_of_account(cause: ErrorCause) -> bool {
    matches!(cause, ErrorCause::AccountMissing | ErrorCause::AccountReplaced)
}

fn is_of_pod(cause: ErrorCause) -> bool {
    let of_pod = [ErrorCause::PodMissing, ErrorCause::PodReplaced, ErrorCause::OtherNode];
    of_pod.contains(&cause)
}
