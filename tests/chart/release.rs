//! What deploy/release makes: the same bytes twice, and files that work.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use serde_json::Value;

use crate::helm::{helm, root, yaml};

/// A program that stands for the static one, which takes minutes to build.
fn program(folder: &Path) -> PathBuf {
    let file = folder.join("tokenwatch");
    fs::write(&file, format!("#!/bin/sh\nexec {} \"$@\"\n", env!("CARGO_BIN_EXE_tokenwatch")))
        .unwrap();
    fs::set_permissions(&file, fs::Permissions::from_mode(0o755)).unwrap();
    file
}

/// Root and buildah make the image, too.
fn image_option() -> Option<&'static str> {
    let can = nix::unistd::geteuid().is_root() && Path::new("/usr/bin/buildah").exists();
    if !can {
        eprintln!("SKIPPED: the image of a release, which needs root and buildah");
    }
    (!can).then_some("--without-image")
}

fn release(version: &str, to: &Path, more: &[&str]) -> Output {
    let work = tempfile::tempdir().unwrap();
    let mut command = Command::new(root().join("deploy/release"));
    command.arg(version).arg("--output").arg(to).arg("--binary").arg(program(work.path()));
    command.args(more).env("HELM", helm().unwrap()).env("RELEASE_DIRTY", "1");
    command.output().unwrap()
}

fn made(to: &Path) -> BTreeMap<String, Vec<u8>> {
    let more = ["--registry", "registry.example/team", "--home", "https://git.example/tw"];
    let docs = ["--docs", "https://git.example/tw/blob/v1/docs"];
    let output = release(
        env!("CARGO_PKG_VERSION"),
        to,
        &[&more[..], &docs, image_option().as_slice()].concat(),
    );
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let files = fs::read_dir(to).unwrap().map(|entry| entry.unwrap().path());
    files.map(|file| (name(&file), fs::read(&file).unwrap())).collect()
}

fn name(file: &Path) -> String {
    file.file_name().unwrap().to_string_lossy().into_owned()
}

#[test]
fn a_release_is_complete_and_the_same_twice() {
    if helm().is_none() {
        return;
    }
    let (first, second) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let (files, again) = (made(first.path()), made(second.path()));
    assert_eq!(files.keys().collect::<Vec<_>>(), again.keys().collect::<Vec<_>>());
    for (name, bytes) in again {
        assert!(files[&name] == bytes, "{name} differs");
    }
    let version = env!("CARGO_PKG_VERSION");
    for end in ["-linux-amd64.tar.gz", ".tgz", ".yaml", ".cdx.json"] {
        assert!(files.contains_key(&format!("tokenwatch-{version}{end}")), "{end}");
    }
    checksums_fit(first.path());
    the_archive_has_everything(first.path(), version);
    the_chart_has_the_addresses(first.path(), version);
    the_parts_are_those_of_the_lock_file(&files[&format!("tokenwatch-{version}.cdx.json")]);
    if image_option().is_none() {
        the_image_starts_the_program(first.path(), version);
    }
}

