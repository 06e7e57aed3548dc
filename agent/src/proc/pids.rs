//! What can be read of any process without a ptrace check, whatever user and namespaces it has, and
//! within the agent's own confinement.

use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use super::cgroup::{self, InContainer};
use super::mountinfo::{self, Mount};
use super::opens::{self, TcpCounters, Traffic};
use super::sockets::{self, Connection};
use super::stat::{self, Stat};
use super::{Error, ProcFs, read};

/// Bytes of a file with a few lines.
const SMALL: u64 = 64 << 10;
/// Bytes of mountinfo: more than a namespace can have, 100,000 mounts (proc_sys_fs(5), `mount-max`)
/// of the some 200 bytes of a volume.
const MOUNTS: u64 = 32 << 20;
/// Bytes read of a list of sockets: some 50,000.
const SOCKETS: u64 = 8 << 20;
/// Bytes read of a list at a time, and of its longest line: two paths and the name of a tmpfs, of
/// 4 kB each and with four bytes for each special one.
const BUFFER: usize = 64 << 10;

/// Tells a process from a later one with the same number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Instance {
    inode: u64,
    changed: (i64, i64),
}

/// A network namespace.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Network(u64);

impl ProcFs {
    /// The numbers of all processes that the agent can see: those of its own container, or with
    /// hostPID those of the node.
    pub fn pids(&self) -> Result<impl Iterator<Item = u32> + use<>, Error> {
        let listed =
            std::fs::read_dir(&self.root).map_err(|error| Error::io(self.root.clone(), &error))?;
        let names = listed.flatten().map(|entry| entry.file_name());
        Ok(names.filter_map(|name| name.to_str()?.parse().ok()))
    }

    /// Which process has this number now; none if it has ended. The kernel gives the directory a
    /// new inode when it makes it again, which it may also do for the same process.
    pub fn instance(&self, pid: u32) -> Option<Instance> {
        let directory = std::fs::metadata(self.root.join(pid.to_string())).ok()?;
        let changed = (directory.ctime(), directory.ctime_nsec());
        Some(Instance { inode: directory.ino(), changed })
    }

    /// The containers that it is in, outermost first; see [`InContainer`].
    pub fn containers(&self, pid: u32) -> Result<Vec<InContainer>, Error> {
        self.small(pid, "cgroup").map(|text| cgroup::containers(&text))
    }

    /// Its name, parent and start.
    pub fn stat(&self, pid: u32) -> Result<Stat, Error> {
        let text = self.small(pid, "stat")?;
        stat::stat(&text).ok_or_else(|| Error::new(self.file(pid, "stat"), &"unknown format"))
    }

    /// Its numbers, in the PID namespace of the proc file system first, and in its own last
    /// (`NSpid` of proc_pid_status(5)).
    pub fn numbers(&self, pid: u32) -> Result<Vec<u32>, Error> {
        let text = self.small(pid, "status")?;
        let unknown = || Error::new(self.file(pid, "status"), &"it has no NSpid");
        numbers(&text).ok_or_else(unknown)
    }

    /// Calls `each` with the mounts that it sees. Lines of another form are left out.
    pub fn mounts(&self, pid: u32, each: impl FnMut(Mount)) -> Result<(), Error> {
        mounts(&self.file(pid, "mountinfo"), each)
    }

    /// Calls `each` with the mounts that the agent itself sees.
    pub fn own_mounts(&self, each: impl FnMut(Mount)) -> Result<(), Error> {
        mounts(&self.root.join("self/mountinfo"), each)
    }

    /// Its network namespace. The inode of a file below `net` belongs to the namespace, whoever's
    /// directory it is found in; the link `ns/net` itself is ptrace-checked.
    pub fn network(&self, pid: u32) -> Option<Network> {
        std::fs::metadata(self.file(pid, "net/tcp")).ok().map(|file| Network(file.ino()))
    }

    /// The counters of its network namespace.
    pub fn tcp_counters(&self, pid: u32) -> Result<TcpCounters, Error> {
        let text = self.small(pid, "net/snmp")?;
        let unknown = || Error::new(self.file(pid, "net/snmp"), &"it has no TCP counters");
        opens::counters(&text).ok_or_else(unknown)
    }

    /// What its network namespace has sent and received.
    pub fn traffic(&self, pid: u32) -> Result<Traffic, Error> {
        let text = self.small(pid, "net/netstat")?;
        let unknown = || Error::new(self.file(pid, "net/netstat"), &"it has no counters of data");
        opens::traffic(&text).ok_or_else(unknown)
    }

    /// Calls `each` with the connections of its network namespace, of both families. A kernel
    /// without IPv6 has one family. After an error they may be a part of all.
    pub fn connections(&self, pid: u32, mut each: impl FnMut(Connection)) -> Result<(), Error> {
        self.sockets(pid, "net/tcp", &mut each)?;
        match self.sockets(pid, "net/tcp6", &mut each) {
            Err(error) if error.is_missing() && self.network(pid).is_some() => Ok(()),
            read => read,
        }
    }

    fn sockets(
        &self,
        pid: u32,
        name: &str,
        each: &mut impl FnMut(Connection),
    ) -> Result<(), Error> {
        let (path, mut buffer) = (self.file(pid, name), vec![0; BUFFER]);
        let take = |line: &[u8]| sockets::connection(line).into_iter().for_each(&mut *each);
        let read = read::lines(&path, SOCKETS, &mut buffer, take);
        read.map_err(|error| Error::io(path, &error))
    }

