//! Name, parent and start of a process (proc_pid_stat(5)).

/// Index of the parent's number among the fields after the name.
const PARENT: usize = 1;
/// Index of the kernel's flags among the fields after the name.
const FLAGS: usize = 6;
/// PF_EXITING: the process is ending, or has ended and nobody has waited for it.
const EXITING: u32 = 0x4;
/// Index of the start time among the fields after the name.
const START: usize = 19;
/// Bytes kept of a name. The kernel keeps 15, but more of its own threads'.
const MAX_NAME: usize = 64;

/// What the kernel reports about a process.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stat {
    /// Its name (`comm`): that of the program, unless the program changed it.
    pub name: String,
    /// The number of its parent. 0: it has none, or one of another PID namespace.
    pub parent: u32,
    /// When it started: ticks of the clock since the machine started.
    pub started: u64,
    /// It is ending. Its cgroups of version 1 are no longer shown.
    pub is_ending: bool,
}

/// None for a text that is not that of `stat`. A name may contain anything, and parentheses too:
/// the last one ends it.
pub(super) fn stat(text: &[u8]) -> Option<Stat> {
    let (open, close) =
        (text.iter().position(|byte| *byte == b'(')?, text.iter().rposition(|byte| *byte == b')')?);
    let name = text.get(open + 1..close)?;
    let name = name.get(..MAX_NAME).unwrap_or(name);
    let rest = std::str::from_utf8(text.get(close + 1..)?).ok()?;
    let field = |index: usize| rest.split_ascii_whitespace().nth(index);
    Some(Stat {
        name: String::from_utf8_lossy(name).into_owned(),
        parent: field(PARENT)?.parse().ok()?,
        started: field(START)?.parse().ok()?,
        is_ending: field(FLAGS)?.parse::<u32>().ok()? & EXITING != 0,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(name: &[u8]) -> Vec<u8> {
        let rest = b" S 41 42 42 0 -1 4194560 1 2 3 4 5 6 7 8 20 0 1 0 123456 1000 2 3 4\n";
        [b"43 (", name, b")", rest].concat()
    }

    #[test]
    fn a_name_may_contain_anything() {
        let table: [(&[u8], &str); 5] = [
            (b"cart", "cart"),
            (b"a b) S 1 1 (x", "a b) S 1 1 (x"),
            (b"", ""),
            (b"\xff\n", "\u{fffd}\n"),
            (b")", ")"),
        ];
        for (name, expected) in table {
            let stat = stat(&text(name)).unwrap();
            assert_eq!((stat.name.as_str(), stat.started), (expected, 123_456));
            assert_eq!(stat.parent, 41);
        }
        assert_eq!(stat(&text(&[b'x'; 5_000])).unwrap().name.len(), MAX_NAME);
    }

    #[test]
    fn a_text_of_another_form_is_none() {
        let cut: [&[u8]; 7] =
            [b"", b"1", b"1 (x", b"1 )x(", b"1 (x) S 1", b"1 (x) S y", b"1 (x) \xff"];
        for text in cut {
            assert_eq!(stat(text), None, "{}", text.escape_ascii());
        }
    }
}
