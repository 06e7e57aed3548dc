//! The test bed from Rust: real clusters, collectors and time servers, started by the same scripts
//! that people use.

use std::cell::Cell;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

use crate::ports::has_unread;
pub use crate::ports::{free_tcp_port, free_udp_port};
use crate::process::{Process, run, text};
use crate::recording::Recording;
use crate::run_folder;
use crate::telemetry::Telemetry;
use crate::wait::{secs, until};

/// The image that `tests/cluster/up` imports into every cluster.
pub const IMAGE: &str = "tokenwatch.test/busybox:1";

pub fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..").canonicalize().unwrap()
}

/// A script of the test bed. Clusters live in this run's folder.
pub fn script(name: &str) -> Command {
    let mut command = Command::new(repository().join("tests/cluster").join(name));
    command.env("BED_STATE", run_folder::clusters());
    command
}

/// A folder for one scenario's logs. It is kept, so that a failure can be examined.
pub fn workdir(scenario: &str) -> PathBuf {
    let directory = run_folder::path().join(scenario);
    std::fs::create_dir_all(&directory).unwrap();
    directory
}

/// A real cluster, removed when dropped.
pub struct Cluster {
    name: &'static str,
    env: BTreeMap<String, String>,
}

impl Cluster {
    pub fn up(name: &'static str) -> Self {
        Self::up_with(name, &[])
    }

    /// With further options of `tests/cluster/up`.
    pub fn up_with(name: &'static str, options: &[&str]) -> Self {
        println!("[{name}] starting a cluster");
        // Before `up`, so that the rest of a cluster that does not start is removed too.
        let mut cluster = Self { name, env: BTreeMap::new() };
        run(script("up").args(["--name", name, "--sync-frequency", "10s"]).args(options));
        cluster.env = variables(&run_folder::clusters().join(name).join("env"));
        cluster
    }

    pub fn name(&self) -> &str {
        self.name
    }

    pub fn get(&self, key: &str) -> &str {
        self.env.get(key).unwrap_or_else(|| {
            panic!("tests/cluster/up left no {key} in its env file: {:?}", self.env.keys())
        })
    }

    pub fn kubelet_root(&self) -> PathBuf {
        PathBuf::from(self.get("KUBELET_ROOT"))
    }

    pub fn kubectl(&self, arguments: &[&str]) -> String {
        let mut command = Command::new(self.get("KUBE"));
        text(&run(self.reached_by(command.arg("kubectl").args(arguments))).stdout)
    }

    /// Lets kubectl and helm reach this cluster. They keep what they know of it in its own folder:
    /// another cluster may have had its address.
    pub fn reached_by<'a>(&self, command: &'a mut Command) -> &'a mut Command {
        let variables = ["KUBECONFIG", "KUBECACHEDIR"];
        command.envs(variables.map(|variable| (variable, self.get(variable))))
    }

    /// `run` for this cluster's node, with a time server at this port.
    pub fn agent(&self, time: u16) -> Command {
        let mut command = tokenwatch();
        command.args(["run", "--node", self.get("NODE_NAME"), "--root"]).arg(self.kubelet_root());
        command.arg("--clock-server").arg(format!("127.0.0.1:{time}"));
        command
    }

    /// The link address of the bridge, by which pods reach the node.
    pub fn link_address(&self) -> String {
        std::fs::read_to_string(format!("/sys/class/net/{}/address", self.get("LINK"))).unwrap()
    }

    /// Stops, starts or restarts a component of the cluster.
    pub fn component(&self, component: &str, options: &[&str]) {
        run(script("restart").args(["--name", self.name]).args(options).arg(component));
    }

    /// Applies YAML given as text.
    pub fn apply(&self, yaml: &str) {
        let file = workdir(self.name).join("apply.yaml");
        std::fs::write(&file, yaml).unwrap();
        self.kubectl(&["apply", "-f", file.to_str().unwrap()]);
    }

    pub fn pod_uid(&self, pod: &str) -> String {
        self.kubectl(&["get", "pod", pod, "-o", "jsonpath={.metadata.uid}"])
    }

    pub fn wait_running(&self, pod: &str) {
        until(&format!("pod {pod} to run"), secs(120), || {
            (self.kubectl(&[
                "get",
                "pod",
                pod,
                "--ignore-not-found",
                "-o",
                "jsonpath={.status.phase}",
            ]) == "Running")
                .then_some(())
        });
    }

    /// Moves the clock of one component, in seconds.
    pub fn shift_clock(&self, component: &str, seconds: i64) {
        std::fs::write(
            Path::new(self.get("STATE")).join("clock").join(component),
            seconds.to_string(),
        )
        .unwrap();
    }

    /// Cuts the connection between kubelet and its API server (`cut`), or restores it (`open`).
    pub fn gate(&self, state: &str) {
        std::fs::write(Path::new(self.get("STATE")).join("gate"), state).unwrap();
    }
}

/// The variables in a file that a shell can source.
fn variables(file: &Path) -> BTreeMap<String, String> {
    let lines =
        std::fs::read_to_string(file).unwrap_or_else(|error| panic!("{}: {error}", file.display()));
    let pairs = lines.lines().filter_map(|line| line.split_once('='));
    pairs.map(|(key, value)| (key.to_owned(), value.trim_matches(['"', '\'']).to_owned())).collect()
}

impl Drop for Cluster {
    fn drop(&mut self) {
        let _ = script("down").args(["--name", self.name]).status();
    }
}

