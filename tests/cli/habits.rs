//! What people expect of every command: short flags, defaults in the help, JSON, one namespace, a
//! look again and again, completion, manual pages, the version.

use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::Stdio;

use serde_json::Value;

use crate::golden::golden;
use crate::node::{Node, payload, token};
use crate::{check, outcome, run, tokenwatch};

/// The commands that `--help` lists, and those in them.
const COMMANDS: [&[&str]; 15] = [
    &["run"],
    &["check"],
    &["readers"],
    &["report", "upgrade"],
    &["report", "posture"],
    &["explain"],
    &["clock"],
    &["demo"],
    &["replay"],
    &["config"],
    &["findings"],
    &["telemetry"],
    &["completion"],
    &["man"],
    &["version"],
];

fn help(command: &[&str]) -> String {
    run(&[command, &["--help"]].concat()).1
}

fn json(arguments: &[&str]) -> Value {
    let (status, out, err) = run(arguments);
    assert_eq!((status, err.as_str()), (Some(0), ""), "{arguments:?}");
    serde_json::from_str(&out).unwrap_or_else(|error| panic!("{arguments:?}: {error}: {out}"))
}

/// A pod in each of two namespaces: of the first it is healthy, of the second dead.
fn two_namespaces() -> Node {
    let node = Node::new();
    node.pod("fine-0", &token(&payload("fine-0", 600, 3_600)));
    let mut claims = payload("dead-0", 4_000, 3_600);
    claims["kubernetes.io"]["namespace"] = "bank".into();
    claims["sub"] = "system:serviceaccount:bank:default".into();
    node.pod("dead-0", &token(&claims));
    node
}

#[test]
fn every_format_has_a_short_flag() {
    let mut found = 0;
    for command in COMMANDS {
        let text = help(command);
        let has_output = text.contains("--output <");
        assert_eq!(text.contains("-o, --output <"), has_output, "{command:?}");
        found += usize::from(has_output);
    }
    assert!(found >= 8, "{found}");
    assert_eq!(run(&["version", "-o", "json"]), run(&["version", "--output", "json"]));
}

/// Each option that takes a value states its default.
#[test]
fn every_default_is_in_the_help() {
    for command in COMMANDS {
        let text = help(command);
        let lines: Vec<&str> = text.lines().collect();
        let is_option = |line: &str| {
            line.trim_start().starts_with('-')
                && [", --", "  --"].iter().any(|it| line.contains(it))
        };
        for (at, first) in lines.iter().enumerate().filter(|(_, line)| is_option(line)) {
            let rest = lines[at + 1..].iter().take_while(|line| !is_option(line));
            let described = rest.fold((*first).to_owned(), |text, line| text + line);
            let takes_value =
                first.split("  ").any(|part| part.contains("--") && part.contains('<'));
            let has_default = described.to_lowercase().contains("default");
            assert!(!takes_value || has_default, "{command:?}: {described}");
        }
    }
}

#[test]
fn findings_and_telemetry_are_json_too() {
    let all = json(&["findings", "-o", "json"]);
    let listed = run(&["findings"]).1;
    let codes: Vec<&str> =
        all["findings"].as_array().unwrap().iter().map(|it| it["code"].as_str().unwrap()).collect();
    assert!(codes.len() >= 31 && codes.iter().all(|code| listed.contains(code)), "{codes:?}");
    let one = json(&["findings", "token.rotation_stalled", "-o", "json"]);
    golden("findings-rotation_stalled.json", &format!("{one:#}\n"));
    assert_eq!(run(&["findings", "token.no", "-o", "json"]).0, Some(2));

    let schema = json(&["telemetry", "-o", "json"]);
    let page = run(&["telemetry"]).1;
    let tables = ["spans", "events", "attributes", "metric_attributes", "metrics"];
    for table in tables {
        let names = schema[table].as_array().unwrap();
        assert!(!names.is_empty(), "{table}");
        for name in names.iter().map(|it| it["name"].as_str().unwrap()) {
            assert!(page.contains(&format!("| `{name}` |")), "{name}");
        }
    }
    let rows = page.lines().filter(|line| line.starts_with("| `")).count();
    let entries: usize = tables.map(|it| schema[it].as_array().unwrap().len()).iter().sum();
    assert_eq!(rows, entries);
}

#[test]
fn a_check_of_one_namespace_shows_its_pods_alone() {
    let node = two_namespaces();
    let (status, out, _) = check(&node, &["-n", "shop"]);
    assert_eq!(status, Some(0), "{out}");
    assert!(out.contains("1 token of 1 pod in namespace shop (of 2 tokens on this node)"), "{out}");
    assert!(out.contains("shop/fine-0") && !out.contains("bank/"), "{out}");
    let (status, out, _) = check(&node, &["--namespace", "bank", "-o", "json"]);
    let seen: Value = serde_json::from_str(&out).unwrap();
    assert_eq!((status, &seen["findings"][0]["code"]), (Some(1), &"token.expired".into()));
    assert_eq!(seen["namespace"], serde_json::json!({"name": "bank", "tokens_on_node": 2}));
    assert_eq!(seen["tokens"].as_array().unwrap().len(), 1);
}

