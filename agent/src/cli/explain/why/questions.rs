//! The eight questions about a token that is refused, and the answer of the evidence to each.

use std::borrow::Cow;

use tokenwatch_core::base::text::{count_of, shown};
use tokenwatch_core::base::time::{Delta, Wall};
use tokenwatch_core::engine::{AccountState, ApiClock, Why};
use tokenwatch_core::findings::{Code, Finding, Severity};
use tokenwatch_core::world::clocks::{ClockState, Estimate};
use tokenwatch_core::world::cluster::{AccountLoss, Pod, PodStage};
use tokenwatch_core::world::keys::KeyState;
use tokenwatch_core::world::tokens::{Signature, SignatureResult, State, Verdict};

use super::{life, verifier};
use crate::cli::check::Missing;
use crate::cli::output::relative;
use crate::reader_list::Reader;

/// What an answer means for the token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Finds {
    /// No reason for a refusal.
    Good,
    /// A reason for a refusal, now or soon.
    Bad,
    /// The evidence does not tell.
    NotKnown,
}

impl Finds {
    /// The name in JSON.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Good => "good",
            Self::Bad => "bad",
            Self::NotKnown => "not_known",
        }
    }
}

/// A question, and its answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Answer {
    pub(super) question: &'static str,
    pub(super) finds: Finds,
    pub(super) text: String,
}

/// Why the API server may not have answered, and who reads the token.
#[derive(Clone, Copy, Debug)]
pub(super) struct Beside<'a> {
    /// Why answers of the API server are missing.
    pub(super) missing: &'a Missing,
    /// The readers of the token; none if nobody could be asked.
    pub(super) readers: Option<&'a [&'a Reader]>,
    pub(super) now: Wall,
}

/// All of them, in order.
pub(super) fn answers(why: &Why, beside: Beside<'_>) -> [Answer; 8] {
    let of = |question, (finds, text)| Answer { question, finds, text };
    [
        of("Which pod is it?", pod(why, beside)),
        of("Which service account?", account(why, beside)),
        of("What is in the token?", token(why, beside.now)),
        of("Is the token controller well?", controller(why)),
        of("Are the clocks right?", clocks(why, beside)),
        of("What does the API server accept?", accepted(why, beside)),
        of("Does a restart help?", restart(why, beside)),
        of("Is the lifetime right?", (Finds::Good, life::lifetime(why))),
    ]
}

fn pod(why: &Why, beside: Beside<'_>) -> (Finds, String) {
    let pod = &why.token.pod;
    let name = match (&pod.namespace, &pod.name) {
        (Some(namespace), Some(name)) => format!("{}/{}", shown(namespace), shown(name)),
        _ => format!("the pod with the UID {}", shown(&pod.uid)),
    };
    let owner = pod.owner.as_ref().map(|owner| format!(" of {}", shown(&owner.to_string())));
    let name = format!("{name}{}", owner.unwrap_or_default());
    let (finds, stage) = stage(why.stage, beside);
    let who = why.token.known.as_ref().map(|pod| mounting(pod, &why.token.key.volume));
    (finds, format!("{name}. {stage}{}", who.unwrap_or_default()))
}

fn stage(stage: PodStage, beside: Beside<'_>) -> (Finds, String) {
    match stage {
        PodStage::Active => (Finds::Good, "It exists.".to_owned()),
        PodStage::Unknown => {
            (Finds::NotKnown, not_known("whether it still exists", beside.missing.pod.as_deref()))
        }
        PodStage::Terminating { deletion } => {
            (Finds::Bad, format!("It is being deleted, by {}: {NO_MORE}.", deletion.rfc3339()))
        }
        PodStage::Ended(phase) => (Finds::Bad, format!("It has ended ({}).", phase.name())),
        PodStage::Deleted(_) => (Finds::Bad, POD_UNKNOWN.to_owned()),
    }
}

const NO_MORE: &str = "kubelet does not replace its token any more";
const POD_UNKNOWN: &str = "The API server does not know it, and refuses every token that is bound \
                           to it.";

/// `Not known whether it still exists, because …`
fn not_known(what: &str, why: Option<&str>) -> String {
    format!("Not known {what}, because {}.", because(why))
}

fn because(why: Option<&str>) -> Cow<'_, str> {
    why.map_or(Cow::Borrowed("the API server has not shown it"), shown)
}

