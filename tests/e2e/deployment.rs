//! A cluster on which tokenwatch is deployed with README's own commands.

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use serde_json::Value;

use crate::bed::{Cluster, repository, script, workdir};
use crate::process::{run, text};
use crate::wait::{secs, until};

pub const NAMESPACE: &str = "tokenwatch";
/// The label that chart and manifests put on every object.
const OURS: &str = "app.kubernetes.io/instance=tokenwatch";

/// The commands in a section of a page, and the indices of those that were run.
pub struct Page {
    file: &'static str,
    commands: Vec<String>,
    ran: RefCell<BTreeSet<usize>>,
}

impl Page {
    pub fn read(file: &'static str, section: &str) -> Self {
        let page = std::fs::read_to_string(repository().join(file)).unwrap();
        let section = page
            .split(section)
            .nth(1)
            .unwrap_or_else(|| panic!("{file} has no section \"{section}\""));
        let section = section.split("\n## ").next().unwrap_or_default();
        let commands = section
            .lines()
            .filter_map(|line| line.strip_prefix("    "))
            .filter(|line| can_be_run(line))
            .map(uncommented);
        Self { file, commands: commands.collect(), ran: RefCell::default() }
    }

    /// The one command that begins with `start`; it is marked as run.
    pub fn take(&self, start: &str) -> &str {
        let found: Vec<usize> = (0..self.commands.len())
            .filter(|index| self.commands[*index].starts_with(start))
            .collect();
        let [index] = found[..] else {
            panic!(
                "{} has {} commands that begin with \"{start}\": {:#?}",
                self.file,
                found.len(),
                self.commands
            )
        };
        self.ran.borrow_mut().insert(index);
        &self.commands[index]
    }

    pub fn every_command_was_run(&self) {
        let ran = self.ran.borrow();
        let left: Vec<&String> = (0..self.commands.len())
            .filter(|index| !ran.contains(index))
            .map(|index| &self.commands[index])
            .collect();
        assert!(left.is_empty(), "{} has commands that no test has run: {left:#?}", self.file);
    }
}

/// Not docker's commands: there is no Docker engine here, and `tests/cluster/image` builds the same
/// Dockerfile.
fn can_be_run(line: &str) -> bool {
    line.starts_with("helm ") || line.starts_with("kubectl ")
}

fn uncommented(line: &str) -> String {
    line.split("  #").next().unwrap_or_default().trim_end().to_owned()
}

/// A cluster with the image in it, and with `helm` and `kubectl` for it.
pub struct Deployment {
    pub cluster: Cluster,
    pub readme: Page,
    programs: PathBuf,
}

impl Deployment {
    /// A cluster with kubelet's usual root, so that the chart's defaults apply. The audit log has
    /// the agent's requests to the API server.
    pub fn prepare(name: &'static str) -> Self {
        Self::with(name, &["--kubelet-root", "/var/lib/kubelet"])
    }

    /// A cluster with an unusual kubelet root.
    pub fn beside(name: &'static str) -> Self {
        Self::with(name, &[])
    }

    fn with(name: &'static str, options: &[&str]) -> Self {
        let account = format!("system:serviceaccount:{NAMESPACE}:tokenwatch");
        let cluster = Cluster::up_with(name, &[&["--audit", &account], options].concat());
        let programs = workdir(name).join("bin");
        programs_for(&cluster, &programs);
        let readme = Page::read("README.md", "## Install");
        let deployment = Self { cluster, readme, programs };
        deployment.import(&image());
        deployment.name_as_in_readme();
        deployment
    }

    /// Gives the image the name that the README's chart asks for: its registry does not exist.
    fn name_as_in_readme(&self) {
        let image = format!("tokenwatch:{}", env!("CARGO_PKG_VERSION"));
        let mut command = self.containerd();
        run(command
            .args(["tag", &format!("docker.io/library/{image}")])
            .arg(format!("registry.example/{image}")));
    }

    pub fn import(&self, archive: &Path) {
        run(self.containerd().arg("import").arg(archive));
    }

    /// `ctr images` for the containerd of this cluster.
    fn containerd(&self) -> Command {
        let mut command = Command::new("ctr");
        let address = self.cluster.get("CONTAINERD_ADDRESS");
        command.args(["-a", address, "-n", "k8s.io", "images"]);
        command
    }

    /// Lets pods resolve a Service's name.
    pub fn add_dns_name(&self, service: &str, addresses: &[String]) {
        let lines: Vec<String> = addresses
            .iter()
            .map(|address| format!("{address} {service}.svc.cluster.local\n"))
            .collect();
        std::fs::write(Path::new(self.cluster.get("NAMES")).join(service), lines.concat()).unwrap();
    }

    /// Runs a shell line in the repository, as a user would.
    pub fn shell(&self, line: &str) -> Output {
        println!("[{}] $ {line}", self.cluster.name());
        let path =
            format!("{}:{}", self.programs.display(), std::env::var("PATH").unwrap_or_default());
        let mut command = Command::new("sh");
        command.args(["-c", line]).current_dir(repository()).env("PATH", path);
        // The test must not depend on the user's home directory.
        for (variable, folder) in [
            ("HELM_CACHE_HOME", "cache"),
            ("HELM_CONFIG_HOME", "config"),
            ("HELM_DATA_HOME", "data"),
        ] {
            command.env(variable, self.programs.join(folder));
        }
        run(self.cluster.reached_by(&mut command))
    }

