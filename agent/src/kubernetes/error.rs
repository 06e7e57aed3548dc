//! Errors of this room: what failed, why, and what the reader can do.

use std::borrow::Cow;
use std::fmt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use http::header::RETRY_AFTER;
use http::{HeaderMap, StatusCode};
use serde::Deserialize;
use tokenwatch_core::base::text::shown;

use crate::network::{Trouble, chain};
use crate::regular_file::NoAnswer;

/// Bytes of a plain-text error response that are shown.
const MAX_SHOWN: usize = 200;

/// Why a request failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Error {
    /// The client's own configuration cannot be used.
    Configuration(ConfigError),
    /// The server could not be reached, or did not respond in time.
    Connection(ConnectionError),
    /// The server responded with an error status.
    Refused {
        /// Its HTTP status.
        status: StatusCode,
        /// Its message.
        message: String,
        /// How long it wants the client to wait.
        retry_after: Option<Duration>,
    },
    /// The server sent something that is not a valid response to this request.
    Invalid(InvalidResponse),
}

/// What is wrong with a response. The parsers' messages quote it, so what looks like a token is
/// left out from the start.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InvalidResponse(String);

impl fmt::Display for InvalidResponse {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Why there is no response.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConnectionError {
    /// What failed.
    pub trouble: Trouble,
    /// The error with its causes.
    pub(super) reason: String,
    /// What else is known about it, instead of the usual advice.
    pub(super) note: Option<String>,
}

/// What kind of error it is: the same for the same trouble, whatever its text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ErrorKind {
    /// Of the client's own configuration.
    Configuration,
    /// Of the connection.
    Connection(Trouble),
    /// A response with this status.
    Refused(u16),
    /// A response that is none.
    Invalid,
}

/// Why the client's configuration cannot be used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ConfigError {
    /// The agent does not run in a pod, and no kubeconfig is named.
    NoServer,
    /// The environment names something that is not an address.
    InvalidAddress {
        /// What it names.
        address: String,
        /// The parser's reason.
        reason: String,
    },
    /// A file cannot be read.
    Unreadable {
        /// The file.
        path: PathBuf,
        /// The operating system's reason.
        reason: String,
    },
    /// A file has not answered.
    NoAnswer(NoAnswer),
    /// A file is not a kubeconfig, or kube cannot use it. The parser's own message is left out: it
    /// quotes lines of the file, which holds secrets.
    NotKubeconfig(PathBuf),
    /// A kubeconfig refers to something that it does not contain, or needs something that the agent
    /// does not support.
    Unsuitable {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// TLS, the agent's own token, or the request could not be set up.
    Client(String),
}

impl ConfigError {
    pub(super) fn unreadable(path: &Path, error: &std::io::Error) -> Self {
        Self::Unreadable { path: path.to_owned(), reason: error.to_string() }
    }
}

impl From<NoAnswer> for ConfigError {
    fn from(why: NoAnswer) -> Self {
        Self::NoAnswer(why)
    }
}

impl From<ConfigError> for Error {
    fn from(error: ConfigError) -> Self {
        Self::Configuration(error)
    }
}

