//! The time daemons that run, with their command lines: those of this container, or with hostPID
//! those of the node.

use std::path::{Path, PathBuf};

use crate::proc::ProcFs;

/// Programs of time daemons. ntpd is that of ntp.org, NTPsec, OpenNTPD or BusyBox.
const PROGRAMS: [&str; 5] = ["chronyd", "ntpd", "ntp-daemon", "ntpd-rs", "systemd-timesyncd"];

/// Programs and their arguments.
#[derive(Debug, Default)]
pub(super) struct Running(Vec<(String, Vec<String>)>);

impl Running {
    pub(super) fn of(proc: &ProcFs) -> Self {
        let Ok(processes) = proc.processes() else { return Self::default() };
        Self(processes.filter_map(|process| daemon(process.arguments()?)).collect())
    }

    pub(super) fn has(&self, program: &str) -> bool {
        self.0.iter().any(|(running, _)| running == program)
    }

    /// The command lines of a program.
    pub(super) fn options<'a>(
        &'a self,
        program: &'a str,
        with_value: &'a [&'a str],
    ) -> impl Iterator<Item = Options<'a>> + 'a {
        let of_program = self.0.iter().filter(move |(running, _)| running == program);
        of_program.map(move |(_, arguments)| Options::of(arguments, with_value))
    }
}

fn daemon(mut arguments: Vec<String>) -> Option<(String, Vec<String>)> {
    let rest = arguments.split_off(1.min(arguments.len()));
    let program = Path::new(arguments.first()?).file_name()?.to_str()?.to_owned();
    PROGRAMS.contains(&program.as_str()).then_some((program, rest))
}

/// Arguments, taken apart as by getopt(3).
#[derive(Debug, Default)]
pub(super) struct Options<'a> {
    /// Name and value of each option that has one.
    values: Vec<(&'a str, &'a str)>,
    /// What is no option.
    pub(super) operands: Vec<&'a str>,
}

impl<'a> Options<'a> {
    /// `with_value` names the options that take a value, a long one without its dashes.
    pub(super) fn of(arguments: &'a [String], with_value: &[&str]) -> Self {
        let (mut found, mut rest) = (Self::default(), arguments.iter().map(String::as_str));
        while let Some(argument) = rest.next() {
            if argument == "--" {
                found.operands.extend(rest.by_ref());
            } else if let Some(long) = argument.strip_prefix("--") {
                found.long(long, with_value, &mut rest);
            } else if let Some(short) = argument.strip_prefix('-').filter(|it| !it.is_empty()) {
                found.short(short, with_value, &mut rest);
            } else {
                found.operands.push(argument);
            }
        }
        found
    }

    /// The last value of an option.
    pub(super) fn value(&self, names: &[&str]) -> Option<&'a str> {
        self.all(names).last()
    }

    /// Every value of an option.
    pub(super) fn all<'b>(&'b self, names: &'b [&str]) -> impl Iterator<Item = &'a str> + 'b {
        self.values.iter().filter(|(name, _)| names.contains(name)).map(|(_, value)| *value)
    }

    /// The last value of an option, if it is the path of a file.
    pub(super) fn file(&self, names: &[&str]) -> Option<PathBuf> {
        self.value(names).filter(|value| value.starts_with('/')).map(PathBuf::from)
    }

    fn long(
        &mut self,
        option: &'a str,
        with_value: &[&str],
        rest: &mut dyn Iterator<Item = &'a str>,
    ) {
        let value = match option.split_once('=') {
            Some((name, value)) => Some((name, value)),
            None if with_value.contains(&option) => rest.next().map(|value| (option, value)),
            None => None,
        };
        self.values.extend(value);
    }

    /// One or several short options, of which the last may have a value: `-nf FILE`, `-fFILE`.
    fn short(
        &mut self,
        options: &'a str,
        with_value: &[&str],
        rest: &mut dyn Iterator<Item = &'a str>,
    ) {
        for (at, character) in options.char_indices() {
            let (name, value) = options[at..].split_at(character.len_utf8());
            if with_value.contains(&name) {
                let value = if value.is_empty() { rest.next() } else { Some(value) };
                self.values.extend(value.map(|value| (name, value)));
                return;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options_are_read_in_every_form() {
        let table = [
            ("-f /a", Some("/a"), ""),
            ("-f/a", Some("/a"), ""),
            ("-nf /a", Some("/a"), ""),
            ("-F 2 -u _chrony -f /a", Some("/a"), ""),
            ("--config /a", Some("/a"), ""),
            ("--config=/a", Some("/a"), ""),
            ("-f /a -f /b", Some("/b"), ""),
            ("-f relative", None, ""),
            ("-f", None, ""),
            ("-n one two", None, "one two"),
            ("-n -- -f /a", None, "-f /a"),
            ("-F 2 -n", None, ""),
        ];
        for (line, file, operands) in table {
            let arguments: Vec<String> = line.split(' ').map(ToOwned::to_owned).collect();
            let options = Options::of(&arguments, &["f", "F", "u", "config"]);
            assert_eq!(options.file(&["f", "config"]), file.map(PathBuf::from), "{line}");
            assert_eq!(options.operands.join(" "), operands, "{line}");
        }
    }
}
