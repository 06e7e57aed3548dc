//! Rights that the agent gives up before it starts, whatever user it runs as (Landlock,
//! landlock(7)): writing outside the directory of the state file, running programs, and in a
//! container reading what it does not need.
//!
//! Kubelet's token volumes are mounts of their own: a container's read-only mount of the host does
//! not make them read-only. And CAP_DAC_READ_SEARCH, which is needed to read them, lets
//! open_by_handle_at(2) reach every file of their file system, mounted or not. This prevents both.

use std::fmt;
use std::path::PathBuf;

use tokenwatch_core::base::text::shown;

use crate::sys;

use landlock::{
    ABI, AccessFs, PathBeneath, PathFd, RestrictionStatus, Ruleset, RulesetAttr as _,
    RulesetCreatedAttr as _, RulesetStatus,
};

/// ABI whose rights are given up: ABI 3 (Linux 6.2) covers creating, changing (truncate(2)) and
/// removing files. An older kernel applies the rights that it knows.
const NEWEST: ABI = ABI::V3;

/// What stays allowed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Allowed {
    /// Directory below which files may be created, changed, removed and read; none: nowhere.
    pub write: Option<PathBuf>,
    /// Files that may be read, and directories below which all may be; those that do not exist are
    /// ignored. None: anywhere.
    pub read: Option<Vec<PathBuf>>,
}

/// How far the kernel enforces it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Enforcement {
    /// Fully.
    Full,
    /// The kernel is too old to enforce all of it.
    Partial,
    /// The kernel has no Landlock, or it is switched off.
    None,
}

/// The confinement that applies to the agent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Confinement {
    allowed: Allowed,
    enforcement: Enforcement,
}

/// A right could not be given up.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Error {
    what: &'static str,
    reason: String,
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "cannot {}: {}", self.what, shown(&self.reason))
    }
}

impl std::error::Error for Error {}

/// Gives up CAP_SYS_ADMIN in this thread, and those that it starts. With it a process could undo
/// most of what follows. The group of fanotify(7) that it was needed for stays usable.
pub fn give_up_administration() -> Result<(), Error> {
    sys::give_up_administration()
        .map_err(|error| Error { what: "give up CAP_SYS_ADMIN", reason: error.to_string() })
}

/// Confines this thread, and those that it starts, to what is `allowed`. They cannot run programs.
/// It cannot be undone.
pub fn confine(allowed: Allowed) -> Result<Confinement, Error> {
    let status = restrict(&allowed).map_err(|error| Error {
        what: "confine the agent with Landlock",
        reason: error.to_string(),
    })?;
    let enforcement = match status.ruleset {
        RulesetStatus::FullyEnforced => Enforcement::Full,
        RulesetStatus::PartiallyEnforced => Enforcement::Partial,
        RulesetStatus::NotEnforced => Enforcement::None,
    };
    Ok(Confinement { allowed, enforcement })
}

fn restrict(allowed: &Allowed) -> Result<RestrictionStatus, Box<dyn std::error::Error>> {
    let (writing, reading) = (AccessFs::from_write(NEWEST), AccessFs::ReadFile | AccessFs::ReadDir);
    let mut ruleset = Ruleset::default().handle_access(writing | AccessFs::Execute)?;
    if allowed.read.is_some() {
        ruleset = ruleset.handle_access(reading)?;
    }
    let mut ruleset = ruleset.create()?;
    if let Some(directory) = &allowed.write {
        let rights = if allowed.read.is_some() { writing | reading } else { writing };
        ruleset = ruleset.add_rule(PathBeneath::new(PathFd::new(directory)?, rights))?;
    }
    for place in allowed.read.iter().flatten() {
        let Ok(fd) = PathFd::new(place) else { continue };
        ruleset = ruleset.add_rule(PathBeneath::new(
            fd,
            if place.is_dir() { reading } else { AccessFs::ReadFile.into() },
        ))?;
    }
    Ok(ruleset.restrict_self()?)
}

