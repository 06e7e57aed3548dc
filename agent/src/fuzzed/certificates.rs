//! Certificates: what a server shows, and files.

use super::Folder;
use crate::kubernetes::fuzzed::{certificate, trusted};
use crate::sinks::delivery::fuzzed::tls;

/// As DER of an API server, and as a file in PEM of kubelet and for the collector.
pub(super) fn certificates(bytes: &[u8]) {
    certificate(bytes);
    let Some(folder) = Folder::new() else { return };
    let file = folder.write("tls.pem", bytes);
    trusted(bytes, &file);
    tls(bytes, &file);
}
