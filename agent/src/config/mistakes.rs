//! The mistakes in a configuration, each with its origin.

use std::fmt;

use super::yaml::Place;

/// Where a value came from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Origin {
    /// It was not given.
    Default,
    /// The configuration file.
    File {
        /// The path of the file, as given.
        name: String,
        /// The position in the file, if known.
        place: Option<Place>,
    },
    /// An environment variable.
    Variable(String),
    /// A flag, without its dashes.
    Flag(&'static str),
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Default => f.write_str("default"),
            Self::File { name, place: Some(place) } => {
                write!(f, "{name}:{}:{}", place.line, place.column)
            }
            Self::File { name, place: None } => f.write_str(name),
            Self::Variable(name) => write!(f, "environment variable {name}"),
            Self::Flag(flag) => write!(f, "flag --{flag}"),
        }
    }
}

/// One mistake of the operator.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mistake {
    /// Where the value came from.
    pub origin: Origin,
    /// What is wrong and what to do.
    pub message: String,
}

impl fmt::Display for Mistake {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.origin, self.message)
    }
}

/// Every mistake of a configuration.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Mistakes(pub Vec<Mistake>);

impl Mistakes {
    /// Adds a mistake.
    pub fn add(&mut self, origin: Origin, message: impl Into<String>) {
        self.0.push(Mistake { origin, message: message.into() });
    }
}

impl fmt::Display for Mistakes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|mistake| writeln!(f, "{mistake}"))
    }
}

impl std::error::Error for Mistakes {}

/// Why a value was refused, and what is expected instead.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Invalid(String);

impl Invalid {
    pub(super) fn new(message: impl Into<String>) -> Self {
        Self(message.into())
    }
}

impl fmt::Display for Invalid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl From<Invalid> for String {
    fn from(invalid: Invalid) -> Self {
        invalid.0
    }
}

impl std::error::Error for Invalid {}

/// What is wrong with a value: with the whole, or with the part at a place in the file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    pub(super) place: Option<Place>,
    pub(super) message: String,
}

impl Problem {
    pub(super) fn here(message: impl Into<String>) -> Self {
        Self { place: None, message: message.into() }
    }

    pub(super) fn at(place: Place, message: impl Into<String>) -> Self {
        Self { place: Some(place), message: message.into() }
    }
}
