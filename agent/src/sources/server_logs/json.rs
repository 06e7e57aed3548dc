//! Lines of JSON: audit events (audit.k8s.io/v1), and the API server's own log in its JSON format
//! (component-base/logs/json). Everything else in them is skipped, and not copied.

use std::borrow::Cow;
use std::net::IpAddr;

use chrono::{DateTime, TimeDelta};
use serde::Deserialize;
use tokenwatch_core::base::time::Delta;
use tokenwatch_core::world::cluster::AccountName;
use tokenwatch_core::world::refusals::{Accepted, AcceptedAccount, AcceptedPod, Suspect};
use tokenwatch_core::world::tokens::GenerationId;

use super::Logged;
use super::klog::{self, REFUSED};
use super::reason::reason;
use crate::sources::logs::name::{account, name, uid};

/// HTTP status of a request that was not authenticated.
const UNAUTHORIZED: i64 = 401;
/// The kinds of credentials in the message of such an event that are tokens.
const TOKENS: [&str; 2] = ["bearer", "access_token"];
/// The user of a request without credentials.
const ANONYMOUS: &str = "system:anonymous";
/// The only stage of the audit event of a refused request (endpoints/filters/authn_audit.go).
const STAGE: &str = "ResponseStarted";
/// Longest duration of a request whose event shows which token its sender uses now.
const LASTS: TimeDelta = TimeDelta::minutes(1);
/// How the id of a token begins in `credential-id` (authentication/serviceaccount/util.go).
const JTI: &str = "JTI=";

/// The parts of a line that tell something.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Line<'a> {
    /// Of an audit event.
    #[serde(borrow, default)]
    api_version: Text<'a>,
    #[serde(borrow, default)]
    stage: Text<'a>,
    #[serde(borrow, default)]
    request_received_timestamp: Text<'a>,
    #[serde(borrow, default)]
    stage_timestamp: Text<'a>,
    #[serde(borrow, default, rename = "sourceIPs")]
    addresses: Option<Vec<Text<'a>>>,
    #[serde(borrow, default)]
    user: Option<User<'a>>,
    #[serde(borrow, default)]
    response_status: Option<Status<'a>>,
    #[serde(borrow, default)]
    annotations: Option<Annotations<'a>>,
    /// Of a line of the log.
    #[serde(borrow, default)]
    msg: Text<'a>,
    #[serde(borrow, default)]
    err: Text<'a>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(transparent)]
struct Text<'a>(#[serde(borrow)] Cow<'a, str>);

#[derive(Debug, Deserialize)]
struct Status<'a> {
    #[serde(default)]
    code: i64,
    #[serde(borrow, default)]
    message: Text<'a>,
}

#[derive(Debug, Default, Deserialize)]
struct User<'a> {
    #[serde(borrow, default)]
    username: Text<'a>,
    #[serde(borrow, default)]
    extra: Option<Extra<'a>>,
}

/// What the API server adds to the user of a bound token (KEP-4193).
#[derive(Debug, Default, Deserialize)]
struct Extra<'a> {
    #[serde(borrow, default, rename = "authentication.kubernetes.io/credential-id")]
    credential: Option<Vec<Text<'a>>>,
    #[serde(borrow, default, rename = "authentication.kubernetes.io/pod-name")]
    pod_name: Option<Vec<Text<'a>>>,
    #[serde(borrow, default, rename = "authentication.kubernetes.io/pod-uid")]
    pod_uid: Option<Vec<Text<'a>>>,
}

#[derive(Debug, Deserialize)]
struct Annotations<'a> {
    /// `subject: system:serviceaccount:NS:SA, seconds after warning threshold: N`
    #[serde(borrow, default, rename = "authentication.k8s.io/stale-token")]
    stale: Option<Text<'a>>,
}

/// What a line of JSON shows.
pub(super) fn json(line: &[u8]) -> Option<Logged> {
    let line: Line<'_> = serde_json::from_slice(line).ok()?;
    if line.api_version.0.starts_with("audit.k8s.io/") {
        return event(&line);
    }
    match &*line.msg.0 {
        REFUSED => Some(Logged::Refused(reason(&line.err.0))),
        message => klog::message(message),
    }
}

fn event(line: &Line<'_>) -> Option<Logged> {
    let address = line.address();
    if let Some(user) = line.user.as_ref().filter(|user| !user.username.0.is_empty()) {
        if user.username.0 == ANONYMOUS {
            return None; // a request without a token tells nothing about who has one
        }
        return Some(Logged::Accepted(Accepted { address, user: user.account(line) }));
    }
    let is_refused =
        line.stage.0 == STAGE && line.response_status.as_ref().is_some_and(Status::is_of_token);
    let from = |address| Logged::Suspect(Suspect::Address(address));
    is_refused.then(|| address.map_or(Logged::RefusedUnnamed, from))
}

impl Status<'_> {
    /// Whether a token was refused: not a request without credentials, as of a probe, nor one with
    /// a certificate. Without a message, it may be (endpoints/filters/authn_audit.go).
    fn is_of_token(&self) -> bool {
        let message = &self.message.0;
        self.code == UNAUTHORIZED
            && (message.is_empty() || TOKENS.iter().any(|kind| message.contains(kind)))
    }
}

impl Line<'_> {
    /// The address of the connection. Those before it are what the client's headers have.
    fn address(&self) -> Option<IpAddr> {
        let address: IpAddr = self.addresses.as_ref()?.last()?.0.parse().ok()?;
        Some(address.to_canonical())
    }

    /// Whether the request began just before: the end of a watch shows the token of its begin.
    fn is_new(&self) -> bool {
        let at = |text: &Text<'_>| DateTime::parse_from_rfc3339(&text.0).ok();
        let times = at(&self.stage_timestamp).zip(at(&self.request_received_timestamp));
        times.is_some_and(|(stage, received)| stage - received < LASTS)
    }

    fn stale_for(&self) -> Option<Delta> {
        let text = &self.annotations.as_ref()?.stale.as_ref()?.0;
        text.rsplit(' ').next()?.parse().ok().map(Delta::from_secs)
    }
}

impl User<'_> {
    /// None if it is not a service account.
    fn account(&self, line: &Line<'_>) -> Option<AcceptedAccount> {
        let (namespace, name) = account(&self.username.0)?;
        let account = AccountName { namespace, name };
        let extra = self.extra.as_ref();
        let credential = extra.and_then(|extra| first(extra.credential.as_ref()));
        let credential = credential.filter(|_| line.is_new());
        Some(AcceptedAccount {
            account,
            pod: extra.and_then(Extra::pod),
            generation: credential.and_then(|id| id.strip_prefix(JTI)).map(GenerationId::of_jti),
            stale_for: line.stale_for().filter(|_| line.is_new()),
        })
    }
}

impl Extra<'_> {
    fn pod(&self) -> Option<AcceptedPod> {
        let (of, by) = (first(self.pod_name.as_ref())?, first(self.pod_uid.as_ref())?);
        Some(AcceptedPod { name: name(of)?, uid: uid(by)? })
    }
}

fn first<'a>(values: Option<&'a Vec<Text<'_>>>) -> Option<&'a str> {
    values?.first().map(|text| &*text.0)
}