fn mounting(pod: &Pod, volume: &str) -> String {
    let mounts = |names: &Vec<String>| names.iter().any(|name| name == volume);
    let containers = pod.containers.iter().filter(|one| mounts(&one.volumes));
    let names: Vec<_> = containers.map(|one| shown(&one.name)).collect();
    match names.len() {
        0 => String::new(),
        1 => format!(" Container {} mounts the token.", names.concat()),
        _ => format!(" Containers {} mount the token.", names.join(", ")),
    }
}

fn account(why: &Why, beside: Beside<'_>) -> (Finds, String) {
    let binding = &why.token.claims.binding;
    let name = format!("{}/{}", shown(&binding.namespace), shown(&binding.service_account.name));
    let (finds, text) = match why.account {
        AccountState::Exists => (Finds::Good, ACCOUNT_EXISTS.to_owned()),
        AccountState::Lost(AccountLoss::Missing) => (Finds::Bad, ACCOUNT_MISSING.to_owned()),
        AccountState::Lost(AccountLoss::Replaced) => (Finds::Bad, ACCOUNT_REPLACED.to_owned()),
        AccountState::NotKnown => (
            Finds::NotKnown,
            not_known("whether it still exists", beside.missing.account.as_deref()),
        ),
    };
    (finds, format!("{name}. {text}"))
}

const ACCOUNT_EXISTS: &str = "It exists, with the UID that the token has.";
const ACCOUNT_MISSING: &str = "It does not exist: every token of it is refused.";
const ACCOUNT_REPLACED: &str = "It was deleted and created again: the token has the UID of the old \
                                one, and is refused.";

fn token(why: &Why, now: Wall) -> (Finds, String) {
    let is_in_time = match why.token.state {
        State::Fresh | State::Due => true,
        State::Late | State::Stalled | State::Expired | State::NotYetValid => false,
    };
    let is_good = is_in_time && why.token.verdict != Verdict::Dead;
    let unseen = life::unseen(&why.token.claims.binding);
    let finds = match (is_good, &unseen) {
        (false, _) => Finds::Bad,
        (true, Some(_)) => Finds::NotKnown,
        (true, None) => Finds::Good,
    };
    let renewal = life::renewal(why, now);
    (finds, [content(why, now), extension(why, now), renewal, unseen.unwrap_or_default()].concat())
}

fn content(why: &Why, now: Wall) -> String {
    let claims = &why.token.claims;
    let audiences: Vec<_> = claims.audiences.iter().map(|one| shown(one)).collect();
    format!(
        "It was issued {} for {}, and expires at {} ({}). Its state is {}, its verdict {}.",
        relative(claims.issued_at, now),
        audiences.join(", "),
        claims.expires_at.rfc3339(),
        relative(claims.expires_at, now),
        why.token.state.name(),
        why.token.verdict.name(),
    )
}

fn extension(why: &Why, now: Wall) -> String {
    let text = |at: Wall| {
        let (at, away) = (at.rfc3339(), relative(at, now));
        format!(" The API server has extended its expiry: by itself it would end at {at} ({away}).")
    };
    why.token.claims.warn_after.map(text).unwrap_or_default()
}

fn controller(why: &Why) -> (Finds, String) {
    let is_of_kubelet = why.token.claims.binding.is_of_kubelet();
    let from = if is_of_kubelet { "kubelet requests it from" } else { "it was requested from" };
    let text = format!(
        "Not known, because the agent does not look at kube-controller-manager. It does not \
         matter for this token: {from} the API server. The controller creates only Secret-based \
         tokens."
    );
    (Finds::NotKnown, text)
}

fn clocks(why: &Why, beside: Beside<'_>) -> (Finds, String) {
    let (node, node_text) = node_clock(&why.clock);
    let (api, api_text) = api_clock(why.api_clock, beside);
    (worse(node, api), format!("{node_text} {api_text}"))
}

