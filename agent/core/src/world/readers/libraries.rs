//! How libraries and programs read a token, from the table `libraries.txt`. What is found there is
//! a hint and never a verdict: a program may keep a token in spite of its library.

use std::fmt;

use super::packages;
pub use super::packages::{Kind, Recognised};
use super::versions::{Scheme, Version, Versions};
use crate::base::time::Delta;

/// The table. A lookup reads it from the start, and nothing is kept: people ask, and no event does.
const TABLE: &str = include_str!("libraries.txt");
/// Where nothing is known.
const UNKNOWN: &str = "?";

/// One line of the table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Library {
    /// The name that people know.
    pub component: &'static str,
    /// The way of using it that the line is about; none: any.
    pub used: Option<&'static str>,
    /// Its versions.
    pub versions: Versions,
    /// How these versions read the token.
    pub reads: Reads,
    /// By what it is recognised, as in the table.
    pub recognised: Recognised,
    /// Which version reads the token again.
    pub cure: Cure,
    /// How sure this is.
    pub confidence: Confidence,
    /// What was read.
    pub source: &'static str,
}

/// How a library reads the token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reads {
    /// For each request.
    EachRequest,
    /// When it is used, and was read longer ago than this; a period that nobody knows is none.
    Every(Option<Delta>),
    /// When the credential that it was exchanged for ends.
    Exchange,
    /// After a request was refused.
    AfterRefusal,
    /// Once, at the start.
    Once,
    /// When the file changes.
    Watch,
    /// When the file changes, but it does not notice kubelet's changes.
    BrokenWatch,
    /// Not at all: it requests a token of its own.
    OwnRequest,
    /// Not at all: it sends no token.
    SendsNone,
    /// Not at all: its caller passes the token.
    Caller,
}

/// Which version reads the token again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cure {
    /// These versions do.
    NotNeeded,
    /// The first ones, one for each line of releases, as in the table.
    From(&'static str),
    /// This one, and perhaps an earlier one.
    By(&'static str),
    /// No version that was seen.
    NoneSeen,
    /// Nobody knows.
    Unknown,
}

/// How sure a line is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Confidence {
    /// The source of the library was read.
    Source,
    /// Its documentation, or that of a vendor.
    Documentation,
    /// A public thread.
    Public,
    /// Inferred from versions beside it.
    Inferred,
    /// Not verified.
    Unverified,
}

/// Every line of the table.
pub fn table() -> impl Iterator<Item = Library> {
    lines().filter_map(Library::parse)
}

fn lines() -> impl Iterator<Item = &'static str> {
    TABLE.lines().filter(|line| !line.is_empty() && !line.starts_with('#'))
}

/// The line about this version of a library.
pub fn find(kind: Kind, name: &str, version: &str) -> Option<Library> {
    let lines = table().filter(|library| library.recognised.is(kind, name)).collect();
    line_of(lines, version)
}

/// The line about a version. Lines about one way of using a library count only if it has no others.
fn line_of(lines: Vec<Library>, version: &str) -> Option<Library> {
    if let [only] = lines.as_slice()
        && only.versions.are_unknown()
    {
        return Some(*only);
    }
    let version = Version::parse(version, lines.first()?.scheme())?;
    let any_use = lines.iter().any(|library| library.used.is_none());
    let counts = |library: &Library| library.used.is_none() == any_use;
    lines.into_iter().find(|library| counts(library) && library.versions.contains(&version))
}

/// The name that people know, of a library with any version.
pub fn component(kind: Kind, name: &str) -> Option<&'static str> {
    let of_name = |library: &Library| library.recognised.is(kind, name);
    table().find(of_name).map(|library| library.component)
}

/// What the image of a container, or the name of its program, shows of what reads the token: a
/// component of the table, with its version if that is the tag of the image.
pub fn hint(reference: &str, program: Option<&str>) -> Option<String> {
    let (name, tag) = packages::image(reference);
    let of_image = component(Kind::Image, name).map(|found| match tag {
        Some(tag) if Version::parse(tag, Scheme::Words).is_some() => format!("{found} {tag}"),
        Some(_) | None => found.to_owned(),
    });
    let of_program = || component(Kind::Exe, program?).map(ToOwned::to_owned);
    of_image.or_else(of_program)
}

/// The longest time after which what the image or the program shows reads the token again, of all
/// its versions; none if the table has no such time.
pub fn longest_period(reference: &str, program: Option<&str>) -> Option<Delta> {
    let of_image = component(Kind::Image, packages::image(reference).0);
    let component = of_image.or_else(|| component(Kind::Exe, program?))?;
    let lines = table().filter(|library| library.component == component);
    let periods = lines.filter_map(|library| match library.reads {
        Reads::Every(period) => period,
        Reads::EachRequest
        | Reads::Exchange
        | Reads::AfterRefusal
        | Reads::Once
        | Reads::Watch
        | Reads::BrokenWatch
        | Reads::OwnRequest
        | Reads::SendsNone
        | Reads::Caller => None,
    });
    periods.max()
}

