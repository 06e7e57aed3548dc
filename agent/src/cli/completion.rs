//! `tokenwatch completion`: a script that completes arguments in a shell, made from the arguments
//! themselves.

use clap::CommandFactory as _;
use clap_complete::shells::{Bash, Fish, Zsh};
use clap_complete::{Generator, generate};

use super::arguments::{Arguments, Shell};
use super::output::print;

/// Prints the script; the exit status.
pub(super) fn report(shell: Shell) -> u8 {
    let script = match shell {
        Shell::Bash => script(Bash),
        Shell::Fish => script(Fish),
        Shell::Zsh => script(Zsh),
    };
    print(&script, 0)
}

fn script(shell: impl Generator) -> String {
    let mut script = Vec::new();
    generate(shell, &mut Arguments::command(), "tokenwatch", &mut script);
    String::from_utf8_lossy(&script).into_owned()
}
