//! Which time servers `clock` asks, and what it makes of their answers.

use std::net::UdpSocket;
use std::path::Path;

use serde_json::{Value, json};
use tokenwatch_core::base::time::Delta;
use tokenwatch_lab::time_server::TimeServer;

use super::node::{Node, payload, token};
use super::run;

/// A host with these files, in no cloud.
fn host(files: &[(&str, &str)]) -> Node {
    let host = Node::new();
    for (path, text) in files.iter().chain(&[("sys/class/dmi/id/sys_vendor", "QEMU\n")]) {
        let folder = Path::new(path).parent().unwrap();
        std::fs::create_dir_all(host.root().join(folder)).unwrap();
        host.file(path, text);
    }
    host
}

/// What `clock` prints as JSON on that host, and logs.
fn clock_of(host: &Node) -> (Value, String) {
    let root = host.root().to_str().unwrap();
    let place = ["clock", "--host-prefix", root, "--clock-discover", "true"];
    let (_, out, err) =
        run(&[&place[..], &["--clock-timeout", "200ms", "--output", "json"]].concat());
    (serde_json::from_str(&out).unwrap_or_else(|_| panic!("{out}{err}")), err)
}

#[test]
fn a_public_pool_of_the_host_is_not_used() {
    let host = host(&[("etc/chrony.conf", "pool nobody.pool.ntp.org iburst\n")]);
    let (seen, err) = clock_of(&host);
    assert_eq!(seen["servers"], json!([]));
    assert!(
        err.contains("not using a public NTP pool") && err.contains("server=nobody.pool.ntp.org"),
        "{err}"
    );
}

#[test]
fn links_of_the_host_lead_to_its_servers() {
    let port = UdpSocket::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let host = host(&[
        ("etc/chrony.conf", "sourcedir /run/chrony.d\n"),
        ("usr/share/vendor/a.sources", &format!("server 127.0.0.1 port {port} nts\n")),
        ("run/chrony.d/other.sources", "pool 2.vendor.pool.ntp.org\n"),
    ]);
    let link = host.root().join("run/chrony.d/a.sources");
    std::os::unix::fs::symlink("/usr/share/vendor/a.sources", link).unwrap();
    let (seen, err) = clock_of(&host);
    let servers = seen["servers"].as_array().unwrap();
    assert_eq!(servers.len(), 1, "{seen}");
    assert_eq!(servers[0]["port"], port);
    assert_eq!(servers[0]["host_uses_nts"], true, "the host authenticates it, the agent does not");
    assert!(err.contains("without NTS") && err.contains("/run/chrony.d/a.sources"), "{err}");
}

#[test]
fn the_clock_without_servers_comes_from_the_kernel() {
    let (status, out, err) = run(&["clock", "--output", "json"]);
    assert!(matches!(status, Some(0 | 2)), "{err}");
    let seen: Value = serde_json::from_str(&out).unwrap();
    assert_eq!(seen["servers"], json!([]));
    assert_eq!(seen["servers_configured"], false);
    let (_, out, _) = run(&["clock"]);
    assert!(out.contains("no time server is configured"), "{out}");
}

/// A server that answers every request with this leap indicator and stratum, and this reference.
fn server(leap: u8, stratum: u8, reference: [u8; 4]) -> String {
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    let name = socket.local_addr().unwrap().to_string();
    std::thread::spawn(move || {
        let mut request = [0; 128];
        while let Ok((_, client)) = socket.recv_from(&mut request) {
            let mut answer = [0; 48];
            (answer[0], answer[1]) = (leap << 6 | 4 << 3 | 4, stratum);
            answer[12..16].copy_from_slice(&reference);
            answer[24..32].copy_from_slice(&request[40..48]);
            (answer[32], answer[40]) = (0xee, 0xee);
            let _ = socket.send_to(&answer, client);
        }
    });
    name
}