/// For the log.
impl fmt::Display for Confinement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let head = match self.enforcement {
            Enforcement::Full => "confined",
            Enforcement::Partial => "confined as far as this kernel can",
            Enforcement::None => return f.write_str("not confined: this kernel has no Landlock"),
        };
        let shown = |path: &PathBuf| shown(&path.to_string_lossy()).into_owned();
        let write = self.allowed.write.as_ref().map_or_else(
            || "nowhere".to_owned(),
            |directory| format!("nowhere but in {}", shown(directory)),
        );
        write!(f, "{head}: can write {write}, and run no program")?;
        match &self.allowed.read {
            Some(places) => write!(
                f,
                "; can read there and in {}",
                places.iter().map(shown).collect::<Vec<_>>().join(", ")
            ),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::io::ErrorKind::PermissionDenied;
    use std::process::Command;

    use landlock::{Access as _, CompatLevel, Compatible as _};

    use super::*;

    /// Whether this kernel can enforce all of it, according to the library without best effort.
    fn kernel_can() -> bool {
        let strict = Ruleset::default().set_compatibility(CompatLevel::HardRequirement);
        strict.handle_access(AccessFs::from_all(NEWEST)).and_then(Ruleset::create).is_ok()
    }

    /// Confines a thread of its own, which ends with it. On a kernel that cannot enforce it, only
    /// the enforcement itself is checked.
    fn confined(allowed: &Allowed, then: impl FnOnce() + Send) {
        std::thread::scope(|scope| {
            let confined = scope.spawn(move || {
                let enforcement = confine(allowed.clone()).unwrap().enforcement;
                assert_eq!(enforcement == Enforcement::Full, kernel_can(), "{enforcement:?}");
                if enforcement == Enforcement::Full {
                    then();
                } else {
                    eprintln!(
                        "NOT RUN: what confinement forbids: this kernel is no Linux 6.2 with \
                         Landlock"
                    );
                }
            });
            confined.join().unwrap();
        });
    }

    #[test]
    fn only_the_state_directory_can_be_written_and_all_else_read() {
        let (state, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let token = other.path().join("token");
        fs::write(&token, "x").unwrap();
        confined(&Allowed { write: Some(state.path().to_owned()), read: None }, || {
            let file = state.path().join("a");
            fs::write(&file, "1").unwrap();
            fs::rename(&file, state.path().join("b")).unwrap();
            let denied = [
                fs::write(&token, "y").map_err(|why| why.kind()),
                fs::write(other.path().join("new"), "y").map_err(|why| why.kind()),
                fs::remove_file(&token).map_err(|why| why.kind()),
                fs::rename(state.path().join("b"), other.path().join("b"))
                    .map_err(|why| why.kind()),
                Command::new("/bin/true").status().map(drop).map_err(|why| why.kind()),
            ];
            assert_eq!(denied[..3], [Err(PermissionDenied); 3]);
            assert!(denied.iter().all(Result::is_err), "{denied:?}");
            assert_eq!(fs::read_to_string(&token).unwrap(), "x");
        });
        fs::write(&token, "z").unwrap(); // other threads are not confined
    }

    #[test]
    fn without_a_state_directory_nothing_can_be_written() {
        let directory = tempfile::tempdir().unwrap();
        confined(&Allowed::default(), || {
            let written = fs::write(directory.path().join("a"), "1").map_err(|why| why.kind());
            assert_eq!(written, Err(PermissionDenied));
        });
    }

    #[test]
    fn only_listed_places_can_be_read() {
        let (pods, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let (token, key, named) =
            (pods.path().join("token"), other.path().join("key"), other.path().join("named"));
        for file in [&token, &key, &named] {
            fs::write(file, "x").unwrap();
        }
        let read = Some(vec![pods.path().to_owned(), named.clone(), "/no/such/place".into()]);
        confined(&Allowed { write: None, read }, || {
            assert_eq!(
                fs::read_to_string(&token).unwrap() + &fs::read_to_string(&named).unwrap(),
                "xx"
            );
            assert_eq!(fs::read_dir(pods.path()).unwrap().count(), 1);
            assert_eq!(fs::read_to_string(&key).map_err(|why| why.kind()), Err(PermissionDenied));
            assert_eq!(
                fs::read_dir(other.path()).map(drop).map_err(|why| why.kind()),
                Err(PermissionDenied)
            );
        });
    }

    #[test]
    fn a_missing_state_directory_is_an_error_with_its_name() {
        let allowed = Allowed { write: Some("/no/such/directory".into()), read: None };
        let refused = std::thread::spawn(|| confine(allowed)).join().unwrap().unwrap_err();
        assert!(refused.to_string().contains("/no/such/directory"), "{refused}");
    }

    #[test]
    fn the_log_line_lists_what_is_allowed() {
        let line = |enforcement, read: Option<Vec<PathBuf>>| {
            let allowed = Allowed { write: Some("/s".into()), read };
            Confinement { allowed, enforcement }.to_string()
        };
        assert_eq!(
            line(Enforcement::Full, None),
            "confined: can write nowhere but in /s, and run no program"
        );
        assert!(
            line(Enforcement::Partial, Some(vec!["/host".into(), "/etc".into()]))
                .ends_with("; can read there and in /host, /etc")
        );
        assert!(line(Enforcement::None, None).starts_with("not confined"));
    }
}
