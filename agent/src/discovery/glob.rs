//! Patterns of file names, as in glob(7).

/// Whether a name has to be matched instead of taken as it is.
pub(crate) fn is_pattern(name: &str) -> bool {
    name.contains(['*', '?', '['])
}

/// Whether `name` matches `pattern`.
pub(crate) fn matches(pattern: &str, name: &str) -> bool {
    let (pattern, name): (Vec<char>, Vec<char>) =
        (pattern.chars().collect(), name.chars().collect());
    // Where to continue after the last `*`: it takes one character more each time.
    let (mut at, mut seen, mut retry) = (0, 0, None);
    while seen < name.len() {
        if pattern.get(at) == Some(&'*') {
            retry = Some((at + 1, seen));
            at += 1;
        } else if let Some(length) = pattern.get(at..).and_then(|rest| one(rest, name[seen])) {
            (at, seen) = (at + length, seen + 1);
        } else if let Some((after, from)) = retry {
            retry = Some((after, from + 1));
            (at, seen) = (after, from + 1);
        } else {
            return false;
        }
    }
    pattern[at..].iter().all(|left| *left == '*')
}

/// The length of the first element of the pattern, if it matches this character.
fn one(pattern: &[char], character: char) -> Option<usize> {
    match pattern.first()? {
        '?' => Some(1),
        '[' => match class(&pattern[1..]) {
            Some(members) => {
                is_member(members, character).then_some(members.len() + 2) // and both brackets
            }
            None => (character == '[').then_some(1),
        },
        literal => (*literal == character).then_some(1),
    }
}

/// What stands between the brackets. A `]` in the first place is a member.
fn class(rest: &[char]) -> Option<&[char]> {
    let first = usize::from(matches!(rest.first(), Some('!' | '^')));
    let end = rest.iter().skip(first + 1).position(|c| *c == ']')? + first + 1;
    Some(&rest[..end])
}

fn is_member(class: &[char], character: char) -> bool {
    let (is_negated, mut members) = match class {
        ['!' | '^', rest @ ..] => (true, rest),
        members => (false, members),
    };
    let mut is_in = false;
    while let [first, rest @ ..] = members {
        (is_in, members) = match rest {
            ['-', last, rest @ ..] => (is_in || (*first..=*last).contains(&character), rest),
            rest => (is_in || *first == character, rest),
        };
    }
    is_in != is_negated
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_match_like_those_of_a_shell() {
        let table = [
            ("*.conf", "a.conf", true),
            ("*.conf", ".conf", true),
            ("*.conf", "a.conf.rpmsave", false),
            ("x*y*z", "x1y2yz", true),
            ("x*y*z", "x1y2y", false),
            ("eth?.sources", "eth0.sources", true),
            ("eth?.sources", "eth10.sources", false),
            ("[0-4][0-9]-*", "17-a", true),
            ("[0-4][0-9]-*", "97-a", false),
            ("[!a]b", "cb", true),
            ("[!a]b", "ab", false),
            ("[]]", "]", true),
            ("[a", "[a", true),
            ("*", "", true),
            ("", "", true),
            ("", "a", false),
            ("ü*", "übung", true),
        ];
        for (pattern, name, expected) in table {
            assert_eq!(matches(pattern, name), expected, "{pattern} {name}");
        }
        assert!(!matches(&"*a".repeat(20), &"a".repeat(19)), "and end in time");
    }
}