#[test]
fn an_answer_without_time_is_no_closed_port() {
    let table = [
        (server(0, 16, [127, 0, 0, 1]), "time source of"),
        (server(3, 2, [127, 0, 0, 1]), "time source of"),
        (server(3, 0, *b"INIT"), "time source of"),
        (server(3, 0, *b"RATE"), "less often"),
        (server(3, 0, *b"DENY"), "Ask the operator"),
        (server(3, 0, *b"NTSN"), "without authentication"),
    ];
    for (name, advice) in table {
        let (status, out, err) = run(&["clock", "--server", &name, "--clock-timeout", "1s"]);
        assert_eq!(status, Some(2), "{out}{err}");
        let text = out.split_whitespace().collect::<Vec<_>>().join(" ");
        assert!(text.contains(advice) && text.contains(&name), "{advice}: {text}");
        assert!(!text.contains("UDP"), "{text}");
    }
    let silent = UdpSocket::bind("127.0.0.1:0").unwrap();
    let address = silent.local_addr().unwrap();
    let (_, out, _) = run(&["clock", "--server", &address.to_string(), "--clock-timeout", "50ms"]);
    let text = out.split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(text.contains(&format!("Open UDP port {}", address.port())), "{text}");
}

/// A server that is ahead by so many seconds, and one that never answers.
fn ahead(secs: i64) -> TimeServer {
    let at = std::net::SocketAddr::from(([127, 0, 0, 1], 0));
    let by = Delta::from_secs(secs);
    TimeServer::start(at, move || tokenwatch::clocks::now().wall + by).unwrap()
}

fn silent() -> TimeServer {
    let server = ahead(0);
    server.set_silent(true);
    server
}

/// What `check` reports about a token that has expired and one that kubelet does not replace, and
/// about the clock.
fn checked(node: &Node, servers: &[TimeServer]) -> (Value, Vec<(String, String)>) {
    let root = node.root().to_str().unwrap();
    let mut arguments = vec!["check", "--root", root, "--output", "json"];
    let addresses: Vec<String> = servers.iter().map(|it| it.address().to_string()).collect();
    for address in &addresses {
        arguments.extend(["--clock-server", address]);
    }
    arguments.extend(["--clock-timeout", "300ms"]);
    let (status, out, err) = run(&arguments);
    assert_eq!(status, Some(1), "{out}{err}");
    let report: Value = serde_json::from_str(&out).unwrap();
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let of = |finding: &Value| (text(&finding["code"]), text(&finding["severity"]));
    let mut found: Vec<_> = report["findings"].as_array().unwrap().iter().map(of).collect();
    found.retain(|(code, _)| code != "clock.unsynchronized");
    found.sort();
    (report, found)
}

#[test]
fn servers_that_prove_nothing_take_no_finding_about_a_token_away() {
    const OFF: i64 = 7_200;
    let node = Node::new();
    node.pod("expired", &token(&payload("expired", 3_700, 3_600)));
    node.pod("stalled", &token(&payload("stalled", 3_500, 3_600)));
    let tokens = [("token.expired", "critical"), ("token.rotation_stalled", "critical")];
    // (the servers, the finding about the clock, the state)
    let table: [(Vec<TimeServer>, (&str, &str), &str); 5] = [
        (vec![ahead(OFF), silent(), silent()], ("clock.unknown", "warning"), "unknown"),
        (vec![ahead(-OFF), silent(), silent()], ("clock.unknown", "warning"), "unknown"),
        (vec![ahead(OFF), ahead(0)], ("clock.servers_disagree", "warning"), "disagreeing"),
        (vec![ahead(OFF)], ("clock.offset", "warning"), "off"),
        (vec![ahead(-OFF)], ("clock.offset", "warning"), "off"),
    ];
    for (servers, clock, state) in table {
        let (report, found) = checked(&node, &servers);
        let expected: Vec<_> = std::iter::once(clock)
            .chain(tokens)
            .map(|(code, severity)| (code.to_owned(), severity.to_owned()))
            .collect();
        assert_eq!(found, expected, "{state}: {report:#}");
        assert_eq!(report["clock"]["state"], state, "{report:#}");
        if state == "unknown" {
            let text = report["findings"].to_string();
            assert!(text.contains("only 1 of 3 time servers gave a usable answer"), "{text}");
            assert!(text.contains("no answer in time"), "{text}");
        }
    }
    // Two of three prove that the node is two hours behind: it is the clock.
    let (report, found) = checked(&node, &[ahead(-OFF), ahead(-OFF), silent()]);
    assert_eq!(found, [("clock.offset".to_owned(), "critical".to_owned())], "{report:#}");
}
