//! What the agent gives up before it begins, whoever it runs as (Landlock, landlock(7)): writing
//! anywhere but where it remembers, running programs, and in a container reading what it has no
//! business with.
//!
//! kubelet's token volumes are mounts of their own, which a container's read-only mount does not
//! make read-only. And CAP_DAC_READ_SEARCH, which it takes to read them, lets open_by_handle_at(2)
//! reach every file of the file system that they lie on, mounted or not. This closes both.

use std::fmt;
use std::path::PathBuf;

use landlock::{
    ABI, AccessFs, PathBeneath, PathFd, RestrictionStatus, Ruleset, RulesetAttr as _,
    RulesetCreatedAttr as _, RulesetStatus,
};

/// The newest rights that are given up: ABI 3 has all ways to make, change (truncate(2), Linux 6.2)
/// and remove files. An older kernel takes what it knows.
const NEWEST: ABI = ABI::V3;

/// What stays allowed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Allowed {
    /// The directory below which files may be made, changed and removed, and read; nothing:
    /// nowhere.
    pub write: Option<PathBuf>,
    /// Files, and directories below which files may be read; what is not there is left out.
    /// Nothing: anywhere.
    pub read: Option<Vec<PathBuf>>,
}

/// How far the kernel holds the agent to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Hold {
    /// Wholly.
    Whole,
    /// It is too old to forbid all of it.
    Partial,
    /// It has no Landlock, or that is switched off.
    None,
}

/// What became of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Confinement {
    allowed: Allowed,
    hold: Hold,
}

/// From here on this thread, and those that it starts, can do no more than what is `allowed`, and
/// run no program. It cannot be undone.
pub fn confine(allowed: Allowed) -> Result<Confinement, String> {
    let status =
        restrict(&allowed).map_err(|why| format!("it could not be confined (Landlock): {why}"))?;
    let hold = match status.ruleset {
        RulesetStatus::FullyEnforced => Hold::Whole,
        RulesetStatus::PartiallyEnforced => Hold::Partial,
        RulesetStatus::NotEnforced => Hold::None,
    };
    Ok(Confinement { allowed, hold })
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

/// For the diary.
impl fmt::Display for Confinement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let head = match self.hold {
            Hold::Whole => "confined",
            Hold::Partial => "confined as far as this kernel can",
            Hold::None => return f.write_str("not confined: this kernel has no Landlock"),
        };
        let shown = |path: &PathBuf| {
            tokenwatch_core::base::text::shown(&path.to_string_lossy()).into_owned()
        };
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

    /// Whether this kernel can forbid all of it: by the library's own word, with nothing left to
    /// its best effort.
    fn kernel_can() -> bool {
        let strict = Ruleset::default().set_compatibility(CompatLevel::HardRequirement);
        strict.handle_access(AccessFs::from_all(NEWEST)).and_then(Ruleset::create).is_ok()
    }

    /// In a thread of its own, which ends with it. On a kernel that cannot do it all that is to be
    /// said of it is that.
    fn confined(allowed: &Allowed, then: impl FnOnce() + Send) {
        std::thread::scope(|scope| {
            let confined = scope.spawn(move || {
                let hold = confine(allowed.clone()).unwrap().hold;
                assert_eq!(hold == Hold::Whole, kernel_can(), "{hold:?}");
                if hold == Hold::Whole {
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
    fn only_what_is_remembered_can_be_written_and_all_else_read() {
        let (state, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let token = other.path().join("token");
        fs::write(&token, "x").unwrap();
        confined(&Allowed { write: Some(state.path().to_owned()), read: None }, || {
            let note = state.path().join("a");
            fs::write(&note, "1").unwrap();
            fs::rename(&note, state.path().join("b")).unwrap();
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
        fs::write(&token, "z").unwrap(); // and nobody else is held to it
    }

    #[test]
    fn what_remembers_nothing_writes_nowhere() {
        let directory = tempfile::tempdir().unwrap();
        confined(&Allowed::default(), || {
            let written = fs::write(directory.path().join("a"), "1").map_err(|why| why.kind());
            assert_eq!(written, Err(PermissionDenied));
        });
    }

    #[test]
    fn what_has_no_business_there_is_not_read() {
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
    fn a_directory_to_write_in_that_is_not_there_is_an_error_with_its_name() {
        let allowed = Allowed { write: Some("/no/such/directory".into()), read: None };
        let refused = std::thread::spawn(|| confine(allowed)).join().unwrap().unwrap_err();
        assert!(refused.contains("/no/such/directory"), "{refused}");
    }

    #[test]
    fn it_is_said_what_is_allowed() {
        let said = |hold, read: Option<Vec<PathBuf>>| {
            Confinement { allowed: Allowed { write: Some("/s".into()), read }, hold }.to_string()
        };
        assert_eq!(
            said(Hold::Whole, None),
            "confined: can write nowhere but in /s, and run no program"
        );
        assert!(
            said(Hold::Partial, Some(vec!["/host".into(), "/etc".into()]))
                .ends_with("; can read there and in /host, /etc")
        );
        assert!(said(Hold::None, None).starts_with("not confined"));
    }
}
