//! What the text of a file holds: tokens, names of token files, and what a CNI configuration names.

use std::fmt;

use tokenwatch_core::world::copies::{CopiedToken, CopyKind, CopyServer, MAX_COPIED_TOKENS};
use tokenwatch_core::world::tokens::{Claims, Malformed};
use zeroize::Zeroizing;

use super::checks::FileChecks;
use super::kubeconfig::{self, NotAKubeconfig, User};
use super::mentions::Named;
use super::servers::Servers;
use crate::sources::tokens::found::{self, MAX_FOUND, Span, Token};
use crate::sources::tokens::place;

/// What takes the place of a token in a text, with its number.
const PLACEHOLDER: &str = "tokenwatch-placeholder-";

/// What a file holds.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Content {
    pub(super) kind: CopyKind,
    /// Bound tokens, which expire.
    pub(super) tokens: Vec<CopiedToken>,
    /// Files that a kubeconfig names as `tokenFile`.
    pub(super) files: Vec<TokenFile>,
    /// What a CNI configuration names.
    pub(super) named: Option<Named>,
    /// What it holds beside these.
    pub(super) rest: Rest,
}

/// What a file holds beside tokens that expire.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Rest {
    /// A credential of another kind: a certificate, or a token that never expires.
    Other,
    /// Nothing that authenticates anybody, and what is wrong with what begins like a token.
    Nothing(Option<Malformed>),
}

/// A `tokenFile` of a kubeconfig.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct TokenFile {
    pub(super) user: Option<String>,
    pub(super) path: String,
    /// The token beside it, which counts where the file cannot be read.
    pub(super) instead: Option<CopiedToken>,
    /// The API server beside it.
    pub(super) api_server: Option<CopyServer>,
}

/// Why the content of a file cannot be judged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Unusable {
    /// It is binary, or no UTF-8.
    NotText,
    /// It looks like a kubeconfig and is none.
    Kubeconfig(NotAKubeconfig),
    /// More begins like a token than is examined: the rest would be taken for plain text.
    TooMany,
}

impl fmt::Display for Unusable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotText => f.write_str("it is binary, or text that is not UTF-8"),
            Self::Kubeconfig(why) => why.fmt(f),
            Self::TooMany => {
                write!(f, "{MAX_FOUND} or more words in it begin like a token, and it is not read")
            }
        }
    }
}

/// Examines the bytes of a file called `name`.
pub(super) fn of(
    bytes: &[u8],
    name: &str,
    servers: &Servers,
    checks: &mut FileChecks<'_>,
) -> Result<Content, Unusable> {
    let text = found::text(bytes).ok_or(Unusable::NotText)?;
    let spans = found::spans(&text);
    if spans.len() >= MAX_FOUND {
        return Err(Unusable::TooMany);
    }
    let plain = without_tokens(&text, &spans);
    if plain.trim() == placeholder(0) {
        return Ok(all(CopyKind::Token, &text, &spans, checks));
    }
    if place::is_kubeconfig(&plain) {
        let read = of_kubeconfig(&plain, &spans, servers, checks);
        return read.map_err(Unusable::Kubeconfig);
    }
    let named = is_configuration(name).then(|| Named::read(&plain)).flatten();
    let kind = if named.is_some() { CopyKind::Configuration } else { CopyKind::Text };
    Ok(Content { named, ..all(kind, &text, &spans, checks) })
}

/// The names of files that a container runtime reads as CNI configurations.
fn is_configuration(name: &str) -> bool {
    [".conf", ".conflist", ".json"].iter().any(|end| name.ends_with(end))
}

fn placeholder(number: usize) -> String {
    format!("{PLACEHOLDER}{number}")
}

/// The text with a placeholder for each token. The rest may be secret, too: it is wiped.
fn without_tokens(text: &str, spans: &[Span]) -> Zeroizing<String> {
    let room = text.len() + spans.len() * (PLACEHOLDER.len() + 4); // it never grows
    let (mut plain, mut at) = (Zeroizing::new(String::with_capacity(room)), 0);
    for (number, span) in spans.iter().enumerate() {
        plain.push_str(text.get(at..span.start).unwrap_or_default());
        plain.push_str(&placeholder(number));
        at = span.end;
    }
    plain.push_str(text.get(at..).unwrap_or_default());
    plain
}

