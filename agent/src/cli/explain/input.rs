//! Reads what `explain` was given, in bounded memory, and names it.

use std::fmt;
use std::io::{self, IsTerminal as _, Read};
use std::os::unix::fs::FileTypeExt as _;
use std::path::Path;

use tokenwatch_core::base::secrecy::looks_like_a_token;
use tokenwatch_core::base::text::shown;
use zeroize::Zeroizing;

use crate::sources::tokens::named::{self, NotOpened};

/// Largest input. An object in the API has at most 1.5 MiB (etcd), and a token 64 KiB.
pub(super) const MAX_BYTES: usize = 2 << 20;

/// Where the token was read.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(in crate::cli) struct ReadFrom {
    /// The file, safe to show; nothing for standard input.
    pub(in crate::cli) file: Option<String>,
    /// Where in it, if it holds more than the token.
    pub(in crate::cli) place: Option<String>,
}

impl fmt::Display for ReadFrom {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.file.as_deref().unwrap_or("standard input"))?;
        self.place.as_ref().map_or(Ok(()), |place| write!(f, ": {place}"))
    }
}

/// Why nothing was read.
#[derive(Debug)]
pub(super) enum NotRead {
    /// No argument, and standard input is a terminal.
    NoInput,
    /// The argument is a token, and no such file exists.
    TokenAsArgument,
    /// The file or standard input could not be read.
    Failed(io::Error),
    /// It is no file to read.
    NotOpened(NotOpened),
    /// It is longer than [`MAX_BYTES`].
    TooLong,
}

impl fmt::Display for NotRead {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoInput => f.write_str(
                "no input: name a file that holds a token, or write one to standard input (see \
                 `tokenwatch explain --help`)",
            ),
            Self::TokenAsArgument => f.write_str(
                "the argument looks like a token, and no file has that name: write the token to \
                 standard input, as in `kubectl create token default | tokenwatch explain -`; \
                 arguments are visible to every user of this machine",
            ),
            Self::Failed(error) => write!(f, "cannot be read: {error}"),
            Self::NotOpened(why) => write!(f, "cannot be read: {why}"),
            Self::TooLong => write!(
                f,
                "longer than {} MiB, and read no further: pass only the token, or the object that \
                 holds it",
                MAX_BYTES >> 20
            ),
        }
    }
}

/// The bytes, in a buffer that is wiped afterwards, and where they are from.
pub(super) fn read(file: Option<&Path>) -> (ReadFrom, Result<Zeroizing<Vec<u8>>, NotRead>) {
    match file.filter(|path| *path != Path::new("-")) {
        Some(path) => {
            let file = Some(shown(&path.to_string_lossy()).into_owned());
            (ReadFrom { file, place: None }, read_file(path))
        }
        None if io::stdin().is_terminal() => (ReadFrom::default(), Err(NotRead::NoInput)),
        None => (ReadFrom::default(), read_limited(io::stdin().lock())),
    }
}

fn read_file(path: &Path) -> Result<Zeroizing<Vec<u8>>, NotRead> {
    if let Some(descriptor) = named::inherited(path) {
        return descriptor.map_err(NotRead::Failed).and_then(read_descriptor);
    }
    let file = named::open(path).map_err(|why| not_opened(path, why))?;
    read_limited(file)
}

fn not_opened(path: &Path, why: NotOpened) -> NotRead {
    let is_a_file = !matches!(why, NotOpened::Failed(_));
    if is_a_file || !looks_like_a_token(&path.to_string_lossy()) {
        return NotRead::NotOpened(why);
    }
    NotRead::TokenAsArgument
}

/// Standard input or the pipe of `<(…)`, and no device: it may never end.
fn read_descriptor(file: std::fs::File) -> Result<Zeroizing<Vec<u8>>, NotRead> {
    let kind = file.metadata().map_err(NotRead::Failed)?.file_type();
    if file.is_terminal() {
        return Err(NotRead::NoInput);
    }
    if kind.is_dir() {
        return Err(NotRead::NotOpened(NotOpened::Directory));
    }
    if kind.is_char_device() || kind.is_block_device() {
        return Err(NotRead::NotOpened(NotOpened::Special("device")));
    }
    read_limited(file)
}

/// The buffer has its full size from the start: growing it would leave copies of the token behind.
fn read_limited(from: impl Read) -> Result<Zeroizing<Vec<u8>>, NotRead> {
    let mut bytes = Zeroizing::new(Vec::with_capacity(MAX_BYTES + 64));
    let limit = u64::try_from(MAX_BYTES).unwrap_or(u64::MAX) + 1;
    from.take(limit).read_to_end(&mut bytes).map_err(NotRead::Failed)?;
    if bytes.len() > MAX_BYTES { Err(NotRead::TooLong) } else { Ok(bytes) }
}
