//! `tokenwatch explain`: one token with all its deadlines, and no byte of its signature.

mod asked;
mod identify;
mod input;
#[cfg(test)]
mod pasted_tests;
mod render;
mod resemblance;
#[cfg(test)]
mod tests;
mod why;

use std::path::Path;

use tokenwatch_core::world::tokens::{
    Claims, Deadlines, KubeletPolicy, LegacyClaims, State, Verdict, verdict,
};

use super::clock::{ClockReport, measured};
use super::output::{Layout, TextOrJson, print, print_error, print_json};
use super::review::Reviewed;
use super::signature;
use crate::config::Settings;
use crate::environment::Environment;
use crate::sources::tokens::TokenBytes;
use asked::Asked;
use identify::{ExplainError, Identified, Known, identify};
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
    pub(super) asked: Asked,
}

/// Explains why a token of a pod is refused, or will be; the exit status.
pub(super) async fn why(
    settings: &Settings,
    environment: &Environment,
    asked: Option<&Path>,
    output: TextOrJson,
) -> u8 {
    why::report(settings, environment, asked, output).await
}

/// What somebody wants to see of a token.
#[derive(Clone, Copy, Debug)]
pub(super) struct Wanted<'a> {
    pub(super) settings: &'a Settings,
    pub(super) environment: &'a Environment,
    pub(super) output: TextOrJson,
    /// Whether to ask the API server about the token.
    pub(super) token_review: bool,
}

/// Reads, decodes and prints a token; the exit status.
pub(super) async fn report(wanted: Wanted<'_>, file: Option<&Path>) -> u8 {
    let (mut from, bytes) = input::read(file);
    match bytes.map_err(ExplainError::Read).and_then(|bytes| identify(&bytes)) {
        Ok(Identified { token, bytes, place }) => {
            from.place = place;
            match token {
                Known::Bound(claims) => wanted.bound(from, *claims, bytes).await,
                Known::Legacy(legacy) => wanted.legacy(&from, &legacy, bytes).await,
            }
        }
        Err(error) => print_failure(&from, &error),
    }
}

impl Wanted<'_> {
    async fn bound(self, from: ReadFrom, claims: Claims, bytes: TokenBytes) -> u8 {
        let audiences = claims.audiences.clone();
        let review = self.token_review.then_some(&*audiences);
        let explained = explain(from, claims, self.settings, self.environment);
        let asked = asked::ask(self.settings, self.environment, bytes, review);
        let (explained, asked) = tokio::join!(explained, asked);
        let layout = Layout::for_stdout(self.environment);
        print_token(&Explained { asked, ..explained }, self.output, layout)
    }

    /// Its signature is not checked: it does not expire, and the API server compares it with its
    /// Secret.
    async fn legacy(self, from: &ReadFrom, legacy: &LegacyClaims, bytes: TokenBytes) -> u8 {
        let asked = if self.token_review {
            asked::ask(self.settings, self.environment, bytes, Some(&[])).await
        } else {
            Asked::default()
        };
        print_legacy((from, legacy, &asked), self.output, Layout::for_stdout(self.environment))
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
fn print_legacy(
    (from, legacy, asked): (&ReadFrom, &LegacyClaims, &Asked),
    output: TextOrJson,
    layout: Layout,
) -> u8 {
    let review = asked.reviewed(Verdict::Live, false);
    match output {
        TextOrJson::Text => print(&render::legacy_text(from, legacy, review.as_ref(), layout), 0),
        TextOrJson::Json => print_json(&render::legacy_json(from, legacy, review.as_ref()), 0),
    }
}

/// Measures the clock as `check` does: the same token has the same verdict in both.
async fn explain(
    from: ReadFrom,
    claims: Claims,
    settings: &Settings,
    environment: &Environment,
) -> Explained {
    let kubelet = KubeletPolicy::syncing(settings.kubelet.sync_period);
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
    let state = deadlines.state(now);
    Explained {
        read_from,
        claims,
        deadlines,
        kubelet,
        state,
        verdict,
        clock,
        asked: Asked::default(),
    }
}

impl Explained {
    /// Whether kubelet may have requested the token: for a volume, it requests only tokens that are
    /// bound to the pod.
    pub(super) fn is_of_kubelet(&self) -> bool {
        self.claims.binding.is_of_kubelet()
    }

    /// Whether the effective deadline has passed. An extended token still works then, but kubelet
    /// should have replaced it.
    pub(super) fn is_stale(&self) -> bool {
        self.clock.at.wall >= self.deadlines.effective
    }

    /// Whether its signature proves that no API server accepts it.
    pub(super) fn is_wrong(&self) -> bool {
        signature::is_wrong(self.asked.signature)
    }

    /// The API server's own answer, if somebody wanted it.
    pub(super) fn reviewed(&self) -> Option<Reviewed> {
        self.asked.reviewed(self.verdict, self.is_wrong())
    }

    fn exit_code(&self) -> u8 {
        u8::from(self.verdict != Verdict::Live || self.is_stale() || self.is_wrong())
    }
}
