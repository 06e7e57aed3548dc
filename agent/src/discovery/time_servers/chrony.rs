//! Configuration of chrony, chrony.conf(5).

use std::path::{Path, PathBuf};

use super::Discovered;
use super::files::{HostFiles, named};

/// The file on Debian, and on other distributions.
const FILES: [&str; 2] = ["/etc/chrony/chrony.conf", "/etc/chrony.conf"];
/// Depth of nested includes. chrony itself stops at 10.
const DEPTH: u8 = 4;

pub(super) fn servers(host: &HostFiles<'_>) -> Vec<Discovered> {
    FILES.iter().flat_map(|file| of_file(host, Path::new(file), DEPTH)).collect()
}

fn of_file(host: &HostFiles<'_>, file: &Path, depth: u8) -> Vec<Discovered> {
    let Some(text) = host.text(file) else { return Vec::new() };
    text.lines().flat_map(|line| of_line(host, file, line, depth)).collect()
}

fn of_line(host: &HostFiles<'_>, file: &Path, line: &str, depth: u8) -> Vec<Discovered> {
    let words: Vec<&str> =
        line.split(['!', ';', '#', '%']).next().unwrap_or_default().split_whitespace().collect();
    let [directive, arguments @ ..] = words.as_slice() else { return Vec::new() };
    let files = match directive.to_ascii_lowercase().as_str() {
        "server" | "pool" | "peer" => return server(arguments, file).into_iter().collect(),
        _ if depth == 0 => Vec::new(),
        "include" => included(host, arguments),
        "confdir" => fragments(host, arguments, ".conf"),
        "sourcedir" => fragments(host, arguments, ".sources"),
        _ => Vec::new(),
    };
    files.iter().flat_map(|file| of_file(host, file, depth - 1)).collect()
}

fn included(host: &HostFiles<'_>, patterns: &[&str]) -> Vec<PathBuf> {
    patterns.first().map(|pattern| host.glob(Path::new(pattern))).unwrap_or_default()
}

fn fragments(host: &HostFiles<'_>, directories: &[&str], suffix: &str) -> Vec<PathBuf> {
    directories
        .iter()
        .flat_map(|directory| host.with_suffix(Path::new(directory), suffix))
        .collect()
}

/// `HOST [port N] …`
fn server(arguments: &[&str], file: &Path) -> Option<Discovered> {
    let (host, options) = arguments.split_first()?;
    let port = options
        .windows(2)
        .find(|pair| pair[0].eq_ignore_ascii_case("port"))
        .and_then(|pair| pair[1].parse().ok());
    named(host, port, file)
}
