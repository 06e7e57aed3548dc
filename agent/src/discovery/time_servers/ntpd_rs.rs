//! Configuration of ntpd-rs, ntp.toml(5).

use std::path::{Path, PathBuf};

use super::host::HostFiles;
use super::running::Running;
use super::toml::{Token, tokens};
use super::{Discovered, POOL_VOTES};

const FILE: &str = "/etc/ntpd-rs/ntp.toml";
/// Programs of the daemon, by its versions and packages.
const PROGRAMS: [&str; 2] = ["ntp-daemon", "ntpd-rs"];
const WITH_VALUE: [&str; 4] = ["c", "config", "l", "log-level"];

pub(super) fn servers(host: &HostFiles<'_>, running: &Running) -> Vec<Discovered> {
    let options = PROGRAMS.iter().flat_map(|program| running.options(program, &WITH_VALUE));
    let commanded = options.filter_map(|options| options.file(&["c", "config"]));
    let mut files = commanded.chain([PathBuf::from(FILE)]);
    let found = files.find_map(|file| Some((host.text(&file)?, file)));
    found.map(|(text, file)| sources(&text, &file)).unwrap_or_default()
}

/// One source: a table of the array `source`.
#[derive(Debug, Default)]
struct Source {
    mode: String,
    address: String,
    /// How many addresses of a pool the daemon uses.
    count: Option<u8>,
}

/// `[[source]]` with `mode` and `address`, or the same as `source = [{ … }]`.
fn sources(text: &str, file: &Path) -> Vec<Discovered> {
    let mut reader = Reader::default();
    let tokens = tokens(text);
    for (at, token) in tokens.iter().enumerate() {
        reader.take(token, &tokens[at + 1..]);
    }
    reader.end();
    reader.found.iter().filter_map(|source| source.server(file)).collect()
}

impl Source {
    /// None for a reference clock. With NTS, the port is that of the key exchange.
    fn server(&self, file: &Path) -> Option<Discovered> {
        let is_nts = self.mode.starts_with("nts");
        let is_server = matches!(self.mode.to_ascii_lowercase().as_str(), "server" | "pool");
        (is_server || is_nts).then_some(())?;
        let mut found = Discovered::new(&self.address, None, file)?.with_nts(is_nts);
        if is_nts {
            found.use_ntp_port();
        }
        let is_pool = matches!(self.mode.to_ascii_lowercase().as_str(), "pool" | "nts-pool");
        Some(found.with_pool(is_pool.then(|| self.count.unwrap_or(POOL_VOTES))))
    }
}

#[derive(Debug, Default)]
struct Reader {
    found: Vec<Source>,
    current: Option<Source>,
    /// Whether the value of the key `source` is being read, between its brackets.
    in_array: bool,
    /// The key of the value that follows.
    key: String,
}

impl Reader {
    /// Takes a token, given those after it.
    fn take(&mut self, token: &Token, rest: &[Token]) {
        match token {
            Token::Header(name) => {
                self.end();
                self.in_array = false;
                self.current = (name == "[source]").then(Source::default);
            }
            Token::Word(word) if rest.first() == Some(&Token::Punctuation('=')) => {
                self.key.clone_from(word);
            }
            Token::Text(text) if rest.first() == Some(&Token::Punctuation('=')) => {
                self.key.clone_from(text);
            }
            Token::Text(text) => self.value(text),
            Token::Word(number) => self.number(number),
            Token::Punctuation('[') => self.in_array |= self.key == "source",
            Token::Punctuation('{') if self.in_array => {
                self.end();
                self.current = Some(Source::default());
            }
            Token::Punctuation(']') => self.in_array = false,
            Token::Punctuation(_) => {}
        }
    }

    fn value(&mut self, text: &str) {
        let Some(source) = &mut self.current else { return };
        match self.key.as_str() {
            "mode" => text.clone_into(&mut source.mode),
            "address" => text.clone_into(&mut source.address),
            _ => {}
        }
    }

    fn number(&mut self, number: &str) {
        let Some(source) = self.current.as_mut().filter(|_| self.key == "count") else { return };
        source.count = number.parse().ok().filter(|count| (1..=16).contains(count));
    }

    fn end(&mut self) {
        self.found.extend(self.current.take());
    }
}
