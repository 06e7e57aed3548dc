//! Configuration of chrony, chrony.conf(5).

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use super::host::HostFiles;
use super::running::{Options, Running};
use super::{Discovered, POOL_VOTES};

/// Written by Fedora CoreOS and OpenShift for the cloud, in place of /etc/chrony.conf
/// (coreos-platform-chrony).
const PLATFORM: &str = "/run/coreos-platform-chrony.conf";
/// The file on Debian, and on other distributions.
const FILES: [&str; 2] = ["/etc/chrony/chrony.conf", "/etc/chrony.conf"];
/// Where distributions and people add options to the daemon's command line.
const COMMAND_LINES: [&str; 10] = [
    "/etc/systemd/system/chronyd.service.d/*.conf",
    "/etc/systemd/system/chrony.service.d/*.conf",
    "/run/systemd/system/chronyd.service.d/*.conf",
    "/run/systemd/generator/chronyd.service.d/*.conf",
    "/etc/systemd/system/chronyd.service",
    "/etc/systemd/system/chrony.service",
    "/usr/lib/systemd/system/chronyd.service.d/*.conf",
    "/etc/sysconfig/chronyd",
    "/etc/default/chrony",
    "/etc/conf.d/chronyd",
];
/// Options of chronyd(8) that take a value.
const WITH_VALUE: [&str; 7] = ["f", "F", "l", "L", "P", "t", "u"];
/// Directives about sources of time.
const SOURCES: [&str; 7] =
    ["server", "pool", "peer", "refclock", "include", "confdir", "sourcedir"];
/// Servers that dhclient's hook gives to chronyd while it runs (Red Hat 7 and 8).
const OF_DHCLIENT: &str = "/var/lib/dhclient/chrony.servers.*";
/// Depth of nested includes, as in chrony itself.
const DEPTH: u8 = 10;

/// What chrony's configuration says.
#[derive(Debug, Default)]
pub(super) struct Chrony {
    /// Its servers, pools and peers.
    pub(super) servers: Vec<Discovered>,
    /// Whether there is a configuration.
    exists: bool,
    /// Whether it takes what DHCP names.
    takes_dhcp: bool,
}

impl Chrony {
    /// That of the running daemon, or else of the host's files.
    pub(super) fn read(host: &HostFiles<'_>, running: &Running) -> Self {
        let mut found = Self::default();
        for options in running.options("chronyd", &WITH_VALUE) {
            found.command_line(host, &options);
        }
        let candidates = [started_with(host), Some(PathBuf::from(PLATFORM))];
        for file in candidates.into_iter().flatten() {
            if !found.exists {
                found.file(host, &file, DEPTH);
            }
        }
        if !found.exists {
            found.files(host, &FILES.map(PathBuf::from), DEPTH);
        }
        found.of_dhclient(host);
        found
    }

    /// Whether chrony keeps the clock of this host, and was configured without DHCP's servers.
    pub(super) fn declines_dhcp(&self) -> bool {
        self.exists && !self.takes_dhcp
    }

    /// Directives on the command line replace the file (chronyd(8)).
    fn command_line(&mut self, host: &HostFiles<'_>, options: &Options<'_>) {
        if !options.operands.iter().any(|operand| names_sources(operand)) {
            self.files(host, options.file(&["f"]).as_slice(), DEPTH);
            return;
        }
        self.exists = true;
        for directive in &options.operands {
            self.line(host, Path::new("chronyd's command line"), directive, DEPTH);
        }
    }

    fn files(&mut self, host: &HostFiles<'_>, files: &[PathBuf], depth: u8) {
        for file in files {
            self.file(host, file, depth);
        }
    }

    fn file(&mut self, host: &HostFiles<'_>, file: &Path, depth: u8) {
        let Some(text) = host.text(file) else { return };
        self.exists = true;
        text.lines().for_each(|line| self.line(host, file, line, depth));
    }

