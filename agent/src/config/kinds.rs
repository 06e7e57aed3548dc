//! The types a setting can have: how each is read from YAML and from text, and shown again.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::path::PathBuf;

use tokenwatch_core::base::text::shown;
use tokenwatch_core::base::time::Delta;
use tokenwatch_core::world::clocks::ServerName;
use tokenwatch_otlp::protocol::{Compression, Protocol, Temporality};

use super::duration;
use super::mistakes::Problem;
use super::size::{self, Size};
use super::yaml::{Node, Spot, place};

/// A type of setting.
#[allow(private_interfaces)] // only the loader, in this module, reads trees
pub trait Kind: Sized {
    /// What is wanted, for messages.
    const WANTED: &'static str;
    /// Whether it holds several values.
    const SEVERAL: bool = false;

    /// From a variable, a flag, or text in the file.
    fn from_text(text: &str) -> Result<Self, String>;

    /// As YAML that reads back to the same; nothing when there is no value.
    fn show(&self) -> Option<String>;

    /// From every use of a flag, or from a variable: the last one counts.
    fn from_texts(texts: &[String]) -> Result<Self, Vec<Problem>> {
        Self::from_text(texts.last().map_or("", String::as_str))
            .map_err(|message| vec![Problem::here(message)])
    }

    /// From the file.
    fn from_spot(spot: &Spot) -> Result<Self, Vec<Problem>> {
        let read = match &spot.node {
            Node::Text(text) | Node::Bare(text) => Self::from_text(text),
            other => Err(format!("{} is wanted, this is {}", Self::WANTED, other.called())),
        };
        read.map_err(|message| vec![Problem::at(spot.place, message)])
    }
}

/// Text in the file that YAML takes for a number has lost its spelling: it must be quoted.
fn quoted(spot: &Spot) -> Result<&str, Vec<Problem>> {
    let message = match &spot.node {
        Node::Text(text) => return Ok(text),
        Node::Bare(bare) => format!("text is wanted, YAML reads this as {bare}: put it in quotes"),
        other => format!("text is wanted, this is {}", other.called()),
    };
    Err(vec![Problem::at(spot.place, message)])
}

