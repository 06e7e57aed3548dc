//! Lines of JSON: audit events, and the API server's own log in its JSON format
//! (component-base/logs/json).

use tokenwatch_core::world::refusals::Accepted;

use super::audit::{Line, Status};
use super::issued::issued;
use super::klog::{self, REFUSED};
use super::reason::reason;
use super::{Audited, Logged};

/// HTTP status of a request that was not authenticated.
const UNAUTHORIZED: i64 = 401;
/// The kinds of credentials in the message of such an event that are tokens.
const TOKENS: [&str; 2] = ["bearer", "access_token"];
/// The message of the answer, which tells nothing about the credentials.
const ANSWER: &str = "Unauthorized";
/// The user of a request without credentials.
const ANONYMOUS: &str = "system:anonymous";
/// The only stage of the audit event of a refused request (endpoints/filters/authn_audit.go).
const STAGE: &str = "ResponseStarted";

/// What a line of JSON shows.
pub(super) fn json(line: &[u8]) -> Option<Logged> {
    let line: Line<'_> = serde_json::from_slice(line).ok()?;
    if line.api_version.0.starts_with("audit.k8s.io/") {
        return event(&line);
    }
    match &*line.msg.0 {
        REFUSED => Some(Logged::Refused(reason(&line.err.0), line.time())),
        message => klog::message(message, line.time()),
    }
}

fn event(line: &Line<'_>) -> Option<Logged> {
    let address = line.address();
    if let Some(user) = line.user.as_ref().filter(|user| !user.username.0.is_empty()) {
        // A request without a token tells nothing about who has one.
        let is_anonymous = user.username.0 == ANONYMOUS;
        return (!is_anonymous).then(|| accepted(line, line.accepted(user, address)));
    }
    let is_refused =
        line.stage.0 == STAGE && line.response_status.as_ref().is_some_and(Status::is_of_token);
    is_refused.then(|| Logged::Audited(Audited { address, timed: line.refusal(address) }))
}

fn accepted(line: &Line<'_>, accepted: Accepted) -> Logged {
    match issued(line) {
        Some(issued) => Logged::Issued(issued, accepted),
        None => Logged::Accepted(accepted),
    }
}

impl Status<'_> {
    /// Whether a token was refused, or may have been: not a request without credentials, as of a
    /// probe, nor one with a certificate, as far as the message shows that
    /// (endpoints/filters/authn_audit.go). In Kubernetes 1.34 the answer's own message takes its
    /// place.
    fn is_of_token(&self) -> bool {
        let message = &self.message.0;
        self.code == UNAUTHORIZED
            && (message.is_empty()
                || message == ANSWER
                || TOKENS.iter().any(|kind| message.contains(kind)))
    }
}
