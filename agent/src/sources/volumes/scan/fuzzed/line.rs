//! A line of an input: what to do with a file of a volume.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Component, Path};

use tokenwatch_core::world::tokens::TokenKey;

use crate::fuzzed::made_token;
use crate::sources::names;

/// Means the whole volume where a path is expected, and the whole pod where a volume is.
pub(super) const WHOLE: &str = ".";
/// Longest name on every file system of Linux (NAME_MAX).
const MAX_NAME: usize = 255;
/// Words before the content.
const WORDS: usize = 5;

/// `DO POD VOLUME PATH CONTENT`. A volume with `$` in front is one of a Secret.
#[derive(Debug)]
pub(super) struct Line<'a> {
    pub(super) action: u8,
    pub(super) pod: &'a OsStr,
    pub(super) volume: &'a OsStr,
    pub(super) path: &'a Path,
    pub(super) content: &'a [u8],
}

impl<'a> Line<'a> {
    /// None if it names no place of a tree.
    pub(super) fn of(line: &'a [u8]) -> Option<Self> {
        let mut words = line.splitn(WORDS, |byte| *byte == b' ');
        let action = *words.next()?.first()?;
        let mut name = || OsStr::from_bytes(words.next().unwrap_or(WHOLE.as_bytes()));
        let (pod, volume, path) = (name(), name(), Path::new(name()));
        let is_place = is_name(pod) && (volume == WHOLE || is_name(volume)) && !line.contains(&0);
        let content = words.next().unwrap_or_default();
        is_place.then_some(Self { action, pod, volume, path, content })
    }

    /// The token that its file would be, if it is one.
    pub(super) fn key(&self) -> TokenKey {
        let text = |name: &OsStr| names::text(name).into_owned();
        TokenKey {
            pod_uid: text(self.pod),
            volume: text(self.volume),
            path: text(self.path.as_os_str()),
        }
    }

    /// What its file holds: a token, if these are claims.
    pub(super) fn bytes(&self) -> Vec<u8> {
        if self.content.starts_with(b"{") {
            return made_token(self.content).into_bytes();
        }
        self.content.to_vec()
    }
}

/// Whether it is the name of something in a directory.
pub(super) fn is_name(name: &OsStr) -> bool {
    let mut parts = Path::new(name).components();
    let is_one = matches!((parts.next(), parts.next()), (Some(Component::Normal(_)), None));
    is_one && name.len() <= MAX_NAME && !name.as_bytes().contains(&b'/')
}