/// A JSON string is a YAML string.
fn yaml_text(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

#[allow(private_interfaces)] // as above
impl Kind for String {
    const WANTED: &'static str = "text";

    fn from_text(text: &str) -> Result<Self, String> {
        Ok(text.to_owned())
    }

    fn show(&self) -> Option<String> {
        Some(yaml_text(self))
    }

    fn from_spot(spot: &Spot) -> Result<Self, Vec<Problem>> {
        quoted(spot).map(ToOwned::to_owned)
    }
}

#[allow(private_interfaces)] // as above
impl Kind for PathBuf {
    const WANTED: &'static str = "a path";

    fn from_text(text: &str) -> Result<Self, String> {
        if text.is_empty() {
            Err("a path is wanted, this is empty".to_owned())
        } else {
            Ok(Self::from(text))
        }
    }

    fn show(&self) -> Option<String> {
        Some(yaml_text(&self.to_string_lossy()))
    }

    fn from_spot(spot: &Spot) -> Result<Self, Vec<Problem>> {
        Self::from_text(quoted(spot)?).map_err(|message| vec![Problem::at(spot.place, message)])
    }
}

impl Kind for bool {
    const WANTED: &'static str = "true or false";

    fn from_text(text: &str) -> Result<Self, String> {
        text.parse().map_err(|_| format!("true or false is wanted, not \"{}\"", shown(text)))
    }

    fn show(&self) -> Option<String> {
        Some(self.to_string())
    }
}

impl Kind for Delta {
    const WANTED: &'static str = "a duration such as 90s";

    fn from_text(text: &str) -> Result<Self, String> {
        duration::parse(text)
    }

    fn show(&self) -> Option<String> {
        Some(duration::show(*self))
    }
}

impl Kind for Size {
    const WANTED: &'static str = "a size such as 4MiB";

    fn from_text(text: &str) -> Result<Self, String> {
        size::parse(text)
    }

    fn show(&self) -> Option<String> {
        Some(self.to_string())
    }
}

#[allow(private_interfaces)] // as above
impl<T: Kind> Kind for Option<T> {
    const WANTED: &'static str = T::WANTED;

    fn from_text(text: &str) -> Result<Self, String> {
        T::from_text(text).map(Some)
    }

    fn show(&self) -> Option<String> {
        self.as_ref().and_then(T::show)
    }

    fn from_spot(spot: &Spot) -> Result<Self, Vec<Problem>> {
        T::from_spot(spot).map(Some)
    }
}

impl Kind for ServerName {
    const WANTED: &'static str = "HOST or HOST:PORT";

    fn from_text(text: &str) -> Result<Self, String> {
        text.parse()
    }

    fn show(&self) -> Option<String> {
        Some(yaml_text(&self.to_string()))
    }
}

impl Kind for IpAddr {
    const WANTED: &'static str = "an IP address";

    fn from_text(text: &str) -> Result<Self, String> {
        let bare = text.strip_prefix('[').and_then(|text| text.strip_suffix(']')).unwrap_or(text);
        bare.parse().map_err(|_| {
            format!("an IP address such as 127.0.0.1 or :: is wanted, not \"{}\"", shown(text))
        })
    }

    fn show(&self) -> Option<String> {
        Some(yaml_text(&self.to_string()))
    }
}

/// A TCP port.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Port(pub u16);

impl Kind for Port {
    const WANTED: &'static str = "a port";

    fn from_text(text: &str) -> Result<Self, String> {
        match text.parse() {
            Ok(port) if port > 0 => Ok(Self(port)),
            _ => Err(format!("a port from 1 to 65535 is wanted, not \"{}\"", shown(text))),
        }
    }

    fn show(&self) -> Option<String> {
        Some(self.0.to_string())
    }
}

#[allow(private_interfaces)] // as above
impl<T: Kind> Kind for Vec<T> {
    const WANTED: &'static str = "a list";
    const SEVERAL: bool = true;

    /// Separated by commas.
    fn from_text(text: &str) -> Result<Self, String> {
        text.split(',').map(str::trim).filter(|part| !part.is_empty()).map(T::from_text).collect()
    }

    fn show(&self) -> Option<String> {
        Some(format!("[{}]", self.iter().filter_map(T::show).collect::<Vec<_>>().join(", ")))
    }

    fn from_texts(texts: &[String]) -> Result<Self, Vec<Problem>> {
        let parts = texts
            .iter()
            .flat_map(|text| text.split(','))
            .map(str::trim)
            .filter(|part| !part.is_empty());
        all(parts.map(|part| T::from_text(part).map_err(|message| vec![Problem::here(message)])))
    }

    fn from_spot(spot: &Spot) -> Result<Self, Vec<Problem>> {
        match &spot.node {
            Node::List(items) => all(items.iter().map(T::from_spot)),
            other => Err(vec![Problem::at(
                spot.place,
                format!("a list is wanted, as in [a, b], this is {}", other.called()),
            )]),
        }
    }
}

/// Every value, or every problem.
fn all<T, C: FromIterator<T>>(
    results: impl Iterator<Item = Result<T, Vec<Problem>>>,
) -> Result<C, Vec<Problem>> {
    let (mut values, mut problems) = (Vec::new(), Vec::new());
    for result in results {
        match result {
            Ok(value) => values.push(value),
            Err(more) => problems.extend(more),
        }
    }
    if problems.is_empty() { Ok(values.into_iter().collect()) } else { Err(problems) }
}

/// Text that nothing shows.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    /// The text, for the one who sends it.
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl std::fmt::Debug for Secret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("***")
    }
}

/// Names to secrets. No message repeats a value.
#[allow(private_interfaces)] // as above
impl Kind for BTreeMap<String, Secret> {
    const WANTED: &'static str = "NAME=VALUE";
    const SEVERAL: bool = true;

