//! Where a volume should have a token, and has none. For a sound volume, nothing is allocated here.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use super::context::Owner;
use super::entry::Entry;
use crate::sources::volumes::layout;

/// What a volume is known to have held, and what is expected in it.
#[derive(Clone, Copy)]
pub(super) struct Due<'a> {
    pub(super) entries: &'a [Entry],
    /// The tokens that were in it, while it has no file.
    pub(super) lost: &'a [PathBuf],
    pub(super) owner: Owner<'a>,
}

impl<'a> Due<'a> {
    /// The paths at which the volume should have a token: where one was, and where one is expected.
    fn paths(self) -> impl Iterator<Item = &'a Path> {
        let was = self.entries.iter().filter(|entry| entry.was_token()).map(Entry::path);
        let lost = self.lost.iter().map(PathBuf::as_path);
        was.chain(lost).chain(self.owner.expected_paths().map(PathBuf::as_path))
    }

    /// Whether anything at this path takes the place of a token, or of what was taken for a broken
    /// one.
    pub(super) fn is_token(self, path: &Path) -> bool {
        let is_accused = |entry: &Entry| entry.is_accused() && entry.path() == path;
        self.owner.expects_token(path)
            || self.paths().any(|due| due == path)
            || self.entries.iter().any(is_accused)
    }

    /// All of these paths, with that of kubelet's own token, which nobody need have seen yet.
    pub(super) fn tokens(self) -> BTreeSet<PathBuf> {
        let accused = self.entries.iter().filter(|entry| entry.is_accused()).map(Entry::path);
        let own = self.owner.is_api_access().then(|| Path::new(layout::TOKEN));
        self.paths().chain(accused).chain(own).map(Path::to_owned).collect()
    }

    /// All of these paths, and those of which anything was reported, that are not among `listed`.
    pub(super) fn unlisted(self, listed: &[PathBuf]) -> BTreeSet<PathBuf> {
        let mut paths = self.tokens();
        let reported = self.entries.iter().filter(|entry| entry.is_reported());
        paths.extend(reported.map(|entry| entry.path().to_owned()));
        paths.retain(|path| !listed.contains(path));
        paths
    }

    /// Leaves so many of the files of the volume: first those that take the place of a token, then
    /// those that are likeliest to be one. Returns the others.
    pub(super) fn keep_most(self, paths: &mut Vec<PathBuf>, most: usize) -> BTreeSet<PathBuf> {
        if paths.len() <= most {
            return BTreeSet::new();
        }
        let due = self.tokens();
        paths.sort_by_cached_key(|path| {
            let rank = layout::token_rank(self.owner.volume, path).unwrap_or(u8::MAX);
            (!due.contains(path), rank, path.clone())
        });
        paths.drain(most..).collect()
    }

    /// Those that are not among the files of the volume. Of kubelet's own volume also the token
    /// that nobody has seen yet, if what kubelet writes beside it is there.
    pub(super) fn absent(self, paths: &[PathBuf]) -> Vec<PathBuf> {
        let is_written = paths.iter().any(|path| layout::is_beside_token(path));
        let is_own = is_written && self.owner.is_api_access();
        let due = self.paths().chain(is_own.then(|| Path::new(layout::TOKEN)));
        let is_absent = |due: &&Path| !paths.iter().any(|path| path == due);
        let absent: BTreeSet<&Path> = due.filter(is_absent).collect();
        absent.into_iter().map(Path::to_owned).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_too_many_files_the_tokens_stay() {
        let known = Entry::new("zz".into(), true);
        let due = Due { entries: &[known], lost: &[], owner: Owner::named("pod", "vol") };
        let all = ["a", "b", "zz", "my-token", "c", "token"];
        // What is known to be a token, then what is called like one, then the first names.
        let table = [(6, &["a", "b", "zz", "my-token", "c", "token"][..]), (1, &["zz"])];
        let more = [(3, &["zz", "token", "my-token"][..]), (4, &["zz", "token", "my-token", "a"])];
        for (most, expected) in table.into_iter().chain(more) {
            let mut paths = all.map(PathBuf::from).to_vec();
            assert_eq!(due.keep_most(&mut paths, most).len(), all.len() - most);
            assert_eq!(paths, expected.iter().map(PathBuf::from).collect::<Vec<_>>(), "{most}");
        }
    }
}
