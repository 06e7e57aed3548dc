//! Rust as text: what of it is comment.

/// The same text with every comment replaced by spaces; lines and columns stay.
pub(crate) fn without_comments(text: &str) -> String {
    without(text, &[Kind::Comment])
}

/// The same text with only names and signs left of it.
pub(crate) fn names(text: &str) -> String {
    without(text, &[Kind::Comment, Kind::Text])
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Comment,
    /// In quotes.
    Text,
    Code,
}

fn without(text: &str, kinds: &[Kind]) -> String {
    let mut rest = text;
    let mut out = String::with_capacity(text.len());
    while let Some(first) = rest.chars().next() {
        let (length, kind) = token(rest, first);
        let (taken, left) = rest.split_at(length);
        if kinds.contains(&kind) {
            out.extend(taken.chars().map(|c| if c == '\n' { c } else { ' ' }));
        } else {
            out.push_str(taken);
        }
        rest = left;
    }
    out
}

/// The length of the first thing in `rest`, and what it is.
fn token(rest: &str, first: char) -> (usize, Kind) {
    match first {
        '/' if rest.starts_with("//") => (rest.find('\n').unwrap_or(rest.len()), Kind::Comment),
        '/' if rest.starts_with("/*") => (block_comment(rest), Kind::Comment),
        '"' => (string(rest), Kind::Text),
        'r' | 'b' if raw_string(rest).is_some() => (raw_string(rest).unwrap_or(1), Kind::Text),
        '\'' => (character(rest), Kind::Code),
        c if is_word(c) => (rest.find(|c| !is_word(c)).unwrap_or(rest.len()), Kind::Code),
        c => (c.len_utf8(), Kind::Code),
    }
}

fn is_word(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}

/// Comments of Rust nest.
fn block_comment(rest: &str) -> usize {
    let mut depth = 0;
    for at in 0..rest.len() {
        match rest.as_bytes().get(at..at + 2) {
            Some(b"/*") => depth += 1,
            Some(b"*/") if depth == 1 => return at + 2,
            Some(b"*/") => depth -= 1,
            _ => {}
        }
    }
    rest.len()
}

fn string(rest: &str) -> usize {
    let mut escaped = false;
    for (at, c) in rest.char_indices().skip(1) {
        match c {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            '"' => return at + 1,
            _ => {}
        }
    }
    rest.len()
}

/// `r"…"`, `br#"…"#`.
fn raw_string(rest: &str) -> Option<usize> {
    let start = rest.strip_prefix('b').unwrap_or(rest).strip_prefix('r')?;
    let inner = start.trim_start_matches('#');
    let hashes = start.len() - inner.len();
    let body = inner.strip_prefix('"')?;
    let end = format!("\"{}", "#".repeat(hashes));
    let before = rest.len() - body.len();
    Some(body.find(&end).map_or(rest.len(), |at| before + at + end.len()))
}

/// A character in quotes, or the quote of a lifetime or label.
fn character(rest: &str) -> usize {
    let mut chars = rest.char_indices().skip(1);
    match (chars.next(), chars.next()) {
        (Some((_, '\\')), Some(_)) => {
            chars.find(|(_, c)| *c == '\'').map_or(rest.len(), |(at, _)| at + 1)
        }
        (Some(_), Some((at, '\''))) => at + 1,
        _ => 1,
    }
}

/// The same text with the lines of `spans` (from, to; counted from 1) emptied.
pub(crate) fn without_lines(text: &str, spans: &[(usize, usize)]) -> String {
    let kept = |number| !spans.iter().any(|(first, last)| (*first..=*last).contains(&number));
    let lines = text.lines().enumerate();
    lines.map(|(at, line)| if kept(at + 1) { line } else { "" }.to_owned() + "\n").collect()
}

#[test]
fn comments_go_and_what_looks_like_one_stays() {
    let cases = [
        ("a // b\nc", "a     \nc"),
        ("a /* b /* c */ d */ e", "a                   e"),
        ("\"// b\" // c", "\"// b\"     "),
        ("\"\\\"//\" //", "\"\\\"//\"   "),
        ("r#\"\"//\"# //", "r#\"\"//\"#   "),
        ("'\"' // b", "'\"'     "),
        ("'\\'' // b", "'\\''     "),
        ("&'a str // b", "&'a str     "),
        ("br\"\\\" // b", "br\"\\\"     "),
    ];
    for (before, after) in cases {
        assert_eq!(without_comments(before), after);
    }
}