    /// As in OTEL_EXPORTER_OTLP_HEADERS: `a=b,c=d`.
    fn from_text(text: &str) -> Result<Self, String> {
        text.split(',').filter(|part| !part.trim().is_empty()).map(header).collect()
    }

    fn show(&self) -> Option<String> {
        Some(format!(
            "{{{}}}",
            self.keys()
                .map(|name| format!("{}: \"***\"", yaml_text(name)))
                .collect::<Vec<_>>()
                .join(", ")
        ))
    }

    fn from_texts(texts: &[String]) -> Result<Self, Vec<Problem>> {
        all(texts
            .iter()
            .map(|text| Self::from_text(text).map_err(|message| vec![Problem::here(message)])))
        .map(|maps: Vec<Self>| maps.into_iter().flatten().collect())
    }

    fn from_spot(spot: &Spot) -> Result<Self, Vec<Problem>> {
        let Node::Map(entries) = &spot.node else {
            return Err(vec![Problem::at(
                spot.place,
                format!("a mapping of names to values is wanted, this is {}", spot.node.called()),
            )]);
        };
        all(entries.iter().map(|(name, value)| {
            let name = header_name(&name.value)
                .map_err(|message| vec![Problem::at(place(name), message)])?;
            let value = secret(quoted_secret(value)?)
                .map_err(|message| vec![Problem::at(value.place, message)])?;
            Ok((name, value))
        }))
    }
}

/// As [`quoted`], without repeating what it found.
fn quoted_secret(spot: &Spot) -> Result<&str, Vec<Problem>> {
    match &spot.node {
        Node::Text(text) => Ok(text),
        Node::Bare(_) => {
            Err(vec![Problem::at(spot.place, "text is wanted: put it in quotes".to_owned())])
        }
        other => Err(vec![Problem::at(
            spot.place,
            format!("text is wanted, this is {}", other.called()),
        )]),
    }
}

fn header(pair: &str) -> Result<(String, Secret), String> {
    let (name, value) = pair.split_once('=').ok_or("NAME=VALUE is wanted, there is no =")?;
    Ok((header_name(name.trim())?, secret(value.trim())?))
}

fn header_name(name: &str) -> Result<String, String> {
    match http::HeaderName::try_from(name) {
        Ok(name) => Ok(name.as_str().to_owned()),
        Err(_) => Err(format!("\"{}\" is not a header's name", shown(name))),
    }
}

fn secret(value: &str) -> Result<Secret, String> {
    match http::HeaderValue::try_from(value) {
        Ok(_) => Ok(Secret(value.to_owned())),
        Err(_) => Err("its value has characters that no header can carry".to_owned()),
    }
}

/// One of a few words, each standing for a variant.
macro_rules! choices {
    ($name:ident { $($variant:ident = $text:literal),* }) => {
        impl Kind for $name {
            const WANTED: &'static str = concat!("one of", $(" ", $text),*);

            fn from_text(text: &str) -> Result<Self, String> {
                match text.trim() { $($text => Ok(Self::$variant),)* other => Err(no_choice(other, &[$($text),*])) }
            }

            fn show(&self) -> Option<String> {
                Some(match self { $(Self::$variant => $text),* }.to_owned())
            }
        }
    };
}

fn no_choice(text: &str, choices: &[&str]) -> String {
    let meant = super::nearest(text, choices.iter().copied())
        .map(|near| format!("; did you mean {near}?"))
        .unwrap_or_default();
    format!("\"{}\" is not one of {}{meant}", shown(text), choices.join(", "))
}

choices!(Protocol { Grpc = "grpc", HttpProtobuf = "http/protobuf" });
choices!(Compression { Gzip = "gzip", None = "none" });
choices!(Temporality { Cumulative = "cumulative", Delta = "delta", LowMemory = "lowmemory" });
choices!(LogFormat { Text = "text", Json = "json" });

/// How the diary is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogFormat {
    /// For people.
    Text,
    /// One JSON object a line.
    Json,
}
