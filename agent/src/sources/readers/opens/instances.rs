//! The two inotify instances: one is read at once, and shows new directories before kubelet makes
//! them current; the other is read in batches, and shows the opens.

use super::watches::Watches;
use crate::sources::watch_error::WatchError;

/// Number of a followed volume.
pub(super) type VolumeId = u32;

/// Both instances.
#[derive(Debug)]
pub(super) struct Instances {
    pub(super) opens: Watches<VolumeId>,
    pub(super) arrivals: Watches<VolumeId>,
}

impl Instances {
    pub(super) fn new() -> Result<Self, WatchError> {
        Ok(Self { opens: Watches::new()?, arrivals: Watches::new()? })
    }
}
