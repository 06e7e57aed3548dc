//! Packages and programs, by the names that their registries give them.

use super::versions::Scheme;

/// What a library is recognised by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A module in a Go program's build information.
    Go,
    /// A Python distribution (`NAME-VERSION.dist-info`).
    Python,
    /// A package in `node_modules`.
    Npm,
    /// A Java archive (`NAME-VERSION.jar`).
    Jar,
    /// A Ruby gem.
    Gem,
    /// A .NET assembly.
    Dll,
    /// A Rust crate. Binaries name theirs only if they were built with cargo-auditable.
    Crate,
    /// A program.
    Exe,
    /// A container image, whose tag is the version.
    Image,
}

/// The names that a library is recognised by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Recognised(&'static str);

impl Kind {
    const ALL: [Self; 9] = [
        Self::Go,
        Self::Python,
        Self::Npm,
        Self::Jar,
        Self::Gem,
        Self::Dll,
        Self::Crate,
        Self::Exe,
        Self::Image,
    ];

    /// As the table has it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Go => "go",
            Self::Python => "python",
            Self::Npm => "npm",
            Self::Jar => "jar",
            Self::Gem => "gem",
            Self::Dll => "dll",
            Self::Crate => "crate",
            Self::Exe => "exe",
            Self::Image => "image",
        }
    }

    pub(super) fn scheme(self) -> Scheme {
        match self {
            Self::Go | Self::Npm | Self::Crate => Scheme::Semantic,
            Self::Python | Self::Jar | Self::Gem | Self::Dll | Self::Exe | Self::Image => {
                Scheme::Words
            }
        }
    }

    /// Whether two names are one. PyPI takes dashes, dots and underscores for the same (PEP 503),
    /// and Windows ignores the case.
    fn are_same(self, one: &str, other: &str) -> bool {
        match self {
            Self::Python => normalised(one).eq(normalised(other)),
            Self::Dll => one.eq_ignore_ascii_case(other),
            Self::Go
            | Self::Npm
            | Self::Jar
            | Self::Gem
            | Self::Crate
            | Self::Exe
            | Self::Image => one == other,
        }
    }
}

fn normalised(name: &str) -> impl Iterator<Item = char> {
    name.chars().map(|c| if matches!(c, '.' | '_') { '-' } else { c.to_ascii_lowercase() })
}

impl Recognised {
    const NOTHING: &str = "none";

    pub(super) fn parse(text: &'static str) -> Option<Self> {
        let is_valid = text == Self::NOTHING || text.split(',').all(|one| name(one).is_some());
        is_valid.then_some(Self(text))
    }

    /// As the table has it.
    pub fn as_str(self) -> &'static str {
        self.0
    }

    pub(super) fn names(self) -> impl Iterator<Item = (Kind, &'static str)> {
        self.0.split(',').filter_map(name)
    }

    pub(super) fn is(self, kind: Kind, name: &str) -> bool {
        self.names().any(|(known, ours)| known == kind && kind.are_same(ours, name))
    }
}

/// `jar client-java`
fn name(text: &'static str) -> Option<(Kind, &'static str)> {
    let (kind, name) = text.trim().split_once(' ')?;
    Some((Kind::ALL.into_iter().find(|known| known.name() == kind)?, name))
}

/// The name of an image without registry and folders, and its tag:
/// `registry.example:5000/team/telegraf:1.28.5@sha256:…` is `telegraf`, `1.28.5`.
pub(super) fn image(reference: &str) -> (&str, Option<&str>) {
    let last = reference.rsplit('/').next().unwrap_or(reference);
    let last = last.split('@').next().unwrap_or(last);
    last.split_once(':').map_or((last, None), |(name, tag)| (name, Some(tag)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn images_are_named_without_their_registry() {
        let table = [
            ("telegraf", ("telegraf", None)),
            ("telegraf:1.28.5", ("telegraf", Some("1.28.5"))),
            ("registry.example:5000/a/telegraf", ("telegraf", None)),
            ("registry.example:5000/a/telegraf:1.28.5-alpine", ("telegraf", Some("1.28.5-alpine"))),
            ("a/b/falco:0.36@sha256:0af4", ("falco", Some("0.36"))),
            ("a/b/falco@sha256:0af4", ("falco", None)),
            ("", ("", None)),
            ("//:@", ("", Some(""))),
        ];
        for (reference, expected) in table {
            assert_eq!(image(reference), expected, "{reference}");
        }
    }
}
