//! One line of Prometheus' text format: `name{label="value",…} number`.

/// The name, the labels and the number of a line.
#[derive(Debug, PartialEq)]
pub(super) struct Sample<'a> {
    pub(super) name: &'a str,
    labels: &'a str,
    pub(super) number: f64,
}

/// The sample in a line; none in a comment, or a line that is none.
pub(super) fn sample(line: &[u8]) -> Option<Sample<'_>> {
    let line = std::str::from_utf8(line).ok()?.trim_ascii();
    let end = line.find(|c: char| !is_of_name(c)).filter(|end| *end > 0)?;
    let (name, rest) = line.split_at(end);
    let (labels, rest) = match rest.strip_prefix('{') {
        Some(rest) => rest.split_at_checked(end_of_labels(rest)?)?,
        None => ("", rest),
    };
    let number = rest.trim_start_matches('}').split_ascii_whitespace().next()?.parse().ok()?;
    Some(Sample { name, labels, number })
}

fn is_of_name(c: char) -> bool {
    c.is_ascii_alphanumeric() || c == '_' || c == ':'
}

/// Where the labels end: at the first brace outside of a value.
fn end_of_labels(text: &str) -> Option<usize> {
    let (mut is_quoted, mut is_escaped) = (false, false);
    for (at, c) in text.char_indices() {
        match c {
            _ if is_escaped => is_escaped = false,
            '\\' => is_escaped = is_quoted,
            '"' => is_quoted = !is_quoted,
            '}' if !is_quoted => return Some(at),
            _ => {}
        }
    }
    None
}

impl<'a> Sample<'a> {
    /// The value of a label. One with an escaped character is none that is looked for.
    pub(super) fn label(&self, name: &str) -> Option<&'a str> {
        let mut rest = self.labels;
        loop {
            let (label, after) = rest.split_once("=\"")?;
            let end = end_of_value(after)?;
            let value = after.get(..end)?;
            if label.trim_matches([',', ' ']) == name {
                return Some(value);
            }
            rest = after.get(end + 1..)?;
        }
    }

    /// The number as a count. A counter that overflowed, or is none, counts nothing.
    pub(super) fn count(&self) -> u64 {
        // Exact up to 2^53, more than any counter here reaches.
        #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
        if self.number.is_finite() && self.number >= 0.0 { self.number as u64 } else { 0 }
    }
}

fn end_of_value(text: &str) -> Option<usize> {
    let mut is_escaped = false;
    text.char_indices().find_map(|(at, c)| {
        let is_end = c == '"' && !is_escaped;
        is_escaped = c == '\\' && !is_escaped;
        is_end.then_some(at)
    })
}
