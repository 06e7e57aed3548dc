//! Opens a file that a person names.

use std::fs::File;
use std::io;
use std::path::Path;

use crate::regular_file::{self, Links};
use crate::sources::tokens::named;

/// A regular file, or what this process was started with: standard input, or the pipe of `<(…)`.
pub(super) fn open(path: &Path) -> io::Result<File> {
    named::inherited(path).unwrap_or_else(|| regular_file::open(path, Links::Follow))
}
