//! Secret-based tokens that pods mount: in Secret volumes, of which this file reads no more than it
//! must, and in the files of projected volumes.

use std::ffi::{OsStr, OsString};
use std::os::fd::{AsFd, BorrowedFd};
use std::path::{Path, PathBuf};

use nix::errno::Errno;
use nix::fcntl::AtFlags;
use nix::sys::stat::fstatat;
use tokenwatch_core::base::shares::in_turn;
use tokenwatch_core::world::tokens::{LegacyClaims, LegacyToken, MAX_LEGACY};

use super::context::{Owner, Turn};
use super::opened::{Opened, fd, stamp, stamp_at};
use super::stamps::{Moment, TrustedStamp};
use super::{Scanner, data_link, directory};
use crate::sources::names;
use crate::sources::tokens::{At, Look, Other, Reader, Stamp};
use crate::sources::volumes::layout::{DATA, PodId, SECRETS, TOKEN};

/// What a Secret with a token has beside it (pkg/controller/serviceaccount/tokens_controller.go). A
/// volume without these is somebody's own Secret: its files are not read.
const BESIDE: [&str; 2] = ["ca.crt", "namespace"];
/// Most Secret volumes of a pod that are looked into.
const MAX_VOLUMES: usize = 64;

/// The Secret-based tokens in the Secret volumes of one pod.
#[derive(Debug, Default)]
pub(super) struct SecretVolumes {
    /// Stamp of the directory of the volumes.
    listed: Option<TrustedStamp>,
    volumes: Vec<Known>,
}

/// A Secret volume that was looked into.
#[derive(Debug)]
struct Known {
    name: OsString,
    /// Stamp of `..data`, which kubelet renames when the Secret changes; none while it is not
    /// written.
    written: Option<TrustedStamp>,
    token: Option<LegacyClaims>,
}

impl SecretVolumes {
    /// Looks for tokens, unless nothing has changed. What cannot be read has none.
    pub(super) fn scan(&mut self, pods: Opened<'_>, turn: &mut Turn<'_>) {
        let tools = &mut *turn.tools;
        tools.path.as_mut_os_string().clear();
        tools.path.push(&turn.id.name);
        tools.path.push(SECRETS);
        let opened = pods.and_then(|pods| tools.reader.place(pods, &tools.path));
        let now = fd(&opened).and_then(stamp);
        let (path, moment) = (&mut tools.path, turn.moment);
        if fd(&opened).is_ok_and(|parent| self.is_current((parent, now), path, moment)) {
            return;
        }
        *self = Self::default();
        if let Ok(parent) = fd(&opened) {
            self.volumes = read(parent, turn).unwrap_or_default();
            self.listed = now.ok().and_then(|stamp| TrustedStamp::new(stamp, turn.moment));
        }
    }

    /// Whether nothing has changed in the open directory. `path` is a buffer for paths.
    fn is_current(
        &self,
        (parent, now): (BorrowedFd<'_>, nix::Result<Stamp>),
        path: &mut PathBuf,
        moment: Moment,
    ) -> bool {
        let mut is_same = |known: &Known| {
            path.as_mut_os_string().clear();
            path.push(&known.name);
            path.push(DATA);
            let link = stamp_at(parent, path);
            known.written.is_some_and(|written| written.is_current(link, moment))
        };
        self.listed.is_some_and(|listed| listed.is_current(now, moment))
            && self.volumes.iter().all(&mut is_same)
    }

    /// Its tokens, each with its volume.
    fn tokens(&self) -> impl Iterator<Item = (&OsStr, &LegacyClaims)> {
        self.volumes
            .iter()
            .filter_map(|known| Some((known.name.as_os_str(), known.token.as_ref()?)))
    }
}

/// Looks into each volume.
fn read(parent: BorrowedFd<'_>, turn: &mut Turn<'_>) -> nix::Result<Vec<Known>> {
    let reader = &mut turn.tools.reader;
    let listing = reader.directory(parent, Path::new("."))?;
    let names = directory::subdirectories(listing.as_fd(), reader)?;
    let moment = turn.moment;
    let known = |name: OsString| {
        // The stamp comes first: a change after it shows.
        let link = stamp_at(parent, &Path::new(&name).join(DATA)).ok();
        let written = link.and_then(|link| TrustedStamp::new(link, moment));
        let token = token(parent, &name, reader).ok().flatten();
        Known { name, written, token }
    };
    Ok(names.into_iter().take(MAX_VOLUMES).map(known).collect())
}

/// The token in a Secret volume, if there is one. An error: kubelet has not written the volume, or
/// it cannot be read.
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
    Ok(claims(reader.look(&at, Path::new(TOKEN), None)))
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

/// The Secret-based tokens that pods mount, sorted: where there are too many, the first of each pod
/// before the second of any.
pub(in crate::sources::volumes) fn legacy(scanner: &Scanner) -> Vec<LegacyToken> {
    let of_secrets = scanner.pods.iter().flat_map(|(id, pod)| {
        pod.secrets().tokens().map(move |(volume, claims)| (id, volume, Path::new(TOKEN), claims))
    });
    let projected = scanner.all().flat_map(|(id, name, volume)| {
        volume.legacy().map(move |(path, claims)| (id, name, path, claims))
    });
    let found: Vec<Place<'_>> = of_secrets.chain(projected).collect();
    let uids: Vec<_> = found.iter().map(|(id, ..)| names::text(&id.name)).collect();
    let found: Vec<_> = found.into_iter().zip(&uids).collect();
    let in_turn = in_turn(&found, |(_, uid)| ((), Some(uid.as_ref())));
    let mut all: Vec<LegacyToken> = in_turn
        .into_iter()
        .take(MAX_LEGACY)
        .map(|((_, volume, path, claims), uid)| of(uid, volume, path, claims))
        .collect();
    all.sort_unstable();
    all
}

/// Where a Secret-based token is: pod, volume and path; and whose it is.
type Place<'a> = (&'a PodId, &'a OsStr, &'a Path, &'a LegacyClaims);

fn of(pod_uid: &str, volume: &OsStr, path: &Path, claims: &LegacyClaims) -> LegacyToken {
    let volume = names::text(volume);
    LegacyToken { key: Owner::named(pod_uid, &volume).key(path), claims: claims.clone() }
}
