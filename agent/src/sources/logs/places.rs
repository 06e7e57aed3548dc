//! The files that the settings name.

use std::collections::BTreeSet;
use std::path::{Component, Path, PathBuf};

use nix::dir::Dir;
use nix::fcntl::OFlag;

use super::LogFiles;
use crate::discovery::glob::{is_pattern, matches};
use crate::discovery::inside;

/// Most files that are followed: an API server has two, and a container keeps five old ones.
const MAX_FILES: usize = 64;
/// Entries read of a directory. A node with 250 pods has some 1,000 directories of logs.
const ENTRIES: usize = 16_384;

/// What is there now.
#[derive(Debug, Default, PartialEq, Eq)]
pub(in crate::sources) struct Places {
    /// The files, as paths on the host: those that a pattern matches, and those that are named.
    pub(in crate::sources) files: BTreeSet<PathBuf>,
    /// The directories in which one may appear.
    pub(in crate::sources) directories: BTreeSet<PathBuf>,
    /// The paths and patterns that match nothing.
    pub(in crate::sources) unmatched: Vec<PathBuf>,
}

/// Looks for the files of each path.
pub(in crate::sources) fn places(config: &LogFiles) -> Places {
    let mut places = Places::default();
    for path in &config.paths {
        let found = expand(config, path, &mut places.directories);
        if found.is_empty() {
            places.unmatched.push(path.clone());
        }
        places.files.extend(found);
    }
    while places.files.len() > MAX_FILES {
        places.files.pop_first();
    }
    places
}

fn expand(config: &LogFiles, path: &Path, directories: &mut BTreeSet<PathBuf>) -> Vec<PathBuf> {
    let mut found = vec![PathBuf::from("/")];
    let parts: Vec<_> = path
        .components()
        .filter_map(|part| if let Component::Normal(name) = part { Some(name) } else { None })
        .collect();
    for (nth, part) in parts.iter().enumerate() {
        let pattern = part.to_string_lossy();
        if is_pattern(&pattern) || nth + 1 == parts.len() {
            directories.extend(found.iter().cloned());
        }
        found = if is_pattern(&pattern) {
            found.iter().flat_map(|at| matching(config, at, &pattern)).collect()
        } else {
            found.iter().map(|at| at.join(part)).collect()
        };
    }
    found
}

fn matching(config: &LogFiles, directory: &Path, pattern: &str) -> Vec<PathBuf> {
    let names = names(config, directory).unwrap_or_default();
    let wanted = |name: &String| !name.starts_with('.') && matches(pattern, name);
    let mut names: Vec<String> = names.into_iter().filter(wanted).collect();
    names.sort();
    names.iter().map(|name| directory.join(name)).collect()
}

fn names(config: &LogFiles, directory: &Path) -> Option<Vec<String>> {
    let flags = OFlag::O_RDONLY | OFlag::O_DIRECTORY | OFlag::O_NONBLOCK;
    let opened = inside::open(&config.prefix, directory, flags).ok()?;
    let mut directory = Dir::from_fd(opened).ok()?;
    let entries = directory.iter().take(ENTRIES).flatten();
    Some(entries.filter_map(|entry| Some(entry.file_name().to_str().ok()?.to_owned())).collect())
}
