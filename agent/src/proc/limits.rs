//! Limits that the kernel sets to a user.

use super::ProcFs;
use super::read::read;

/// The limit of the user, and that in its user namespace (inotify(7), namespaces(7)).
const WATCHES: [&str; 2] = ["sys/fs/inotify/max_user_watches", "sys/user/max_inotify_watches"];
/// Bytes of a number.
const MAX_BYTES: u64 = 32;

impl ProcFs {
    /// How many inotify watches a user may have; none if that cannot be known.
    pub fn inotify_watches(&self) -> Option<usize> {
        let limit = |path| {
            let text = read(&self.root.join(path), MAX_BYTES).ok()?;
            str::from_utf8(&text).ok()?.trim().parse().ok()
        };
        WATCHES.into_iter().filter_map(limit).min()
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn the_lower_limit_counts() {
        let root = tempfile::tempdir().unwrap();
        let proc = ProcFs::at(root.path());
        assert_eq!(proc.inotify_watches(), None);
        for (path, text, expected) in [
            (WATCHES[0], "8192\n", Some(8_192)),
            (WATCHES[1], "14\n", Some(14)),
            (WATCHES[1], "many\n", Some(8_192)),
        ] {
            let path = root.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
            assert_eq!(proc.inotify_watches(), expected);
        }
        assert!(ProcFs::default().inotify_watches().is_some());
    }
}
