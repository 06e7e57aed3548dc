//! Secret-based tokens that pods mount: in Secret volumes, of which this file reads no more than it
//! must, and in the files of projected volumes.

use std::ffi::{OsStr, OsString};
use std::os::fd::{AsFd, BorrowedFd};
use std::path::Path;

use nix::errno::Errno;
use nix::fcntl::AtFlags;
use nix::sys::stat::fstatat;
use tokenwatch_core::world::tokens::{LegacyClaims, LegacyToken, MAX_LEGACY};

use super::context::{Owner, Turn};
use super::opened::{Opened, fd, stamp};
use super::stamps::TrustedStamp;
use super::{Scanner, data_link, directory};
use crate::sources::tokens::{At, Look, Other, Reader};
use crate::sources::volumes::layout::{SECRETS, TOKEN};

/// What a Secret with a token has beside it (pkg/controller/serviceaccount/tokens_controller.go). A
/// volume without these is somebody's own Secret: its files are not read.
const BESIDE: [&str; 2] = ["ca.crt", "namespace"];
/// Most Secret volumes of a pod that are looked into.
const MAX_VOLUMES: usize = 64;

/// The Secret-based tokens in the Secret volumes of one pod.
#[derive(Debug, Default)]
pub(super) struct SecretVolumes {
    /// Stamp of the directory of the volumes when all of them had been written: their tokens never
    /// change.
    listed: Option<TrustedStamp>,
    tokens: Vec<(OsString, LegacyClaims)>,
}

impl SecretVolumes {
    /// Looks for tokens, unless nothing has changed. What cannot be read has none.
    pub(super) fn scan(&mut self, pods: Opened<'_>, turn: &mut Turn<'_>) {
        let path = Path::new(&turn.id.name).join(SECRETS);
        let opened = pods.and_then(|pods| turn.tools.reader.place(pods, &path));
        let now = fd(&opened).and_then(stamp);
        if now.is_ok() && self.listed.is_some_and(|known| known.is_current(now, turn.moment)) {
            return;
        }
        *self = Self::default();
        let Ok(opened) = opened else { return };
        let is_written = self.read(opened.as_fd(), &mut turn.tools.reader).is_ok_and(|all| all);
        let stamp = now.ok().and_then(|stamp| TrustedStamp::new(stamp, turn.moment));
        self.listed = stamp.filter(|_| is_written);
    }

    /// Reads each volume. Returns whether all of them had been written.
    fn read(&mut self, parent: BorrowedFd<'_>, reader: &mut Reader) -> nix::Result<bool> {
        let listing = reader.directory(parent, Path::new("."))?;
        let names = directory::subdirectories(listing.as_fd(), reader)?;
        let mut are_written = true;
        for name in names.into_iter().take(MAX_VOLUMES) {
            match token(parent, &name, reader) {
                Ok(Some(claims)) => self.tokens.push((name, claims)),
                Ok(None) => {}
                Err(_) => are_written = false,
            }
        }
        Ok(are_written)
    }
}

/// The token in a Secret volume, if there is one. An error: kubelet has not written it, or it
/// cannot be read.
fn token(
    parent: BorrowedFd<'_>,
    name: &OsStr,
    reader: &mut Reader,
) -> nix::Result<Option<LegacyClaims>> {
    let volume = reader.place(parent, Path::new(name))?;
    let base = data_link::target(volume.as_fd())?.ok_or(Errno::EXDEV)?;
    let directory = reader.place(volume.as_fd(), &base)?;
    let is_there = |file: &&str| fstatat(&directory, *file, AtFlags::AT_SYMLINK_NOFOLLOW).is_ok();
    if !BESIDE.iter().all(is_there) {
        return Ok(None);
    }
    let at = At { volume: volume.as_fd(), base: &base, directory: directory.as_fd() };
    Ok(claims(reader.look(&at, Path::new(TOKEN))))
}

fn claims(look: Look<'_>) -> Option<LegacyClaims> {
    match look {
        Look::Other(_, Other::Legacy(claims)) => Some(*claims),
        Look::Other(_, Other::Empty | Other::Foreign)
        | Look::Token(..)
        | Look::Malformed(_)
        | Look::Vanished
        | Look::Refused(_)
        | Look::Unreadable(..) => None,
    }
}

/// Every Secret-based token that pods mount, sorted.
pub(in crate::sources::volumes) fn legacy(scanner: &Scanner) -> Vec<LegacyToken> {
    let of_secrets = scanner.pods.iter().flat_map(|(id, pod)| {
        let tokens = pod.secrets().tokens.iter();
        tokens.map(|(volume, claims)| of(&id.name, volume, Path::new(TOKEN), claims))
    });
    let projected = scanner.all().flat_map(|(id, name, volume)| {
        volume.legacy().map(|(path, claims)| of(&id.name, name, path, claims))
    });
    let mut all: Vec<LegacyToken> = of_secrets.chain(projected).take(MAX_LEGACY).collect();
    all.sort_unstable();
    all
}

fn of(pod: &OsStr, volume: &OsStr, path: &Path, claims: &LegacyClaims) -> LegacyToken {
    let (pod_uid, volume) = (pod.to_string_lossy(), volume.to_string_lossy());
    let owner = Owner { pod_uid: &pod_uid, volume: &volume };
    LegacyToken { key: owner.key(path), claims: claims.clone() }
}
