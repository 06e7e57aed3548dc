//! The parts of a line of kubelet's log, in klog's text form and in JSON.
//!
//! `E1128 04:17:00.1 1 token_manager.go:121] "Couldn't update token" err="…" cacheKey="…"`
//! `{"ts":1764303420123.5,"caller":"…","msg":"Couldn't update token","err":"…","cacheKey":"…"}`

use serde::Deserialize;
use serde::de::IgnoredAny;

use super::quoted::quoted;
use crate::sources::logs::klog::after_header;
use crate::sources::logs::time::{LineTime, klog_time, milliseconds};

/// The parts of a line that tell something.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Line {
    pub(super) time: Option<LineTime>,
    /// Whether values follow the message.
    pub(super) is_structured: bool,
    pub(super) message: String,
    pub(super) error: String,
    /// `NAMESPACE/NAME`
    pub(super) pod: String,
    pub(super) volume: String,
    pub(super) cache_key: String,
}

/// The parts of a line; none if it is not one of kubelet's log.
pub(super) fn line(bytes: &[u8]) -> Option<Line> {
    let bytes = bytes.trim_ascii();
    match bytes.first()? {
        b'{' => json(bytes),
        _ => text(std::str::from_utf8(bytes).ok()?),
    }
}

fn text(line: &str) -> Option<Line> {
    let rest = after_header(line)?;
    let time = klog_time(line).map(LineTime::Local);
    let Some((message, values)) = quoted(rest) else {
        return Some(Line { time, message: rest.to_owned(), ..Line::default() });
    };
    let mut line = Line { time, is_structured: true, message, ..Line::default() };
    line.values(values);
    Some(line)
}

impl Line {
    /// Takes `key="value" key=value …`.
    fn values(&mut self, mut rest: &str) {
        while let Some((key, value)) = rest.trim_start().split_once('=') {
            let Some((value, after)) = quoted(value).or_else(|| bare(value)) else { return };
            match key {
                "err" => self.error = value,
                "pod" => self.pod = value,
                "volumeName" => self.volume = value,
                "cacheKey" => self.cache_key = value,
                _ => {}
            }
            rest = after;
        }
    }
}

/// A value up to the next space; none if it has lines of its own (`<`).
fn bare(text: &str) -> Option<(String, &str)> {
    let end = text.find(' ').unwrap_or(text.len());
    let value = &text[..end];
    (value != "<").then(|| (value.to_owned(), &text[end..]))
}

/// A line of JSON (component-base/logs/json).
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Json {
    #[serde(default)]
    ts: Option<f64>,
    #[serde(default)]
    msg: Option<String>,
    #[serde(default)]
    err: Option<Text>,
    #[serde(default)]
    pod: Option<Reference>,
    #[serde(default)]
    volume_name: Option<Text>,
    #[serde(default)]
    cache_key: Option<Text>,
}

/// A value that may be something else.
#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum Text {
    Text(String),
    Other(IgnoredAny),
}

/// A reference to an object (klog.KObj), as text or as object.
#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum Reference {
    Text(String),
    Object { namespace: String, name: String },
    Other(IgnoredAny),
}

impl Text {
    fn into_text(self) -> String {
        match self {
            Self::Text(text) => text,
            Self::Other(IgnoredAny) => String::new(),
        }
    }
}

impl Reference {
    fn into_text(self) -> String {
        match self {
            Self::Text(text) => text,
            Self::Object { namespace, name } => format!("{namespace}/{name}"),
            Self::Other(IgnoredAny) => String::new(),
        }
    }
}

fn json(line: &[u8]) -> Option<Line> {
    let Json { ts, msg, err, pod, volume_name, cache_key } = serde_json::from_slice(line).ok()?;
    let text = |value: Option<Text>| value.map(Text::into_text).unwrap_or_default();
    Some(Line {
        time: ts.and_then(milliseconds).map(LineTime::At),
        is_structured: err.is_some(),
        message: msg?,
        error: text(err),
        pod: pod.map(Reference::into_text).unwrap_or_default(),
        volume: text(volume_name),
        cache_key: text(cache_key),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_the_same_in_text_and_in_json() {
        let texts = [
            "E1128 04:17:00.1 1 d.go:1] \"Error processing volume\" err=\"error processing PVC \
             shop/data: PVC is being deleted\" pod=\"shop/cart-0\" volumeName=\"data\"",
            concat!(
                r#"{"ts":1764303420123.5,"caller":"d.go:1","msg":"Error processing volume","#,
                r#""err":"error processing PVC shop/data: PVC is being deleted","#,
                r#""pod":{"name":"cart-0","namespace":"shop"},"volumeName":"data"}"#,
            ),
            r#"{"ts":"x","msg":"Error processing volume"}"#,
        ];
        let lines = texts.map(|text| line(text.as_bytes()));
        let [Some(text), Some(json), None] = lines else { panic!("{lines:?}") };
        assert_eq!(Line { time: None, ..text }, Line { time: None, ..json });
        assert_eq!(text_parts(texts[0]), ("shop/cart-0".into(), "data".into()));
    }

    fn text_parts(text: &str) -> (String, String) {
        let line = line(text.as_bytes()).unwrap();
        (line.pod, line.volume)
    }

    #[test]
    fn an_error_of_several_lines_ends_the_values() {
        let line = line(b"E1128 04:17:00.1 1 d.go:1] \"m\" pod=\"a/b\" err=<").unwrap();
        assert_eq!((line.pod.as_str(), line.error.as_str()), ("a/b", ""));
    }
}
