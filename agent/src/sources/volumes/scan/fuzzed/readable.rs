//! The tokens that anybody can read where kubelet writes them, by another way than the scanner's.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};

use tokenwatch_core::world::tokens::{Claims, Decoded, Scratch, TokenKey, decode};

use super::line::is_name;
use crate::sources::names;
use crate::sources::volumes::layout::{self, DATA, PROJECTED};

/// Directories in each other that are looked into: fewer than the scanner takes.
const DEPTH: usize = 6;

/// Every readable token below a root, as its pod sees it.
pub(super) fn tokens(root: &Path) -> BTreeMap<TokenKey, Claims> {
    let mut tokens = BTreeMap::new();
    for (uid, pod) in directories(&layout::pods(root)) {
        for (name, volume) in directories(&pod.join(PROJECTED)) {
            let key = |path: &Path| TokenKey {
                pod_uid: uid.clone(),
                volume: name.clone(),
                path: names::text(path.as_os_str()).into_owned(),
            };
            let found = files(&volume).into_iter();
            tokens.extend(found.filter_map(|(path, at)| Some((key(&path), claims(&at)?))));
        }
    }
    tokens
}

/// The directory that `..data` of a volume leads to, if that is one beside it.
pub(super) fn current(volume: &Path) -> Option<PathBuf> {
    let target = fs::read_link(volume.join(DATA)).ok().filter(|to| is_name(to.as_os_str()))?;
    let generation = volume.join(target);
    is_directory(&generation).then_some(generation)
}

/// Whether it is one itself, and no link to one.
pub(super) fn is_directory(path: &Path) -> bool {
    fs::symlink_metadata(path).is_ok_and(|found| found.is_dir())
}

/// The files of the current generation that the volume shows, or of a volume without generations:
/// the path of each in the volume, and where it is.
fn files(volume: &Path) -> Vec<(PathBuf, PathBuf)> {
    let has_link = fs::symlink_metadata(volume.join(DATA)).is_ok_and(|found| found.is_symlink());
    let base = if has_link { current(volume) } else { Some(volume.to_owned()) };
    let Some(base) = base else { return Vec::new() };
    let mut files = Vec::new();
    add(&base, Path::new(""), &mut files);
    let is_of_kubelet =
        |path: &Path| !has_link && path.as_os_str().as_encoded_bytes().starts_with(b"..");
    let is_shown = |path: &Path| !has_link || is_shown(volume, path);
    files.retain(|(path, _)| !is_of_kubelet(path) && is_shown(path));
    files
}

/// Whether the first name of the path is kubelet's link to the current generation.
fn is_shown(volume: &Path, path: &Path) -> bool {
    let first = path.iter().next().map_or(path, Path::new);
    fs::read_link(volume.join(first)).is_ok_and(|to| to == Path::new(DATA).join(first))
}

/// Adds the regular files of a directory and those below it.
fn add(base: &Path, below: &Path, files: &mut Vec<(PathBuf, PathBuf)>) {
    for entry in fs::read_dir(base.join(below)).into_iter().flatten().flatten() {
        let (path, kind) = (below.join(entry.file_name()), entry.file_type());
        if kind.as_ref().is_ok_and(fs::FileType::is_file) {
            files.push((path.clone(), base.join(&path)));
        }
        if kind.is_ok_and(|kind| kind.is_dir()) && path.iter().count() < DEPTH {
            add(base, &path, files);
        }
    }
}

/// The directories in a directory, and the name of each as text.
fn directories(at: &Path) -> Vec<(String, PathBuf)> {
    let text = |name: &OsStr| names::text(name).into_owned();
    let entries = fs::read_dir(at).into_iter().flatten().flatten();
    let found = entries.filter(|entry| is_directory(&entry.path()));
    found.map(|entry| (text(&entry.file_name()), entry.path())).collect()
}

fn claims(file: &Path) -> Option<Claims> {
    match decode(&fs::read(file).ok()?, &mut Scratch::new()) {
        Decoded::Token(token) => Some(token.to_claims()),
        Decoded::Legacy(_) | Decoded::Other | Decoded::Malformed(_) => None,
    }
}
