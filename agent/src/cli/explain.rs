//! `tokenwatch explain`: one token with all its deadlines, and no byte of its signature.

mod render;
#[cfg(test)]
mod tests;

use std::fmt;
use std::io::{self, IsTerminal as _, Read};
use std::path::Path;

use tokenwatch_core::base::text::shown;
use tokenwatch_core::world::tokens::{
    Claims, Deadlines, Decoded, KubeletPolicy, LegacyClaims, MAX_TOKEN_BYTES, Scratch, State,
    Verdict, decode, verdict,
};
use zeroize::Zeroizing;

use super::clock::{ClockReport, measured};
use super::output::{Layout, TextOrJson, print, print_error, print_json};
use crate::config::Settings;
use crate::environment::Environment;

/// Exit status: the input is no token.
const NOT_A_TOKEN: u8 = 2;

/// A token, with what follows from it.
#[derive(Debug)]
pub(super) struct Explained {
    pub(super) claims: Claims,
    pub(super) deadlines: Deadlines,
    pub(super) kubelet: KubeletPolicy,
    pub(super) state: State,
    pub(super) verdict: Verdict,
    pub(super) clock: ClockReport,
}

/// A token that was decoded.
#[derive(Debug)]
enum Token {
    Projected(Box<Claims>),
    Legacy(LegacyClaims),
}

/// Why there is no token to explain. Never contains a byte of the input.
#[derive(Debug)]
enum ExplainError {
    /// No argument, and standard input is a terminal.
    NoInput,
    /// The file or standard input could not be read.
    Read(String, io::Error),
    /// It looks like a token, and does not parse.
    Malformed(String),
    /// It is something else, and looks like this.
    Other(&'static str),
}

impl fmt::Display for ExplainError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoInput => f.write_str(
                "no input: name a file that holds a token, or write one to standard input (see \
                 `tokenwatch explain --help`)",
            ),
            Self::Read(name, error) => write!(f, "cannot read {name}: {error}"),
            Self::Malformed(reason) => {
                write!(f, "not a token: it starts like one, but {reason}")
            }
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
    match read(file).and_then(|bytes| identify(&bytes)) {
        Ok(Token::Projected(claims)) => {
            print_token(&explain(*claims, settings, environment).await, output, layout)
        }
        Ok(Token::Legacy(legacy)) => print_legacy(&legacy, output, layout),
        Err(error) => print_failure(&error),
    }
}

fn print_failure(error: &ExplainError) -> u8 {
    print_error(&error.to_string());
    NOT_A_TOKEN
}

fn print_token(explained: &Explained, output: TextOrJson, layout: Layout) -> u8 {
    match output {
        TextOrJson::Text => print(&render::text(explained, layout), explained.exit_code()),
        TextOrJson::Json => print_json(&render::json(explained), explained.exit_code()),
    }
}

/// A legacy token has no deadline, so the exit status is 0.
fn print_legacy(legacy: &LegacyClaims, output: TextOrJson, layout: Layout) -> u8 {
    match output {
        TextOrJson::Text => print(&render::legacy_text(legacy, layout), 0),
        TextOrJson::Json => print_json(&render::legacy_json(legacy), 0),
    }
}

/// Measures the clock as `check` does: the same token has the same verdict in both.
async fn explain(claims: Claims, settings: &Settings, environment: &Environment) -> Explained {
    let kubelet = KubeletPolicy { sync_period: settings.kubelet.sync_period };
    explain_by(claims, kubelet, measured(settings, environment).await)
}

/// The deadlines, state and verdict of a token by this clock.
fn explain_by(claims: Claims, kubelet: KubeletPolicy, clock: ClockReport) -> Explained {
    let deadlines = Deadlines::of(&claims, &kubelet);
    let now = clock.at.wall;
    let verdict = verdict(&claims, &clock.estimate.interval(now));
    Explained { state: deadlines.state(now), deadlines, kubelet, verdict, claims, clock }
}

impl Explained {
    /// Whether the effective deadline has passed. An extended token still works then, but kubelet
    /// should have replaced it.
    pub(super) fn is_stale(&self) -> bool {
        self.clock.at.wall >= self.deadlines.effective
    }

    fn exit_code(&self) -> u8 {
        u8::from(self.verdict != Verdict::Live || self.is_stale())
    }
}

/// The input, in a buffer that is wiped afterwards.
fn read(file: Option<&Path>) -> Result<Zeroizing<Vec<u8>>, ExplainError> {
    match file {
        Some(path) if path != Path::new("-") => {
            let name = shown(&path.to_string_lossy()).into_owned();
            let bytes = std::fs::File::open(path).and_then(read_limited);
            bytes.map_err(|error| ExplainError::Read(name, error))
        }
        None if io::stdin().is_terminal() => Err(ExplainError::NoInput),
        Some(_) | None => read_limited(io::stdin().lock())
            .map_err(|error| ExplainError::Read("standard input".to_owned(), error)),
    }
}

/// Reads no more than the longest token and some white space around it. The buffer has its full
/// size from the start: growing it would leave copies of the token behind.
fn read_limited(from: impl Read) -> io::Result<Zeroizing<Vec<u8>>> {
    let limit = MAX_TOKEN_BYTES + 64;
    let mut bytes = Zeroizing::new(Vec::with_capacity(limit + 64));
    from.take(u64::try_from(limit).unwrap_or(u64::MAX)).read_to_end(&mut bytes)?;
    Ok(bytes)
}

fn identify(bytes: &[u8]) -> Result<Token, ExplainError> {
    match decode(bytes, &mut Scratch::new()) {
        Decoded::Token(token) => Ok(Token::Projected(Box::new(token.to_claims()))),
        Decoded::Legacy(legacy) => Ok(Token::Legacy(legacy)),
        Decoded::Malformed(reason) => Err(ExplainError::Malformed(reason.to_string())),
        Decoded::Other => Err(ExplainError::Other(resemblance(bytes))),
    }
}

/// What the input looks like, without a byte of it: it may be a secret of another kind.
fn resemblance(bytes: &[u8]) -> &'static str {
    let bytes = bytes.trim_ascii();
    let begins = |with: &str| bytes.starts_with(with.as_bytes());
    match bytes {
        [] => "the input is empty",
        _ if begins("Bearer ") || begins("bearer ") => {
            "the value of a header; pass only what follows the word Bearer"
        }
        _ if begins("ZXlK") => "base64 of a token, as in a Secret; decode it first with base64 -d",
        _ if begins("eyJ") => "a JWT of another issuer, without the claims of Kubernetes",
        _ if begins("-----BEGIN") => "a certificate or a key in PEM",
        _ if begins("{") || begins("[") => "JSON",
        _ if begins("apiVersion:") || begins("kind:") => {
            "YAML, perhaps a kubeconfig or a manifest; pass only the token"
        }
        _ if std::str::from_utf8(bytes).is_ok() => "some other text",
        _ => "binary data",
    }
}
