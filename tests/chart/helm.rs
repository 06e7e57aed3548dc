//! Runs Helm on the chart of this repository.

use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::OnceLock;

use serde_json::Value;

pub fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// The Helm that the test bed has built, else the one in PATH. If there is none, the test reports
/// that it was skipped; with `CI` set it fails.
pub fn helm() -> Option<&'static Path> {
    static HELM: OnceLock<Option<PathBuf>> = OnceLock::new();
    let found = HELM.get_or_init(|| built().or_else(in_path)).as_deref();
    if found.is_none() {
        assert!(
            std::env::var_os("CI").is_none(),
            "helm is missing: tests/cluster/build --only helm builds it"
        );
        eprintln!(
            "SKIPPED: helm is missing, and the chart was not tested: tests/cluster/build --only \
             helm builds it"
        );
    }
    found
}

fn built() -> Option<PathBuf> {
    let build = root().join("tests/cluster/build");
    let output = Command::new(build)
        .args(["--only", "helm", "--print"])
        .stderr(Stdio::null())
        .output()
        .ok()?;
    String::from_utf8(output.stdout).ok()?.trim().strip_prefix("HELM=").map(PathBuf::from)
}

fn in_path() -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path).map(|folder| folder.join("helm")).find(|file| file.is_file())
}

fn run(helm: &Path, command: &str, arguments: &[&str]) -> Output {
    let mut command_line = Command::new(helm);
    command_line.args(command.split(' ')).args(arguments).current_dir(root()).stdin(Stdio::null());
    command_line.output().unwrap()
}

/// Every object that the chart renders with these arguments, or Helm's error.
pub fn render(helm: &Path, arguments: &[&str]) -> Result<Vec<Value>, String> {
    let output = run(helm, "template tokenwatch deploy/chart --namespace tokenwatch", arguments);
    if !output.status.success() {
        return Err(String::from_utf8_lossy(&output.stderr).into_owned());
    }
    let text = String::from_utf8(output.stdout).unwrap();
    let documents = text.split("\n---\n").filter(|document| document.contains("kind:"));
    Ok(documents.map(|document| yaml(document.trim_start_matches("---\n"))).collect())
}

pub fn lint(helm: &Path, arguments: &[&str]) -> Output {
    run(helm, "lint --strict deploy/chart", arguments)
}

pub fn yaml(text: &str) -> Value {
    serde_saphyr::from_str(text).unwrap_or_else(|error| panic!("{error}\n{text}"))
}

pub fn kind<'a>(objects: &'a [Value], kind: &str) -> &'a Value {
    objects.iter().find(|object| object["kind"] == kind).unwrap_or_else(|| panic!("no {kind}"))
}

pub fn list(value: &Value) -> &[Value] {
    value.as_array().map_or(&[], Vec::as_slice)
}