/// A name with a typing error is no all-clear, and a pod whose namespace is not known is shown.
#[test]
fn a_namespace_without_tokens_is_not_healthy() {
    let node = two_namespaces();
    let (status, out, _) = check(&node, &["-n", "shpo"]);
    assert_eq!(status, Some(2), "{out}");
    assert!(out.contains("not read: namespace shpo: none of its tokens is on this node"), "{out}");
    node.pod("odd-0", "eyJhbGciOiJSUzI1NiJ9.cut");
    let (status, out, _) = check(&node, &["-n", "shop"]);
    assert_eq!(status, Some(1), "{out}");
    assert!(out.contains("token.malformed"), "{out}");
    for text in ["", "Shop", "a/b", "a b"] {
        let (status, out, err) = check(&node, &["-n", text]);
        assert_eq!((status, out.as_str()), (Some(2), ""), "{err}");
    }
}

/// Looks until a signal comes, and ends with the status of the last look.
#[test]
fn a_watch_looks_again_until_a_signal() {
    let node = two_namespaces();
    let root = node.root().to_string_lossy().into_owned();
    let mut child = tokenwatch(&["check", "--root", &root, "--watch=10s", "-o", "json"])
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let mut next = || serde_json::from_str::<Value>(&lines.next().unwrap().unwrap()).unwrap();
    let (first, second) = (next(), next());
    assert_ne!(first["at"], second["at"]);
    assert_eq!(second["findings"][0]["code"], "token.expired");
    let pid = nix::unistd::Pid::from_raw(child.id().try_into().unwrap());
    nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGINT).unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(1));
}

#[test]
fn a_watch_ends_when_nobody_reads() {
    let node = two_namespaces();
    let line = format!(
        "{} check --root {} --watch=10s -o json | head -n 1 | wc -l",
        env!("CARGO_BIN_EXE_tokenwatch"),
        node.root().display()
    );
    let mut shell = std::process::Command::new("sh");
    let programs = std::env::var_os("PATH").unwrap();
    shell.args(["-c", &line]).env_clear().env("PATH", programs);
    shell.env("TOKENWATCH_CLOCK_DISCOVER", "false");
    let (_, lines, errors) = outcome(&mut shell);
    assert_eq!(lines.trim(), "1", "{errors}");
    for interval in ["9s", "2h", "10"] {
        assert_eq!(run(&["check", &format!("--watch={interval}")]).0, Some(2), "{interval}");
    }
}

#[test]
fn every_shell_gets_its_completion() {
    for (shell, part) in [
        ("bash", "complete -F _tokenwatch"),
        ("zsh", "#compdef tokenwatch"),
        ("fish", "complete -c tokenwatch"),
    ] {
        let (status, out, err) = run(&["completion", shell]);
        assert_eq!((status, err.as_str()), (Some(0), ""), "{shell}");
        assert!(out.contains(part) && out.contains("namespace"), "{shell}");
    }
    assert_eq!(run(&["completion", "csh"]).0, Some(2));
    parsed_by("bash", &run(&["completion", "bash"]).1);
}

/// The shell itself reads the script.
fn parsed_by(shell: &str, script: &str) {
    let node = Node::new();
    let file = node.file("script", script);
    let status = std::process::Command::new(shell).arg("-n").arg(file).status().unwrap();
    assert!(status.success(), "{shell}");
}

#[test]
fn every_command_has_a_manual_page() {
    for command in COMMANDS {
        let (status, page, err) = run(&[&["man"], command].concat());
        assert_eq!((status, err.as_str()), (Some(0), ""), "{command:?}");
        let name = format!("tokenwatch\\-{}", command.join("\\-"));
        for part in [&name, ".SH NAME", ".SH OPTIONS", ".SH \"EXIT STATUS\"", "\n.nf\n"] {
            assert!(page.contains(part), "{command:?}: no {part} in {page}");
        }
    }
    golden("man-version.1", &run(&["man", "version"]).1);
    assert!(run(&["man"]).1.contains(".SH SUBCOMMANDS"));
    let (status, _, err) = run(&["man", "chek"]);
    assert!(status == Some(2) && err.contains("unknown command \"chek\""), "{err}");
    formatted_by_man();
}

/// If this machine has man(1), it formats the longest page without a warning.
fn formatted_by_man() {
    if !Path::new("/usr/bin/groff").exists() {
        println!("SKIPPED: no groff on this machine");
        return;
    }
    let node = Node::new();
    let file = node.file("run.1", &run(&["man", "run"]).1);
    let mut groff = std::process::Command::new("groff");
    let (status, out, err) = outcome(groff.args(["-man", "-Tutf8", "-ww", "-z"]).arg(file));
    assert_eq!((status, out.as_str(), err.as_str()), (Some(0), "", ""));
}

#[test]
fn the_version_names_the_build() {
    let (status, out, err) = run(&["version"]);
    assert_eq!((status, err.as_str()), (Some(0), ""));
    assert!(out.starts_with(&format!("tokenwatch {}\n", env!("CARGO_PKG_VERSION"))), "{out}");
    let seen = json(&["version", "-o", "json"]);
    assert_eq!(seen["version"], env!("CARGO_PKG_VERSION"));
    let keys: Vec<&String> = seen.as_object().unwrap().keys().collect();
    assert_eq!(keys, ["architecture", "commit", "os", "version"]);
    // The tests are built without a commit; deploy/release names one.
    assert_eq!(seen["commit"], option_env!("BUILD_COMMIT").map_or(Value::Null, Value::from));
}
