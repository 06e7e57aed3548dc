//! Usage errors without values that may be secret.
//!
//! An unquoted `--otlp-header authorization=Bearer VALUE` makes VALUE an argument of its own, which
//! a usage error would repeat.

use std::ffi::OsString;

/// Commands without a flag for headers or endpoints. What they are given is repeated.
const WITHOUT_EXPORT: [&str; 12] = [
    "check",
    "explain",
    "readers",
    "report",
    "clock",
    "replay",
    "findings",
    "telemetry",
    "completion",
    "man",
    "version",
    "help",
];
/// The commands with such flags.
const WITH_EXPORT: [&str; 3] = ["run", "config", "demo"];

/// Shorter values are parts of the usage itself.
const SHORT: usize = 3;
/// Longest word in the place of a command that is repeated: two letters more than the longest
/// command.
const LONGEST_COMMAND: usize = 12;

/// The message without the values of these arguments, of which the first is the program.
pub(super) fn without_values(message: &str, given: &[OsString]) -> String {
    let given: Vec<String> =
        given.iter().skip(1).map(|one| one.to_string_lossy().into_owned()).collect();
    let mut names = given.iter().map(String::as_str);
    let command = names.find(|one| WITHOUT_EXPORT.contains(one) || WITH_EXPORT.contains(one));
    if command.is_some_and(|command| WITHOUT_EXPORT.contains(&command)) {
        return message.to_owned();
    }
    let misspelt = usize::from(given.first().is_some_and(|first| is_like_a_command(first)));
    let mut values: Vec<&str> = given.iter().skip(misspelt).filter_map(|one| value(one)).collect();
    values.sort_by_key(|value| std::cmp::Reverse(value.len())); // one may be part of another
    values.into_iter().fold(message.to_owned(), |text, value| {
        let text = text.replace(&format!("'{value}'"), "'***'");
        if value.len() < SHORT { text } else { text.replace(value, "***") }
    })
}

/// What of an argument may be secret: all but the name of a flag, and of a command.
fn value(argument: &str) -> Option<&str> {
    let name = argument.split('=').next().unwrap_or_default();
    let rest = argument.get(name.len() + 1..);
    let is_command = WITH_EXPORT.contains(&argument) || WITHOUT_EXPORT.contains(&argument);
    let value = if is_flag(name) { rest } else { Some(argument).filter(|_| !is_command) };
    value.filter(|value| !value.is_empty())
}

/// Whether somebody may have meant a command. A header's value comes after one.
fn is_like_a_command(first: &str) -> bool {
    first.len() <= LONGEST_COMMAND && first.chars().all(|c| c.is_ascii_lowercase())
}

fn is_flag(name: &str) -> bool {
    let is_of_name = |c: char| c.is_ascii_lowercase() || c == '-';
    name.strip_prefix("--").is_some_and(|name| name.chars().all(is_of_name))
}

#[cfg(test)]
mod tests {
    use clap::Parser as _;

    use super::*;
    use crate::cli::arguments::Arguments;

    #[test]
    fn no_usage_error_repeats_what_may_be_part_of_a_header() {
        let table: [&[&str]; 8] = [
            &["run", "--otlp-header", "authorization=Bearer", "s3cr3t"],
            &["run", "--otlp-hedaer=authorization=s3cr3t"],
            &["run", "--otlp-hedaer", "authorization=s3cr3t"],
            &["run", "--otlp-header", "authorization=Basic", "hunter", "two"],
            &["run", "s3cr3t"],
            &["config", "authorization:s3cr3t"],
            &["s3cr3t", "run"],
            &["run", "--otlp-header", "a=b", "-s3cr3t"],
        ];
        for arguments in table {
            let given: Vec<OsString> =
                ["tokenwatch"].iter().chain(arguments).map(OsString::from).collect();
            let message = Arguments::try_parse_from(&given).unwrap_err().to_string();
            let safe = without_values(&message, &given);
            for secret in ["s3cr3t", "hunter"] {
                assert!(!safe.contains(secret), "{arguments:?}: {safe}");
            }
        }
    }

    #[test]
    fn a_misspelt_flag_and_the_argument_of_another_command_are_named() {
        let of = |arguments: &[&str]| {
            let given: Vec<OsString> =
                ["tokenwatch"].iter().chain(arguments).map(OsString::from).collect();
            let message = Arguments::try_parse_from(&given).unwrap_err().to_string();
            without_values(&message, &given)
        };
        assert!(of(&["run", "--otlp-hedaer", "a=b"]).contains("'--otlp-hedaer'"));
        assert!(of(&["check", "--output", "yaml"]).contains("'yaml'"));
        assert!(of(&["chek"]).contains("'chek'"));
        let help = of(&["help", "nope"]);
        assert!(help.contains("'nope'") && help.contains("'--help'"), "{help}");
        assert!(of(&["run", "help"]).contains("'--help'"));
    }
}