/// Body of an error response, or object of an ERROR event (`metav1.Status`).
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Status {
    message: Option<String>,
    code: Option<u16>,
    details: Option<Details>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Details {
    retry_after_seconds: Option<u64>,
}

impl Status {
    fn retry_after_secs(&self) -> Option<u64> {
        self.details.as_ref()?.retry_after_seconds.filter(|seconds| *seconds > 0)
    }

    /// The message; a proxy, or flow control, sends plain text instead of a `Status`.
    fn message(&self, body: &[u8]) -> String {
        let message = self.message.clone().unwrap_or_else(|| {
            String::from_utf8_lossy(body.get(..MAX_SHOWN).unwrap_or(body)).into_owned()
        });
        shown(message.trim()).into_owned()
    }
}

impl Error {
    /// An error of the client library. What it could not read of its own credentials is a matter of
    /// configuration.
    pub(super) fn from_kube(error: kube::Error) -> Self {
        match error {
            kube::Error::Auth(error) => ConfigError::Client(error.to_string()).into(),
            error => Self::connection(&error),
        }
    }

    /// An error of the transport with all its causes; the last one is the most specific.
    pub(super) fn connection(error: &(dyn std::error::Error + 'static)) -> Self {
        Self::no_response(Trouble::of(error), chain(error))
    }

    /// No response, for this reason.
    pub(super) fn no_response(trouble: Trouble, reason: String) -> Self {
        Self::Connection(ConnectionError { trouble, reason, note: None })
    }

    /// With what else is known about a failed connection.
    pub(super) fn noted(self, note: impl FnOnce(Trouble) -> Option<String>) -> Self {
        match self {
            Self::Connection(error) => {
                let note = note(error.trouble);
                Self::Connection(ConnectionError { note, ..error })
            }
            Self::Configuration(_) | Self::Refused { .. } | Self::Invalid(_) => self,
        }
    }

    /// Its kind.
    pub fn kind(&self) -> ErrorKind {
        match self {
            Self::Configuration(_) => ErrorKind::Configuration,
            Self::Connection(error) => ErrorKind::Connection(error.trouble),
            Self::Refused { status, .. } => ErrorKind::Refused(status.as_u16()),
            Self::Invalid(_) => ErrorKind::Invalid,
        }
    }

    /// A response that is not valid.
    pub(crate) fn invalid(reason: impl fmt::Display) -> Self {
        Self::Invalid(InvalidResponse(shown(&reason.to_string()).into_owned()))
    }

    /// A response with an error status.
    pub(crate) fn refused(status: StatusCode, headers: &HeaderMap, body: &[u8]) -> Self {
        let parsed: Status = serde_json::from_slice(body).unwrap_or_default();
        let header =
            headers.get(RETRY_AFTER).and_then(|value| value.to_str().ok()?.trim().parse().ok());
        Self::Refused {
            status,
            retry_after: header.or(parsed.retry_after_secs()).map(Duration::from_secs),
            message: parsed.message(body),
        }
    }

    /// The object of an ERROR event within a watch.
    pub(crate) fn in_watch(object: &[u8]) -> Self {
        let parsed: Status = serde_json::from_slice(object).unwrap_or_default();
        let status = parsed.code.and_then(|code| StatusCode::from_u16(code).ok());
        Self::Refused {
            status: status.unwrap_or(StatusCode::INTERNAL_SERVER_ERROR),
            retry_after: parsed.retry_after_secs().map(Duration::from_secs),
            message: parsed.message(object),
        }
    }

    /// How long the server wants the client to wait.
    pub fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::Refused { retry_after, .. } => *retry_after,
            Self::Configuration(_) | Self::Connection(_) | Self::Invalid(_) => None,
        }
    }

    /// The status of an error response.
    pub fn status(&self) -> Option<StatusCode> {
        match self {
            Self::Refused { status, .. } => Some(*status),
            Self::Configuration(_) | Self::Connection(_) | Self::Invalid(_) => None,
        }
    }

    /// Whether connections must be opened again: a connection that swallows requests would be used
    /// until TCP gives up, and a token that is refused may have been replaced.
    pub(super) fn needs_new_connection(&self) -> bool {
        match self {
            Self::Configuration(_) | Self::Connection(_) => true,
            Self::Refused { status, .. } => *status == StatusCode::UNAUTHORIZED,
            Self::Invalid(_) => false,
        }
    }

    /// Whether the resource version that a watch started from is too old.
    pub(crate) fn is_expired(&self) -> bool {
        self.status() == Some(StatusCode::GONE)
    }

    /// Whether the same request may succeed later.
    pub(crate) fn is_temporary(&self) -> bool {
        match self {
            Self::Configuration(_) | Self::Connection(_) => true,
            Self::Refused { status, .. } => {
                let temporary = [
                    StatusCode::UNAUTHORIZED,
                    StatusCode::REQUEST_TIMEOUT,
                    StatusCode::TOO_MANY_REQUESTS,
                ];
                status.is_server_error() || temporary.contains(status)
            }
            Self::Invalid(_) => false,
        }
    }

    fn remedy(&self) -> &'static str {
        match self {
            Self::Configuration(_) => CORRECT_CONFIGURATION,
            Self::Connection(_) => CHECK_NETWORK,
            Self::Invalid(_) => CHECK_ADDRESS,
            Self::Refused { status, .. } => remedy_for(*status),
        }
    }
}

