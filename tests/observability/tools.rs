//! Third-party programs that the tests use.

use std::path::PathBuf;
use std::process::{Command, Stdio};

use crate::bed::repository;

/// The path of `program`. If it is missing, the test reports that it was skipped; with `CI` set it
/// fails.
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

/// The test bed's Kubernetes, which includes kubectl.
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

/// Whether all programs that the tests need are installed.
pub fn all_there() -> bool {
    let programs = ["curl", "prometheus", "promtool"].map(|program| debian(program).is_some());
    otelcol().is_some() && programs.iter().all(|is_there| *is_there)
}

fn found(program: &str, path: Option<PathBuf>) -> Option<PathBuf> {
    if path.is_none() {
        assert!(
            std::env::var_os("CI").is_none(),
            "{program} is missing: tests/cluster/build installs it"
        );
        eprintln!(
            "SKIPPED: {program} is missing, and nothing that needs it was tested: \
             tests/cluster/build installs it"
        );
    }
    path
}