fn node_clock(clock: &Estimate) -> (Finds, String) {
    let Estimate { offset, bound, state, alone, .. } = clock;
    let (error, name) = (format!("{} {}", offset.abs(), side(-*offset)), state.name());
    match state {
        ClockState::Off | ClockState::Stepped | ClockState::Drifting if *alone => {
            let text = format!(
                "One time server alone puts the node's clock {error} true time, ±{bound} ({name}). \
                 It does not show whether the node or the server is wrong."
            );
            (Finds::NotKnown, text)
        }
        ClockState::Synchronised => {
            (Finds::Good, format!("The node's clock is {error} true time, ±{bound}."))
        }
        ClockState::Off | ClockState::Stepped | ClockState::Drifting => {
            (Finds::Bad, format!("The node's clock is {error} true time, ±{bound} ({name})."))
        }
        ClockState::Disagreeing | ClockState::Unknown => {
            (Finds::NotKnown, format!("{UNCONFIRMED} ({name}); ±{bound} is assumed."))
        }
    }
}

const UNCONFIRMED: &str = "The node's clock is not known, because no source confirms it";

fn side(ahead: Delta) -> &'static str {
    if ahead < Delta::ZERO { "behind" } else { "ahead of" }
}

/// A difference from which kubelet replaces a token at another time: kubelet's own jitter.
const NOTABLE: Delta = Delta::from_secs(10);

fn api_clock(clock: Option<ApiClock>, beside: Beside<'_>) -> (Finds, String) {
    let Some(ApiClock { ahead, bound, answers }) = clock else {
        return (
            Finds::NotKnown,
            format!("{TOO_FEW}, or {}.", because(beside.missing.keys.as_deref())),
        );
    };
    let answers = count_of(answers as usize, "answer");
    let error = format!("{} {}", ahead.abs(), side(ahead));
    let text = format!("The API server's clock is {error} the node's, ±{bound}, by {answers}.");
    (if ahead.abs() - bound > NOTABLE { Finds::Bad } else { Finds::Good }, text)
}

const TOO_FEW: &str = "The API server's clock is not known, because too few answers show it";

fn accepted(why: &Why, beside: Beside<'_>) -> (Finds, String) {
    let Some(published) = &why.published else {
        return (
            Finds::NotKnown,
            format!("Not known, because {}.", because(beside.missing.keys.as_deref())),
        );
    };
    let (finds, key) = key(why.key);
    let keys = count_of(published.ids.len(), "key");
    let issuer = published.issuer.as_ref().map(|issuer| issued_by(issuer, why));
    let (of_issuer, issuer) = issuer.unwrap_or((Finds::Good, String::new()));
    let (of_signature, signature) = signature(why);
    let audience = verifier::audience(why);
    let text = format!("It verifies with {keys}, {key}.{signature}{issuer} {audience}");
    (worse(worse(finds, of_issuer), of_signature), text)
}

/// Nothing if the key itself decides: the API server does not have it, or nobody checked.
fn signature(why: &Why) -> (Finds, String) {
    let Some(Signature { result, .. }) = why.token.signature else {
        return (Finds::Good, String::new());
    };
    let finds = match result {
        SignatureResult::NoSuchKey => return (Finds::Good, String::new()),
        SignatureResult::Verified => return (Finds::Good, " The signature fits.".to_owned()),
        SignatureResult::Damaged => Finds::Bad,
        SignatureResult::OtherKey => Finds::NotKnown,
        SignatureResult::Unsupported(_) => Finds::Good, // the id of its key was compared
    };
    (finds, format!(" The signature: {}.", result.meaning()))
}

fn key(state: KeyState) -> (Finds, &'static str) {
    match state {
        KeyState::Known => (Finds::Good, "that of the token among them"),
        KeyState::Missing | KeyState::Unknown => (Finds::Bad, "and not that of the token"),
        KeyState::Split | KeyState::Suspected => (Finds::Bad, "that of the token not always"),
        KeyState::Open => (Finds::NotKnown, "and whether that of the token is among them is open"),
        KeyState::NotChecked => (Finds::NotKnown, "which show nothing about this token"),
    }
}

fn issued_by(issuer: &str, why: &Why) -> (Finds, String) {
    let (issuer, named) = (shown(issuer), shown(&why.token.claims.issuer));
    if issuer == named {
        return (Finds::Good, format!(" Its issuer is that of the token ({issuer})."));
    }
    let text = format!(
        " It issues tokens as {issuer}, and the token names {named}: it is accepted only if the \
         API server still lists that issuer."
    );
    (Finds::NotKnown, text)
}

