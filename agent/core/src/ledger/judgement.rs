//! The complete diagnosis of one scope, and the meaning of a finding that is missing from it.

use super::scope::Scope;
use crate::base::ids::TraceContext;
use crate::base::time::Wall;
use crate::base::value::Value;
use crate::diagnosis::{
    ApiServerDiagnosis, Explained, KubeletDiagnosis, NodeDiagnosis, Resumed, VerifierKnown,
};
use crate::findings::wording::BY_TOKENS;
use crate::findings::{Code, Finding, Resolution, UNSYNCED_SINCE, WRONG, WrongClock, is_unsynced};
use crate::world::clocks::ClockState;
use crate::world::observation::DeliveryState;

/// The complete diagnosis of one scope.
#[derive(Clone, Debug, PartialEq)]
pub struct Judgement {
    /// Every finding of the scope.
    pub findings: Vec<Finding>,
    /// Why an earlier finding may be missing from `findings`.
    pub missing: Missing,
}

/// Why an earlier finding may be missing from a diagnosis.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Missing {
    /// The token file still exists.
    Token {
        /// The trace of the generation in the file, if there is one.
        current: Option<TraceContext>,
        /// What explains that a finding is missing.
        explained: Explained,
        /// Whether the agent cannot tell what a reader of it holds.
        is_reader_unknown: bool,
        /// Whether kubelet syncs its volume.
        resumed: Resumed,
    },
    /// The token file no longer exists, and none has to.
    Gone,
    /// The agent tracks the token no more.
    LeftOut,
    /// The token file no longer exists, and should. That is a finding of its own.
    Absent,
    /// The file holds other tokens than those that the finding is about.
    Rewritten,
    /// The clock is in this state.
    Clock(ClockState),
    /// The API server's clock is right, or not known.
    Verifier {
        /// How far their clocks are known by their answers; none if no API server is asked.
        answers: Option<VerifierKnown>,
        /// How far by the tokens that they signed.
        tokens: VerifierKnown,
    },
    /// kubelet replaces tokens, or none that it should have replaced is left.
    Kubelet {
        /// Whether kubelet replaced a token.
        replaced: bool,
        /// Whether kubelet syncs volumes.
        resumed: Resumed,
        /// When kubelet last got a token.
        newest: Option<Wall>,
    },
    /// The API servers have the keys of the tokens, or not every token is checked.
    Keys {
        /// Whether every token is checked.
        is_complete: bool,
    },
    /// The API servers refuse no request, or too few to report.
    Refusals {
        /// Whether they have refused none for a while.
        is_quiet: bool,
    },
    /// The lease of the controller manager is renewed, or not known any more.
    Controller {
        /// Whether a renewal was seen.
        is_renewed: bool,
    },
    /// Alerts are delivered again.
    Delivered {
        /// Number of alerts that were lost since the agent started.
        lost: u64,
    },
    /// The condition ended, without further detail.
    Recovered,
}

impl Judgement {
    /// Whether the file is there, holds no token, and has had no time to settle: nothing shows what
    /// became of an earlier finding.
    pub(super) fn is_open(&self) -> bool {
        self.findings.is_empty() && matches!(self.missing, Missing::Token { current: None, .. })
    }

    /// The diagnosis of a token whose file no longer exists.
    pub fn gone() -> Self {
        Self { findings: Vec::new(), missing: Missing::Gone }
    }

    /// The diagnosis of the node, by scope.
    pub fn of_node(
        diagnosis: NodeDiagnosis,
        delivery: &DeliveryState,
        clock: ClockState,
    ) -> [(Scope, Self); 10] {
        let lost = delivery.given_up + delivery.rejected;
        let of = |findings, missing| Self { findings, missing };
        let one = |finding: Option<Finding>, missing| of(finding.into_iter().collect(), missing);
        let KubeletDiagnosis { finding: stalled, replaces: replaced, resumed, newest } =
            diagnosis.kubelet;
        let replaced = Missing::Kubelet { replaced, resumed, newest };
        let ApiServerDiagnosis {
            skew, clock: answers, by_tokens, rejecting, stale, is_quiet, ..
        } = diagnosis.api_server;
        let refusals = rejecting.into_iter().chain(stale).collect();
        let verifier = Missing::Verifier { answers, tokens: by_tokens };
        let is_renewed = diagnosis.controller.is_renewed;
        let keys = diagnosis.keys.is_complete;
        let keys = keys.map_or(Missing::Gone, |is_complete| Missing::Keys { is_complete });
        [
            (Scope::Kubelet, one(stalled, replaced)),
            (Scope::Clock, of(diagnosis.clock, Missing::Clock(clock))),
            (Scope::Verifier, one(skew, verifier)),
            (Scope::Refusals, of(refusals, Missing::Refusals { is_quiet })),
            (Scope::Keys, of(diagnosis.keys.findings, keys)),
            (
                Scope::Controller,
                one(diagnosis.controller.finding, Missing::Controller { is_renewed }),
            ),
            (Scope::Posture, of(diagnosis.posture, Missing::Recovered)),
            (Scope::Visibility, one(diagnosis.visibility, Missing::Recovered)),
            (Scope::Volumes, one(diagnosis.volumes, Missing::Recovered)),
            (Scope::Delivery, one(diagnosis.delivery, Missing::Delivered { lost })),
        ]
    }
}

