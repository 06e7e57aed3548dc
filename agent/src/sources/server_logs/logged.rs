//! What one line of a log shows.

use super::Logged;
use super::json::json;
use super::klog::text;

/// What a line shows, whatever log it is of; nothing for all other lines. It has no CRI prefix.
pub(super) fn logged(line: &[u8]) -> Option<Logged> {
    let line = line.trim_ascii();
    match line.first()? {
        b'{' => json(line),
        _ => text(std::str::from_utf8(line).ok()?),
    }
}
