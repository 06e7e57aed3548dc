//! The processes of a pod, as an agent in a container sees them at the level hostPID: confined, in
//! a cgroup namespace of its own, and without a ptrace access to anybody. The containers of the
//! test have mount, network and PID namespaces of their own, and cgroups as a runtime makes them.

#![allow(clippy::expect_used, clippy::unwrap_used, clippy::panic)] // a failed test panics
#![allow(clippy::disallowed_methods)] // a test starts programs, measures time and makes folders

#[allow(dead_code)] // not every test that includes this file uses all of it
#[path = "support/alone.rs"]
mod alone;
#[allow(dead_code)]
#[path = "support/node.rs"]
mod node;
#[allow(dead_code)]
#[path = "support/volumes.rs"]
mod volumes;

use std::fs::{self, File};
use std::io::{BufRead as _, BufReader, Write as _};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::time::{Duration, Instant};

use nix::mount::{MsFlags, mount};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::{Value, json};
use volumes::Node;

/// Tells the test `container` that it is one: its cgroup, its mounts, and its port.
const CGROUP: &str = "TEST_CGROUP";
const MOUNTS: &str = "TEST_MOUNTS";
const PORT: &str = "6443";

/// UID of the pod whose processes are looked at. Another run of this test may take place, and the
/// agent sees the processes of the whole machine.
fn pod_uid() -> String {
    format!("0f3a4b5c-1111-2222-3333-{:012x}", std::process::id())
}

/// UID of the agent's own pod.
fn agent_uid() -> String {
    pod_uid().replace("1111", "4444")
}

/// Whether this test can run and is alone, where it runs again.
fn is_alone(test: &str) -> bool {
    let sees = nix::unistd::geteuid().is_root() && tokenwatch::proc::is_in_initial_pid_namespace();
    alone::can_run(sees, "root, and to see the processes of the machine") && alone::is_alone(test)
}

/// A folder for cgroups. Dropping it removes them.
struct Cgroups(PathBuf);

impl Cgroups {
    fn new() -> Self {
        let mounts = fs::read_to_string("/proc/self/mountinfo").unwrap();
        let unified = mounts.lines().find(|line| line.contains(" - cgroup2 "));
        let any = unified.or_else(|| mounts.lines().find(|line| line.contains(" - cgroup ")));
        let root = any.expect("a cgroup file system").split(' ').nth(4).unwrap();
        Self(Path::new(root).join(format!("tokenwatch-test-{}", std::process::id())))
    }

    /// A container's, as kubelet's cgroupfs driver names it.
    fn container(&self, class: &str, pod: &str, digit: &str) -> PathBuf {
        let path = self.0.join(format!("kubepods/{class}/pod{pod}/{}", digit.repeat(64)));
        fs::create_dir_all(&path).unwrap();
        path
    }
}

impl Drop for Cgroups {
    fn drop(&mut self) {
        let started = Instant::now();
        while remove(&self.0).is_err() && started.elapsed() < Duration::from_secs(5) {
            std::thread::sleep(Duration::from_millis(50));
        }
    }
}

/// Removes a folder of cgroups, the lowest first. The files in them are the kernel's.
fn remove(folder: &Path) -> std::io::Result<()> {
    for entry in fs::read_dir(folder)?.flatten().filter(|entry| entry.path().is_dir()) {
        remove(&entry.path())?;
    }
    fs::remove_dir(folder)
}

/// A container with one process, which is this program. It connects on request.
struct Container {
    child: Child,
    out: BufReader<ChildStdout>,
}

impl Container {
    fn start(cgroup: &Path, from: &Path, to: &Path) -> Self {
        let mounts = format!("{}={}", from.display(), to.display());
        let mut child = Command::new("unshare")
            .args(["--mount", "--net", "--pid", "--fork", "--kill-child=KILL"])
            .args(["--propagation", "private"])
            .arg(std::env::current_exe().unwrap())
            .args(["container", "--exact", "--nocapture"])
            .env(CGROUP, cgroup)
            .env(MOUNTS, mounts)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let out = BufReader::new(child.stdout.take().unwrap());
        let mut container = Self { child, out };
        container.wait("@ready");
        container
    }

