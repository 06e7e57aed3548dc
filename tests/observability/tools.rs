//! Programs that are not ours.

use std::path::PathBuf;
use std::process::{Command, Stdio};

use crate::bed::repository;

/// Where `program` is. Without it a test says that it was skipped; with `CI=true` it fails.
pub fn debian(program: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    found(
        program,
        std::env::split_paths(&path).map(|folder| folder.join(program)).find(|file| file.is_file()),
    )
}

/// The collector that the test bed builds.
pub fn otelcol() -> Option<PathBuf> {
    built("otelcol")
}

/// Its Kubernetes, kubectl among it.
pub fn kube() -> Option<PathBuf> {
    built("kube")
}

fn built(program: &str) -> Option<PathBuf> {
    let build = Command::new(repository().join("tests/cluster/build"))
        .args(["--only", program, "--print"])
        .stderr(Stdio::null())
        .output();
    let printed = String::from_utf8(build.unwrap().stdout).unwrap();
    found(
        program,
        printed
            .trim()
            .split_once('=')
            .map(|(_, path)| PathBuf::from(path))
            .filter(|path| path.is_file()),
    )
}

/// All of them, or none.
pub fn all_there() -> bool {
    let programs = ["curl", "prometheus", "promtool"].map(|program| debian(program).is_some());
    otelcol().is_some() && programs.iter().all(|there| *there)
}

fn found(program: &str, path: Option<PathBuf>) -> Option<PathBuf> {
    if path.is_none() {
        assert!(
            std::env::var_os("CI").is_none(),
            "{program} is missing: tests/cluster/build brings it"
        );
        eprintln!(
            "SKIPPED: {program} is missing, and nothing that needs it was tested: \
             tests/cluster/build brings it"
        );
    }
    path
}
