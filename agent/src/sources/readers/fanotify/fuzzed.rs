//! Any bytes as events of the kernel.

use super::record::{Record, records};

/// Directory and name of each event lie in the buffer, and each event takes bytes of it.
pub(crate) fn fanotify(bytes: &[u8]) {
    let mut left = bytes.len();
    for record in records(bytes) {
        let taken = match record {
            Record::Event(event) => {
                assert!(!event.name.contains(&0));
                event.directory.len() + event.name.len()
            }
            Record::Overflow => 1,
        };
        assert!(taken <= left, "{record:?}");
        left -= taken;
    }
}