    fn wait(&mut self, word: &str) {
        let mut line = String::new();
        while self.out.read_line(&mut line).unwrap() > 0 {
            if line.contains(word) {
                return;
            }
            line.clear();
        }
        panic!("the container ended without {word}");
    }

    fn ask(&mut self, what: &str) {
        writeln!(self.child.stdin.as_mut().unwrap(), "{what}").unwrap();
        self.wait("@done");
    }
}

impl Drop for Container {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Not a test, but the program of a [`Container`].
#[test]
fn container() {
    let Some(cgroup) = std::env::var_os(CGROUP) else { return };
    fs::write(Path::new(&cgroup).join("cgroup.procs"), "0").unwrap();
    let mounts = std::env::var(MOUNTS).unwrap();
    let (from, to) = mounts.split_once('=').unwrap();
    let (bind, again) = (MsFlags::MS_BIND, MsFlags::MS_BIND | MsFlags::MS_REMOUNT);
    mount(Some(from), to, None::<&str>, bind, None::<&str>).unwrap();
    mount(None::<&str>, to, None::<&str>, again | MsFlags::MS_RDONLY, None::<&str>).unwrap();
    let up = Command::new("ip").args(["link", "set", "lo", "up"]).status();
    assert!(up.unwrap().success(), "ip link set lo up");
    let server = TcpListener::bind(format!("127.0.0.1:{PORT}")).unwrap();
    println!("\n@ready");
    let mut kept = Vec::new();
    for line in std::io::stdin().lines() {
        let client = TcpStream::connect(server.local_addr().unwrap()).unwrap();
        let (accepted, _) = server.accept().unwrap();
        if line.unwrap() == "connect and keep" {
            kept.push((client, accepted));
        } else {
            drop(client); // this end closes first, as a client does
            drop(accepted);
        }
        println!("\n@done");
    }
}

/// The agent as it is deployed: below a mount of the host, confined, and in a pod's cgroup of which
/// it sees its own part alone.
struct Agent {
    child: Child,
    folder: tempfile::TempDir,
}

impl Agent {
    fn start(host: &Path, cgroup: &Path) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let mut command = Command::new("sh");
        let script = r#"echo 0 > "$0/cgroup.procs"; exec unshare --cgroup -- "$@""#;
        command.args(["-c", script]).arg(cgroup).arg(env!("CARGO_BIN_EXE_tokenwatch"));
        command.args(["run", "--clock-discover", "false", "--root", "/var/lib/kubelet"]);
        command.args(["--readers-verifier", &format!("127.0.0.1:{PORT}"), "--host-prefix"]);
        command.arg(host).arg("--record").arg(folder.path().join("recording"));
        command.stdout(Stdio::null()).stderr(File::create(folder.path().join("log")).unwrap());
        let child = node::bare(&mut command).spawn().unwrap();
        Self { child, folder }
    }

    fn text(&self, file: &str) -> String {
        fs::read_to_string(self.folder.path().join(file)).unwrap_or_default()
    }

    /// What the agent has recorded of the pod's processes so far.
    fn seen(&self) -> Vec<Value> {
        let recording = self.text("recording");
        let entries = recording.lines().filter_map(|line| serde_json::from_str(line).ok());
        let all = entries.filter_map(|entry: Value| find(&entry, "containers").cloned());
        all.filter(|seen| seen["pod_uid"] == pod_uid()).collect()
    }

    /// Waits until one report is as wanted.
    fn wait(&mut self, what: &str, is_it: impl Fn(&Value) -> bool) -> Value {
        let started = Instant::now();
        loop {
            if let Some(seen) = self.seen().into_iter().rev().find(&is_it) {
                println!("{what} after {:?}", started.elapsed());
                return seen;
            }
            let has_ended = self.child.try_wait().unwrap().is_some();
            let is_late = has_ended || started.elapsed() > Duration::from_secs(70);
            assert!(!is_late, "not {what}: {:#?}\n{}", self.seen(), self.text("log"));
            std::thread::sleep(Duration::from_millis(50));
        }
    }
}

impl Drop for Agent {
    fn drop(&mut self) {
        let _ = kill(Pid::from_raw(i32::try_from(self.child.id()).unwrap()), Signal::SIGTERM);
        let _ = self.child.wait();
    }
}

