//! Any bytes as the records of a directory, and as a tree of volumes that is scanned, changed and
//! scanned again.

mod line;
mod readable;
mod seen;
mod tree;

use std::ffi::OsStr;
use std::ops::ControlFlow;
use std::path::Path;

use super::directory;
use line::Line;
use seen::Seen;
use tree::Tree;

/// struct linux_dirent64 without its name, and the NUL at the end of that.
const SHORTEST_RECORD: usize = 20;
/// Most lines of one input: each makes or changes a file.
const MAX_LINES: usize = 48;
/// Most parts of one input: a tree, and its changes.
const MAX_PARTS: usize = 3;

/// Names of a directory, which the kernel writes one after the other into a buffer.
pub(crate) fn records(bytes: &[u8]) {
    let (mut names, mut length) = (0, 0);
    let _ = directory::take_each(bytes, &mut |name: &OsStr, _| {
        (names, length) = (names + 1, length + name.len());
        let is_one = Path::new(name).file_name() == Some(name);
        assert!(is_one, "{} is not the name of a file", name.display());
        ControlFlow::Continue(())
    });
    assert!(names * SHORTEST_RECORD + length <= bytes.len(), "{names} names of {length} bytes");
}

/// A digit with options ([`Seen::new`]), and lines that make a tree of volumes and change it
/// ([`Line`]). After an empty line the tree is scanned. At the end every pod is removed.
pub(crate) fn volumes(bytes: &[u8]) {
    let Some(mut tree) = Tree::new() else { return };
    let lines: Vec<&[u8]> = bytes.split(|byte| *byte == b'\n').skip(1).take(MAX_LINES).collect();
    let mut seen = Seen::new(&tree.root(), bytes, &lines);
    for part in lines.split(|line| line.is_empty()).take(MAX_PARTS) {
        let lines: Vec<Line<'_>> = part.iter().filter_map(|line| Line::of(line)).collect();
        for line in &lines {
            tree.change(line);
        }
        seen.scan(bytes, &lines);
    }
    tree.remove_pods();
    seen.scan(bytes, &[]);
    seen.assert_all_gone();
}
