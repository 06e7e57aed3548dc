//! `tokenwatch man`: the manual page of a command, made from its arguments.

use std::io;

use clap::{Command, CommandFactory as _};
use clap_mangen::Man;
use tokenwatch_core::base::text::shown;

use super::arguments::Arguments;
use super::output::{print, print_error};

/// Exit status: there is no such command.
const UNKNOWN: u8 = 2;
/// What begins the exit statuses in the text after the options.
const EXIT_STATUS: &str = "Exit status: ";

/// Prints the page of `tokenwatch COMMAND…`; the exit status.
pub(super) fn report(names: &[String]) -> u8 {
    let mut program = Arguments::command();
    program.build(); // gives each command its full name
    match names.iter().try_fold(&program, |command, name| found(command, name)) {
        Ok(command) => print(&page(command), 0),
        Err(name) => {
            print_error(&format!(
                "unknown command \"{}\": `tokenwatch --help` lists them",
                shown(name)
            ));
            UNKNOWN
        }
    }
}

fn found<'a, 'b>(command: &'a Command, name: &'b str) -> Result<&'a Command, &'b str> {
    command.find_subcommand(name).ok_or(name)
}

fn page(command: &Command) -> String {
    let mut page = Vec::new();
    let written = sections(command, &mut page);
    let after = command.get_after_help().map(ToString::to_string).unwrap_or_default();
    let page = String::from_utf8_lossy(&page).into_owned() + &closing(&after);
    written.map(|()| page).unwrap_or_default() // a vector takes every byte
}

fn sections(command: &Command, page: &mut Vec<u8>) -> io::Result<()> {
    let man = Man::new(command.clone()).source(concat!("tokenwatch ", env!("CARGO_PKG_VERSION")));
    man.render_title(page)?;
    man.render_name_section(page)?;
    man.render_synopsis_section(page)?;
    man.render_description_section(page)?;
    man.render_options_section(page)?;
    if command.has_subcommands() {
        man.render_subcommands_section(page)?;
    }
    Ok(())
}

/// Examples and exit statuses: lines that stay lines.
fn closing(after: &str) -> String {
    let (examples, status) = after.split_once(EXIT_STATUS).unwrap_or((after, ""));
    let examples = examples.trim_start_matches("Examples:").trim_start_matches("Example:");
    part("EXAMPLES", examples) + &part("EXIT STATUS", status)
}

fn part(title: &str, text: &str) -> String {
    let lines: String = text.trim_matches('\n').lines().map(|line| literal(line) + "\n").collect();
    if lines.is_empty() { lines } else { format!(".SH \"{title}\"\n.nf\n{lines}.fi\n") }
}

/// A line without meaning for roff: `\&` comes before what would begin a request.
fn literal(line: &str) -> String {
    let line = line.replace('\\', "\\e").replace('-', "\\-");
    if line.starts_with(['.', '\'']) { format!("\\&{line}") } else { line }
}