/// The line about `text`, which is a component and its version, and the version. A component
/// without a version is found if the table has one line about it.
pub fn named(text: &str) -> Option<(Library, Option<&str>)> {
    let mut lines = table().filter(|library| library.component == text);
    if let Some(only) = lines.next() {
        return lines.next().is_none().then_some((only, None));
    }
    let (component, version) = text.rsplit_once(' ')?;
    let lines = table().filter(|library| library.component == component).collect();
    Some((line_of(lines, version)?, Some(version)))
}

impl Library {
    fn parse(line: &'static str) -> Option<Self> {
        let mut columns = line.split('|').map(str::trim);
        let mut next = || columns.next();
        let (component, used, versions) = (next()?, next()?, next()?);
        let (reading, recognised, cure) = (next()?, next()?, next()?);
        let (confidence, source) = (next()?, next()?);
        let is_whole = !component.is_empty() && !source.is_empty() && next().is_none();
        let library = Self {
            component,
            used: (!used.is_empty()).then_some(used),
            versions: Versions::parse(versions)?,
            reads: Reads::parse(reading)?,
            recognised: Recognised::parse(recognised)?,
            cure: Cure::parse(cure)?,
            confidence: Confidence::parse(confidence)?,
            source,
        };
        is_whole.then_some(library)
    }

    /// The first version that reads the token again, for one that runs this version.
    pub fn fixed_in(&self, version: Option<&str>) -> Option<&'static str> {
        let (Cure::From(text) | Cure::By(text)) = self.cure else { return None };
        let running = version.and_then(|version| Version::parse(version, self.scheme()));
        let is_later =
            |fixed: &&str| running.is_none() || Version::parse(fixed, Scheme::Words) > running;
        text.split(',').map(str::trim).find(is_later)
    }

    fn scheme(&self) -> Scheme {
        self.recognised.names().next().map_or(Scheme::Words, |(kind, _)| kind.scheme())
    }
}

impl Reads {
    fn parse(text: &str) -> Option<Self> {
        if let Some(period) = text.strip_prefix("every:") {
            return match period {
                UNKNOWN => Some(Self::Every(None)),
                seconds => Some(Self::Every(Some(Delta::from_secs(seconds.parse().ok()?)))),
            };
        }
        let all = [
            Self::EachRequest,
            Self::Exchange,
            Self::AfterRefusal,
            Self::Once,
            Self::Watch,
            Self::BrokenWatch,
            Self::OwnRequest,
            Self::SendsNone,
            Self::Caller,
        ];
        all.into_iter().find(|reading| reading.name() == text)
    }

    /// As the table has it, without a period.
    pub fn name(self) -> &'static str {
        match self {
            Self::EachRequest => "each-request",
            Self::Every(_) => "every",
            Self::Exchange => "exchange",
            Self::AfterRefusal => "after-refusal",
            Self::Once => "once",
            Self::Watch => "watch",
            Self::BrokenWatch => "broken-watch",
            Self::OwnRequest => "own-request",
            Self::SendsNone => "sends-none",
            Self::Caller => "caller",
        }
    }
}

/// As the table has it.
impl fmt::Display for Reads {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Every(Some(period)) => write!(f, "every:{}", period.as_secs()),
            Self::Every(None) => write!(f, "every:{UNKNOWN}"),
            Self::EachRequest
            | Self::Exchange
            | Self::AfterRefusal
            | Self::Once
            | Self::Watch
            | Self::BrokenWatch
            | Self::OwnRequest
            | Self::SendsNone
            | Self::Caller => f.write_str(self.name()),
        }
    }
}

impl Cure {
    fn parse(text: &'static str) -> Option<Self> {
        let is_version = |text: &str| Version::parse(text, Scheme::Words).is_some();
        match text {
            "-" => Some(Self::NotNeeded),
            "none" => Some(Self::NoneSeen),
            UNKNOWN => Some(Self::Unknown),
            text => match text.strip_prefix("<= ") {
                Some(latest) => is_version(latest).then_some(Self::By(latest)),
                None => text.split(',').all(is_version).then_some(Self::From(text)),
            },
        }
    }
}

/// As the table has it.
impl fmt::Display for Cure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotNeeded => f.write_str("-"),
            Self::NoneSeen => f.write_str("none"),
            Self::Unknown => f.write_str(UNKNOWN),
            Self::From(versions) => f.write_str(versions),
            Self::By(version) => write!(f, "<= {version}"),
        }
    }
}

impl Confidence {
    /// As the table has it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Source => "source",
            Self::Documentation => "documentation",
            Self::Public => "public",
            Self::Inferred => "inferred",
            Self::Unverified => "unverified",
        }
    }

    fn parse(text: &str) -> Option<Self> {
        let all =
            [Self::Source, Self::Documentation, Self::Public, Self::Inferred, Self::Unverified];
        all.into_iter().find(|confidence| confidence.name() == text)
    }
}

#[cfg(test)]
#[path = "libraries_tests.rs"]
mod tests;
