//! Text and times as parts of an HTML page.

use std::fmt;

use tokenwatch_core::base::secrecy::redacted;
use tokenwatch_core::base::text::{self, shown};
use tokenwatch_core::base::time::{Delta, Wall};
use tokenwatch_core::findings::Subject;
use tokenwatch_core::world::cluster::PodRef;

/// Longest name in a row, in characters. Names that people choose in Kubernetes have at most 63;
/// generated names are longer by a suffix.
const LONGEST_NAME: usize = 96;

/// Escaped text. It contains no markup, and control characters are visible.
pub(super) struct Text<'a>(pub(super) &'a str);

impl fmt::Display for Text<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        escaped(f, &shown(self.0))
    }
}

/// A sentence of a finding, a command, or evidence: as [`Text`], not cut. Its parts are bounded.
pub(super) struct Sentence<'a>(pub(super) &'a str);

impl fmt::Display for Sentence<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        escaped(f, &text::escaped(self.0))
    }
}

/// Escaped text, cut to [`LONGEST_NAME`] characters.
pub(super) struct Short<'a>(pub(super) &'a str);

impl fmt::Display for Short<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = redacted(self.0); // before the cut
        match name.char_indices().nth(LONGEST_NAME) {
            Some((end, _)) => escaped(f, &shown(name.get(..end).unwrap_or_default()))?,
            None => return escaped(f, &shown(&name)),
        }
        f.write_str("…")
    }
}

fn escaped(f: &mut fmt::Formatter<'_>, text: &str) -> fmt::Result {
    for c in text.chars() {
        match c {
            '&' => f.write_str("&amp;")?,
            '<' => f.write_str("&lt;")?,
            '>' => f.write_str("&gt;")?,
            '"' => f.write_str("&quot;")?,
            '\'' => f.write_str("&#39;")?,
            other => fmt::Write::write_char(f, other)?,
        }
    }
    Ok(())
}

/// `shop/cart-0`; the UID if the name is unknown.
pub(super) struct PodName<'a>(pub(super) &'a PodRef);

impl fmt::Display for PodName<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (&self.0.namespace, &self.0.name) {
            (Some(namespace), Some(name)) => write!(f, "{}/{}", Short(namespace), Short(name)),
            _ => write!(f, "pod {}", Short(&self.0.uid)),
        }
    }
}

/// The pod, or the node or server.
pub(super) fn whose(subject: &Subject) -> String {
    match subject {
        Subject::Token { pod, .. } => format!("<b>{}</b>", PodName(pod)),
        Subject::Node { node } | Subject::File { node, .. } => {
            format!("<b>node {}</b>", Short(node))
        }
        Subject::Server { server } => format!("<b>time server {}</b>", Short(server)),
    }
}

/// The attribute by which the script selects a row; nothing where the namespace is not known.
pub(super) struct InNamespace<'a>(pub(super) Option<&'a PodRef>);

impl fmt::Display for InNamespace<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0.and_then(|pod| pod.namespace.as_ref()) {
            Some(namespace) => write!(f, " data-ns=\"{}\"", Short(namespace)),
            None => Ok(()),
        }
    }
}

/// `in 4m 05s`, `4m 05s ago`, `now`.
pub(super) struct Away(pub(super) Wall, pub(super) Wall);

impl fmt::Display for Away {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Whole seconds: the page shows one moment for several of them.
        let Self(at, now) = *self;
        match Delta::from_secs((at - now).as_secs()) {
            Delta::ZERO => f.write_str("now"),
            ahead if ahead > Delta::ZERO => write!(f, "in {}", Whole(ahead)),
            past => write!(f, "{} ago", Whole(-past)),
        }
    }
}

/// A duration without fractions of a second.
pub(super) struct Whole(pub(super) Delta);

impl fmt::Display for Whole {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0.as_secs() {
            secs if secs < 60 => write!(f, "{secs}s"),
            secs => write!(f, "{}", Delta::from_secs(secs)),
        }
    }
}

/// `+1.5ms`, `-4m 05s`.
pub(super) struct Signed(pub(super) Delta);

impl fmt::Display for Signed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0 > Delta::ZERO {
            f.write_str("+")?;
        }
        write!(f, "{}", self.0)
    }
}

/// Names the command that lists the `count` items for which the page has no room.
pub(super) fn not_listed(out: &mut String, count: usize) {
    if count > 0 {
        let _ = fmt::Write::write_fmt(
            out,
            format_args!(
                "<p>and {count} more: <code>tokenwatch check</code> on the node lists them</p>"
            ),
        ); // writing to a String cannot fail
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_from_outside_is_never_markup() {
        assert_eq!(Text("<b a='1\"'>&").to_string(), "&lt;b a=&#39;1&quot;&#39;&gt;&amp;");
        assert_eq!(Text("a\u{202e}b\n").to_string(), "a\\u{202e}b\\u{a}");
        let long = format!("<{}>\n", "ä".repeat(600));
        let whole = format!("&lt;{}&gt;\\u{{a}}", "ä".repeat(600));
        assert_eq!(Sentence(&long).to_string(), whole);
    }

    #[test]
    fn long_names_are_cut() {
        assert_eq!(Short(&"ä".repeat(500)).to_string().chars().count(), LONGEST_NAME + 1);
        assert_eq!(Short("cart-0").to_string(), "cart-0");
    }

    #[test]
    fn times_are_relative_to_now() {
        let now = Wall::from_secs(1_000);
        let shown: Vec<String> =
            [1_000, 1_007, 1_245, 400].map(|at| Away(Wall::from_secs(at), now).to_string()).into();
        assert_eq!(shown, ["now", "in 7s", "in 4m 05s", "10m 00s ago"]);
    }
}
