//! The types of settings: how each is read from YAML and from text, and shown.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;

use tokenwatch_core::base::secrecy::looks_like_a_token;
use tokenwatch_core::base::text::shown;
use tokenwatch_core::base::time::Delta;
use tokenwatch_core::world::clocks::{NotAServer, ServerName};
use tokenwatch_otlp::protocol::{Compression, Protocol, Temporality};

use super::duration;
use super::mistakes::{Invalid, Problem};
use super::size::{self, Size};
use super::yaml::{Node, Spot, place};

/// A type of setting.
#[allow(private_interfaces)] // only the loader, in this module, reads trees
pub trait Kind: Sized {
    /// What is expected, for messages.
    const EXPECTED: &'static str;
    /// Whether it holds several values.
    const SEVERAL: bool = false;

    /// Reads the text of a variable, a flag, or the file.
    fn from_text(text: &str) -> Result<Self, Invalid>;

    /// YAML that reads back to the same value; nothing if there is no value.
    fn show(&self) -> Option<String>;

    /// Reads all uses of a flag, or one variable. The last one counts.
    fn from_texts(texts: &[String]) -> Result<Self, Vec<Problem>> {
        Self::from_text(texts.last().map_or("", String::as_str))
            .map_err(|invalid| vec![Problem::here(invalid)])
    }

    /// Reads a value of the file.
    fn from_spot(spot: &Spot) -> Result<Self, Vec<Problem>> {
        let read = match &spot.node {
            Node::Text(text) | Node::Bare(text) => Self::from_text(text),
            other @ (Node::Null | Node::List(_) | Node::Map(_)) => Err(Invalid::new(format!(
                "expected {}, found {}",
                Self::EXPECTED,
                other.description()
            ))),
        };
        read.map_err(|invalid| vec![Problem::at(spot.place, invalid)])
    }
}

/// The text of a value. Text that YAML reads as a number must be quoted: its spelling is lost.
fn quoted(spot: &Spot) -> Result<&str, Vec<Problem>> {
    let message = match &spot.node {
        Node::Text(text) => return Ok(text),
        Node::Bare(bare) => {
            format!("expected text, but YAML reads this as {bare}: put it in quotes")
        }
        other @ (Node::Null | Node::List(_) | Node::Map(_)) => {
            format!("expected text, found {}", other.description())
        }
    };
    Err(vec![Problem::at(spot.place, message)])
}

