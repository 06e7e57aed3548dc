//! The JSON of a token, as structs that borrow from the decoded buffer.

use std::borrow::Cow;

use serde::de::{IgnoredAny, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer};

#[derive(Debug, Default, PartialEq, Deserialize)]
pub(super) struct Header<'a> {
    #[serde(borrow, default)]
    pub(super) kid: Option<Text<'a>>,
    #[serde(borrow, default)]
    pub(super) alg: Option<Text<'a>>,
    #[serde(default)]
    pub(super) typ: Option<IgnoredAny>,
}

#[derive(Debug, PartialEq, Deserialize)]
pub(super) struct Payload<'a> {
    #[serde(borrow, default)]
    pub(super) iss: Option<Text<'a>>,
    #[serde(borrow, default)]
    pub(super) sub: Option<Text<'a>>,
    #[serde(borrow, default)]
    pub(super) aud: Option<Audience<'a>>,
    #[serde(default)]
    pub(super) exp: Option<f64>,
    #[serde(default)]
    pub(super) iat: Option<f64>,
    #[serde(default)]
    pub(super) nbf: Option<f64>,
    #[serde(borrow, default)]
    pub(super) jti: Option<Text<'a>>,
    #[serde(borrow, default, rename = "kubernetes.io")]
    pub(super) kubernetes: Option<Kubernetes<'a>>,
    #[serde(borrow, default, rename = "kubernetes.io/serviceaccount/namespace")]
    pub(super) legacy_namespace: Option<Text<'a>>,
}

/// The other claims of a Secret-based token (pkg/serviceaccount/legacy.go).
#[derive(Debug, Default, PartialEq, Deserialize)]
pub(super) struct Legacy<'a> {
    #[serde(borrow, default, rename = "kubernetes.io/serviceaccount/service-account.name")]
    pub(super) account: Option<Text<'a>>,
    #[serde(borrow, default, rename = "kubernetes.io/serviceaccount/secret.name")]
    pub(super) secret: Option<Text<'a>>,
}

/// A string that borrows from the buffer unless it contains escapes. serde borrows a `Cow` only
/// where it is a field itself, not inside an `Option`: hence this type.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Text<'a>(Cow<'a, str>);

impl std::ops::Deref for Text<'_> {
    type Target = str;

    fn deref(&self) -> &str {
        &self.0
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for Text<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_str(TextVisitor)
    }
}

pub(super) struct TextVisitor;

impl<'de> Visitor<'de> for TextVisitor {
    type Value = Text<'de>;

    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("a string")
    }

    fn visit_borrowed_str<E>(self, text: &'de str) -> Result<Text<'de>, E> {
        Ok(Text(Cow::Borrowed(text)))
    }

    fn visit_str<E>(self, text: &str) -> Result<Text<'de>, E> {
        Ok(Text(Cow::Owned(text.to_owned())))
    }
}

/// `aud`: a list in Kubernetes, and a list or a single string in RFC 7519 (section 4.1.3). Nearly
/// all tokens have one audience, which needs no allocation here.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Audience<'a> {
    pub(super) first: Option<Text<'a>>,
    pub(super) more: Vec<Text<'a>>,
}

impl<'de: 'a, 'a> Deserialize<'de> for Audience<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(AudienceVisitor)
    }
}

pub(super) struct AudienceVisitor;

impl<'de> Visitor<'de> for AudienceVisitor {
    type Value = Audience<'de>;

    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("a string or a list of strings")
    }

    fn visit_borrowed_str<E: serde::de::Error>(self, text: &'de str) -> Result<Audience<'de>, E> {
        TextVisitor.visit_borrowed_str(text).map(one)
    }

    fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<Audience<'de>, E> {
        TextVisitor.visit_str(text).map(one)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Audience<'de>, A::Error> {
        let mut audience = Audience { first: list.next_element()?, more: Vec::new() };
        while let Some(next) = list.next_element()? {
            audience.more.push(next);
        }
        Ok(audience)
    }
}

fn one(text: Text<'_>) -> Audience<'_> {
    Audience { first: Some(text), more: Vec::new() }
}

/// The private claim `kubernetes.io`. Unknown members are ignored, because new releases of
/// Kubernetes add some.
#[derive(Debug, PartialEq, Deserialize)]
pub(super) struct Kubernetes<'a> {
    #[serde(borrow, default)]
    pub(super) namespace: Option<Text<'a>>,
    #[serde(borrow, default)]
    pub(super) serviceaccount: Option<Object<'a>>,
    #[serde(borrow, default)]
    pub(super) pod: Option<Object<'a>>,
    #[serde(borrow, default)]
    pub(super) secret: Option<Object<'a>>,
    #[serde(borrow, default)]
    pub(super) node: Option<Object<'a>>,
    #[serde(default)]
    pub(super) warnafter: Option<f64>,
}

#[derive(Debug, PartialEq, Deserialize)]
pub(super) struct Object<'a> {
    #[serde(borrow, default)]
    pub(super) name: Text<'a>,
    #[serde(borrow, default)]
    pub(super) uid: Option<Text<'a>>,
}
