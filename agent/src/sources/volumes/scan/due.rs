//! Where a volume should have a token, and has none.

use std::collections::BTreeSet;
use std::path::PathBuf;

use super::context::Owner;
use super::entry::Entry;
use crate::sources::volumes::layout;

/// The paths at which the volume should have a token: where one was, and where one is expected.
pub(super) fn due(entries: &[Entry], lost: &[PathBuf], owner: Owner<'_>) -> BTreeSet<PathBuf> {
    let was = entries.iter().filter(|entry| entry.was_token()).map(|entry| entry.path().to_owned());
    was.chain(lost.iter().cloned()).chain(owner.expected_paths().cloned()).collect()
}

/// The same, with what was taken for a broken token, and the token of kubelet's own volume, which
/// nobody need have seen yet.
pub(super) fn tokens(entries: &[Entry], lost: &[PathBuf], owner: Owner<'_>) -> BTreeSet<PathBuf> {
    let accused = entries.iter().filter(|entry| entry.is_accused());
    let accused = accused.map(|entry| entry.path().to_owned());
    let own = owner.is_api_access().then(|| PathBuf::from(layout::TOKEN));
    due(entries, lost, owner).into_iter().chain(accused).chain(own).collect()
}

/// Those that are not among the files of the volume. Of kubelet's own volume also the token that
/// nobody has seen yet, if what kubelet writes beside it is there.
pub(super) fn absent(
    paths: &[PathBuf],
    mut due: BTreeSet<PathBuf>,
    owner: Owner<'_>,
) -> Vec<PathBuf> {
    let is_written = paths.iter().any(|path| layout::is_beside_token(path));
    due.extend((is_written && owner.is_api_access()).then(|| PathBuf::from(layout::TOKEN)));
    due.into_iter().filter(|path| !paths.contains(path)).collect()
}
