//! Any bytes as a file of the journal of systemd.

use std::path::PathBuf;

use tokenwatch_core::base::time::{Delta, Wall};

use super::compressed::{Compression, MAX_TEXT};
use super::{Begin, JournalTail, Units};
use crate::fuzzed::Folder;
use crate::sources::logs::tail::KnownFiles;

/// More messages of one input would be read twice.
const MAX_MESSAGES: usize = 20_000;

/// It is read to its end, with each message in bounds.
pub(crate) fn journal(bytes: &[u8]) {
    for compression in [Compression::Lz4, Compression::Zstd] {
        let text = compression.text(bytes.to_vec().into());
        assert!(text.is_none_or(|text| text.len() <= MAX_TEXT));
    }
    let Some(folder) = Folder::new() else { return };
    folder.write("system.journal", bytes);
    let begin = Begin::Before(Delta::from_secs(900));
    let mut tail = JournalTail::new(PathBuf::from("/system.journal"), true, begin);
    let units = Units::new(&["kubelet.service"], &["other".to_owned()]);
    let (mut known, mut messages) = (KnownFiles::default(), 0);
    let take = |message: &[u8], _: Wall| {
        assert!(message.len() <= MAX_TEXT);
        messages += 1;
    };
    let place = (folder.path(), &mut known);
    let _ = tail.read(place, &units, Wall::from_secs(1_795_968_000), take); // or it is no journal
    assert!(messages <= MAX_MESSAGES);
}
