//! What the agent before this one had raised, from the file that it left (`sinks/notebook`).

use std::io::{self, Read as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

use serde::Deserialize;
use tokenwatch_core::base::text::shown;
use tokenwatch_core::base::time::Wall;
use tokenwatch_core::ledger::{FILE, Restored, VERSION};

/// The largest file that is read: a finding is some 1.5 kB, and there are not thousands of them.
const LARGEST: u64 = 4 << 20;

/// What was found.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Left {
    /// The findings that were active.
    pub findings: Vec<Restored>,
    /// When that agent was last known to be alive.
    pub alive_at: Option<Wall>,
    /// What could not be used, and why.
    pub complaints: Vec<String>,
}

/// The file. One finding that this version does not know does not cost the others.
#[derive(Debug, Deserialize)]
struct Page {
    version: u32,
    node: String,
    alive_at: Wall,
    findings: Vec<serde_json::Value>,
}

/// Reads what was left in `directory` for `node`. No file is nothing left; a broken one is a
/// complaint.
pub fn read(directory: &Path, node: &str) -> Left {
    let file = directory.join(FILE);
    let complaint = |why: String| Left {
        complaints: vec![format!("{}: {why}; active findings are raised anew", file.display())],
        ..Left::default()
    };
    match text(&file) {
        Ok(None) => Left::default(),
        Ok(Some(text)) => understood(&text, node).unwrap_or_else(complaint),
        Err(why) => complaint(why.to_string()),
    }
}

fn text(file: &Path) -> io::Result<Option<Vec<u8>>> {
    let opened = match std::fs::OpenOptions::new()
        .read(true)
        .custom_flags(libc::O_NOFOLLOW | libc::O_NONBLOCK)
        .open(file)
    {
        Err(why) if why.kind() == io::ErrorKind::NotFound => return Ok(None),
        opened => opened?,
    };
    let mut bytes = Vec::new();
    opened.take(LARGEST + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > LARGEST {
        return Err(io::Error::new(
            io::ErrorKind::InvalidData,
            format!("it is larger than {} MiB", LARGEST >> 20),
        ));
    }
    Ok(Some(bytes))
}

fn understood(text: &[u8], node: &str) -> Result<Left, String> {
    let page: Page = serde_json::from_slice(text)
        .map_err(|why| format!("it is not what an agent leaves ({why})"))?;
    if page.version != VERSION {
        return Err(format!("it is of version {}, this agent knows {VERSION}", page.version));
    }
    if page.node != node {
        return Err(format!("it was left by node {}", shown(&page.node)));
    }
    let (mut findings, mut complaints) = (Vec::new(), Vec::new());
    for value in page.findings {
        match serde_json::from_value(value) {
            Ok(finding) => findings.push(finding),
            Err(why) => complaints.push(format!(
                "a finding that was left is not known here and is raised anew if it is one: {why}"
            )),
        }
    }
    Ok(Left { findings, alive_at: Some(page.alive_at), complaints })
}

#[cfg(test)]
mod tests {
    use super::*;

    const FINDING: &str = r#"{"finding": {"code": "token.expired", "severity": "critical", "subject": {"node": {"node": "n1"}}, "summary": "s",
        "deadline": null, "evidence": {"since": 5.0}, "remedy": {"text": "t", "command": null}, "trace": null}, "raised_at": 1, "said_at": 2}"#;

    fn left(text: &str) -> Left {
        let directory = tempfile::tempdir().unwrap();
        std::fs::write(directory.path().join(FILE), text).unwrap();
        read(directory.path(), "n1")
    }

    #[test]
    fn what_was_left_is_read() {
        let left = left(&format!(
            r#"{{"version": 1, "node": "n1", "alive_at": 9, "findings": [{FINDING}]}}"#
        ));
        assert_eq!(
            (left.findings.len(), left.alive_at, left.complaints.len()),
            (1, Some(Wall::from_nanos(9)), 0)
        );
        assert_eq!(left.findings[0].raised_at, Wall::from_nanos(1));
    }

    #[test]
    fn nothing_left_is_no_complaint() {
        assert_eq!(read(tempfile::tempdir().unwrap().path(), "n1"), Left::default());
    }

    #[test]
    fn a_finding_of_another_version_does_not_cost_the_others() {
        let unknown = FINDING.replace("token.expired", "token.from_the_future");
        let left = left(&format!(
            r#"{{"version": 1, "node": "n1", "alive_at": 9, "findings": [{unknown}, {FINDING}]}}"#
        ));
        assert_eq!((left.findings.len(), left.complaints.len()), (1, 1));
    }

    #[test]
    fn what_cannot_be_used_is_said_and_is_nothing() {
        let page = |version: u32, node: &str| {
            format!(
                r#"{{"version": {version}, "node": "{node}", "alive_at": 9, "findings": [{FINDING}]}}"#
            )
        };
        let table = [
            (page(2, "n1"), "of version 2, this agent knows 1"),
            (page(1, "n2"), "left by node n2"),
            ("{\"version\"".to_owned(), "not what an agent leaves"),
            (" ".repeat(5 << 20), "larger than 4 MiB"),
        ];
        for (text, why) in table {
            let left = left(&text);
            assert_eq!(left.findings, []);
            assert!(left.complaints[0].contains(why), "{:?}", left.complaints);
        }
    }

    #[test]
    fn a_link_is_not_followed_and_a_pipe_not_waited_for() {
        let directory = tempfile::tempdir().unwrap();
        std::os::unix::fs::symlink("/dev/zero", directory.path().join(FILE)).unwrap();
        assert_eq!(read(directory.path(), "n1").complaints.len(), 1);
        std::fs::remove_file(directory.path().join(FILE)).unwrap();
        nix::unistd::mkfifo(&directory.path().join(FILE), nix::sys::stat::Mode::S_IRWXU).unwrap();
        assert_eq!(read(directory.path(), "n1").complaints.len(), 1);
    }
}
