//! `tokenwatch explain`: one token with all its deadlines, and no byte of its signature.

mod input;
#[cfg(test)]
mod pasted_tests;
mod render;
mod resemblance;
#[cfg(test)]
mod tests;

use std::fmt;
use std::path::Path;

use tokenwatch_core::base::text::shown;
use tokenwatch_core::base::time::Wall;
use tokenwatch_core::world::tokens::{
    Bound, Claims, Deadlines, Foreign, KubeletPolicy, LegacyClaims, Malformed, State, Verdict,
    verdict,
};

use super::clock::{ClockReport, measured};
use super::output::{Layout, TextOrJson, count_of, print, print_error, print_json};
use crate::clocks;
use crate::config::Settings;
use crate::environment::Environment;
use crate::sources::tokens::found::{self, Found, Token};
use input::{NotRead, ReadFrom};

/// Exit status: the input is no token.
const NOT_A_TOKEN: u8 = 2;

/// A token, with what follows from it.
#[derive(Debug)]
pub(super) struct Explained {
    pub(super) read_from: ReadFrom,
    pub(super) claims: Claims,
    pub(super) deadlines: Deadlines,
    pub(super) kubelet: KubeletPolicy,
    pub(super) state: State,
    pub(super) verdict: Verdict,
    pub(super) clock: ClockReport,
}

/// A service-account token that was decoded.
#[derive(Debug)]
enum Known {
    Bound(Box<Claims>),
    Legacy(LegacyClaims),
}

/// Why there is no token to explain. Never contains a byte of the input.
#[derive(Debug)]
enum ExplainError {
    /// Nothing was read.
    Read(NotRead),
    /// It looks like a token, and does not parse.
    Malformed(Malformed),
    /// Several tokens, at these places.
    Several(Vec<String>),
    /// A JWT of another issuer.
    Foreign(Foreign, Wall),
    /// It is something else, and looks like this.
    Other(&'static str),
}

impl fmt::Display for ExplainError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Read(why) => why.fmt(f),
            Self::Malformed(reason) => {
                write!(f, "not a token: it starts like one, but {reason}; pass the whole token")
            }
            Self::Several(places) => write!(
                f,
                "{}, and one at a time can be explained: pass only one of\n  {}",
                count_of(places.len(), "token"),
                places.join("\n  ")
            ),
            Self::Foreign(foreign, now) => render::foreign(f, foreign, *now),
            Self::Other(resemblance) => write!(f, "not a service-account token: {resemblance}"),
        }
    }
}

/// Reads, decodes and prints a token; the exit status.
pub(super) async fn report(
    settings: &Settings,
    environment: &Environment,
    file: Option<&Path>,
    output: TextOrJson,
) -> u8 {
    let layout = Layout::for_stdout(environment);
    let (mut from, bytes) = input::read(file);
    let token = bytes.map_err(ExplainError::Read).and_then(|bytes| identify(&bytes));
    match token {
        Ok((token, place)) => {
            from.place = place;
            match token {
                Known::Bound(claims) => print_token(
                    &explain(from, *claims, settings, environment).await,
                    output,
                    layout,
                ),
                Known::Legacy(legacy) => print_legacy(&from, &legacy, output, layout),
            }
        }
        Err(error) => print_failure(&from, &error),
    }
}

fn print_failure(from: &ReadFrom, error: &ExplainError) -> u8 {
    if matches!(error, ExplainError::Read(NotRead::NoInput | NotRead::TokenAsArgument)) {
        print_error(&error.to_string()); // no input has a name
    } else {
        print_error(&format!("{from}: {error}"));
    }
    NOT_A_TOKEN
}

fn print_token(explained: &Explained, output: TextOrJson, layout: Layout) -> u8 {
    match output {
        TextOrJson::Text => print(&render::text(explained, layout), explained.exit_code()),
        TextOrJson::Json => print_json(&render::json(explained), explained.exit_code()),
    }
}

