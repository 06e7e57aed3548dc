//! Time servers to use when none is configured: those of the host's own time daemon, else those
//! that DHCP named, else those of the cloud.
//!
//! There is no default public pool: the agent only polls servers that somebody chose for this
//! network. Public servers are taken out before anything is decided: a daemon that names nothing
//! else names nobody.

mod chrony;
mod cloud;
mod dhcp;
#[cfg(any(test, fuzzing))]
pub(crate) mod fuzzed;
mod host;
mod ntpd;
mod ntpd_rs;
mod openntpd;
mod running;
mod timesyncd;
mod toml;

use std::net::IpAddr;
use std::path::Path;

use chrony::Chrony;
use host::HostFiles;
use running::Running;
use tokenwatch_core::world::clocks::ServerName;

use crate::proc::ProcFs;

/// Servers used of one configuration. More would prove nothing further.
const SERVERS: usize = 16;
/// Addresses of a pool that vote, where the configuration does not say how many the daemon uses:
/// the default of chrony (`maxsources`) and of ntpd-rs (`count`), and what pool names usually give.
pub(crate) const POOL_VOTES: u8 = 4;
/// UDP port of NTP.
const NTP_PORT: u16 = 123;

/// A server and where it was found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Discovered {
    /// The server.
    pub server: ServerName,
    /// The file or the cloud that names it.
    pub named_by: String,
    /// Whether the host authenticates it by NTS (RFC 8915), which the agent does not.
    pub nts: bool,
}

impl Discovered {
    /// A server that a file names; none if the text cannot be a host name. Addresses get their
    /// usual form.
    fn new(host: &str, port: Option<u16>, file: &Path) -> Option<Self> {
        let mut server: ServerName = host.parse().ok()?;
        if let Ok(address) = server.host.parse::<IpAddr>() {
            server.host = address.to_canonical().to_string();
        }
        server.port = port.unwrap_or(server.port);
        Some(Self { server, named_by: file.display().to_string(), nts: false })
    }

    fn with_nts(self, nts: bool) -> Self {
        Self { nts, ..self }
    }

    /// The addresses of a pool are independent servers. An address itself is no pool.
    fn with_pool(mut self, votes: Option<u8>) -> Self {
        self.server.pool = votes.filter(|_| self.server.host.parse::<IpAddr>().is_err());
        self
    }

    /// The port that was named is that of something else.
    fn use_ntp_port(&mut self) {
        self.server.port = NTP_PORT;
    }

    fn is_same(&self, other: &Self) -> bool {
        self.server.machine() == other.server.machine()
    }
}

/// The result of a search.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Discovery {
    /// The servers to query.
    pub servers: Vec<Discovered>,
    /// Public servers that were left out.
    pub public: Vec<Discovered>,
    /// Servers that are not queried, because enough others are.
    pub beyond: Vec<Discovered>,
}

/// The servers of the host whose file system is at `root` (`/`, or where the host is mounted), and
/// whose hardware description is at `dmi` (`/sys/class/dmi/id`). A daemon that the agent sees
/// running comes before one that it does not. Otherwise the first that names a server of this
/// network is the one in use: files of a replaced one are ignored.
pub fn discover(root: &Path, dmi: &Path) -> Discovery {
    with_processes(root, dmi, &ProcFs::default())
}

fn with_processes(root: &Path, dmi: &Path, proc: &ProcFs) -> Discovery {
    let (host, running) = (&HostFiles::new(root), &Running::of(proc));
    let chrony = Chrony::read(host, running);
    let is_replaced = running.has("systemd-timesyncd") && !running.has("chronyd");
    let with_dhcp = is_replaced || !chrony.declines_dhcp();
    let mut daemons: Vec<(&str, Finder<'_>)> = vec![
        ("chronyd", Box::new(|| chrony.servers.clone())),
        ("ntpd", Box::new(|| ntpd::servers(host, running))),
        ("ntpd", Box::new(|| openntpd::servers(host, running))),
        ("ntp-daemon", Box::new(|| ntpd_rs::servers(host, running))),
        ("systemd-timesyncd", Box::new(|| timesyncd::servers(host, with_dhcp))),
    ];
    daemons.sort_by_key(|(program, _)| !running.has(program));
    let others: [Finder<'_>; 2] = [
        Box::new(|| if with_dhcp { dhcp::servers(host) } else { Vec::new() }),
        Box::new(|| cloud::servers(dmi)),
    ];
    first(daemons.into_iter().map(|(_, find)| find).chain(others))
}

/// Looks in one place.
type Finder<'a> = Box<dyn Fn() -> Vec<Discovered> + 'a>;

/// What the first place names that names any server which is not public.
fn first<'a>(places: impl Iterator<Item = Finder<'a>>) -> Discovery {
    let mut left_out = Vec::new();
    for find in places {
        let (public, own): (Vec<_>, Vec<_>) =
            find().into_iter().partition(|found| found.server.is_public());
        left_out.extend(public);
        if !own.is_empty() {
            let mut servers = distinct(own);
            let beyond = servers.split_off(servers.len().min(SERVERS));
            return Discovery { servers, public: distinct(left_out), beyond };
        }
    }
    Discovery { public: distinct(left_out), ..Discovery::default() }
}

/// Each machine once. A server that is named twice is one with NTS if either is, and a pool only if
/// both are.
fn distinct(found: Vec<Discovered>) -> Vec<Discovered> {
    let mut taken: Vec<Discovered> = Vec::new();
    for new in found {
        if let Some(known) = taken.iter_mut().find(|known| known.is_same(&new)) {
            known.nts |= new.nts;
            known.server.pool = known.server.pool.min(new.server.pool);
        } else {
            taken.push(new);
        }
    }
    taken
}

#[cfg(test)]
mod tests;
