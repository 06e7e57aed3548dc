//! `tokenwatch explain`: one token, with every deadline. Not a byte of its signature.

mod render;
#[cfg(test)]
mod tests;

use std::io::{self, IsTerminal as _, Read};
use std::path::Path;

use tokenwatch_core::base::text::shown;
use tokenwatch_core::world::clocks::Round;
use tokenwatch_core::world::tokens::{
    Claims, Deadlines, Decoded, KubeletPolicy, LegacyClaims, MAX_TOKEN_BYTES, Scratch, State,
    Verdict, decode, verdict,
};
use zeroize::Zeroizing;

use super::clock::ClockReport;
use super::output::{Page, TextOrJson, complain, say, say_json};
use crate::clocks;
use crate::config::Settings;
use crate::environment::Environment;
use crate::setup::{engine_config, node_name};
use crate::sources::kernel;

/// Exit status: what was handed in is no token.
const NO_TOKEN: u8 = 2;

/// A token and what follows from it.
#[derive(Debug)]
pub(super) struct Explained {
    pub(super) claims: Claims,
    pub(super) deadlines: Deadlines,
    pub(super) kubelet: KubeletPolicy,
    pub(super) state: State,
    pub(super) verdict: Verdict,
    pub(super) clock: ClockReport,
}

/// What bytes were found to be.
#[derive(Debug)]
enum Found {
    Token(Box<Claims>),
    Legacy(LegacyClaims),
    /// No token: what instead, and what to do.
    Nothing(String),
}

/// Reads, decodes, tells; the exit status says whether the token works.
pub(super) fn report(
    settings: &Settings,
    environment: &Environment,
    file: Option<&Path>,
    output: TextOrJson,
) -> u8 {
    let found = match read(file) {
        Ok(bytes) => identify(&bytes),
        Err(message) => Found::Nothing(message),
    };
    match found {
        Found::Token(claims) => {
            tell(&explain(*claims, settings, environment), output, Page::for_stdout(environment))
        }
        Found::Legacy(legacy) => tell_legacy(&legacy, output, Page::for_stdout(environment)),
        Found::Nothing(message) => {
            complain(&message);
            NO_TOKEN
        }
    }
}

fn tell(explained: &Explained, output: TextOrJson, page: Page) -> u8 {
    match output {
        TextOrJson::Text => say(&render::text(explained, page), explained.exit_code()),
        TextOrJson::Json => say_json(&render::json(explained), explained.exit_code()),
    }
}

/// It has no deadline: what works today is all that can be said, and that it never stops by itself.
fn tell_legacy(legacy: &LegacyClaims, output: TextOrJson, page: Page) -> u8 {
    match output {
        TextOrJson::Text => say(&render::legacy_text(legacy, page), 0),
        TextOrJson::Json => say_json(&render::legacy_json(legacy), 0),
    }
}

fn explain(claims: Claims, settings: &Settings, environment: &Environment) -> Explained {
    let config = engine_config(settings, &node_name(settings, environment), false);
    let at = clocks::now();
    let kernel = kernel::read().map_err(|error| error.to_string());
    let nobody_asked = Round { started: at, ended: at, exchanges: Vec::new() };
    judge(claims, config.kubelet, ClockReport::new(&nobody_asked, kernel, &config.clock, at))
}

fn judge(claims: Claims, kubelet: KubeletPolicy, clock: ClockReport) -> Explained {
    let deadlines = Deadlines::of(&claims, &kubelet);
    let now = clock.at.wall;
    let verdict = verdict(&claims, &clock.estimate.interval(now));
    Explained { state: deadlines.state(now), deadlines, kubelet, verdict, claims, clock }
}

impl Explained {
    /// Past the deadline that kubelet keeps: an extended token still works, and should not be there
    /// any more.
    pub(super) fn is_stale(&self) -> bool {
        self.clock.at.wall >= self.deadlines.effective
    }

    fn exit_code(&self) -> u8 {
        u8::from(self.verdict != Verdict::Live || self.is_stale())
    }
}

/// At most one byte more than a token can have, into room that is made before and wiped after:
/// growing would leave copies behind.
fn read(file: Option<&Path>) -> Result<Zeroizing<Vec<u8>>, String> {
    match file {
        Some(path) if path != Path::new("-") => {
            let name = shown(&path.to_string_lossy()).into_owned();
            std::fs::File::open(path).and_then(take).map_err(|error| format!("{name}: {error}"))
        }
        None if io::stdin().is_terminal() => Err("a file with a token is wanted, or one on \
                                                  standard input: see `tokenwatch explain --help`"
            .to_owned()),
        _ => take(io::stdin().lock()).map_err(|error| format!("standard input: {error}")),
    }
}

fn take(from: impl Read) -> io::Result<Zeroizing<Vec<u8>>> {
    // A line end and white space around it are no part of the token.
    let limit = MAX_TOKEN_BYTES + 64;
    let mut bytes = Zeroizing::new(Vec::with_capacity(limit + 64));
    from.take(u64::try_from(limit).unwrap_or(u64::MAX)).read_to_end(&mut bytes)?;
    Ok(bytes)
}

fn identify(bytes: &[u8]) -> Found {
    match decode(bytes, &mut Scratch::new()) {
        Decoded::Token(token) => Found::Token(Box::new(token.to_claims())),
        Decoded::Legacy(legacy) => Found::Legacy(legacy),
        Decoded::Malformed(why) => {
            Found::Nothing(format!("not a token: it starts like one, but {why}"))
        }
        Decoded::Other => {
            Found::Nothing(format!("not a service-account token: {}", resemblance(bytes)))
        }
    }
}

/// What it looks like instead, without a byte of it: it may be a secret of another kind.
fn resemblance(bytes: &[u8]) -> &'static str {
    let bytes = bytes.trim_ascii();
    let begins = |with: &str| bytes.starts_with(with.as_bytes());
    match bytes {
        [] => "nothing was read",
        _ if begins("Bearer ") || begins("bearer ") => {
            "a header's value; hand in what follows the word Bearer"
        }
        _ if begins("ZXlK") => "base64 of a token, as Secrets hold it; decode it first: base64 -d",
        _ if begins("eyJ") => "a JWT of somebody else, without Kubernetes' claims",
        _ if begins("-----BEGIN") => "a certificate or a key in PEM",
        _ if begins("{") || begins("[") => "JSON",
        _ if begins("apiVersion:") || begins("kind:") => {
            "YAML, perhaps a kubeconfig or a manifest; hand in the token alone"
        }
        _ if std::str::from_utf8(bytes).is_ok() => "some other text",
        _ => "binary data",
    }
}