fn run(program: &str, folder: &Path, arguments: &[&str]) -> String {
    let output = Command::new(program).args(arguments).current_dir(folder).output().unwrap();
    assert!(output.status.success(), "{program}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

fn checksums_fit(folder: &Path) {
    let lines = run("sha256sum", folder, &["--check", "--strict", "SHA256SUMS"]);
    assert_eq!(lines.lines().count(), fs::read_dir(folder).unwrap().count() - 1);
}

fn the_archive_has_everything(folder: &Path, version: &str) {
    let archive = format!("tokenwatch-{version}-linux-amd64.tar.gz");
    let list = run("tar", folder, &["--list", "--file", &archive]);
    for file in [
        "tokenwatch",
        "LICENSE",
        "systemd/tokenwatch.service",
        "completion/tokenwatch.bash",
        "man/tokenwatch.1",
        "man/tokenwatch-check.1",
        "man/tokenwatch-report-upgrade.1",
    ] {
        let path = format!("tokenwatch-{version}/{file}");
        assert!(list.lines().any(|line| line == path), "{path}: {list}");
    }
}

fn the_chart_has_the_addresses(folder: &Path, version: &str) {
    let helm = helm().unwrap().to_str().unwrap();
    let chart = format!("tokenwatch-{version}.tgz");
    let shown = run(helm, folder, &["show", "all", &chart]);
    assert!(shown.contains("home: https://git.example/tw\n"), "{shown}");
    assert!(shown.contains("icon: https://git.example/tw/raw/v1/docs/icon.svg\n"), "{shown}");
    let rules = ["--set", "prometheusRule.enabled=true"];
    let rendered = run(helm, folder, &[&["template", "tokenwatch", &chart][..], &rules].concat());
    assert!(rendered.contains(&format!("image: registry.example/team/tokenwatch:{version}")));
    assert!(rendered.contains("https://git.example/tw/blob/v1/docs/runbooks/token.expired.md"));
    let manifests = fs::read_to_string(folder.join(format!("tokenwatch-{version}.yaml"))).unwrap();
    assert!(manifests.contains(&format!("image: registry.example/team/tokenwatch:{version}")));
    assert!(manifests.contains("pod-security.kubernetes.io/enforce: privileged"));
    for text in [rendered, manifests] {
        assert!(!text.contains("tokenwatch.example"), "{text}");
        text.split("\n---\n").for_each(|document| drop(yaml(document)));
    }
}

/// With what is linked in, and without what only the tests need.
fn the_parts_are_those_of_the_lock_file(bill: &[u8]) {
    let bill: Value = serde_json::from_slice(bill).unwrap();
    let lock = fs::read_to_string(root().join("Cargo.lock")).unwrap();
    let parts = bill["components"].as_array().unwrap();
    for part in parts {
        let (name, version) = (part["name"].as_str().unwrap(), part["version"].as_str().unwrap());
        assert!(lock.contains(&format!("name = \"{name}\"\nversion = \"{version}\"\n")), "{part}");
        let is_ours = name.starts_with("tokenwatch-");
        assert!(is_ours || part["hashes"][0]["content"].is_string(), "{part}");
        assert!(part["licenses"][0]["expression"].is_string(), "{part}");
    }
    let has = |wanted: &str| parts.iter().any(|part| part["name"] == wanted);
    assert!(["serde", "rustls", "clap_mangen", "tokenwatch-core"].iter().all(|name| has(name)));
    assert!(!["proptest", "insta", "rcgen", "tempfile"].iter().any(|name| has(name)));
    let refs = bill["dependencies"].as_array().unwrap();
    assert_eq!(refs.len(), parts.len() + 1, "each part, and the program");
}

fn the_image_starts_the_program(folder: &Path, version: &str) {
    let archive = format!("tokenwatch-{version}-image-amd64.tar");
    let read = |path: &str| -> Value {
        let file = run("tar", folder, &["--extract", "--to-stdout", "--file", &archive, path]);
        serde_json::from_str(&file).unwrap()
    };
    let blob =
        |of: &Value| format!("blobs/{}", of["digest"].as_str().unwrap().replacen(':', "/", 1));
    let index = read("index.json");
    let manifest = read(&blob(&index["manifests"][0]));
    let image = read(&blob(&manifest["config"]));
    assert_eq!(image["config"]["Entrypoint"], serde_json::json!(["/tokenwatch"]));
    assert_eq!(image["config"]["User"], "65532:65532");
    assert_eq!(image["config"]["Labels"]["org.opencontainers.image.version"], version);
}

#[test]
fn a_release_of_another_version_is_refused() {
    if helm().is_none() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    for (version, message) in
        [("9.9.9", "Cargo.toml has version"), ("v1", "'v1' is no version"), ("", "is no version")]
    {
        let output = release(version, folder.path(), &[]);
        let error = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(!output.status.success() && error.contains(message), "{version}: {error}");
    }
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
}
