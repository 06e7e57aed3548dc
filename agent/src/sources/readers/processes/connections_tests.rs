use std::fmt::Write as _;
use std::path::PathBuf;

use super::*;

const SERVER: &str = "10.96.0.1:443";

/// A proc file system with the processes 1, of the node, and 7, of a pod.
struct Node {
    proc: tempfile::TempDir,
    connections: Connections,
    at: i64,
}

/// A socket: local port, remote end, state.
type Socket<'a> = (u16, &'a str, u8);

impl Node {
    fn new() -> Self {
        let server: SocketAddr = SERVER.parse().unwrap();
        let verifier = Verifier { ip: server.ip(), port: Some(server.port()) };
        let node = Self {
            proc: tempfile::tempdir().unwrap(),
            connections: Connections::new(vec![verifier]),
            at: 0,
        };
        for pid in ["1", "7"] {
            std::fs::create_dir_all(node.path(pid)).unwrap();
        }
        std::fs::write(node.path("1").join("tcp"), "").unwrap();
        node.sockets(0, &[]);
        node
    }

    fn path(&self, pid: &str) -> PathBuf {
        self.proc.path().join(pid).join("net")
    }

    /// The sockets of the pod, which has opened so many connections.
    fn sockets(&self, opened: u64, sockets: &[Socket<'_>]) {
        let mut text = "  sl  local_address rem_address   st\n".to_owned();
        for (port, remote, state) in sockets {
            let remote: SocketAddr = remote.parse().unwrap();
            let IpAddr::V4(ip) = remote.ip() else { panic!("IPv4") };
            let word = |octets: [u8; 4]| u32::from_ne_bytes(octets);
            let (local, remote, to) = (word([10, 0, 0, 7]), word(ip.octets()), remote.port());
            writeln!(text, " 0: {local:08X}:{port:04X} {remote:08X}:{to:04X} {state:02X} x")
                .unwrap();
        }
        let is_counted = |(_, _, state): &&Socket<'_>| matches!(state, 1 | 8);
        let established = sockets.iter().filter(is_counted).count();
        let counters =
            format!("Tcp: ActiveOpens PassiveOpens CurrEstab\nTcp: {opened} 0 {established}\n");
        std::fs::write(self.path("7").join("tcp"), text).unwrap();
        std::fs::write(self.path("7").join("snmp"), counters).unwrap();
    }

    /// The pod has sent so many segments, and received so many bytes.
    fn traffic(&self, sent: u64, received: u64) {
        let text = format!(
            "TcpExt: A TCPOrigDataSent\nTcpExt: 0 {sent}\nIpExt: InOctets\nIpExt: {received}\n"
        );
        std::fs::write(self.path("7").join("netstat"), text).unwrap();
    }

    /// Whether a look 30 s later finds requests.
    fn finds_requests(&mut self) -> Option<bool> {
        self.at += 30;
        let pods = [Looked { uid: "u", pid: 7, written: vec![Some((0, 0))] }];
        let now = Monotonic::from_nanos(self.at * 1_000_000_000);
        let found = self.connections.look(&ProcFs::at(self.proc.path()), &pods, now);
        found.get("u").map(|found| found.requests)
    }

    /// A look after so many seconds; `written` is that of the pod's volume.
    fn look_at(&mut self, seconds: i64, written: i64) -> Option<(u32, bool)> {
        self.at += seconds;
        let written = vec![Some((written, 0))];
        let pods = [Looked { uid: "u", pid: 7, written }];
        let proc = ProcFs::at(self.proc.path());
        let now = Monotonic::from_nanos(self.at * 1_000_000_000);
        let found = self.connections.look(&proc, &pods, now);
        found.get("u").map(|found| (found.established, found.opened.is_some()))
    }

    fn look(&mut self) -> Option<(u32, bool)> {
        self.look_at(15, 0)
    }
}

use std::net::IpAddr;

#[test]
fn a_connection_that_was_opened_since_the_last_look_is_new_once() {
    let mut node = Node::new();
    node.sockets(1, &[(4_000, SERVER, 1)]);
    assert_eq!(node.look(), Some((1, false)), "nobody knows since when");
    assert_eq!(node.look(), Some((1, false)));
    node.sockets(2, &[(4_000, SERVER, 1), (4_001, SERVER, 6)]);
    assert_eq!(node.look(), Some((1, true)), "a short one, by TIME_WAIT");
    assert_eq!(node.look(), Some((1, false)));
    node.sockets(2, &[(4_000, SERVER, 6)]);
    assert_eq!(node.look_at(300, 0), Some((0, false)), "it was closed");
}

#[test]
fn a_connection_that_the_server_has_closed_does_not_last() {
    let mut node = Node::new();
    node.sockets(1, &[(4_000, SERVER, 1)]);
    assert_eq!(node.look(), Some((1, false)));
    node.sockets(1, &[(4_000, SERVER, 8)]);
    assert_eq!(node.look_at(60, 0), Some((1, false)), "no counter changes");
    assert_eq!(node.look_at(240, 0), Some((0, false)), "the list is old");
    node.sockets(2, &[(4_000, SERVER, 8), (4_001, SERVER, 8)]);
    assert_eq!(node.look(), Some((0, true)), "it was opened, however it ended");
}

#[test]
fn a_list_that_cannot_be_read_again_is_not_reported_for_ever() {
    let mut node = Node::new();
    node.sockets(1, &[(4_000, SERVER, 1)]);
    assert_eq!(node.look(), Some((1, false)));
    let list = node.path("7").join("tcp");
    std::fs::rename(&list, list.with_extension("kept")).unwrap();
    std::fs::create_dir(&list).unwrap(); // it has an inode, and cannot be read
    assert_eq!(node.look_at(3_000, 0), Some((1, false)));
    assert_eq!(node.look_at(600, 0), None, "nobody knows");
}

#[test]
fn an_old_list_is_read_after_those_that_changed_and_a_very_old_one_first() {
    let at = |seconds: i64| Monotonic::from_nanos(seconds * 1_000_000_000);
    let (now, counters) = (at(10_000), TcpCounters::default());
    let read = |age: i64, established: u32| Pod {
        read: Some((at(10_000 - age), counters)),
        established,
        ..Pod::default()
    };
    let opened = TcpCounters { opened: 1, ..counters };
    let changed = read(30, 1).urgency(opened, now).unwrap();
    assert!(read(400, 1).urgency(counters, now).unwrap() > changed);
    assert!(read(2_000, 1).urgency(counters, now).unwrap() < changed);
    assert_eq!(read(200, 1).urgency(counters, now), None, "it is new enough");
    assert_eq!(read(9_000, 0).urgency(counters, now), None, "it has none that could end");
}

#[test]
fn other_connections_do_not_count() {
    let mut node = Node::new();
    assert_eq!(node.look(), Some((0, false)));
    let others = [
        (4_000, "10.96.0.1:8443", 1),
        (4_001, "10.96.0.2:443", 1),
        (4_002, SERVER, 10),
        (4_003, SERVER, 2),
    ];
    node.sockets(4, &others);
    assert_eq!(node.look(), Some((0, false)));
}

#[test]
fn a_list_is_read_only_if_the_kernel_counts_a_new_connection() {
    let mut node = Node::new();
    node.look();
    node.sockets(0, &[(4_000, SERVER, 6)]);
    assert_eq!(node.look(), Some((0, false)), "not read");
    node.sockets(1, &[(4_000, SERVER, 6)]);
    assert_eq!(node.look(), Some((0, true)));
}

#[test]
fn a_pod_that_uses_its_tokens_rests_until_the_next_rotation() {
    let mut node = Node::new();
    node.look();
    node.sockets(1, &[(4_001, SERVER, 6)]);
    assert_eq!(node.look(), Some((0, true)));
    node.sockets(2, &[(4_002, SERVER, 6)]);
    assert_eq!(node.look(), Some((0, false)), "known by now");
    assert_eq!(node.look_at(15, 1), Some((0, true)), "after a rotation");
    node.sockets(3, &[(4_003, SERVER, 6)]);
    assert_eq!(node.look_at(15, 1), Some((0, true)), "what is new was opened after the rotation");
    node.sockets(4, &[(4_004, SERVER, 6)]);
    assert_eq!(node.look_at(15, 1), Some((0, false)));
    assert_eq!(node.look_at(300, 1), Some((0, true)));
}

#[test]
fn a_pod_with_the_nodes_network_has_no_connections_of_its_own() {
    let mut node = Node::new();
    let (host, pod) = (node.path("1").join("tcp"), node.path("7").join("tcp"));
    std::fs::remove_file(&pod).unwrap();
    std::fs::hard_link(host, pod).unwrap();
    assert_eq!(node.look(), None);
}

#[test]
fn without_a_verifier_or_a_counter_nothing_is_known() {
    let mut node = Node::new();
    std::fs::remove_file(node.path("7").join("snmp")).unwrap();
    assert_eq!(node.look(), None);
    let mut unknown = Node::new();
    unknown.connections = Connections::new(Vec::new());
    unknown.sockets(1, &[(4_000, SERVER, 1)]);
    assert_eq!(unknown.look(), None);
}

#[test]
fn memory_of_a_pod_is_bounded() {
    let mut node = Node::new();
    node.look();
    let many: Vec<Socket<'_>> = (1..5_000).map(|port| (port, SERVER, 6)).collect();
    node.sockets(5_000, &many);
    assert_eq!(node.look(), Some((0, true)));
    assert_eq!(node.connections.pods["u"].ends.len(), MAX_KEPT);
    assert!(
        node.connections.look(&ProcFs::at(node.proc.path()), &[], Monotonic::default()).is_empty()
    );
    assert!(node.connections.pods.is_empty(), "the pod is gone");
}

#[test]
fn the_most_urgent_pods_are_read_first() {
    let counters = TcpCounters { opened: 2, ..TcpCounters::default() };
    let read = |at: i64, is_first: bool, is_proven: bool| {
        let at = Monotonic::from_nanos(at * 1_000_000_000);
        Pod { read: Some((at, TcpCounters::default())), is_first, is_proven, ..Pod::default() }
    };
    let now = Monotonic::from_nanos(1_000 * 1_000_000_000);
    let pods = [
        ("rotated", read(990, true, false)),
        ("new", Pod { is_first: true, ..Pod::default() }),
        ("long ago", read(900, false, false)),
        ("lately", read(985, false, false)),
        ("proven", read(600, false, true)),
        ("resting", read(900, false, true)),
        ("too long", Pod { failed: Some(now), ..Pod::default() }),
        ("too long now", Pod { failed: Some(now), ..read(800, true, false) }),
    ];
    let due = pods.iter().filter(|(_, pod)| !pod.rests(now));
    let mut order: Vec<(Urgency, &str)> =
        due.filter_map(|(name, pod)| Some((pod.urgency(counters, now)?, *name))).collect();
    order.sort_unstable();
    let order: Vec<&str> = order.into_iter().map(|(_, name)| name).collect();
    let expected = ["new", "rotated", "long ago", "lately", "too long", "proven", "too long now"];
    assert_eq!(order, expected);
}

#[test]
fn requests_are_counted_where_all_connections_are_to_verifiers() {
    let other = "10.0.0.9:5432";
    // (what the pod does in 30 s, its sockets, segments that it sends, bytes that it receives,
    //  whether it sends requests)
    let table: [(&str, &[Socket<'_>], u64, u64, bool); 7] = [
        ("polls every 5 s", &[(4_000, SERVER, 1)], 6, 9_000, true),
        ("polls every second", &[(4_000, SERVER, 1)], 30, 60_000, true),
        ("watches, and tests its connection", &[(4_000, SERVER, 1)], 2, 500, false),
        ("watches a busy list", &[(4_000, SERVER, 1)], 60, 300_000, false),
        ("does nothing", &[(4_000, SERVER, 1)], 0, 0, false),
        ("has a database, too", &[(4_000, SERVER, 1), (4_001, other, 1)], 30, 9_000, false),
        ("has only a database", &[(4_001, other, 1)], 30, 9_000, false),
    ];
    for (name, sockets, sent, received, expected) in table {
        let mut node = Node::new();
        node.sockets(1, sockets);
        node.traffic(100, 1_000_000);
        assert_eq!(node.finds_requests(), Some(false), "{name}: nothing to compare with");
        node.traffic(100 + sent, 1_000_000 + received);
        assert_eq!(node.finds_requests(), Some(expected), "{name}");
        assert_eq!(node.finds_requests(), Some(false), "{name}: nothing more");
    }
}

#[test]
fn other_connections_in_between_make_the_counters_worthless() {
    let mut node = Node::new();
    node.sockets(1, &[(4_000, SERVER, 1)]);
    node.traffic(100, 0);
    assert_eq!(node.finds_requests(), Some(false));
    node.traffic(130, 9_000);
    let probed = "Tcp: ActiveOpens PassiveOpens CurrEstab\nTcp: 1 3 1\n"; // kubelet's probes
    std::fs::write(node.path("7").join("snmp"), probed).unwrap();
    assert_eq!(node.finds_requests(), Some(false));
}
