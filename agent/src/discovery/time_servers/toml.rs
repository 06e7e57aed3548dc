//! The tokens of a TOML document (toml.io), as far as tables of texts need them. A document that
//! is not TOML gives tokens too: nothing is judged here.

/// A token.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Token {
    /// A line in brackets, with one pair of them removed: `source`, or `[source]` of an array.
    Header(String),
    /// A string.
    Text(String),
    /// A bare key, a number, a date or a boolean.
    Word(String),
    /// One of `= , [ ] { }`.
    Punctuation(char),
}

/// Splits the text. Comments and white space are left out.
pub(super) fn tokens(text: &str) -> Vec<Token> {
    let (mut found, mut depth) = (Vec::new(), 0_usize);
    for line in text.lines().map(str::trim) {
        let header = line.strip_prefix('[').filter(|_| depth == 0).and_then(header);
        let new = header.map_or_else(|| of_line(line), |name| vec![Token::Header(name)]);
        depth = new.iter().fold(depth, nested);
        found.extend(new);
    }
    found
}

/// How many brackets and braces are open after a token.
fn nested(depth: usize, token: &Token) -> usize {
    match token {
        Token::Punctuation('[' | '{') => depth + 1,
        Token::Punctuation(']' | '}') => depth.saturating_sub(1),
        Token::Punctuation(_) | Token::Header(_) | Token::Text(_) | Token::Word(_) => depth,
    }
}

/// The name in a header, from behind its first bracket.
fn header(rest: &str) -> Option<String> {
    let inside = rest.split('#').next()?.trim().strip_suffix(']')?;
    Some(inside.chars().filter(|c| !c.is_whitespace() && !matches!(c, '"' | '\'')).collect())
}

fn of_line(line: &str) -> Vec<Token> {
    let (mut found, mut rest) = (Vec::new(), line);
    while let Some(first) = rest.chars().next().filter(|first| *first != '#') {
        let length = match first {
            '"' | '\'' => text(rest, first, &mut found),
            '=' | ',' | '[' | ']' | '{' | '}' => {
                found.push(Token::Punctuation(first));
                1
            }
            space if space.is_whitespace() => space.len_utf8(),
            _ => word(rest, &mut found),
        };
        rest = &rest[length..];
    }
    found
}

/// Takes a string, and returns its length with the quotes. The escapes of a host name are itself.
fn text(rest: &str, quote: char, found: &mut Vec<Token>) -> usize {
    let inside = &rest[1..];
    let end = inside.find(quote).unwrap_or(inside.len());
    found.push(Token::Text(inside[..end].to_owned()));
    (end + 2).min(rest.len())
}

fn word(rest: &str, found: &mut Vec<Token>) -> usize {
    let is_end = |c: char| c.is_whitespace() || "=,[]{}#\"'".contains(c);
    let end = rest.find(is_end).unwrap_or(rest.len());
    found.push(Token::Word(rest[..end].to_owned()));
    end
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_document_falls_into_tokens() {
        let text = "[[ source ]] # one\nmode = \"server\"\naddress='a:1' # \"b\"\n[x.\"y\"]\n\
                    source = [\n  {mode = \"pool\", n = 4},\n]\n";
        let shown: Vec<String> = tokens(text)
            .iter()
            .map(|token| match token {
                Token::Header(name) => format!("<{name}>"),
                Token::Text(text) => format!("'{text}'"),
                Token::Word(word) => word.clone(),
                Token::Punctuation(c) => c.to_string(),
            })
            .collect();
        assert_eq!(
            shown.join(" "),
            "<[source]> mode = 'server' address = 'a:1' <x.y> source = [ { mode = 'pool' , n = 4 } \
             , ]"
        );
    }

    proptest::proptest! {
        #[test]
        fn any_text_falls_into_tokens(text in "[\\[\\]{}=,#\"'a\u{e9}\n ]{0,60}") {
            let _ = tokens(&text);
        }
    }
}
