//! Values to lines, and lines to values or to what is wrong with them.

use std::borrow::Cow;
use std::fmt;

use serde::{Deserialize, Serialize};
use serde_json::error::Category;

use crate::base::secrecy::redacted;

use super::entry::{Entry, FORMAT, Header, VERSION};

/// The longest line in bytes, without its end. The longest that an agent writes lists all pods of
/// a node: the core keeps 2,200 at most, of some 3 kB each.
pub const LONGEST_LINE: usize = 16 << 20;

/// How a file begins that gzip has compressed (RFC 1952).
const GZIP: [u8; 2] = [0x1f, 0x8b];

/// A value that makes a longer line than a recording may have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TooLong;

impl fmt::Display for TooLong {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an entry makes a line of more than 16 MiB")
    }
}

impl std::error::Error for TooLong {}

/// A header or an entry as a line, with its end, and without anything that looks like a token: a
/// file or a node could be called so.
pub fn written(value: &impl Serialize) -> Result<Vec<u8>, TooLong> {
    let line = serde_json::to_string(value).map_err(|_| TooLong)?; // a String takes everything
    let mut line = match redacted(&line) {
        Cow::Borrowed(_) => line.into_bytes(),
        Cow::Owned(safe) => safe.into_bytes(),
    };
    if line.len() > LONGEST_LINE {
        return Err(TooLong);
    }
    line.push(b'\n');
    Ok(line)
}

/// What a line holds.
#[derive(Clone, Debug, PartialEq)]
pub enum Line {
    /// The first line.
    Header(Box<Header>),
    /// A line after it.
    Entry(Box<Entry>),
    /// The last line, which the agent had not finished when it was killed.
    CutOff,
}

/// Why a line cannot be used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unreadable {
    /// Its number, from 1.
    pub line: u64,
    /// What is wrong with it.
    pub mistake: Mistake,
}

/// What is wrong with a line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Mistake {
    /// There is no line at all.
    Empty,
    /// The first line is no header.
    NotARecording,
    /// The file is compressed by gzip.
    Compressed,
    /// A version that this reader does not know.
    Version(u64),
    /// The header has the right format and version, and cannot be used.
    Header,
    /// The line is longer than [`LONGEST_LINE`].
    TooLong,
    /// It is not JSON, from this column (in bytes, from 1) on.
    NotJson(usize),
    /// It is JSON and no entry that this reader knows, from this column on; 0 where it is the whole
    /// line.
    NotAnEntry(usize),
}

/// For people: what is wrong, where, and what to do. Without a byte of the file, which may be
/// anything.
impl fmt::Display for Unreadable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.mistake {
            Mistake::Empty => f.write_str(
                "the file is empty: record with `tokenwatch run --record FILE`, and stop the agent \
                 before copying the file",
            ),
            Mistake::NotARecording => f.write_str(
                "line 1 is not the header of a recording: name a file that \
                 `tokenwatch run --record FILE` wrote",
            ),
            Mistake::Compressed => {
                f.write_str("the file is compressed: decompress it with `gunzip` first")
            }
            Mistake::Version(found) => write!(
                f,
                "the recording has format version {found}, and this tokenwatch reads version \
                 {VERSION}: use the version of tokenwatch that recorded it"
            ),
            Mistake::Header => f.write_str(
                "line 1 is a damaged header, and without its configuration nothing can be \
                 replayed: copy the file again",
            ),
            Mistake::TooLong => self.damaged(f, "is longer than 16 MiB", None),
            Mistake::NotJson(column) => self.damaged(f, "is not JSON", Some(*column)),
            Mistake::NotAnEntry(column) => {
                self.damaged(f, "is no entry that this tokenwatch knows", Some(*column))
            }
        }
    }
}

impl Unreadable {
    /// Of a file without a line.
    pub const EMPTY: Self = Self { line: 1, mistake: Mistake::Empty };

    fn damaged(&self, f: &mut fmt::Formatter<'_>, how: &str, column: Option<usize>) -> fmt::Result {
        let line = self.line;
        write!(f, "line {line} {how}")?;
        if let Some(column) = column.filter(|column| *column > 0) {
            write!(f, " (column {column})")?;
        }
        let keep = line.saturating_sub(1);
        write!(
            f,
            ": copy the file again, or use the tokenwatch that recorded it; `head -n {keep}` keeps \
             what comes before"
        )
    }
}

impl std::error::Error for Unreadable {}

/// Reads a recording line by line.
#[derive(Clone, Debug, Default)]
pub struct Reader {
    lines: u64,
}

impl Reader {
    /// At the beginning of a file.
    pub fn new() -> Self {
        Self::default()
    }

    /// The next line, without its end. `ended` is whether it had one: the last line of an agent
    /// that was killed has none.
    pub fn line(&mut self, bytes: &[u8], ended: bool) -> Result<Line, Unreadable> {
        self.lines += 1;
        let read = match self.lines {
            _ if bytes.len() > LONGEST_LINE => Err(Mistake::TooLong),
            1 => header(bytes).map(|header| Line::Header(Box::new(header))),
            _ => entry(bytes, ended),
        };
        read.map_err(|mistake| Unreadable { line: self.lines, mistake })
    }
}

/// What tells a header of any version.
#[derive(Deserialize)]
struct Format {
    format: String,
    version: u64,
}

