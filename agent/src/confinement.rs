//! What the agent gives up before it begins, whoever it runs as (Landlock, landlock(7)): writing anywhere but where it remembers, and running programs.
//!
//! kubelet's token volumes are mounts of their own, which a container's read-only mount does not make read-only: this does.

use std::fmt;
use std::path::{Path, PathBuf};

use landlock::{ABI, AccessFs, PathBeneath, PathFd, RestrictionStatus, Ruleset, RulesetAttr as _, RulesetCreatedAttr as _, RulesetStatus};

/// The newest rights that are given up: ABI 3 has all ways to make, change (truncate(2), Linux 6.2) and remove files. An older kernel takes what it knows.
const NEWEST: ABI = ABI::V3;

/// What became of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Confinement {
    /// It can write in this directory alone, or nowhere; and run nothing.
    Whole(Option<PathBuf>),
    /// The same, but that the kernel is too old to forbid all of it.
    Partial(Option<PathBuf>),
    /// The kernel has no Landlock, or it is switched off.
    None,
}

/// From here on this thread, and those that it starts, can make, change and remove files below `writable` alone, and run no program. It cannot be undone.
pub fn confine(writable: Option<&Path>) -> Result<Confinement, String> {
    let status = restrict(writable).map_err(|why| format!("it could not be confined (Landlock): {why}"))?;
    let writable = writable.map(Path::to_owned);
    Ok(match status.ruleset {
        RulesetStatus::FullyEnforced => Confinement::Whole(writable),
        RulesetStatus::PartiallyEnforced => Confinement::Partial(writable),
        RulesetStatus::NotEnforced => Confinement::None,
    })
}

fn restrict(writable: Option<&Path>) -> Result<RestrictionStatus, Box<dyn std::error::Error>> {
    let writing = AccessFs::from_write(NEWEST);
    let mut ruleset = Ruleset::default().handle_access(writing | AccessFs::Execute)?.create()?;
    if let Some(directory) = writable {
        ruleset = ruleset.add_rule(PathBeneath::new(PathFd::new(directory)?, writing))?;
    }
    Ok(ruleset.restrict_self()?)
}

/// For the diary.
impl fmt::Display for Confinement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let place = |writable: &Option<PathBuf>| match writable {
            Some(directory) => format!("nowhere but in {}", tokenwatch_core::text::shown(&directory.to_string_lossy())),
            None => "nowhere".to_owned(),
        };
        match self {
            Self::Whole(writable) => write!(f, "confined: can write {}, and run no program", place(writable)),
            Self::Partial(writable) => {
                write!(f, "confined as far as this kernel can: writes {}, and runs no program", place(writable))
            }
            Self::None => f.write_str("not confined: this kernel has no Landlock"),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::io::ErrorKind::PermissionDenied;
    use std::process::Command;

    use super::*;

    /// In a thread of its own, which ends with it.
    fn confined<T: Send>(writable: Option<&Path>, then: impl FnOnce() -> T + Send) -> T {
        std::thread::scope(|scope| {
            let confined = scope.spawn(move || {
                assert_eq!(confine(writable), Ok(Confinement::Whole(writable.map(Path::to_owned))), "the tests need Linux 6.2 with Landlock");
                then()
            });
            confined.join().unwrap()
        })
    }

    #[test]
    fn only_what_is_remembered_can_be_written_and_all_else_read() {
        let (state, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let token = other.path().join("token");
        fs::write(&token, "x").unwrap();
        confined(Some(state.path()), || {
            let note = state.path().join("a");
            fs::write(&note, "1").unwrap();
            fs::rename(&note, state.path().join("b")).unwrap();
            let denied = [
                fs::write(&token, "y").map_err(|why| why.kind()),
                fs::write(other.path().join("new"), "y").map_err(|why| why.kind()),
                fs::remove_file(&token).map_err(|why| why.kind()),
                fs::rename(state.path().join("b"), other.path().join("b")).map_err(|why| why.kind()),
                Command::new("/bin/true").status().map(drop).map_err(|why| why.kind()),
            ];
            assert_eq!(denied[..3], [Err(PermissionDenied); 3]);
            assert!(denied.iter().all(Result::is_err), "{denied:?}");
            assert_eq!(fs::read_to_string(&token).unwrap(), "x");
        });
        fs::write(&token, "z").unwrap(); // and nobody else is held to it
    }

    #[test]
    fn what_remembers_nothing_writes_nowhere() {
        let directory = tempfile::tempdir().unwrap();
        let written = confined(None, || fs::write(directory.path().join("a"), "1").map_err(|why| why.kind()));
        assert_eq!(written, Err(PermissionDenied));
    }

    #[test]
    fn a_directory_that_is_not_there_is_an_error_with_its_name() {
        let refused = std::thread::spawn(|| confine(Some(Path::new("/no/such/directory")))).join().unwrap().unwrap_err();
        assert!(refused.contains("/no/such/directory"), "{refused}");
    }
}