/// The object under this key, wherever it is.
fn find<'a>(value: &'a Value, key: &str) -> Option<&'a Value> {
    let object = value.as_object()?;
    let direct = object.get(key).filter(|found| found.get("pod_uid").is_some());
    direct.or_else(|| object.values().find_map(|inner| find(inner, key)))
}

/// The only mount of the container whose id has this digit.
fn mount_of<'a>(seen: &'a Value, digit: &str) -> Option<&'a Value> {
    let containers = seen["containers"].as_array()?;
    let is_it = |one: &&Value| one["id"].as_str().is_some_and(|id| id.starts_with(digit));
    let mounts = containers.iter().find(is_it)?["mounts"].as_array()?;
    assert!(mounts.len() <= 1, "{mounts:?}");
    mounts.first()
}

fn mount_tmpfs(directory: &Path) {
    fs::create_dir_all(directory).unwrap();
    mount(Some("tmpfs"), directory, Some("tmpfs"), MsFlags::empty(), Some("size=64k")).unwrap();
}

#[test]
fn a_confined_agent_sees_mounts_and_connections_of_other_namespaces() {
    if !is_alone("a_confined_agent_sees_mounts_and_connections_of_other_namespaces") {
        return;
    }
    let host = tempfile::tempdir().unwrap();
    let node = Node::at(&host.path().join("var/lib/kubelet"));
    let volume = node.volume(&pod_uid()).directory().to_owned();
    mount_tmpfs(&volume);
    node.write(&pod_uid(), 1);
    let (whole, file) = (host.path().join("whole"), host.path().join("file"));
    fs::create_dir(&whole).unwrap();
    fs::write(&file, "").unwrap();
    let cgroups = Cgroups::new();
    let start = |digit, from: &Path, to: &Path| {
        Container::start(&cgroups.container("besteffort", &pod_uid(), digit), from, to)
    };
    let mut app = start("a", &volume, &whole);
    let pinned = start("b", &volume.join("token").canonicalize().unwrap(), &file);
    let mut agent = Agent::start(host.path(), &cgroups.container("burstable", &agent_uid(), "c"));

    let first = agent.wait("the containers are seen", |seen| mount_of(seen, "b").is_some());
    let directory = fs::read_link(volume.join("..data")).unwrap();
    let directory = directory.to_str().unwrap();
    let (whole, file) = (whole.to_str().unwrap(), file.to_str().unwrap());
    let mount = |path: &str, kind| json!({"volume": "vol", "mount_path": path, "kind": kind});
    let subpath =
        |deleted| json!({"subpath": {"directory": directory, "path": "token", "deleted": deleted}});
    assert_eq!(mount_of(&first, "a"), Some(&mount(whole, json!("current"))));
    assert_eq!(mount_of(&first, "b"), Some(&mount(file, subpath(false))));
    assert_eq!(first["containers"].as_array().unwrap().len(), 2, "{first:#}");
    assert_eq!(first["connected"]["established"], 0, "{first:#}");
    let program = std::env::current_exe().unwrap();
    let program = program.file_name().unwrap().to_str().unwrap();
    assert_eq!(first["containers"][0]["program"], program[..15], "{first:#}");

    app.ask("connect and keep");
    app.ask("connect");
    node.write(&pod_uid(), 2);
    alone::unmount(&volume);
    mount_tmpfs(&volume);
    node.write(&pod_uid(), 3);
    let frozen = agent.wait("the old mount is seen", |seen| {
        mount_of(seen, "a") == Some(&mount(whole, json!("frozen")))
    });
    assert_eq!(mount_of(&frozen, "b"), Some(&mount(file, subpath(true))));
    agent.wait("the connections are seen", |seen| {
        seen["connected"]["established"] == 1 && !seen["connected"]["opened"].is_null()
    });

    drop((app, pinned));
    agent.wait("the end of the containers is seen", |seen| seen["containers"] == json!([]));
    let log = agent.text("log");
    if log.contains("not confined") {
        eprintln!("NOT RUN: seeing all this within Landlock: this kernel has none");
    } else {
        assert!(log.contains("can read there and in"), "{log}");
    }
    assert!(!log.contains("source is degraded source=processes"), "{log}");
}
