//! What went wrong with a request, and what to do about it.

use std::time::Duration;

use http::header::RETRY_AFTER;
use http::{HeaderMap, StatusCode};
use serde::Deserialize;
use tokenwatch_core::base::text::shown;

/// Why a request came to nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Trouble {
    /// What says how to reach the API server does not.
    Configuration(String),
    /// It was not reached, or did not answer.
    Connection(String),
    /// It answered, and said no.
    Refused {
        /// How.
        status: StatusCode,
        /// In its words.
        message: String,
        /// After how long it may be asked again.
        retry_after: Option<Duration>,
    },
    /// It answered something else than it should.
    Garbage(String),
}

/// What the API server says beside a status (`metav1.Status`).
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Said {
    message: Option<String>,
    code: Option<u16>,
    details: Option<Details>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Details {
    retry_after_seconds: Option<u64>,
}

impl Trouble {
    /// From the client: what it could not find out about itself is the configuration's fault.
    pub(crate) fn of(why: kube::Error) -> Self {
        match why {
            kube::Error::Auth(why) => Self::Configuration(why.to_string()),
            why => Self::connection(&why),
        }
    }

    /// From the transport: an error with all that it was caused by, the last of which says most.
    pub(crate) fn connection(why: &dyn std::error::Error) -> Self {
        let mut text = why.to_string();
        let mut cause = why.source();
        while let Some(why) = cause {
            text = format!("{text}: {why}");
            cause = why.source();
        }
        Self::Connection(text)
    }

    /// From an answer that is no success.
    pub(crate) fn refused(status: StatusCode, headers: &HeaderMap, body: &[u8]) -> Self {
        let said: Said = serde_json::from_slice(body).unwrap_or_default();
        let header =
            headers.get(RETRY_AFTER).and_then(|value| value.to_str().ok()?.trim().parse().ok());
        Self::Refused {
            status,
            retry_after: header.or(said.seconds()).map(Duration::from_secs),
            message: said.words(body),
        }
    }

    /// From an event of type ERROR in the middle of a watch.
    pub(crate) fn in_a_watch(object: &[u8]) -> Self {
        let said: Said = serde_json::from_slice(object).unwrap_or_default();
        let status = said
            .code
            .and_then(|code| StatusCode::from_u16(code).ok())
            .unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        Self::Refused {
            status,
            retry_after: said.seconds().map(Duration::from_secs),
            message: said.words(object),
        }
    }

    /// How long to stay away, if it was said.
    pub fn retry_after(&self) -> Option<Duration> {
        if let Self::Refused { retry_after, .. } = self { *retry_after } else { None }
    }

    /// Whether what is known of the way there is not to be trusted any more: a connection that
    /// swallows requests would be used again until TCP gives up, and a token that is refused
    /// may have been replaced.
    pub(crate) fn wants_a_new_connection(&self) -> bool {
        matches!(
            self,
            Self::Configuration(_)
                | Self::Connection(_)
                | Self::Refused { status: StatusCode::UNAUTHORIZED, .. }
        )
    }

    /// The resource version is too old to go on from.
    pub(crate) fn is_expired(&self) -> bool {
        matches!(self, Self::Refused { status: StatusCode::GONE, .. })
    }

    /// Whether the same request may be answered later.
    pub(crate) fn may_pass(&self) -> bool {
        match self {
            Self::Configuration(_) | Self::Connection(_) => true,
            Self::Refused { status, .. } => {
                let passing = [
                    StatusCode::UNAUTHORIZED,
                    StatusCode::REQUEST_TIMEOUT,
                    StatusCode::TOO_MANY_REQUESTS,
                ];
                status.is_server_error() || passing.contains(status)
            }
            Self::Garbage(_) => false,
        }
    }

    fn remedy(&self) -> &'static str {
        match self {
            Self::Configuration(_) => {
                "repair what says how to reach it (kubernetes.kubeconfig, or the pod's service \
                 account)"
            }
            Self::Connection(_) => {
                "look at the way there (network policy, firewall, proxy) and whether it is up"
            }
            Self::Garbage(_) => {
                "look at what answers at that address: it is not an API server that works"
            }
            Self::Refused { status, .. } => match *status {
                StatusCode::UNAUTHORIZED => {
                    "look at the agent's own token: its service account must exist, and the token \
                     be of this cluster"
                }
                StatusCode::FORBIDDEN => {
                    "grant the agent's service account list and watch on pods, get on \
                     serviceaccounts, and create and patch on events.k8s.io events"
                }
                StatusCode::TOO_MANY_REQUESTS => {
                    "none of this node's doing: look at the API server's load and its flow control"
                }
                status if status.is_server_error() => "look at the API server's own health",
                _ => "look at the API server's version and at what is in between",
            },
        }
    }
}

impl Said {
    fn seconds(&self) -> Option<u64> {
        self.details.as_ref()?.retry_after_seconds.filter(|seconds| *seconds > 0)
    }

    /// A proxy, or flow control, says it in plain text.
    fn words(&self, body: &[u8]) -> String {
        let words = self.message.clone().unwrap_or_else(|| {
            String::from_utf8_lossy(body.get(..200).unwrap_or(body)).into_owned()
        });
        shown(words.trim()).into_owned()
    }
}

/// What, how, and what to do: `it answered 403 Forbidden (pods is forbidden: …): grant …`.
impl std::fmt::Display for Trouble {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Configuration(why) => write!(f, "it cannot be asked ({})", shown(why))?,
            Self::Connection(why) => write!(f, "it was not reached ({})", shown(why))?,
            Self::Garbage(why) => {
                write!(f, "it answered what was not understood ({})", shown(why))?
            }
            Self::Refused { status, message, .. } if message.is_empty() => {
                write!(f, "it answered {status}")?
            }
            Self::Refused { status, message, .. } => {
                write!(f, "it answered {status} ({})", shown(message))?
            }
        }
        write!(f, ": {}", self.remedy())
    }
}