/// A legacy token has no deadline, so the exit status is 0.
fn print_legacy(from: &ReadFrom, legacy: &LegacyClaims, output: TextOrJson, layout: Layout) -> u8 {
    match output {
        TextOrJson::Text => print(&render::legacy_text(from, legacy, layout), 0),
        TextOrJson::Json => print_json(&render::legacy_json(from, legacy), 0),
    }
}

/// The one token of Kubernetes in the input, and where it was in it.
fn identify(bytes: &[u8]) -> Result<(Known, Option<String>), ExplainError> {
    let Some(text) = found::text(bytes) else {
        return Err(ExplainError::Other("binary data, or text that is not UTF-8"));
    };
    let Found { tokens, malformed } = found::find(&text);
    let (mut known, mut foreign) = (Vec::new(), None);
    for (token, place) in tokens {
        match token {
            Token::Bound(claims) => known.push((Known::Bound(claims), place)),
            Token::Legacy(legacy) => known.push((Known::Legacy(legacy), place)),
            Token::Foreign(other) => foreign = foreign.or(Some(other)),
        }
    }
    if known.len() > 1 {
        return Err(ExplainError::Several(known.iter().map(named).collect()));
    }
    known.pop().ok_or_else(|| match (foreign, malformed) {
        (Some(foreign), _) => ExplainError::Foreign(foreign, clocks::now().wall),
        (None, Some(malformed)) => ExplainError::Malformed(malformed),
        (None, None) => ExplainError::Other(resemblance::of(&text)),
    })
}

/// One of several tokens: its account, and its place.
fn named((token, place): &(Known, Option<String>)) -> String {
    let (namespace, account) = match token {
        Known::Bound(claims) => (&claims.binding.namespace, &claims.binding.service_account.name),
        Known::Legacy(legacy) => (&legacy.namespace, &legacy.service_account),
    };
    let place = place.as_ref().map(|place| format!(" ({place})")).unwrap_or_default();
    format!("the token of service account {}/{}{place}", shown(namespace), shown(account))
}

/// Measures the clock as `check` does: the same token has the same verdict in both.
async fn explain(
    from: ReadFrom,
    claims: Claims,
    settings: &Settings,
    environment: &Environment,
) -> Explained {
    let kubelet = KubeletPolicy { sync_period: settings.kubelet.sync_period };
    explain_by(from, claims, kubelet, measured(settings, environment).await)
}

/// The deadlines, state and verdict of a token by this clock.
fn explain_by(
    read_from: ReadFrom,
    claims: Claims,
    kubelet: KubeletPolicy,
    clock: ClockReport,
) -> Explained {
    let deadlines = Deadlines::of(&claims, &kubelet);
    let now = clock.at.wall;
    let verdict = verdict(&claims, &clock.estimate.interval(now));
    let state = state(&claims, deadlines.state(now));
    Explained { read_from, claims, deadlines, kubelet, state, verdict, clock }
}

/// Only kubelet makes a token late. One that it does not replace is fresh until it expires.
fn state(claims: &Claims, by_deadlines: State) -> State {
    match by_deadlines {
        State::Due | State::Late | State::Stalled if !is_of_kubelet(claims) => State::Fresh,
        State::Fresh
        | State::Due
        | State::Late
        | State::Stalled
        | State::Expired
        | State::NotYetValid => by_deadlines,
    }
}

/// Whether kubelet may have requested the token: for a volume, it requests only tokens that are
/// bound to the pod.
fn is_of_kubelet(claims: &Claims) -> bool {
    matches!(claims.binding.bound(), Bound::Pod(_))
}

impl Explained {
    pub(super) fn is_of_kubelet(&self) -> bool {
        is_of_kubelet(&self.claims)
    }

    /// Whether the effective deadline has passed. An extended token still works then, but kubelet
    /// should have replaced it.
    pub(super) fn is_stale(&self) -> bool {
        self.clock.at.wall >= self.deadlines.effective
    }

    fn exit_code(&self) -> u8 {
        u8::from(self.verdict != Verdict::Live || self.is_stale())
    }
}