/// YAML for a text: a JSON string is a YAML string.
fn yaml_text(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

#[allow(private_interfaces)] // as above
impl Kind for String {
    const EXPECTED: &'static str = "text";

    fn from_text(text: &str) -> Result<Self, Invalid> {
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
    const EXPECTED: &'static str = "a path";

    fn from_text(text: &str) -> Result<Self, Invalid> {
        if text.is_empty() {
            Err(Invalid::new("expected a path, found an empty text"))
        } else {
            Ok(Self::from(text))
        }
    }

    fn show(&self) -> Option<String> {
        Some(yaml_text(&self.to_string_lossy()))
    }

    fn from_spot(spot: &Spot) -> Result<Self, Vec<Problem>> {
        Self::from_text(quoted(spot)?).map_err(|invalid| vec![Problem::at(spot.place, invalid)])
    }
}

impl Kind for bool {
    const EXPECTED: &'static str = "true or false";

    fn from_text(text: &str) -> Result<Self, Invalid> {
        text.parse().map_err(|_| expected(Self::EXPECTED, text))
    }

    fn show(&self) -> Option<String> {
        Some(self.to_string())
    }
}

impl Kind for Delta {
    const EXPECTED: &'static str = "a duration such as 90s";

    fn from_text(text: &str) -> Result<Self, Invalid> {
        duration::parse(text).map_err(|error| Invalid::new(error.to_string()))
    }

    fn show(&self) -> Option<String> {
        Some(duration::show(*self))
    }
}

impl Kind for Size {
    const EXPECTED: &'static str = "a size such as 4MiB";

    fn from_text(text: &str) -> Result<Self, Invalid> {
        size::parse(text).map_err(|error| Invalid::new(error.to_string()))
    }

    fn show(&self) -> Option<String> {
        Some(self.to_string())
    }
}

#[allow(private_interfaces)] // as above
impl<T: Kind> Kind for Option<T> {
    const EXPECTED: &'static str = T::EXPECTED;

    fn from_text(text: &str) -> Result<Self, Invalid> {
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
    const EXPECTED: &'static str = "HOST or HOST:PORT";

    fn from_text(text: &str) -> Result<Self, Invalid> {
        text.parse().map_err(|error: NotAServer| Invalid::new(error.to_string()))
    }

    fn show(&self) -> Option<String> {
        Some(yaml_text(&self.to_string()))
    }
}

impl Kind for IpAddr {
    const EXPECTED: &'static str = "an IP address";

    fn from_text(text: &str) -> Result<Self, Invalid> {
        let bare = text.strip_prefix('[').and_then(|text| text.strip_suffix(']')).unwrap_or(text);
        bare.parse().map_err(|_| expected("an IP address such as 127.0.0.1 or ::", text))
    }

    fn show(&self) -> Option<String> {
        Some(yaml_text(&self.to_string()))
    }
}

/// A TCP port.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Port(pub u16);

impl Kind for Port {
    const EXPECTED: &'static str = "a port";

    fn from_text(text: &str) -> Result<Self, Invalid> {
        match text.parse() {
            Ok(port) if port > 0 => Ok(Self(port)),
            _ => Err(expected("a port from 1 to 65535", text)),
        }
    }

    fn show(&self) -> Option<String> {
        Some(self.0.to_string())
    }
}

/// An IP address, and a port if only that one counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Address {
    /// The address.
    pub ip: IpAddr,
    /// The port.
    pub port: Option<u16>,
}

impl std::fmt::Display for Address {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.port {
            Some(port) => SocketAddr::new(self.ip, port).fmt(f),
            None => self.ip.fmt(f),
        }
    }
}

impl Kind for Address {
    const EXPECTED: &'static str = "IP or IP:PORT";

    fn from_text(text: &str) -> Result<Self, Invalid> {
        let whole =
            text.parse().map(|end: SocketAddr| Self { ip: end.ip(), port: Some(end.port()) });
        let bare = || IpAddr::from_text(text).map(|ip| Self { ip, port: None });
        whole.ok().filter(|address| address.port != Some(0)).map_or_else(bare, Ok).map_err(|_| {
            expected("an IP address, with or without a port, such as 10.0.0.7:443", text)
        })
    }

    fn show(&self) -> Option<String> {
        Some(yaml_text(&self.to_string()))
    }
}

#[allow(private_interfaces)] // as above
impl<T: Kind> Kind for Vec<T> {
    const EXPECTED: &'static str = "a list";
    const SEVERAL: bool = true;

    /// Values separated by commas.
    fn from_text(text: &str) -> Result<Self, Invalid> {
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
        all(parts.map(|part| T::from_text(part).map_err(|invalid| vec![Problem::here(invalid)])))
    }

    fn from_spot(spot: &Spot) -> Result<Self, Vec<Problem>> {
        match &spot.node {
            Node::List(items) => all(items.iter().map(T::from_spot)),
            other @ (Node::Null | Node::Text(_) | Node::Bare(_) | Node::Map(_)) => {
                Err(vec![Problem::at(
                    spot.place,
                    format!("expected a list such as [a, b], found {}", other.description()),
                )])
            }
        }
    }
}

/// All values, or all problems.
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

/// A text that is never shown.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    /// The text, for sending it.
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl std::fmt::Debug for Secret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("***")
    }
}

/// Names of headers with secret values. No message contains a value.
#[allow(private_interfaces)] // as above
impl Kind for BTreeMap<String, Secret> {
    const EXPECTED: &'static str = "NAME=VALUE";
    const SEVERAL: bool = true;

    /// As in OTEL_EXPORTER_OTLP_HEADERS: `a=b,c=d`.
    fn from_text(text: &str) -> Result<Self, Invalid> {
        text.split(',').filter(|part| !part.trim().is_empty()).map(header).collect()
    }

    fn show(&self) -> Option<String> {
        Some(format!(
            "{{{}}}",
            self.keys()
                .map(|name| format!("{}: \"***\"", yaml_text(shown_name(name))))
                .collect::<Vec<_>>()
                .join(", ")
        ))
    }

