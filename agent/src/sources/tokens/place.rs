//! Where in a text a token was: the key, the object and the line, in words. No byte of the token.

use tokenwatch_core::base::text::shown;

/// Longest key that is named.
const LONGEST_KEY: usize = 64;

/// The place of what is between two positions of `text`; nothing if that is all of it. `packing` is
/// how it was written there, such as base64.
pub(super) fn of(text: &str, start: usize, end: usize, packing: &str) -> Option<String> {
    let (before, after) = (text.get(..start)?, text.get(end..)?);
    let is_all = before.trim().is_empty() && after.trim().is_empty();
    let line = before.matches('\n').count() + 1;
    let what = described(text, before);
    let line = (text.trim().contains('\n') && !is_all).then(|| format!("line {line}"));
    let packing = (!packing.is_empty()).then(|| packing.to_owned());
    let parts: Vec<String> = [what, line, packing].into_iter().flatten().collect();
    (!parts.is_empty()).then(|| parts.join(", "))
}

fn described(text: &str, before: &str) -> Option<String> {
    if is_header(before) {
        return Some("the value after the word Bearer".to_owned());
    }
    let key = key(before)?;
    if is_kubeconfig(text) {
        return Some(format!("{key} of {} in a kubeconfig", user(before)));
    }
    let of_kind = OBJECTS.iter().find(|(kind, _)| is_kind(text, kind));
    match of_kind {
        Some((kind, part)) => Some(format!("{part}.{key} of {} {kind}", article(kind))),
        None => names_token(&key).then_some(key),
    }
}

/// Objects that hold a token, and the part that holds it.
const OBJECTS: [(&str, &str); 3] =
    [("TokenRequest", "status"), ("ExecCredential", "status"), ("Secret", "data")];
/// What keys of tokens contain. Others are not named: what stands before a token may be a secret.
const KEYS: [&str; 5] = ["token", "jwt", "auth", "credential", "bearer"];

fn names_token(key: &str) -> bool {
    KEYS.iter().any(|known| key.to_ascii_lowercase().contains(known))
}

/// The key of the token that follows, if it is called like one.
pub(crate) fn token_key(before: &str) -> Option<String> {
    key(before).filter(|key| names_token(key))
}

fn article(kind: &str) -> &'static str {
    if kind.starts_with(['A', 'E', 'I', 'O', 'U']) { "an" } else { "a" }
}

fn is_header(before: &str) -> bool {
    let word = before.trim_end_matches([' ', '\t', ':', '"', '\'']);
    word.len() >= 6
        && word.len() < before.len()
        && word.get(word.len() - 6..).is_some_and(|word| word.eq_ignore_ascii_case("bearer"))
}

/// The key of the value that follows: of YAML, JSON, an assignment or an option.
fn key(before: &str) -> Option<String> {
    let is_between = |c: char| c.is_ascii_whitespace() || "\"'`\\>|-".contains(c);
    let named = before.trim_end_matches(is_between).strip_suffix([':', '='])?;
    let named = named.trim_end_matches([' ', '"', '\'', '\\']);
    let key = named.rsplit(|c: char| !c.is_ascii_alphanumeric() && !"-_.".contains(c)).next()?;
    let is_name = !key.is_empty() && key.len() <= LONGEST_KEY;
    is_name.then(|| shown(key.trim_start_matches('-')).into_owned())
}

/// Whether an object of this kind is written in `text`, as YAML or JSON.
pub(crate) fn is_kind(text: &str, kind: &str) -> bool {
    text.match_indices("kind").any(|(at, word)| {
        let rest = text[at + word.len()..].trim_start_matches(['"', '\'', '\\', ' ']);
        let rest =
            rest.strip_prefix(':').map(|rest| rest.trim_start_matches(['"', '\'', '\\', ' ']));
        let rest = rest.and_then(|rest| rest.strip_prefix(kind));
        rest.is_some_and(|rest| !rest.starts_with(|c: char| c.is_ascii_alphanumeric()))
    })
}

/// Whether `text` is a kubeconfig, or a part of one.
pub(crate) fn is_kubeconfig(text: &str) -> bool {
    let has = |key: &str| text.contains(&format!("{key}:")) || text.contains(&format!("{key}\":"));
    is_kind(text, "Config") || (has("users") && has("user"))
}

/// The user of a kubeconfig that the text before a token names last.
fn user(before: &str) -> String {
    let users = before.rfind("users").map_or(before, |at| &before[at..]);
    let named = users.rfind("name").map(|at| &users[at + 4..]);
    let value = named.map(|rest| rest.trim_start_matches(['"', '\'', ':', ' ']));
    let end = |c: char| c.is_whitespace() || "\"',}".contains(c);
    let name = value.and_then(|value| value.split(end).next()).unwrap_or_default();
    if name.is_empty() { "a user".to_owned() } else { format!("user {}", shown(name)) }
}
