//! Time servers by name: one name with several addresses, from the host's own resolver. The agent
//! has its own /etc/hosts, in a mount namespace, and no DNS.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)] // a failed test panics
#![allow(clippy::disallowed_methods)] // a test starts programs, measures time and makes folders

use std::io::{BufRead, BufReader, Read};
use std::net::IpAddr;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::{Duration, Instant};

use serde_json::Value;
use tokenwatch::clocks;
use tokenwatch_core::base::time::Delta;
use tokenwatch_lab::Error;
use tokenwatch_lab::time_server::TimeServer;

/// Far longer than anything here takes.
const PATIENCE: Duration = Duration::from_mins(1);

/// Servers on one port of several addresses of this machine, each ahead by so many seconds.
fn servers(plan: &[(&str, i64)]) -> Vec<TimeServer> {
    let (first, rest) = plan.split_first().unwrap();
    for _ in 0..20 {
        let first = server(first, 0).unwrap();
        let rest: Result<Vec<_>, Error> =
            rest.iter().map(|one| server(one, first.address().port())).collect();
        if let Ok(rest) = rest {
            return std::iter::once(first).chain(rest).collect();
        }
    }
    panic!("no port is free on all of {plan:?}");
}

fn server((ip, ahead): &(&str, i64), port: u16) -> Result<TimeServer, Error> {
    let (ip, ahead): (IpAddr, _) = (ip.parse().unwrap(), Delta::from_secs(*ahead));
    TimeServer::start((ip, port), move || clocks::now().wall + ahead)
}

/// Whether this process may mount. Prints that the test is skipped where it may not; fails in CI.
fn may_mount() -> bool {
    let may = Command::new("unshare")
        .args(["--mount", "true"])
        .stderr(Stdio::null())
        .status()
        .is_ok_and(|status| status.success());
    assert!(
        may || std::env::var_os("CI").is_none(),
        "names of time servers need root, to give the agent an /etc/hosts of its own"
    );
    if !may {
        eprintln!(
            "SKIPPED: names of time servers were not tested: that needs root, to give the agent \
             an /etc/hosts of its own"
        );
    }
    may
}

/// The names that the agent can resolve.
struct Hosts(tempfile::TempDir);

impl Hosts {
    fn new(hosts: &str) -> Self {
        let this = Self(tempfile::tempdir().unwrap());
        std::fs::write(this.0.path().join("nsswitch.conf"), "hosts: files\n").unwrap();
        std::fs::create_dir_all(this.0.path().join("kubelet/pods")).unwrap();
        this.set(hosts);
        this
    }

    /// Writes in place, because the file itself is mounted, not its name.
    fn set(&self, hosts: &str) {
        std::fs::write(self.0.path().join("hosts"), hosts).unwrap();
    }

    fn path(&self, name: &str) -> String {
        Path::join(self.0.path(), name).display().to_string()
    }

    fn tokenwatch(&self) -> Command {
        let mount = r#"mount --bind "$1/hosts" /etc/hosts &&
            mount --bind "$1/nsswitch.conf" /etc/nsswitch.conf && shift && exec "$@""#;
        let mut command = Command::new("unshare");
        // No settings but those given here.
        command.env_clear().env("PATH", std::env::var_os("PATH").unwrap_or_default());
        command.env("TOKENWATCH_HTTP_ENABLED", "false"); // agents run beside one another
        command.args([
            "--mount",
            "--propagation",
            "private",
            "sh",
            "-ec",
            mount,
            "sh",
            &self.path(""),
            env!("CARGO_BIN_EXE_tokenwatch"),
        ]);
        command
    }
}

#[test]
fn each_address_of_a_name_is_a_server_and_the_wrong_one_is_named_by_its_address() {
    if !may_mount() {
        return;
    }
    let running = servers(&[("127.0.0.1", 0), ("127.0.0.2", 37), ("::1", 0)]);
    let hosts = Hosts::new("127.0.0.1 tick.test\n127.0.0.2 tick.test\n::1 tick.test\n");
    let name = format!("tick.test:{}", running[0].address().port());
    let output =
        hosts.tokenwatch().args(["clock", "--output", "json", "--server", &name]).output().unwrap();
    let report: Value =
        serde_json::from_slice(&output.stdout).unwrap_or_else(|_| panic!("{output:?}"));
    let mut votes: Vec<_> = report["servers"]
        .as_array()
        .unwrap()
        .iter()
        .map(|server| (server["address"].as_str().unwrap(), server["vote"].as_str().unwrap()))
        .collect();
    votes.sort_unstable();
    assert_eq!(
        votes,
        [("127.0.0.1", "agrees"), ("127.0.0.2", "falseticker"), ("::1", "agrees")],
        "{report:#}"
    );
    let finding = report["findings"]
        .as_array()
        .unwrap()
        .iter()
        .find(|finding| finding["code"] == "clock.servers_disagree")
        .unwrap();
    assert_eq!(finding["server"], format!("{name} (127.0.0.2)"), "{report:#}");
    assert_eq!(output.status.code(), Some(0), "the others agree");
}