const CORRECT_CONFIGURATION: &str =
    "correct kubernetes.kubeconfig, or the service account of the agent's pod";
const CHECK_NETWORK: &str = "check that the API server runs and that network policies, firewalls \
                             and proxies let the agent reach it";
const CHECK_ADDRESS: &str =
    "check what listens at that address: it does not behave like an API server";
const CHECK_TOKEN: &str = "check the agent's own token: its service account must exist, and the \
                           token must be from this cluster";
const GRANT: &str = "grant the agent's service account list and watch on pods, get on \
                     serviceaccounts, and create and patch on events.k8s.io events";
const CHECK_LOAD: &str =
    "check the API server's load and its flow control; this node is not the cause";

fn remedy_for(status: StatusCode) -> &'static str {
    match status {
        StatusCode::UNAUTHORIZED => CHECK_TOKEN,
        StatusCode::FORBIDDEN => GRANT,
        StatusCode::TOO_MANY_REQUESTS => CHECK_LOAD,
        status if status.is_server_error() => "check the health of the API server",
        _ => "check the version of the API server and any proxy in front of it",
    }
}

/// Whether a request failed with this status.
pub fn is_status<T>(outcome: &Result<T, Error>, status: StatusCode) -> bool {
    outcome.as_ref().err().and_then(Error::status) == Some(status)
}

/// What failed, why, and what to do: `responded 403 Forbidden (pods is forbidden: …); grant …`.
/// The caller names the API server in front of it.
impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Configuration(error) => write!(f, "request not sent ({error})")?,
            Self::Connection(error) => {
                write!(f, "connection failed ({})", shown(&error.reason))?;
                return write!(f, "; {}", error.note.as_deref().unwrap_or(CHECK_NETWORK));
            }
            Self::Invalid(reason) => write!(f, "invalid response ({reason})")?,
            Self::Refused { status, message, .. } if message.is_empty() => {
                write!(f, "responded {status}")?;
            }
            Self::Refused { status, message, .. } => {
                write!(f, "responded {status} ({})", shown(message))?;
            }
        }
        write!(f, "; {}", self.remedy())
    }
}

impl std::error::Error for Error {}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoServer => f.write_str(NO_SERVER),
            Self::InvalidAddress { address, reason } => {
                let address = without_login(address);
                write!(f, "{} is not a valid address: {}", shown(&address), shown(reason))
            }
            Self::Unreadable { path, reason } => {
                write!(f, "cannot read {}: {}", shown_path(path), shown(reason))
            }
            Self::NoAnswer(why) => f.write_str(&shown(&why.to_string())),
            Self::NotKubeconfig(path) => f.write_str(&not_kubeconfig(path)),
            Self::Unsuitable { path, reason } => {
                write!(f, "kubeconfig {}: {}", shown_path(path), shown(reason))
            }
            Self::Client(reason) => f.write_str(&shown(reason)),
        }
    }
}

impl std::error::Error for ConfigError {}

/// A URL without a user and a password.
pub fn without_login(url: &str) -> Cow<'_, str> {
    match url.rsplit_once('@') {
        Some((_, host)) => Cow::Owned(format!("…@{host}")),
        None => Cow::Borrowed(url),
    }
}

const NO_SERVER: &str = "kubernetes.enabled is set, but no API server is configured: the agent \
                         does not run in a pod (KUBERNETES_SERVICE_HOST is not set), and \
                         kubernetes.kubeconfig names no file";

fn not_kubeconfig(path: &Path) -> String {
    let path = shown_path(path);
    format!(
        "{path} is not a valid kubeconfig; `kubectl config view --kubeconfig {path}` shows where \
         it is wrong"
    )
}

fn shown_path(path: &Path) -> String {
    shown(&path.to_string_lossy()).into_owned()
}