fn restart(why: &Why, beside: Beside<'_>) -> (Finds, String) {
    let stale = beside.readers.into_iter().flatten().find(|reader| reader.is_stale());
    if let Some(reader) = stale {
        return (Finds::Bad, format!("Yes, of {}: {READS_AGAIN}.", shown(&reader.who())));
    }
    let loud = || why.findings.iter().filter(|finding| finding.severity > Severity::Info);
    let of_token = loud().find(|finding| finding.subject.token_key().is_some());
    let of_node = || loud().find(|finding| decides(finding.code, why));
    of_token.or_else(of_node).map_or_else(|| no_restart(beside), of_finding)
}

/// Findings about the node that decide about each of its tokens.
const OF_ALL: [Code; 4] =
    [Code::KubeletStalled, Code::ClockOffset, Code::ClockStepped, Code::ApiserverSkew];

/// Whether a finding about the node decides about this token.
fn decides(code: Code, why: &Why) -> bool {
    OF_ALL.contains(&code) || code == Code::KeyUnknown && why.key.is_bad()
}

const READS_AGAIN: &str = "it keeps a token that kubelet has replaced, and reads the current one \
                           when it starts";

fn no_restart(beside: Beside<'_>) -> (Finds, String) {
    match beside.readers {
        None => (Finds::NotKnown, format!("{NO_RESTART} {NOBODY_ASKED}")),
        Some(readers) if readers.iter().any(|reader| reader.is_unknown()) => {
            (Finds::NotKnown, format!("{NO_RESTART} {NOT_ALL_SEEN}"))
        }
        Some(_) => (Finds::Good, NO_RESTART.to_owned()),
    }
}

const NO_RESTART: &str = "No: nothing shows that the file holds a bad token. If requests get 401 \
                          all the same, see whether the client sends the token at all \
                          (Authorization header). 403 is a matter of RBAC.";
const NOBODY_ASKED: &str = "Not known whether a client keeps an old token, because no agent could \
                            be asked who reads it.";
const NOT_ALL_SEEN: &str = "Not known whether every client holds this token, because the agent has \
                            not seen all of them read it.";

/// What a restart does about a finding.
fn of_finding(finding: &Finding) -> (Finds, String) {
    let text = match finding.code {
        Code::ReaderStale | Code::MountFrozen | Code::Subpath => {
            "Yes, of the container: it gets the current token when it starts"
        }
        Code::KeyUnknown => {
            "Yes, if every API server has the key that signs now: a new pod gets a token of it. A \
             restart of kubelet does it for all pods of the node, and the old public key at the \
             API servers for all nodes"
        }
        Code::SubjectReplaced => {
            "Only once the service account exists: a new pod then gets a token of it"
        }
        Code::NotYetValid | Code::FutureDated => {
            "Only once the clocks agree: kubelet does not replace a token that looks new"
        }
        Code::RotationLate | Code::RotationStalled | Code::Expired | Code::Missing => {
            "A new pod gets a new token only if kubelet can get one: find out first why it did not"
        }
        Code::KubeletStalled => "Of kubelet: it requests every token again when it starts",
        Code::TokenControllerDown => {
            "No: the controller manager does not matter for a token that kubelet requests"
        }
        Code::PodTerminating => "The pod is at its end: a new one takes its place",
        Code::Malformed | Code::Unreadable => {
            "Yes, if kubelet writes the file: it writes a new one for a new pod"
        }
        Code::ClockOffset
        | Code::ClockUnsynchronized
        | Code::ClockStepped
        | Code::ClockUnknown
        | Code::ClockServersDisagree
        | Code::ApiserverSkew => "No: the clock is wrong, and a new token is dated by it, too",
        Code::AudienceUnknown => {
            "No: a new pod gets a token for the same audience. Correct the pod's template first"
        }
        Code::IssuerMismatch
        | Code::ExtendedOnly
        | Code::Legacy
        | Code::LifetimeLong
        | Code::CopyStale
        | Code::ApiserverRejecting
        | Code::AgentBlind
        | Code::DeliveryDelayed => "Not known: the finding does not show it",
    };
    (Finds::Bad, format!("{text} ({}).", finding.code))
}

/// Bad before not known before good.
fn worse(one: Finds, other: Finds) -> Finds {
    match (one, other) {
        (Finds::Bad, _) | (_, Finds::Bad) => Finds::Bad,
        (Finds::NotKnown, _) | (_, Finds::NotKnown) => Finds::NotKnown,
        (Finds::Good, Finds::Good) => Finds::Good,
    }
}