    /// A line whose first character is one of `!;#%` is a comment.
    fn line(&mut self, host: &HostFiles<'_>, file: &Path, line: &str, depth: u8) {
        let line = line.trim_start();
        let words = line.split_whitespace().take_while(|word| !word.starts_with('#'));
        let words: Vec<&str> = words.filter(|_| !line.starts_with(['!', ';', '%'])).collect();
        let [directive, arguments @ ..] = words.as_slice() else { return };
        let files = match directive.to_ascii_lowercase().as_str() {
            "server" | "peer" => {
                self.servers.extend(server(arguments, file));
                return;
            }
            "pool" => {
                let votes = Some(max_sources(arguments));
                self.servers.extend(server(arguments, file).map(|it| it.with_pool(votes)));
                return;
            }
            "include" => arguments.first().map(|it| host.glob(Path::new(it))).unwrap_or_default(),
            "confdir" => fragments(host, arguments, ".conf"),
            "sourcedir" => {
                self.takes_dhcp |= arguments.iter().any(|directory| directory.contains("dhcp"));
                fragments(host, arguments, ".sources")
            }
            _ => return,
        };
        if let Some(depth) = depth.checked_sub(1) {
            self.files(host, &files, depth);
        }
    }

    /// Lines of `ADDRESS OPTIONS`.
    fn of_dhclient(&mut self, host: &HostFiles<'_>) {
        for file in host.glob(Path::new(OF_DHCLIENT)).iter().filter(|_| self.exists) {
            let text = host.text(file).unwrap_or_default();
            let words = text.lines().map(|line| line.split_whitespace().collect::<Vec<_>>());
            self.servers.extend(words.filter_map(|words| server(&words, file)));
        }
    }
}

/// Whether it is a directive about sources.
fn names_sources(operand: &str) -> bool {
    let directive = operand.split_whitespace().next().unwrap_or_default().to_ascii_lowercase();
    SOURCES.contains(&directive.as_str())
}

/// Files with this suffix in all directories, in the order of their names. Of two with the same
/// name, that in the earlier directory counts.
fn fragments(host: &HostFiles<'_>, directories: &[&str], suffix: &str) -> Vec<PathBuf> {
    let mut by_name = BTreeMap::new();
    for directory in directories {
        for path in host.with_suffix(Path::new(directory), suffix) {
            by_name.entry(path.file_name().map(ToOwned::to_owned)).or_insert(path);
        }
    }
    by_name.into_values().collect()
}

/// How many addresses of a pool chrony uses: `HOST maxsources N`, from 1 to 16.
fn max_sources(arguments: &[&str]) -> u8 {
    let given = number(arguments, "maxsources").filter(|most| (1..=16).contains(most));
    given.unwrap_or(POOL_VOTES)
}

/// The value of an option that is a number.
fn number<T: std::str::FromStr>(options: &[&str], name: &str) -> Option<T> {
    let pair = options.windows(2).find(|pair| pair[0].eq_ignore_ascii_case(name))?;
    pair[1].parse().ok()
}

/// `HOST [port N] [nts] …`
fn server(arguments: &[&str], file: &Path) -> Option<Discovered> {
    let (host, options) = arguments.split_first()?;
    let port = number(options, "port");
    let is_nts = options.iter().any(|option| option.eq_ignore_ascii_case("nts"));
    Some(Discovered::new(host, port, file)?.with_nts(is_nts))
}

/// The configuration file in the options that a unit or its environment gives to the daemon.
fn started_with(host: &HostFiles<'_>) -> Option<PathBuf> {
    let files = COMMAND_LINES.iter().flat_map(|pattern| host.glob(Path::new(pattern)));
    let texts = files.filter_map(|file| host.text(&file));
    let files: Vec<PathBuf> =
        texts.flat_map(|text| text.lines().filter_map(file_in).collect::<Vec<_>>()).collect();
    files.into_iter().find(|file| host.text(file).is_some())
}

/// The file in `ExecStart=/usr/sbin/chronyd -f FILE`, or in `OPTIONS="-f FILE"`.
fn file_in(line: &str) -> Option<PathBuf> {
    let (key, value) = line.trim().split_once('=')?;
    let has_options = match key.trim() {
        "ExecStart" => value.contains("chronyd"),
        "OPTIONS" | "DAEMON_OPTS" | "ARGS" | "CFGFILE" => true,
        _ => false,
    };
    let value = value.trim().trim_matches(['"', '\'']);
    if key.trim() == "CFGFILE" {
        return value.starts_with('/').then(|| PathBuf::from(value));
    }
    let words: Vec<String> = value.split_whitespace().map(ToOwned::to_owned).collect();
    has_options.then(|| Options::of(&words, &WITH_VALUE).file(&["f"])).flatten()
}
