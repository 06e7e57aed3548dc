//! The pod that somebody asks for.

use std::fmt;
use std::str::FromStr;

use tokenwatch_core::base::text::shown;
use tokenwatch_core::world::cluster::PodRef;

/// Longest name with its namespace: 253 characters and 63, with a slash between them.
const LONGEST: usize = 317;

/// A pod by its name, by namespace/name, or by its UID. Its characters mean themselves in the query
/// of a URL.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PodName(String);

/// A text that names no pod.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NotAPod(String);

impl fmt::Display for NotAPod {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "\"{}\" is no pod: give its name, namespace/name or UID", shown(&self.0))
    }
}

impl std::error::Error for NotAPod {}

impl FromStr for PodName {
    type Err = NotAPod;

    fn from_str(text: &str) -> Result<Self, NotAPod> {
        let is_part = |part: &str| {
            let mut bytes = part.bytes();
            !part.is_empty() && bytes.all(|it| it.is_ascii_alphanumeric() || b"-._".contains(&it))
        };
        let parts = text.split('/').count();
        let is_name = parts <= 2 && text.len() <= LONGEST && text.split('/').all(is_part);
        if is_name { Ok(Self(text.to_owned())) } else { Err(NotAPod(text.to_owned())) }
    }
}

impl fmt::Display for PodName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&shown(&self.0))
    }
}

impl PodName {
    /// Whether it is the name of this pod. The digits of a UID may be in either case (RFC 9562).
    pub fn is_of(&self, pod: &PodRef) -> bool {
        let name = pod.name.as_deref();
        match self.0.split_once('/') {
            Some((namespace, of)) => {
                pod.namespace.as_deref() == Some(namespace) && name == Some(of)
            }
            None => name == Some(&self.0) || pod.uid.eq_ignore_ascii_case(&self.0),
        }
    }

    /// For the query of a URL.
    pub fn as_query(&self) -> &str {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pod_has_three_names() {
        let pod = PodRef {
            namespace: Some("shop".into()),
            name: Some("cart-0".into()),
            uid: "0d8b7c1e".into(),
            owner: None,
            is_claimed: false,
        };
        let nameless = PodRef { uid: "0d8b7c1e".into(), ..PodRef::default() };
        let table = [
            ("cart-0", true, false),
            ("shop/cart-0", true, false),
            ("0d8b7c1e", true, true),
            ("0D8B7C1E", true, true),
            ("Cart-0", false, false),
            ("shop", false, false),
            ("other/cart-0", false, false),
            ("cart", false, false),
        ];
        for (text, named, by_uid) in table {
            let asked: PodName = text.parse().unwrap();
            assert_eq!((asked.is_of(&pod), asked.is_of(&nameless)), (named, by_uid), "{text}");
        }
    }

    #[test]
    fn what_is_no_name_is_refused() {
        let long = "a".repeat(LONGEST + 1);
        for bad in ["", "/", "a/", "/a", "a/b/c", "a b", "a?b", "a&b=c", "é", "a%20b", "\n", &long]
        {
            let error = bad.parse::<PodName>().unwrap_err();
            assert!(error.to_string().contains("namespace/name or UID"), "{bad:?}");
        }
    }
}
