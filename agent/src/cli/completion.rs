//! `tokenwatch completion`: a script that completes arguments in a shell, made from the arguments
//! themselves.

use clap::CommandFactory as _;
use clap_complete::Shell;

use super::arguments::Arguments;
use super::output::print;

/// Prints the script; the exit status.
pub(super) fn report(shell: Shell) -> u8 {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Arguments::command(), "tokenwatch", &mut script);
    print(&String::from_utf8_lossy(&script), 0)
}