    fn from_texts(texts: &[String]) -> Result<Self, Vec<Problem>> {
        all(texts
            .iter()
            .map(|text| Self::from_text(text).map_err(|invalid| vec![Problem::here(invalid)])))
        .map(|maps: Vec<Self>| maps.into_iter().flatten().collect())
    }

    fn from_spot(spot: &Spot) -> Result<Self, Vec<Problem>> {
        let Node::Map(entries) = &spot.node else {
            return Err(vec![Problem::at(
                spot.place,
                format!("expected a mapping of names to values, found {}", spot.node.description()),
            )]);
        };
        all(entries.iter().map(|(name, value)| entry(name, value)))
    }
}

/// The name of a header, if it cannot be mistaken for a value: a slip can put one in its place.
fn shown_name(name: &str) -> &str {
    let is_word = name.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'-');
    if is_word { name } else { "***" }
}

fn entry(
    name: &serde_saphyr::Spanned<String>,
    value: &Spot,
) -> Result<(String, Secret), Vec<Problem>> {
    let at = |place| move |invalid| vec![Problem::at(place, invalid)];
    let name = header_name(&name.value).map_err(at(place(name)))?;
    let value = secret(quoted_secret(value)?).map_err(at(value.place))?;
    Ok((name, value))
}

/// As [`quoted`], without the value in the message.
fn quoted_secret(spot: &Spot) -> Result<&str, Vec<Problem>> {
    match &spot.node {
        Node::Text(text) => Ok(text),
        Node::Bare(_) => Err(vec![Problem::at(spot.place, "expected text: put it in quotes")]),
        other @ (Node::Null | Node::List(_) | Node::Map(_)) => Err(vec![Problem::at(
            spot.place,
            format!("expected text, found {}", other.description()),
        )]),
    }
}

fn header(pair: &str) -> Result<(String, Secret), Invalid> {
    let split = pair.split_once('=');
    let (name, value) = split.ok_or_else(|| Invalid::new("expected NAME=VALUE, found no ="))?;
    Ok((header_name(name.trim())?, secret(value.trim())?))
}

fn header_name(name: &str) -> Result<String, Invalid> {
    // A header's name is shown: a token in its place would be, too.
    match http::HeaderName::try_from(name) {
        Ok(parsed) if !looks_like_a_token(name) => Ok(parsed.as_str().to_owned()),
        // With a slip, as in `authorization:VALUE`, the secret is part of the name.
        Ok(_) | Err(_) => Err(Invalid::new(NO_HEADER)),
    }
}

const NO_HEADER: &str = "a name here is not the name of a header; in the file write a space after \
                         its colon, as in {name: value}";

fn secret(value: &str) -> Result<Secret, Invalid> {
    match http::HeaderValue::try_from(value) {
        Ok(_) => Ok(Secret(value.to_owned())),
        Err(_) => Err(Invalid::new("the value contains characters that no header can carry")),
    }
}

/// A type whose variants are written as one word each.
macro_rules! choices {
    ($name:ident { $($variant:ident = $text:literal),* }) => {
        impl Kind for $name {
            const EXPECTED: &'static str = concat!("one of", $(" ", $text),*);

            fn from_text(text: &str) -> Result<Self, Invalid> {
                match text.trim() {
                    $($text => Ok(Self::$variant),)*
                    other => Err(no_choice(other, &[$($text),*])),
                }
            }

            fn show(&self) -> Option<String> {
                Some(match self { $(Self::$variant => $text),* }.to_owned())
            }
        }
    };
}

fn expected(what: &str, text: &str) -> Invalid {
    Invalid::new(format!("expected {what}, found \"{}\"", shown(text)))
}

fn no_choice(text: &str, choices: &[&str]) -> Invalid {
    let hint = super::nearest(text, choices.iter().copied())
        .map(|near| format!("; did you mean {near}?"))
        .unwrap_or_default();
    let choices = choices.join(", ");
    Invalid::new(format!("\"{}\" is not one of {choices}{hint}", shown(text)))
}

choices!(Protocol { Grpc = "grpc", HttpProtobuf = "http/protobuf" });
choices!(Compression { Gzip = "gzip", None = "none" });
choices!(Temporality { Cumulative = "cumulative", Delta = "delta", LowMemory = "lowmemory" });
choices!(LogFormat { Text = "text", Json = "json" });

/// The format of the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogFormat {
    /// Lines of text.
    Text,
    /// One JSON object per line.
    Json,
}