    fn file(&self, pid: u32, name: &str) -> PathBuf {
        self.root.join(pid.to_string()).join(name)
    }

    pub(super) fn small(&self, pid: u32, name: &str) -> Result<Vec<u8>, Error> {
        let path = self.file(pid, name);
        read::read(&path, SMALL).map_err(|error| Error::io(path, &error))
    }
}

pub(super) fn numbers(status: &[u8]) -> Option<Vec<u32>> {
    let mut lines = status.split(|byte| *byte == b'\n');
    let line = lines.find_map(|line| line.strip_prefix(b"NSpid:"))?;
    let numbers = std::str::from_utf8(line).ok()?.split_ascii_whitespace();
    numbers.map(|number| number.parse().ok()).collect()
}

fn mounts(path: &Path, mut each: impl FnMut(Mount)) -> Result<(), Error> {
    let mut buffer = vec![0; BUFFER];
    let take = |line: &[u8]| mountinfo::mount(line).into_iter().for_each(&mut each);
    read::lines(path, MOUNTS, &mut buffer, take).map_err(|error| Error::io(path, &error))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_process_shows_itself() {
        let (proc, own) = (ProcFs::default(), std::process::id());
        assert!(proc.pids().unwrap().any(|pid| pid == own));
        assert_eq!(proc.instance(own), proc.instance(own));
        assert!(proc.instance(own).is_some() && proc.network(own).is_some());
        assert!(proc.stat(own).unwrap().started > 0);
        assert_eq!(proc.stat(own).unwrap().parent, std::os::unix::process::parent_id());
        assert_eq!(proc.numbers(own).unwrap().first(), Some(&own));
        assert!(proc.containers(own).is_ok() && proc.tcp_counters(own).is_ok());
        let [mut seen, mut own_seen] = [vec![], vec![]];
        proc.mounts(own, |mount| seen.push(mount)).unwrap();
        proc.own_mounts(|mount| own_seen.push(mount)).unwrap();
        assert!(seen == own_seen && !seen.is_empty());
        proc.connections(own, |_| ()).unwrap();
    }

    #[test]
    fn a_process_has_a_number_in_each_namespace() {
        let table: [(&[u8], Option<Vec<u32>>); 5] = [
            (b"Name:\tcart\nNSpid:\t4711\t1\nNSsid:\t2\t3\n", Some(vec![4_711, 1])),
            (b"NSpid:\t7\n", Some(vec![7])),
            (b"Name:\tNSpid:\t1\n", None),
            (b"NSpid:\t-1\n", None),
            (b"", None),
        ];
        for (status, expected) in table {
            assert_eq!(numbers(status), expected, "{}", status.escape_ascii());
        }
    }

    #[test]
    fn a_connection_of_this_process_is_seen() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let client = std::net::TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let (local, remote) = (client.local_addr().unwrap(), client.peer_addr().unwrap());
        let mut seen = false;
        let is_it = |found: &Connection| (found.local, found.remote) == (local, remote);
        ProcFs::default().connections(std::process::id(), |found| seen |= is_it(&found)).unwrap();
        assert!(seen);
    }

    #[test]
    fn a_process_that_has_ended_is_an_error_and_not_denied() {
        let proc = ProcFs::at(Path::new("/nonexistent"));
        assert!(proc.pids().is_err() && proc.instance(1).is_none() && proc.network(1).is_none());
        let error = proc.stat(1).unwrap_err();
        assert!(!error.is_denied());
        assert!(error.to_string().starts_with("cannot read /nonexistent/1/stat: "), "{error}");
    }

    #[test]
    fn a_list_of_connections_is_whole_or_an_error() {
        let root = tempfile::tempdir().unwrap();
        let [tcp, tcp6] = ["7/net/tcp", "7/net/tcp6"].map(|name| root.path().join(name));
        std::fs::create_dir_all(tcp.parent().unwrap()).unwrap();
        let proc = ProcFs::at(root.path());
        assert!(proc.connections(7, |_| ()).is_err(), "the process has ended");
        std::fs::write(&tcp, "").unwrap();
        assert!(proc.connections(7, |_| ()).is_ok(), "a kernel without IPv6");
        std::os::unix::fs::symlink("/dev/zero", &tcp6).unwrap();
        assert!(proc.connections(7, |_| ()).unwrap_err().to_string().contains("more than"));
        std::fs::remove_file(&tcp6).unwrap();
        std::fs::create_dir(&tcp6).unwrap();
        assert!(proc.connections(7, |_| ()).is_err(), "no list");
    }

    #[test]
    fn a_file_without_end_is_refused() {
        let root = tempfile::tempdir().unwrap();
        std::fs::create_dir(root.path().join("7")).unwrap();
        std::os::unix::fs::symlink("/dev/zero", root.path().join("7/cgroup")).unwrap();
        std::os::unix::fs::symlink("/dev/zero", root.path().join("7/mountinfo")).unwrap();
        let proc = ProcFs::at(root.path());
        assert!(proc.containers(7).unwrap_err().to_string().contains("more than"));
        assert!(proc.mounts(7, |_| ()).unwrap_err().to_string().contains("more than"));
    }
}
