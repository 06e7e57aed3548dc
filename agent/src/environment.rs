//! The one file that reads the environment.

use std::collections::BTreeMap;
use std::ffi::OsString;

/// The variables of the process at start.
#[derive(Clone, Debug, Default)]
pub struct Environment {
    texts: BTreeMap<String, String>,
    /// The names of those that are not UTF-8, or whose value is not.
    not_text: Vec<String>,
}

impl Environment {
    /// The environment of this process.
    #[expect(clippy::disallowed_methods, reason = "every other file is given an `Environment`")]
    pub fn read() -> Self {
        Self::of_os(std::env::vars_os())
    }

    /// An environment of these variables, for tests.
    pub fn of<'a>(variables: impl IntoIterator<Item = (&'a str, &'a str)>) -> Self {
        Self::of_os(variables.into_iter().map(|(name, value)| (name.into(), value.into())))
    }

    /// An environment of variables that may not be text.
    pub fn of_os(variables: impl IntoIterator<Item = (OsString, OsString)>) -> Self {
        let mut environment = Self::default();
        for (name, value) in variables {
            match (name.into_string(), value.into_string()) {
                (Ok(name), Ok(value)) => drop(environment.texts.insert(name, value)),
                (Ok(name), Err(_)) => environment.not_text.push(name),
                (Err(name), _) => {
                    environment.not_text.push(name.to_string_lossy().into_owned());
                }
            }
        }
        environment
    }

    /// A variable; none if it is not set or empty.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.texts.get(name).map(String::as_str).filter(|value| !value.is_empty())
    }

    /// Every variable with that prefix that is set and not empty.
    pub fn starting_with(&self, prefix: &'static str) -> impl Iterator<Item = (&str, &str)> {
        let all = self.texts.iter().map(|(name, value)| (name.as_str(), value.as_str()));
        all.filter(move |(name, value)| name.starts_with(prefix) && !value.is_empty())
    }

    /// The names of the variables that are not UTF-8, or whose value is not.
    pub fn not_text(&self) -> impl Iterator<Item = &str> {
        self.not_text.iter().map(String::as_str)
    }
}