    /// Runs README's command that begins with `start`, unchanged.
    pub fn as_in_readme(&self, start: &str) -> String {
        text(&self.shell(self.readme.take(start)).stdout)
    }

    /// Upgrades to other values: `upgrade(&["privilege=hostPID"])`.
    pub fn upgrade(&self, values: &[&str]) {
        let values = values.join(",");
        self.shell(&format!(
            "helm upgrade tokenwatch deploy/chart --namespace {NAMESPACE} \
             --reset-then-reuse-values --set {values}"
        ));
        self.wait_ready();
    }

    /// Waits until every node runs the newest version of the pod, and all are ready.
    pub fn wait_ready(&self) {
        self.shell(&format!(
            "kubectl rollout status --namespace {NAMESPACE} --timeout=180s daemonset/tokenwatch"
        ));
    }

    /// Everything that the agent has logged since it started.
    pub fn logs(&self) -> String {
        self.cluster.kubectl(&[
            "logs",
            "--namespace",
            NAMESPACE,
            "daemonset/tokenwatch",
            "--tail=-1",
        ])
    }

    /// The agent's page at `path`, from its pod's address.
    pub fn served(&self, path: &str) -> String {
        let address = self.cluster.kubectl(&[
            "get",
            "pods",
            "--namespace",
            NAMESPACE,
            "--output=jsonpath={.items[0].status.podIP}",
        ]);
        text(
            &run(Command::new("curl")
                .args(["-fsS", "--max-time", "10"])
                .arg(format!("http://{address}:9723/{path}")))
            .stdout,
        )
    }

    /// The output of `kubectl get` as JSON.
    pub fn get(&self, arguments: &[&str]) -> Value {
        serde_json::from_str(
            &self.cluster.kubectl(&[&["get", "--output=json"], arguments].concat()),
        )
        .unwrap()
    }

    /// The API server's warnings about the existing pods if their namespace enforced this level of
    /// Pod Security.
    pub fn pod_security_warnings(&self, namespace: &str, level: &str) -> String {
        let label = format!("pod-security.kubernetes.io/enforce={level}");
        text(
            &self
                .shell(&format!(
                    "kubectl label namespace {namespace} --overwrite --dry-run=server {label}"
                ))
                .stderr,
        )
    }

    /// Every object of the release, of every kind that the API server knows.
    pub fn objects(&self) -> Vec<String> {
        let kinds = self.cluster.kubectl(&["api-resources", "--verbs=list", "--output=name"]);
        let listed = kinds
            .split_whitespace()
            .filter(|kind| !kind.starts_with("events"))
            .collect::<Vec<_>>()
            .join(",");
        let mut found = self.cluster.kubectl(&[
            "get",
            &listed,
            "--all-namespaces",
            "--selector",
            OURS,
            "--output=name",
        ]);
        found += &self.cluster.kubectl(&[
            "get",
            "secrets,configmaps",
            "--all-namespaces",
            "--selector=owner=helm",
            "--output=name",
        ]);
        found.split_whitespace().map(str::to_owned).collect()
    }

    /// Waits, because garbage collection takes a moment.
    pub fn nothing_is_left(&self) {
        until("all objects of the release to be deleted", secs(90), || {
            let left = self.objects();
            if !left.is_empty() {
                println!("[{}] still there: {left:?}", self.cluster.name());
                std::thread::sleep(secs(1));
            }
            left.is_empty().then_some(())
        });
    }
}

/// The same image that users build. It must exist before the tests: a build takes minutes, and
/// replaces the binary under test.
pub fn image() -> PathBuf {
    archive(script("image").arg("--only-built"))
}

/// The image that a script has built, as a tar file.
pub fn archive(command: &mut Command) -> PathBuf {
    let printed = text(&run(command).stdout);
    let archive = printed.lines().find_map(|line| line.strip_prefix("IMAGE_TAR="));
    PathBuf::from(archive.unwrap_or_else(|| panic!("{command:?} printed no IMAGE_TAR: {printed}")))
}

/// The path of a part that `tests/cluster/build` has built.
pub fn built(part: &str) -> String {
    let printed = text(&run(script("build").args(["--only", part, "--print"])).stdout);
    let path = printed.trim().split_once('=').map(|(_, path)| path).filter(|path| !path.is_empty());
    path.unwrap_or_else(|| panic!("tests/cluster/build has no {part}: {printed}")).to_owned()
}

/// The elements; none if `value` is not a list.
pub fn list(value: &Value) -> &[Value] {
    value.as_array().map_or(&[], Vec::as_slice)
}

/// Puts `helm` and `kubectl` into a folder, under the names that people type.
pub fn programs_for(cluster: &Cluster, folder: &Path) {
    std::fs::create_dir_all(folder).unwrap();
    symlink(built("helm"), folder.join("helm")).unwrap();
    let kubectl = folder.join("kubectl");
    std::fs::write(&kubectl, format!("#!/bin/sh\nexec {} kubectl \"$@\"\n", cluster.get("KUBE")))
        .unwrap();
    run(Command::new("chmod").arg("755").arg(&kubectl));
}
