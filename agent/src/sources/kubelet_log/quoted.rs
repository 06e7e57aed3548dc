//! Texts that Go has quoted (strconv.Quote).

/// The text that is quoted at the begin, and what follows.
pub(super) fn quoted(text: &str) -> Option<(String, &str)> {
    let mut rest = text.strip_prefix('"')?.chars();
    let mut out = String::new();
    loop {
        match rest.next()? {
            '"' => return Some((out, rest.as_str())),
            '\\' => out.push(escaped(&mut rest)?),
            plain => out.push(plain),
        }
    }
}

fn escaped(rest: &mut std::str::Chars<'_>) -> Option<char> {
    Some(match rest.next()? {
        'a' | 'b' | 'f' | 'v' => ' ',
        'n' => '\n',
        'r' => '\r',
        't' => '\t',
        'x' => number(rest, 2)?,
        'u' => number(rest, 4)?,
        'U' => number(rest, 8)?,
        other => other,
    })
}

fn number(rest: &mut std::str::Chars<'_>, digits: usize) -> Option<char> {
    let text = rest.as_str();
    let code = u32::from_str_radix(text.get(..digits)?, 16).ok()?;
    *rest = text.get(digits..)?.chars();
    Some(char::from_u32(code).unwrap_or(char::REPLACEMENT_CHARACTER))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_go_quotes_is_read() {
        let table = [
            (r#""" x"#, Some(("", " x"))),
            (r#""a\"b\\c" k="v""#, Some(("a\"b\\c", " k=\"v\""))),
            (r#""\n\t\x41\u00e4\U0001f600""#, Some(("\n\tAä😀", ""))),
            (r#""open"#, None),
            (r#""\u12""#, None),
            (r#""\uzzzz""#, None),
            ("bare", None),
        ];
        for (text, expected) in table {
            let found = quoted(text);
            assert_eq!(
                found.as_ref().map(|(text, rest)| (text.as_str(), *rest)),
                expected,
                "{text}"
            );
        }
    }
}