/// What `clock` measures with these servers, and its status.
fn measured(hosts: &Hosts, flags: &[String]) -> (Value, Option<i32>) {
    let mut command = hosts.tokenwatch();
    command.args(["clock", "--output", "json", "--clock-timeout", "300ms"]).args(flags);
    let output = command.output().unwrap();
    let report = serde_json::from_slice(&output.stdout);
    (report.unwrap_or_else(|_| panic!("{output:?}")), output.status.code())
}

const LIE: i64 = 7_200;

#[test]
fn a_name_has_one_vote_however_many_addresses_it_has_and_a_pool_has_more() {
    if !may_mount() {
        return;
    }
    let running = servers(&[
        ("127.0.0.1", 0),
        ("127.0.0.2", 0),
        ("127.0.0.3", LIE),
        ("127.0.0.4", LIE),
        ("127.0.0.5", LIE),
        ("127.0.0.6", LIE),
        ("::1", LIE),
    ]);
    let hosts = Hosts::new(
        "127.0.0.1 a.test same.test\n127.0.0.2 b.test\n127.0.0.3 four.test\n127.0.0.4 \
         four.test\n127.0.0.5 four.test\n127.0.0.6 four.test\n127.0.0.3 dual.test\n::1 \
         dual.test\n127.0.0.1 taker.test\n127.0.0.3 taker.test\n127.0.0.4 taker.test\n",
    );
    let port = running[0].address().port();
    let flag = |kind: &str, name: &str| [format!("--{kind}"), format!("{name}.test:{port}")];
    // (servers, pools, the state, the names that vote)
    let table: [(&[&str], &[&str], &str, i64); 9] = [
        (&["a", "same"], &[], "synchronised", 1), // one machine
        (&["a", "A", "b"], &[], "synchronised", 2),
        (&["taker", "a"], &[], "disagreeing", 2), // it has the address of a too
        (&["four", "a", "b"], &[], "synchronised", 3),
        (&["dual", "a", "b"], &[], "synchronised", 3),
        (&["dual", "a"], &[], "disagreeing", 2),
        (&["four", "a"], &[], "disagreeing", 2),
        (&["a", "b"], &["four"], "off", 6),
        (&["a"], &["four"], "off", 5),
    ];
    for (names, pools, state, voters) in table {
        let named = names.iter().flat_map(|name| flag("server", name));
        let flags: Vec<_> = named.chain(pools.iter().flat_map(|name| flag("pool", name))).collect();
        let (report, _) = measured(&hosts, &flags);
        assert_eq!(report["state"], state, "{flags:?}: {report:#}");
        assert_eq!(report["voters"], voters, "{flags:?}: {report:#}");
    }
}

#[test]
fn a_name_keeps_its_addresses_while_it_does_not_resolve_and_gets_new_ones_when_it_does() {
    if !may_mount() {
        return;
    }
    // The one name that may be polled every second.
    let running = servers(&[("127.0.0.1", 0), ("127.0.0.2", 100)]);
    let hosts = Hosts::new("127.0.0.1 localhost\n");
    let name = format!("localhost:{}", running[0].address().port());
    let mut command = hosts.tokenwatch();
    command.args([
        "run",
        "--node",
        "n",
        "--root",
        &hosts.path("kubelet"),
        "--clock-interval",
        "1s",
        "--clock-timeout",
        "200ms",
    ]);
    let agent = Agent::start(command.args(["--clock-server", &name]));
    agent.wait("clock    synchronised");

    hosts.set("");
    running[0].set_silent(true);
    let line = agent.wait("source is degraded source=ntp");
    assert!(line.contains("no answer in time"), "its address was dropped: {line}");
    running[0].set_silent(false);
    agent.wait("source works source=ntp");

    running[0].set_silent(true);
    agent.wait("source is degraded source=ntp");
    hosts.set("127.0.0.2 localhost\n");
    let line = agent.wait("contradict each other");
    assert!(line.contains("(127.0.0.2)"), "{line}");
}

/// A running agent, and what it prints.
struct Agent {
    child: Child,
    lines: Receiver<String>,
}

impl Agent {
    fn start(command: &mut Command) -> Self {
        let mut child = command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let (sender, lines) = channel();
        forward(child.stdout.take().unwrap(), sender.clone());
        forward(child.stderr.take().unwrap(), sender);
        Self { child, lines }
    }

    /// The next line with `words`.
    fn wait(&self, words: &str) -> String {
        let (end, mut seen) = (Instant::now() + PATIENCE, Vec::new());
        while let Ok(line) = self.lines.recv_timeout(end.saturating_duration_since(Instant::now()))
        {
            if line.contains(words) {
                return line;
            }
            seen.push(line);
        }
        panic!("no \"{words}\" in {seen:#?}");
    }
}

fn forward(out: impl Read + Send + 'static, sender: Sender<String>) {
    std::thread::spawn(move || {
        BufReader::new(out).lines().map_while(Result::ok).try_for_each(|line| sender.send(line))
    });
}

impl Drop for Agent {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
