//! Whether containers find a token. They open it by its path in the volume, where kubelet has made
//! a link into `..data`.

use std::path::Path;

use nix::errno::Errno;
use tokenwatch_core::base::time::{Delta, Wall};

use super::context::Scan;
use super::data_link;
use super::entry::{Entry, Place, Presence, first};
use super::opened::stamp_at;
use super::stamps::TrustedStamp;
use crate::sources::tokens::At;

/// Time in which kubelet makes the links after the first generation. It needs microseconds.
const LINKED_WITHIN: Delta = Delta::from_secs(10);

/// Reports a token that was found only now, if its path in the volume leads elsewhere.
pub(super) fn check(entry: &mut Entry, at: &Place<'_>, scan: &mut Scan<'_>) -> nix::Result<()> {
    if entry.is_placed() {
        return Ok(());
    }
    place(entry, at.at, at.written_at, scan)?;
    if entry.presence() == Presence::Astray { entry.scan(at, scan) } else { Ok(()) }
}

/// Looks where the path of a token in the volume leads. Where there is no `..data`, the file itself
/// is there. ENOENT: kubelet swapped the generation meanwhile.
pub(super) fn place(
    entry: &mut Entry,
    at: At<'_>,
    written_at: Option<Wall>,
    scan: &mut Scan<'_>,
) -> nix::Result<()> {
    entry.set_placed();
    if entry.presence() != Presence::File || at.base == Path::new(".") {
        return Ok(());
    }
    let stamp = stamp_at(at.volume, first(entry.path()));
    let is_new = written_at.is_none_or(|written| scan.moment.wall() - written < LINKED_WITHIN);
    match scan.reader.shows(&at, entry.path()) {
        Ok(true) => {
            entry.set_shown(stamp.ok().and_then(|stamp| TrustedStamp::new(stamp, scan.moment)));
        }
        Ok(false) if data_link::target(at.volume)?.as_deref() != Some(at.base) => {
            return Err(Errno::ENOENT);
        }
        Ok(false) => entry.set_presence(Presence::Astray),
        Err(Errno::ENOENT) if !is_new => entry.set_presence(Presence::Astray),
        Err(_) => {} // nothing shows that it leads elsewhere
    }
    Ok(())
}
