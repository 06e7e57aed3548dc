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
}

/// The names that a library is recognised by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Recognised(&'static str);

impl Kind {
    const ALL: [Self; 8] = [
        Self::Go,
        Self::Python,
        Self::Npm,
        Self::Jar,
        Self::Gem,
        Self::Dll,
        Self::Crate,
        Self::Exe,
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
        }
    }

    pub(super) fn scheme(self) -> Scheme {
        match self {
            Self::Go | Self::Npm | Self::Crate => Scheme::Semantic,
            Self::Python | Self::Jar | Self::Gem | Self::Dll | Self::Exe => Scheme::Words,
        }
    }

    /// Whether two names are one. PyPI takes dashes, dots and underscores for the same (PEP 503),
    /// and Windows ignores the case.
    fn are_same(self, one: &str, other: &str) -> bool {
        match self {
            Self::Python => normalised(one).eq(normalised(other)),
            Self::Dll => one.eq_ignore_ascii_case(other),
            Self::Go | Self::Npm | Self::Jar | Self::Gem | Self::Crate | Self::Exe => one == other,
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