/// A bound token, as far as the text around it does not matter. A legacy token never expires, and
/// one of another issuer is not Kubernetes'.
fn bound(span: &Span, checks: &mut FileChecks<'_>) -> Option<CopiedToken> {
    match &span.token {
        Ok((Token::Bound(claims), bytes)) => {
            let signature = checks.signature(span.start, bytes);
            Some(CopiedToken { signature, ..CopiedToken::new(Claims::clone(claims)) })
        }
        Ok((Token::Legacy(_) | Token::Foreign(_), _)) | Err(_) => None,
    }
}

/// Every token of a text, each with its key. Lines that are comments hold none.
fn all(kind: CopyKind, text: &str, spans: &[Span], checks: &mut FileChecks<'_>) -> Content {
    let is_json = text.trim_start().starts_with(['{', '[']);
    let mut copied = |span: &Span| {
        let before = text.get(..span.start).filter(|before| is_json || !is_comment(before))?;
        Some(CopiedToken { user: place::token_key(before), ..bound(span, checks)? })
    };
    let tokens = spans.iter().filter_map(&mut copied).take(MAX_COPIED_TOKENS).collect();
    Content { kind, tokens, files: Vec::new(), named: None, rest: rest(spans) }
}

fn rest(spans: &[Span]) -> Rest {
    let is_other =
        |span: &Span| matches!(span.token, Ok((Token::Legacy(_) | Token::Foreign(_), _)));
    if spans.iter().any(is_other) {
        return Rest::Other;
    }
    Rest::Nothing(spans.iter().find_map(malformed))
}

fn malformed(span: &Span) -> Option<Malformed> {
    span.token.as_ref().err().copied().flatten()
}

/// Whether what follows `before` is in a comment: of YAML, a shell or an environment file. JSON has
/// none.
fn is_comment(before: &str) -> bool {
    let line = before.rsplit('\n').next().unwrap_or_default();
    let (mut quote, mut last) = (None, ' ');
    for c in line.chars() {
        match (quote, c) {
            (None, '#') if last.is_whitespace() => return true,
            (None, '"' | '\'') => quote = Some(c),
            (Some(open), _) if open == c => quote = None,
            (None | Some(_), _) => {}
        }
        last = c;
    }
    false
}

fn of_kubeconfig(
    plain: &str,
    spans: &[Span],
    servers: &Servers,
    checks: &mut FileChecks<'_>,
) -> Result<Content, NotAKubeconfig> {
    let (mut tokens, mut files, mut wrong) = (Vec::new(), Vec::new(), None);
    for user in kubeconfig::users(plain)?.into_iter().take(MAX_COPIED_TOKENS) {
        let span = span_of(&user, spans);
        wrong = wrong.or(span.and_then(malformed));
        let api_server = user.server.as_deref().and_then(|url| servers.owner(url));
        let token = span.and_then(|span| bound(span, checks));
        let name = user.name.clone();
        let token = token.map(|token| CopiedToken { user: name, api_server, ..token });
        match user.token_file {
            Some(path) => {
                files.push(TokenFile { user: user.name, path, instead: token, api_server });
            }
            None => tokens.extend(token),
        }
    }
    let has_other = wrong.is_none() && CREDENTIALS.iter().any(|key| plain.contains(key));
    let rest = if has_other { Rest::Other } else { Rest::Nothing(wrong) };
    Ok(Content { kind: CopyKind::Kubeconfig, tokens, files, named: None, rest })
}

/// The keys of a user's credentials in a kubeconfig.
const CREDENTIALS: [&str; 5] = ["token", "client-certificate", "exec", "auth-provider", "password"];

/// Where the text has the token of a user.
fn span_of<'a>(user: &User, spans: &'a [Span]) -> Option<&'a Span> {
    let number = user.token.as_deref()?.strip_prefix(PLACEHOLDER)?;
    spans.get(number.parse::<usize>().ok()?)
}
