//! Any bytes as a command line.

use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt as _;

use clap::Parser as _;
use tokenwatch_core::base::secrecy::redacted_input;

use super::arguments::Arguments;
use super::without_secrets;
use crate::fuzzed::assert_no_token;

pub(crate) use super::readers::fuzzed::readers_answer;

/// Most arguments of one input: clap takes its time for each.
const MAX_ARGUMENTS: usize = 16;

/// Arguments between zero bytes, after the name of the program. No error repeats a token.
pub(crate) fn command_line(bytes: &[u8]) {
    let arguments = bytes.split(|byte| *byte == 0).take(MAX_ARGUMENTS);
    let arguments = arguments.map(|one| OsString::from_vec(one.to_vec()));
    let given: Vec<OsString> =
        [OsString::from("tokenwatch")].into_iter().chain(arguments).collect();
    let Err(error) = Arguments::try_parse_from(&given) else { return };
    match without_secrets(&error, &given) {
        Some(safe) => assert_no_token(bytes, &redacted_input(&safe)), // as `streams` prints it
        None => assert_no_token(bytes, &error.to_string()),
    }
}