fn header(line: &[u8]) -> Result<Header, Mistake> {
    match serde_json::from_slice::<Format>(line) {
        Ok(Format { format, version: VERSION }) if format == FORMAT => {
            serde_json::from_slice(line).map_err(|_| Mistake::Header)
        }
        Ok(Format { format, version }) if format == FORMAT => Err(Mistake::Version(version)),
        Err(_) if begins_as_one(line) => Err(Mistake::Header),
        Err(_) if line.starts_with(&GZIP) => Err(Mistake::Compressed),
        Ok(_) | Err(_) => Err(Mistake::NotARecording),
    }
}

fn begins_as_one(line: &[u8]) -> bool {
    line.starts_with(format!("{{\"format\":\"{FORMAT}\"").as_bytes())
}

fn entry(line: &[u8], ended: bool) -> Result<Line, Mistake> {
    match serde_json::from_slice(line) {
        Ok(entry) => Ok(Line::Entry(Box::new(entry))),
        Err(why) if why.classify() == Category::Data => Err(Mistake::NotAnEntry(why.column())),
        Err(why) if !ended && why.is_eof() => Ok(Line::CutOff),
        Err(why) => Err(Mistake::NotJson(why.column())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::time::Reading;
    use crate::engine::Config;
    use crate::replay::Content;
    use crate::world::observation::Observation;

    fn head() -> Vec<u8> {
        let mut line = written(&Header::new("0.1.0", Config::default())).unwrap();
        line.pop();
        line
    }

    /// What the reader answers to a line after the header.
    fn after_the_header(line: &str, ended: bool) -> Result<Line, Unreadable> {
        let mut reader = Reader::new();
        assert!(matches!(reader.line(&head(), true), Ok(Line::Header(_))));
        reader.line(line.as_bytes(), ended)
    }

    #[test]
    fn an_entry_is_one_line_of_json() {
        let tick =
            Entry { now: Reading::default(), content: Content::Observation(Observation::Tick) };
        let line = written(&tick).unwrap();
        assert_eq!(line, b"{\"now\":{\"wall\":0,\"monotonic\":0},\"observation\":\"tick\"}\n");
        let text = String::from_utf8(line).unwrap();
        assert_eq!(after_the_header(text.trim_end(), true), Ok(Line::Entry(Box::new(tick))));
    }

    #[test]
    fn a_file_that_is_no_recording_is_refused() {
        let other_version = r#"{"format":"tokenwatch-recording","version":2,"other":"keys"}"#;
        let no_config = r#"{"format":"tokenwatch-recording","version":1,"tokenwatch":"0.1.0"}"#;
        let table = [
            ("", Mistake::NotARecording),
            ("eyJhbGciOiJSUzI1NiJ9.e30.c2ln", Mistake::NotARecording),
            (r#"{"format":"another","version":1}"#, Mistake::NotARecording),
            (other_version, Mistake::Version(2)),
            (no_config, Mistake::Header),
            (r#"{"format":"tokenwatch-recording","ver"#, Mistake::Header),
            ("\u{1f}\u{8b}", Mistake::NotARecording), // UTF-8, and not the bytes of gzip
        ];
        for (line, mistake) in table {
            let read = Reader::new().line(line.as_bytes(), true);
            assert_eq!(read, Err(Unreadable { line: 1, mistake }), "{line}");
        }
    }

    #[test]
    fn a_damaged_line_is_named_by_its_number() {
        let table = [
            ("{\"now\":", Mistake::NotJson(7)),
            ("", Mistake::NotJson(0)),
            ("{\"now\":{\"wall\":0,\"monotonic\":0}}", Mistake::NotAnEntry(0)),
            (
                "{\"now\":{\"wall\":0,\"monotonic\":0},\"lost\":1,\"stopped\":true}",
                Mistake::NotAnEntry(0),
            ),
        ];
        for (line, mistake) in table {
            let unreadable = Unreadable { line: 2, mistake };
            assert!(unreadable.to_string().starts_with("line 2 is "), "{unreadable}");
            assert_eq!(after_the_header(line, true), Err(unreadable), "{line}");
        }
        let long = " ".repeat(LONGEST_LINE + 1);
        let too_long = Err(Unreadable { line: 2, mistake: Mistake::TooLong });
        assert_eq!(after_the_header(&long, true), too_long);
    }

    #[test]
    fn a_last_line_that_was_cut_off_is_no_damage() {
        assert_eq!(after_the_header("{\"now\":{\"wall", false), Ok(Line::CutOff));
        let whole = "{\"now\":{\"wall\":0,\"monotonic\":0},\"stopped\":true}";
        assert!(matches!(after_the_header(whole, false), Ok(Line::Entry(_))));
        let unknown = "{\"now\":{\"wall\":0,\"monotonic\":0},\"unknown\":true}";
        assert!(after_the_header(unknown, false).is_err());
        assert!(after_the_header("garbage", false).is_err());
    }

    #[test]
    fn no_byte_of_a_file_that_is_no_recording_is_repeated() {
        let secret = "eyJhbGciOiJSUzI1NiJ9";
        let entry = format!("{{\"now\":{{\"wall\":0,\"monotonic\":0}},\"{secret}\":\"{secret}\"}}");
        let observation = format!(
            "{{\"now\":{{\"wall\":0,\"monotonic\":0}},\"observation\":{{\"{secret}\":1}}}}"
        );
        let mut messages = vec![Reader::new().line(secret.as_bytes(), true).unwrap_err()];
        messages
            .extend([entry, observation].map(|line| after_the_header(&line, true).unwrap_err()));
        for message in messages {
            assert!(!message.to_string().contains("eyJ"), "{message}");
        }
    }
}
