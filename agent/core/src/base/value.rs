//! Attribute values of spans, alerts and evidence.

use serde::{Deserialize, Serialize};

use crate::base::time::{Delta, Wall};

/// A value of an OpenTelemetry attribute.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Value {
    /// A boolean.
    Bool(bool),
    /// An integer.
    Int(i64),
    /// A floating-point number; durations are in seconds.
    Float(f64),
    /// Text, already escaped by [`crate::base::text::shown`] or [`Value::sentence`].
    Text(String),
    /// A list of texts.
    List(Vec<String>),
}

impl Value {
    /// The text that it is; none if it is something else.
    pub fn text(&self) -> Option<&str> {
        match self {
            Self::Text(text) => Some(text),
            Self::Bool(_) | Self::Int(_) | Self::Float(_) | Self::List(_) => None,
        }
    }
}

impl Value {
    /// A sentence of the agent, or a command. It is not cut: its parts are bounded already, and the
    /// cause, or the object of a command, stands at its end.
    pub fn sentence(text: &str) -> Self {
        Self::Text(crate::base::text::escaped(text).into_owned())
    }
}

impl From<&str> for Value {
    fn from(text: &str) -> Self {
        Self::Text(crate::base::text::shown(text).into_owned())
    }
}

impl From<&String> for Value {
    fn from(text: &String) -> Self {
        Self::from(text.as_str())
    }
}

impl From<String> for Value {
    fn from(text: String) -> Self {
        Self::from(text.as_str())
    }
}

impl From<bool> for Value {
    fn from(value: bool) -> Self {
        Self::Bool(value)
    }
}

impl From<i64> for Value {
    fn from(value: i64) -> Self {
        Self::Int(value)
    }
}

impl From<usize> for Value {
    fn from(value: usize) -> Self {
        Self::Int(i64::try_from(value).unwrap_or(i64::MAX))
    }
}

impl From<f64> for Value {
    fn from(value: f64) -> Self {
        Self::Float(value)
    }
}

/// In seconds, the unit of every duration in telemetry.
impl From<Delta> for Value {
    fn from(delta: Delta) -> Self {
        Self::Float(delta.as_secs_f64())
    }
}

/// In RFC 3339, UTC, to the second.
impl From<Wall> for Value {
    fn from(wall: Wall) -> Self {
        Self::Text(wall.rfc3339())
    }
}

/// Most entries of one list. A further entry counts the rest: a forged token can have thousands of
/// audiences.
pub const MAX_LISTED: usize = 16;

/// Bytes after which one list ends, however few entries it has by then: a finding is held several
/// times, and whoever makes tokens chooses how long such names are.
const MAX_LIST_BYTES: usize = 1_024;

impl From<&[String]> for Value {
    fn from(texts: &[String]) -> Self {
        let (mut listed, mut bytes) = (Vec::new(), 0);
        for text in texts.iter().take(MAX_LISTED) {
            if bytes >= MAX_LIST_BYTES {
                break;
            }
            let text = crate::base::text::shown(text).into_owned();
            bytes += text.len();
            listed.push(text);
        }
        let rest = texts.len() - listed.len();
        listed.extend((rest > 0).then(|| format!("… and {rest} more")));
        Self::List(listed)
    }
}

/// Names and values in the order in which they were added. Serialised as a JSON object.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Attributes(pub Vec<(std::borrow::Cow<'static, str>, Value)>);

impl Attributes {
    /// No attributes.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds one attribute.
    #[must_use]
    pub fn with(mut self, name: &'static str, value: impl Into<Value>) -> Self {
        self.0.push((name.into(), value.into()));
        self
    }

    /// Adds one attribute, if there is a value.
    #[must_use]
    pub fn with_some(self, name: &'static str, value: Option<impl Into<Value>>) -> Self {
        match value {
            Some(value) => self.with(name, value),
            None => self,
        }
    }

    /// Adds all attributes of `more`.
    #[must_use]
    pub fn and(mut self, more: Self) -> Self {
        self.0.extend(more.0);
        self
    }

    /// The value of the attribute `name`.
    pub fn get(&self, name: &str) -> Option<&Value> {
        self.0.iter().find(|(key, _)| key == name).map(|(_, value)| value)
    }

    /// Every name and value, in order.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &Value)> {
        self.0.iter().map(|(name, value)| (name.as_ref(), value))
    }
}

impl Serialize for Attributes {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.iter())
    }
}

impl<'de> Deserialize<'de> for Attributes {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let map = std::collections::BTreeMap::<String, Value>::deserialize(deserializer)?;
        Ok(Self(map.into_iter().map(|(name, value)| (name.into(), value)).collect()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_list_is_cut() {
        let texts: Vec<String> = (0..5_000).map(|number| number.to_string()).collect();
        let Value::List(shown) = Value::from(texts.as_slice()) else { panic!("no list") };
        assert_eq!(shown.len(), MAX_LISTED + 1);
        assert_eq!(shown[MAX_LISTED], "… and 4984 more");
        assert_eq!(Value::from(&texts[..2]), Value::List(vec!["0".into(), "1".into()]));
    }
}
