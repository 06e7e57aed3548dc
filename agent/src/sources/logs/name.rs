//! Names that are kept of a line. A token begins with `eyJ`, and none of these has a capital
//! letter after F, but for a user agent, in which tokens are looked for.

use std::borrow::Cow;

use tokenwatch_core::base::secrecy::redacted_input;

/// Longest name in Kubernetes (RFC 1123 subdomain).
const MAX_NAME: usize = 253;
/// A UID has 36 characters; that of a static pod may have 32.
const MAX_UID: usize = 64;
/// Characters of a user agent that are kept: a name and a version.
const MAX_AGENT: usize = 64;
/// How the user of a service account's token begins.
const USER: &str = "system:serviceaccount:";

/// A name of a namespace, an account or a pod: a subdomain of RFC 1123. None if it is not one.
pub(in crate::sources) fn name(text: &str) -> Option<String> {
    let is_of_name = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    let is_name = text.bytes().all(|byte| is_of_name(byte) || byte == b'.');
    (is_name && (1..=MAX_NAME).contains(&text.len())).then(|| text.to_owned())
}

/// A UID. None if it is not one.
pub(in crate::sources) fn uid(text: &str) -> Option<String> {
    let is_uid = text.bytes().all(|byte| byte.is_ascii_hexdigit() || byte == b'-');
    (is_uid && (1..=MAX_UID).contains(&text.len())).then(|| text.to_owned())
}

/// The begin of a user agent, up to the first space: `app/1.2.3`. None if it is not one: any client
/// writes there what it likes.
pub(in crate::sources) fn agent(text: &str) -> Option<String> {
    let begin = text.split(' ').next()?;
    let is_of_agent = |byte: u8| byte.is_ascii_alphanumeric() || b"-._/+".contains(&byte);
    let is_agent = begin.bytes().all(is_of_agent) && (1..=MAX_AGENT).contains(&begin.len());
    // Whoever reads the finding sees it, so a long word of random letters is left out, too.
    let is_plain = matches!(redacted_input(begin), Cow::Borrowed(_));
    (is_agent && is_plain).then(|| begin.to_owned())
}

/// `shop/cart` as namespace and name.
pub(in crate::sources) fn namespaced(text: &str) -> Option<(String, String)> {
    let (namespace, of) = text.split_once('/')?;
    Some((name(namespace)?, name(of)?))
}

/// The namespace and the name in the user name of a service account.
pub(in crate::sources) fn account(user: &str) -> Option<(String, String)> {
    let (namespace, of) = user.strip_prefix(USER)?.split_once(':')?;
    Some((name(namespace)?, name(of)?))
}