impl Missing {
    /// Whether nothing shows that `finding` is resolved: it stays.
    pub(super) fn keeps(&self, finding: &Finding) -> bool {
        match self {
            Self::Token { is_reader_unknown, .. } if finding.code == Code::ReaderStale => {
                *is_reader_unknown
            }
            Self::Token { explained: Explained::UnknownPod, .. }
                if finding.code == Code::AudienceUnknown =>
            {
                true
            }
            // The file was not read since the agent started: nothing shows what became of it.
            Self::Token { current: None, .. } if finding.trace.is_some() => true,
            Self::Token { current, resumed, .. } => {
                *resumed == Resumed::Unknown && is_unsynced(finding) && finding.trace == *current
            }
            Self::Kubelet { replaced, resumed, newest } => {
                let has_replaced = *replaced || is_replaced_since(finding, *newest);
                *resumed == Resumed::Unknown && is_unsynced(finding) && !has_replaced
            }
            Self::Verifier { tokens, .. } if is_by_tokens(finding) => is_open(*tokens, finding),
            Self::Verifier { answers, .. } => answers.is_some_and(|known| is_open(known, finding)),
            Self::Keys { is_complete } => !is_complete,
            Self::Refusals { is_quiet } => !is_quiet && finding.code == Code::ApiserverRejecting,
            Self::Gone
            | Self::LeftOut
            | Self::Absent
            | Self::Rewritten
            | Self::Clock(_)
            | Self::Controller { .. }
            | Self::Delivered { .. }
            | Self::Recovered => false,
        }
    }

    /// How `finding`, which is missing, was resolved.
    pub(super) fn resolution(&self, finding: &Finding) -> Resolution {
        match self {
            // The finding is about another generation than the one in the file.
            Self::Token { current, .. } if finding.trace.is_some() && finding.trace != *current => {
                Resolution::Replaced
            }
            Self::Token { explained: Explained::Clock, .. } => Resolution::ClockToBlame,
            Self::Token { explained: Explained::ApiServer, .. } if is_too_new(finding.code) => {
                Resolution::Became(Code::ApiserverSkew)
            }
            Self::Token { explained: Explained::Kubelet, .. } if is_of_kubelet(finding.code) => {
                Resolution::Became(Code::KubeletStalled)
            }
            Self::Token { resumed: Resumed::Yes, .. }
            | Self::Kubelet { resumed: Resumed::Yes, .. }
                if is_unsynced(finding) =>
            {
                Resolution::Resumed
            }
            Self::Kubelet { replaced, newest, .. } => {
                let replaced = *replaced || is_replaced_since(finding, *newest);
                Resolution::Kubelet { replaced }
            }
            Self::Verifier { answers: None, .. } if !is_by_tokens(finding) => Resolution::Gone,
            Self::Gone | Self::Controller { is_renewed: false } => Resolution::Gone,
            Self::LeftOut => Resolution::LeftOut,
            Self::Absent => Resolution::Became(Code::Missing),
            Self::Rewritten => Resolution::Replaced,
            Self::Clock(state) => Resolution::Clock(*state),
            Self::Delivered { lost } => Resolution::Delivered { lost: *lost },
            Self::Token {
                explained:
                    Explained::Nothing
                    | Explained::Kubelet
                    | Explained::ApiServer
                    | Explained::UnknownPod,
                ..
            }
            | Self::Controller { is_renewed: true }
            | Self::Recovered
            | Self::Verifier { .. }
            | Self::Keys { .. }
            | Self::Refusals { .. } => Resolution::Recovered,
        }
    }
}

fn is_by_tokens(finding: &Finding) -> bool {
    finding.evidence.get(BY_TOKENS).is_some()
}

fn is_too_new(code: Code) -> bool {
    matches!(code, Code::FutureDated | Code::NotYetValid)
}

/// Whether nothing shows that a finding about the API server's clock is resolved. Agreement with a
/// node that may be wrong itself does not show that an API server is right again.
fn is_open(known: VerifierKnown, finding: &Finding) -> bool {
    let is_undecided = WrongClock::EVEN_WITHOUT_TRUTH
        .iter()
        .any(|wrong| finding.evidence.get(WRONG).and_then(Value::text) == Some(wrong.name()));
    match known {
        VerifierKnown::No => true,
        VerifierKnown::Undecided => !is_undecided,
        VerifierKnown::Yes => false,
    }
}

/// Whether kubelet got a token since a finding that it syncs nothing began.
fn is_replaced_since(finding: &Finding, newest: Option<Wall>) -> bool {
    let since = finding.evidence.get(UNSYNCED_SINCE).and_then(Value::text);
    // Times of this form are ordered as texts.
    since.zip(newest).is_some_and(|(since, newest)| *newest.rfc3339() > *since)
}

/// Whether `kubelet.stalled` takes the place of findings with this code.
fn is_of_kubelet(code: Code) -> bool {
    code.family() == Code::RotationStalled.family()
}
