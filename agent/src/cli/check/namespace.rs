//! One namespace of the node: what of a check is about its pods.

use std::fmt;
use std::str::FromStr;

use tokenwatch_core::base::text::shown;
use tokenwatch_core::findings::Subject;

use super::{Checked, Options};
use crate::cli::readers::Found;

/// Longest name of a namespace (RFC 1123 label).
const LONGEST: usize = 63;

/// The name of a namespace.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::cli) struct Namespace(String);

/// A text that names no namespace.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::cli) struct NoNamespace(String);

impl fmt::Display for NoNamespace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "\"{}\" is no name of a namespace", shown(&self.0))
    }
}

impl std::error::Error for NoNamespace {}

impl FromStr for Namespace {
    type Err = NoNamespace;

    fn from_str(text: &str) -> Result<Self, NoNamespace> {
        let is_of_name = |c: u8| c.is_ascii_lowercase() || c.is_ascii_digit() || c == b'-';
        let is_name = (1..=LONGEST).contains(&text.len()) && text.bytes().all(is_of_name);
        if is_name { Ok(Self(text.to_owned())) } else { Err(NoNamespace(text.to_owned())) }
    }
}

impl fmt::Display for Namespace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Namespace {
    /// Whether a pod may be in it. One whose namespace is not known may be.
    fn may_have(&self, namespace: Option<&str>) -> bool {
        namespace.is_none_or(|known| known == self.0)
    }
}

/// What the tokens of a check are a part of.
#[derive(Clone, Debug)]
pub(super) struct Part {
    pub(super) namespace: Namespace,
    /// Number of tokens on the node.
    pub(super) of: usize,
}

impl Checked {
    /// Keeps the pods of one namespace, and what concerns the whole node. Where it has no token,
    /// that is a problem: a name with a typing error must not look healthy.
    pub(super) fn keep(&mut self, namespace: &Namespace) {
        let of = self.tokens.len();
        self.tokens.retain(|token| namespace.may_have(token.pod.namespace.as_deref()));
        self.findings.retain(|finding| match &finding.subject {
            Subject::Token { pod, .. } => namespace.may_have(pod.namespace.as_deref()),
            Subject::Node { .. } | Subject::Server { .. } | Subject::File { .. } => true,
        });
        let is_known = self.tokens.iter().any(|token| token.pod.namespace.is_some());
        if !is_known {
            self.problems
                .push(format!("namespace {namespace}: none of its tokens is on this node"));
        }
        self.part = Some(Part { namespace: namespace.clone(), of });
    }
}

impl Options {
    /// The readers of the namespace that is asked for.
    pub(super) fn of_namespace(&self, found: Found) -> Found {
        match &self.namespace {
            Some(namespace) => found.only(|known| namespace.may_have(known)),
            None => found,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_namespace_is_a_label_of_dns() {
        for name in ["shop", "kube-system", "0", &"a".repeat(63)] {
            assert_eq!(name.parse::<Namespace>().map(|it| it.to_string()), Ok(name.to_owned()));
        }
        for text in ["", "Shop", "shop/cart-0", "a b", "shop.", &"a".repeat(64)] {
            assert!(text.parse::<Namespace>().is_err(), "{text}");
        }
    }
}
