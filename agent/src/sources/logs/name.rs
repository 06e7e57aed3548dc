//! Names that are kept of a line. A token begins with `eyJ`, and none of these has a capital
//! letter after F.

/// Longest name in Kubernetes (RFC 1123 subdomain).
const MAX_NAME: usize = 253;
/// A UID has 36 characters; that of a static pod may have 32.
const MAX_UID: usize = 64;
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
