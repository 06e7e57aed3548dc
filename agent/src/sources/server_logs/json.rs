//! Lines of JSON: audit events (audit.k8s.io/v1), and the API server's own log in its JSON format
//! (component-base/logs/json). Everything else in them is skipped, and not copied.

use std::borrow::Cow;
use std::net::IpAddr;

use chrono::{DateTime, TimeDelta};
use serde::Deserialize;
use serde_json::value::RawValue;
use tokenwatch_core::base::time::{Delta, Wall};
use tokenwatch_core::world::cluster::AccountName;
use tokenwatch_core::world::refusals::{Accepted, AcceptedAccount, AcceptedPod, AuditedRefusal};
use tokenwatch_core::world::tokens::GenerationId;

use super::issued::issued;
use super::klog::{self, REFUSED};
use super::reason::reason;
use super::{Audited, Logged};
use crate::sources::logs::name::{account, agent, name, uid};
use crate::sources::logs::time::{LineTime, milliseconds};

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
pub(super) const JTI: &str = "JTI=";

/// The parts of a line that tell something.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Line<'a> {
    /// Of an audit event.
    #[serde(borrow, default)]
    api_version: Text<'a>,
    #[serde(borrow, default)]
    pub(super) verb: Text<'a>,
    #[serde(borrow, default)]
    user_agent: Text<'a>,
    #[serde(borrow, default)]
    pub(super) object_ref: Option<ObjectRef<'a>>,
    /// Left as it is: it may be any object, or a part of one.
    #[serde(borrow, default)]
    pub(super) request_object: Option<&'a RawValue>,
    #[serde(borrow, default)]
    pub(super) stage: Text<'a>,
    #[serde(borrow, default)]
    request_received_timestamp: Text<'a>,
    #[serde(borrow, default)]
    stage_timestamp: Text<'a>,
    #[serde(borrow, default, rename = "sourceIPs")]
    addresses: Option<Vec<Text<'a>>>,
    #[serde(borrow, default)]
    pub(super) user: Option<User<'a>>,
    #[serde(borrow, default)]
    pub(super) response_status: Option<Status<'a>>,
    #[serde(borrow, default)]
    pub(super) annotations: Option<Annotations<'a>>,
    /// Of a line of the log.
    #[serde(borrow, default)]
    ts: Option<&'a RawValue>,
    #[serde(borrow, default)]
    msg: Text<'a>,
    #[serde(borrow, default)]
    err: Text<'a>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(transparent)]
pub(super) struct Text<'a>(#[serde(borrow)] pub(super) Cow<'a, str>);

/// What the request was for.
#[derive(Debug, Default, Deserialize)]
pub(super) struct ObjectRef<'a> {
    #[serde(borrow, default)]
    pub(super) resource: Text<'a>,
    #[serde(borrow, default)]
    pub(super) subresource: Text<'a>,
}

#[derive(Debug, Deserialize)]
pub(super) struct Status<'a> {
    #[serde(default)]
    pub(super) code: i64,
    #[serde(borrow, default)]
    message: Text<'a>,
}

#[derive(Debug, Default, Deserialize)]
pub(super) struct User<'a> {
    #[serde(borrow, default)]
    pub(super) username: Text<'a>,
    #[serde(borrow, default)]
    extra: Option<Extra<'a>>,
}

/// What the API server adds to the user of a bound token (KEP-4193).
#[derive(Debug, Default, Deserialize)]
struct Extra<'a> {
    #[serde(borrow, default, rename = "authentication.kubernetes.io/credential-id")]
    credential: Option<Vec<Text<'a>>>,
    #[serde(borrow, default, rename = "authentication.kubernetes.io/node-name")]
    node_name: Option<Vec<Text<'a>>>,
    #[serde(borrow, default, rename = "authentication.kubernetes.io/pod-name")]
    pod_name: Option<Vec<Text<'a>>>,
    #[serde(borrow, default, rename = "authentication.kubernetes.io/pod-uid")]
    pod_uid: Option<Vec<Text<'a>>>,
}

#[derive(Debug, Deserialize)]
pub(super) struct Annotations<'a> {
    /// `JTI=…` of a token that was issued.
    #[serde(borrow, default, rename = "authentication.kubernetes.io/issued-credential-id")]
    pub(super) issued: Option<Text<'a>>,
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
        REFUSED => Some(Logged::Refused(reason(&line.err.0), line.time())),
        message => klog::message(message, line.time()),
    }
}

fn event(line: &Line<'_>) -> Option<Logged> {
    let address = line.address();
    if let Some(user) = line.user.as_ref().filter(|user| !user.username.0.is_empty()) {
        if user.username.0 == ANONYMOUS {
            return None; // a request without a token tells nothing about who has one
        }
        let accepted = line.accepted(user, address);
        return Some(match issued(line) {
            Some(issued) => Logged::Issued(issued, accepted),
            None => Logged::Accepted(accepted),
        });
    }
    let is_refused =
        line.stage.0 == STAGE && line.response_status.as_ref().is_some_and(Status::is_of_token);
    is_refused.then(|| Logged::Audited(Audited { address, timed: line.refusal(address) }))
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
    fn accepted(&self, user: &User<'_>, address: Option<IpAddr>) -> Accepted {
        let user = user.account(self);
        // Of others, as kubelet, nobody asks for more than that there was one.
        let (at, agent) = match &user {
            Some(_) => (self.received(), agent(&self.user_agent.0)),
            None => (None, None),
        };
        Accepted { address, user, at, agent }
    }

    fn refusal(&self, address: Option<IpAddr>) -> Option<AuditedRefusal> {
        let (received, answered) = (self.received()?, wall(&self.stage_timestamp)?);
        Some(AuditedRefusal { address, received, answered })
    }

    /// When the API server received the request.
    pub(super) fn received(&self) -> Option<Wall> {
        wall(&self.request_received_timestamp)
    }

    /// Of a line of the log.
    fn time(&self) -> Option<LineTime> {
        let ts = self.ts?.get().parse().ok()?;
        milliseconds(ts).map(LineTime::At)
    }

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
        let node = extra.and_then(Extra::node);
        Some(AcceptedAccount {
            account,
            pod: extra.and_then(Extra::pod),
            node,
            generation: credential.and_then(|id| id.strip_prefix(JTI)).map(GenerationId::of_jti),
            stale_for: line.stale_for().filter(|_| line.is_new()),
        })
    }
}

fn wall(text: &Text<'_>) -> Option<Wall> {
    let time = DateTime::parse_from_rfc3339(&text.0).ok()?;
    time.timestamp_nanos_opt().map(Wall::from_nanos)
}

impl Extra<'_> {
    fn node(&self) -> Option<String> {
        name(first(self.node_name.as_ref())?)
    }

    fn pod(&self) -> Option<AcceptedPod> {
        let (of, by) = (first(self.pod_name.as_ref())?, first(self.pod_uid.as_ref())?);
        Some(AcceptedPod { name: name(of)?, uid: uid(by)? })
    }
}

fn first<'a>(values: Option<&'a Vec<Text<'_>>>) -> Option<&'a str> {
    values?.first().map(|text| &*text.0)
}