/// A real OpenTelemetry Collector with its file exporter.
pub struct Collector {
    pub directory: PathBuf,
    pub grpc: u16,
    pub http: u16,
    address: String,
    starts: Cell<u32>,
}

impl Collector {
    /// On free ports of loopback; not started yet.
    pub fn planned(directory: &Path) -> Self {
        Self::at(directory, "127.0.0.1", free_tcp_port(), free_tcp_port())
    }

    /// On an address that pods can reach too; not started yet.
    pub fn at(directory: &Path, address: &str, grpc: u16, http: u16) -> Self {
        Self {
            directory: directory.to_owned(),
            grpc,
            http,
            address: address.to_owned(),
            starts: Cell::new(0),
        }
    }

    /// Each start gets a folder of its own, because the file exporter truncates its file.
    pub fn start(&self) -> Process {
        let directory = self
            .directory
            .join(format!("collector-{}", self.starts.replace(self.starts.get() + 1)));
        std::fs::create_dir_all(&directory).unwrap();
        let mut command = script("collector");
        command.arg("--dir").arg(&directory);
        command.args([
            "--grpc",
            &format!("{}:{}", self.address, self.grpc),
            "--http",
            &format!("{}:{}", self.address, self.http),
        ]);
        let process = Process::start(&mut command, &directory.join("log"));
        until("the collector to listen", secs(60), || {
            std::net::TcpStream::connect((self.address.as_str(), self.grpc)).ok()
        });
        process
    }

    pub fn telemetry(&self) -> Telemetry {
        Telemetry::at(&self.directory)
    }

    /// Has the agent that `command` starts send to it. `protocol` is OTLP's: grpc or http/protobuf.
    pub fn receives(&self, command: &mut Command, protocol: &str) {
        let port = if protocol == "grpc" { self.grpc } else { self.http };
        let endpoint = format!("http://{}:{port}", self.address);
        let variables = [
            ("OTEL_EXPORTER_OTLP_ENDPOINT", &*endpoint),
            ("OTEL_EXPORTER_OTLP_PROTOCOL", protocol),
        ];
        command.envs(variables);
    }

    /// Waits until it was sent something that it has not read, because it is stopped.
    pub fn wait_unread(&self) {
        until("the stopped collector to be sent something", secs(60), || {
            has_unread(self.grpc).then_some(())
        });
    }
}

/// A real chronyd that serves the right time, or a time that is wrong by a known amount, on
/// loopback or on an address that a cluster's pods can reach.
pub fn ntp_server(
    directory: &Path,
    port: u16,
    shift: Option<&str>,
    address: Option<&str>,
) -> Process {
    let mut command = script("ntp");
    let directory = directory.join(format!("ntp-{port}"));
    std::fs::create_dir_all(&directory).unwrap();
    command.args(["--port", &port.to_string()]).arg("--dir").arg(&directory);
    if let Some(shift) = shift {
        command.args(["--shift", shift]);
    }
    if let Some(address) = address {
        command.args(["--address", address]);
    }
    Process::start(&mut command, &directory.join("log"))
}

/// The binary under test: the image's, if `tests/all` sets `TEST_BINARY`, else the one that
/// cargo built for this test.
pub fn tokenwatch() -> Command {
    let binary =
        std::env::var_os("TEST_BINARY").unwrap_or_else(|| env!("CARGO_BIN_EXE_tokenwatch").into());
    bare(Command::new(binary))
}

/// The binary that cargo built. The image's is static, so `LD_PRELOAD` has no effect on it.
pub fn preloadable() -> Command {
    bare(Command::new(env!("CARGO_BIN_EXE_tokenwatch")))
}

/// The same command through a program that starts it, such as unshare(1).
pub fn through(launcher: &[&str], command: &Command) -> Command {
    let mut launched = bare(Command::new(launcher[0]));
    launched.args(&launcher[1..]).arg(command.get_program()).args(command.get_args());
    launched
}

fn bare(mut command: Command) -> Command {
    command.env_clear().env("PATH", std::env::var("PATH").unwrap_or_default());
    command.env("TOKENWATCH_HTTP_ENABLED", "false"); // several agents run on this machine at once
    command
}

/// Runs the binary and returns its exit status and its standard output as JSON.
pub fn json(command: &mut Command) -> (i32, Value) {
    let output = command.output().unwrap();
    let printed = text(&output.stdout);
    let value = serde_json::from_str(&printed).unwrap_or_else(|error| {
        panic!("{command:?} printed no JSON ({error}): {printed}{}", text(&output.stderr))
    });
    (output.status.code().unwrap_or(-1), value)
}

/// A cluster, a correct time server, a collector, and the agent.
pub struct Scene {
    pub cluster: Cluster,
    pub collector: Collector,
    pub agent: Process,
    /// Of the agent.
    pub recording: Recording,
    /// Port of the time server.
    pub time: u16,
    _others: [Process; 2],
}

impl Scene {
    /// Starts them. `protocol` is OTLP's: grpc or http/protobuf.
    pub fn start(name: &'static str, protocol: &str) -> Self {
        let directory = workdir(name);
        let cluster = Cluster::up(name);
        let time = free_udp_port();
        let collector = Collector::planned(&directory);
        let others = [ntp_server(&directory, time, None, None), collector.start()];
        let mut command = cluster.agent(time);
        collector.receives(&mut command, protocol);
        let recording = Recording::of(&mut command, &directory);
        let agent = Process::start(&mut command, &directory.join("agent.log"));
        Self { cluster, collector, agent, recording, time, _others: others }
    }
}
