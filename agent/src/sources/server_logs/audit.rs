//! The parts of a line of JSON that tell something: of audit events (audit.k8s.io/v1), and of the
//! API server's own log in its JSON format. Everything else is skipped, and not copied.

use std::borrow::Cow;
use std::net::IpAddr;

use chrono::{DateTime, TimeDelta};
use serde::Deserialize;
use serde_json::value::RawValue;
use tokenwatch_core::base::time::{Delta, Wall};
use tokenwatch_core::world::cluster::AccountName;
use tokenwatch_core::world::refusals::{Accepted, AcceptedAccount, AcceptedPod, AuditedRefusal};
use tokenwatch_core::world::tokens::GenerationId;

use crate::sources::logs::name::{account, agent, name, uid};
use crate::sources::logs::time::{LineTime, milliseconds};

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
    pub(super) api_version: Text<'a>,
    #[serde(borrow, default)]
    pub(super) verb: Text<'a>,
    #[serde(borrow, default)]
    pub(super) user_agent: Text<'a>,
    #[serde(borrow, default)]
    pub(super) object_ref: Option<ObjectRef<'a>>,
    /// Left as it is: it may be any object, or a part of one.
    #[serde(borrow, default)]
    pub(super) request_object: Option<&'a RawValue>,
    #[serde(borrow, default)]
    pub(super) stage: Text<'a>,
    #[serde(borrow, default)]
    pub(super) request_received_timestamp: Text<'a>,
    #[serde(borrow, default)]
    pub(super) stage_timestamp: Text<'a>,
    #[serde(borrow, default, rename = "sourceIPs")]
    pub(super) addresses: Option<Vec<Text<'a>>>,
    #[serde(borrow, default)]
    pub(super) user: Option<User<'a>>,
    #[serde(borrow, default)]
    pub(super) response_status: Option<Status<'a>>,
    #[serde(borrow, default)]
    pub(super) annotations: Option<Annotations<'a>>,
    /// Of a line of the log.
    #[serde(borrow, default)]
    pub(super) ts: Option<&'a RawValue>,
    #[serde(borrow, default)]
    pub(super) msg: Text<'a>,
    #[serde(borrow, default)]
    pub(super) err: Text<'a>,
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
    pub(super) message: Text<'a>,
}

#[derive(Debug, Default, Deserialize)]
pub(super) struct User<'a> {
    #[serde(borrow, default)]
    pub(super) username: Text<'a>,
    #[serde(borrow, default)]
    pub(super) extra: Option<Extra<'a>>,
}

/// What the API server adds to the user of a bound token (KEP-4193).
#[derive(Debug, Default, Deserialize)]
pub(super) struct Extra<'a> {
    #[serde(borrow, default, rename = "authentication.kubernetes.io/credential-id")]
    pub(super) credential: Option<Vec<Text<'a>>>,
    #[serde(borrow, default, rename = "authentication.kubernetes.io/node-name")]
    pub(super) node_name: Option<Vec<Text<'a>>>,
    #[serde(borrow, default, rename = "authentication.kubernetes.io/pod-name")]
    pub(super) pod_name: Option<Vec<Text<'a>>>,
    #[serde(borrow, default, rename = "authentication.kubernetes.io/pod-uid")]
    pub(super) pod_uid: Option<Vec<Text<'a>>>,
}

#[derive(Debug, Deserialize)]
pub(super) struct Annotations<'a> {
    /// `JTI=…` of a token that was issued.
    #[serde(borrow, default, rename = "authentication.kubernetes.io/issued-credential-id")]
    pub(super) issued: Option<Text<'a>>,
    /// `subject: system:serviceaccount:NS:SA, seconds after warning threshold: N`
    #[serde(borrow, default, rename = "authentication.k8s.io/stale-token")]
    pub(super) stale: Option<Text<'a>>,
}

impl Line<'_> {
    /// What an event of this user shows.
    pub(super) fn accepted(&self, user: &User<'_>, address: Option<IpAddr>) -> Accepted {
        let user = user.account(self);
        // Of others, as kubelet, nobody asks for more than that there was one.
        let (at, agent) = match &user {
            Some(_) => (self.received(), agent(&self.user_agent.0)),
            None => (None, None),
        };
        Accepted { address, user, at, agent }
    }

    /// An event of a request that was refused, with its times.
    pub(super) fn refusal(&self, address: Option<IpAddr>) -> Option<AuditedRefusal> {
        let (received, answered) = (self.received()?, wall(&self.stage_timestamp)?);
        Some(AuditedRefusal { address, received, answered })
    }

    /// When the API server received the request.
    pub(super) fn received(&self) -> Option<Wall> {
        wall(&self.request_received_timestamp)
    }

    /// Of a line of the log.
    pub(super) fn time(&self) -> Option<LineTime> {
        let ts = self.ts?.get().parse().ok()?;
        milliseconds(ts).map(LineTime::At)
    }

    /// The address of the connection. Those before it are what the client's headers have.
    pub(super) fn address(&self) -> Option<IpAddr> {
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
        let generation = extra.and_then(Extra::generation).filter(|_| line.is_new());
        let stale_for = line.stale_for().filter(|_| line.is_new());
        let (pod, node) = (extra.and_then(Extra::pod), extra.and_then(Extra::node));
        Some(AcceptedAccount { account, pod, node, generation, stale_for })
    }
}

fn wall(text: &Text<'_>) -> Option<Wall> {
    let time = DateTime::parse_from_rfc3339(&text.0).ok()?;
    time.timestamp_nanos_opt().map(Wall::from_nanos)
}

impl Extra<'_> {
    fn generation(&self) -> Option<GenerationId> {
        let id = first(self.credential.as_ref())?;
        id.strip_prefix(JTI).map(GenerationId::of_jti)
    }

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
