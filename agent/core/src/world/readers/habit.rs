//! How a container reads its token.

use serde::{Deserialize, Serialize};

use crate::base::time::Delta;

/// How a container reads its token.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Habit {
    /// The agent has not seen enough.
    #[default]
    Unknown,
    /// It never reads the token.
    Never,
    /// It reads the token for each request, or nearly so.
    EachRequest,
    /// It reads the token again when it uses it and has not read it for some time.
    Every {
        /// That time.
        period: Delta,
    },
    /// It reads each new token as soon as kubelet writes it.
    OnChange,
    /// It reads the token at its start, and never again.
    Once,
    /// It reads the token again after the API server refused the old one.
    AfterRefusal,
    /// It reads the token again some time before the old one expires.
    BeforeExpiry {
        /// That time.
        window: Delta,
    },
    /// It exchanges the token for another credential, and reads it when that must be renewed.
    Exchange,
}

impl Habit {
    /// The name in JSON and in telemetry.
    pub fn name(self) -> &'static str {
        match self {
            Self::Unknown => "unknown",
            Self::Never => "never",
            Self::EachRequest => "each_request",
            Self::Every { .. } => "every",
            Self::OnChange => "on_change",
            Self::Once => "once",
            Self::AfterRefusal => "after_refusal",
            Self::BeforeExpiry { .. } => "before_expiry",
            Self::Exchange => "exchange",
        }
    }

    /// The time that belongs to the habit, if there is one.
    pub fn time(self) -> Option<Delta> {
        match self {
            Self::Every { period } => Some(period),
            Self::BeforeExpiry { window } => Some(window),
            Self::Unknown
            | Self::Never
            | Self::EachRequest
            | Self::OnChange
            | Self::Once
            | Self::AfterRefusal
            | Self::Exchange => None,
        }
    }
}
