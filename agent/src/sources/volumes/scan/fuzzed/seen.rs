//! What the scanner reports of a tree, and what has to hold of it.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsStr;
use std::path::{Path, PathBuf};

use tokenwatch_core::base::secrecy::redacted;
use tokenwatch_core::base::time::{Delta, Reading};
use tokenwatch_core::world::observation::{FileContent, Observation};
use tokenwatch_core::world::tokens::{Claims, TokenKey};

use super::super::{Scanner, absences, blind_spots, secrets};
use super::line::{Line, WHOLE};
use super::readable::{self, is_directory};
use super::tree::OUTSIDE;
use crate::clocks;
use crate::fuzzed::{assert_recorded, made_signature};
use crate::sources::expected::ExpectedTokens;
use crate::sources::names;
use crate::sources::volumes::layout::{PROJECTED, PodId};

/// Bits of the first byte of an input.
const AHEAD: u8 = 1;
const EVENTS: u8 = 2;
const EXPECTED: u8 = 4;

/// Bytes of a signature that no text shows: half of the shortest one.
const SHORTEST: usize = 22;

/// A scanner, and what it has reported.
#[derive(Debug)]
pub(super) struct Seen {
    scanner: Scanner,
    root: PathBuf,
    options: u8,
    /// What no text may show: none of these is in the input.
    secrets: Vec<String>,
    reported: BTreeMap<TokenKey, FileContent>,
}

/// An hour ahead, so that every file is old.
fn later() -> Reading {
    clocks::now().after(Delta::from_secs(3_600))
}

impl Seen {
    /// Options: with a clock that is an hour ahead, so that stamps are trusted; with a scan of each
    /// volume that changed, as an event causes it; with a token expected at the path of each line,
    /// where one was before a restart.
    pub(super) fn new(root: &Path, input: &[u8], lines: &[&[u8]]) -> Self {
        let options = input.first().copied().unwrap_or_default();
        let now = if options & AHEAD == 0 { clocks::now } else { later };
        let mut scanner = Scanner::with_clocks(vec![root.to_owned()], now);
        if options & EXPECTED != 0 {
            let keys = lines.iter().filter_map(|line| Some(Line::of(line)?.key()));
            scanner.expect(ExpectedTokens::holding(keys.collect()));
        }
        let given = String::from_utf8_lossy(input);
        let mut secrets = vec![made_signature()[..SHORTEST].to_owned(), OUTSIDE.to_owned()];
        secrets.retain(|secret| !given.contains(secret));
        Self { scanner, root: root.to_owned(), options, secrets, reported: BTreeMap::new() }
    }

    /// Scans the tree after the changes of these lines, and again without a change.
    pub(super) fn scan(&mut self, input: &[u8], lines: &[Line<'_>]) {
        let mut out = Vec::new();
        if self.options & EVENTS != 0 {
            for line in lines {
                self.scan_volume(line, &mut out);
            }
        }
        let problems = self.scanner.scan(&mut out).problems;
        assert!(problems.is_empty(), "{problems:?}");
        let gone = self.take(input, out);
        let tokens = readable::tokens(&self.root);
        for key in gone.difference(&self.reported.keys().cloned().collect()) {
            assert!(!tokens.contains_key(key), "{key:?} can be read, and is reported as gone");
        }
        let mut again = Vec::new();
        let _ = self.scanner.scan(&mut again);
        assert!(again.is_empty(), "reported without a change: {again:?}");
        self.assert_states(input);
        // A change within one tick of the kernel's clock may keep the stamp of a file.
        if self.options & AHEAD == 0 {
            self.assert_complete(&tokens);
        }
    }

    /// Every pod is removed, and so nothing is left of what was reported.
    pub(super) fn assert_all_gone(&self) {
        assert!(self.reported.is_empty(), "not gone with its pod: {:?}", self.reported);
    }

    fn scan_volume(&mut self, line: &Line<'_>, out: &mut Vec<Observation>) {
        let pod = PodId { root: 0, name: line.pod.to_owned() };
        if is_directory(&self.scanner.pod_path(&pod)) && line.volume != WHOLE {
            let _ = self.scanner.list_volumes(&pod);
            let _ = self.scanner.scan_volume(&pod, line.volume, out);
        }
    }

    /// Takes what a scan reports. Returns what it reported as gone.
    fn take(&mut self, input: &[u8], out: Vec<Observation>) -> BTreeSet<TokenKey> {
        let mut gone = BTreeSet::new();
        for one in out {
            self.assert_hidden(&one);
            let is_of_a_file = matches!(one, Observation::File(_) | Observation::Gone(_));
            assert!(is_of_a_file, "{one:?}");
            if let Observation::File(seen) = &one {
                self.reported.insert(seen.key.clone(), seen.content.clone());
            }
            if let Observation::Gone(key) = &one {
                // The engine may know of it from before a restart.
                let is_known = self.reported.remove(key).is_some() || self.options & EXPECTED != 0;
                assert!(is_known, "{key:?} was not reported");
                gone.insert(key.clone());
            }
            assert_recorded(input, one);
        }
        gone
    }

    /// What else the scanner shows of the tree has no signature either.
    fn assert_states(&self, input: &[u8]) {
        let spots = blind_spots::all(&self.scanner);
        let absent = absences::all(&self.scanner);
        let bare = self.scanner.pods_without_tokens();
        let legacy = secrets::legacy(&self.scanner);
        let observed = absent.iter().map(absences::AbsentFile::observed);
        let states = [
            Observation::Blind(spots),
            Observation::WithoutTokens(bare),
            Observation::Legacy(legacy),
        ];
        observed.chain(states).for_each(|one| {
            self.assert_hidden(&one);
            assert_recorded(input, one);
        });
    }

    /// Every token that can be read is reported as that, and nothing is reported of a volume that
    /// does not exist.
    fn assert_complete(&self, tokens: &BTreeMap<TokenKey, Claims>) {
        for (key, claims) in tokens {
            let reported = self.reported.get(key);
            let is_it = matches!(reported, Some(FileContent::Token(it)) if **it == *claims);
            assert!(is_it, "{key:?} is a token, and reported as {reported:?}");
        }
        let volumes = self.volumes();
        for key in self.reported.keys() {
            let volume = (key.pod_uid.clone(), key.volume.clone());
            assert!(volumes.contains(&volume), "{key:?} is reported, and its volume is not there");
        }
    }

    /// The directories of volumes, by the names of pod and volume.
    fn volumes(&self) -> BTreeSet<(String, String)> {
        let text = |name: &OsStr| names::text(name).into_owned();
        let volumes = self.scanner.volumes().filter(|(pod, volume)| {
            is_directory(&self.scanner.pod_path(pod).join(PROJECTED).join(volume))
        });
        volumes.map(|(pod, volume)| (text(&pod.name), text(volume))).collect()
    }

    /// Nothing shows the signature of a token that was made, or a token outside of the volumes.
    fn assert_hidden(&self, shown: &Observation) {
        let shown = redacted(&format!("{shown:?}")).into_owned();
        assert!(!self.secrets.iter().any(|secret| shown.contains(secret)), "{shown}");
    }
}
