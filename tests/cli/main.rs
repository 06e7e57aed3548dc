//! The built binary from outside: the output of each command, and its exit status.

// Helpers of tests panic on failure, which the lints cannot tell from product code.
#![allow(missing_docs, clippy::expect_used, clippy::unwrap_used, clippy::panic)]
#![allow(clippy::disallowed_methods)] // a test starts programs, measures time and makes folders

mod explain;
#[path = "../support/golden.rs"]
mod golden;
mod habits;
#[path = "../support/node.rs"]
mod node;
mod readers;
mod readme;
#[allow(dead_code)] // not every test that includes this file uses all of it
#[path = "../support/running.rs"]
mod running;
mod secrecy;
mod time_servers;
#[allow(dead_code)] // this test needs only some of it
#[path = "../support/web.rs"]
mod web;

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};

use golden::golden;
use node::{Node, SIGNATURE, bare, payload, token};
use serde_json::{Value, json};

/// A command without the environment of this machine, which queries no time server by itself.
fn tokenwatch(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_tokenwatch"));
    command
        .args(arguments)
        .env_clear()
        .env("TOKENWATCH_CLOCK_DISCOVER", "false")
        .env("TOKENWATCH_NODE", "node-1")
        .stdin(Stdio::null());
    if arguments.first() == Some(&"run") {
        // The agents of other tests run at the same time.
        command.env("TOKENWATCH_HTTP_ENABLED", "false");
    }
    command
}

fn outcome(command: &mut Command) -> (Option<i32>, String, String) {
    let Output { status, stdout, stderr } = command.output().expect("the binary runs");
    (
        status.code(),
        String::from_utf8(stdout).expect("UTF-8"),
        String::from_utf8(stderr).expect("UTF-8"),
    )
}

fn run(arguments: &[&str]) -> (Option<i32>, String, String) {
    outcome(&mut tokenwatch(arguments))
}

fn fed(arguments: &[&str], input: &[u8]) -> (Option<i32>, String, String) {
    let mut child = tokenwatch(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the binary runs");
    let mut stdin = child.stdin.take().expect("a pipe");
    let _ = stdin.write_all(input); // fails if the command does not read oversized input to its end
    drop(stdin);
    let Output { status, stdout, stderr } = child.wait_with_output().expect("the command ends");
    (
        status.code(),
        String::from_utf8(stdout).expect("UTF-8"),
        String::from_utf8(stderr).expect("UTF-8"),
    )
}

fn check(node: &Node, more: &[&str]) -> (Option<i32>, String, String) {
    let root = node.root().to_string_lossy().into_owned();
    run(&[&["check", "--root", &root], more].concat())
}

fn check_json(node: &Node) -> (Option<i32>, Value) {
    let (status, out, err) = check(node, &["--output", "json"]);
    assert!(!out.contains(SIGNATURE));
    (status, serde_json::from_str(&out).unwrap_or_else(|_| panic!("JSON, not {out} {err}")))
}

#[test]
fn help_shows_examples_and_exit_status() {
    let commands = [
        "run",
        "check",
        "readers",
        "report",
        "explain",
        "clock",
        "demo",
        "replay",
        "config",
        "findings",
        "telemetry",
        "completion",
        "man",
        "version",
    ];
    for command in commands {
        let (status, out, err) = run(&[command, "--help"]);
        assert_eq!((status, err.as_str()), (Some(0), ""), "{command}");
        assert!(out.contains("Example") && out.contains("Exit status: 0"), "{command}");
        golden(&format!("help-{command}.txt"), &out);
    }
    for report in ["upgrade", "posture"] {
        let help = run(&["report", report, "--help"]).1;
        golden(&format!("help-report-{report}.txt"), &help);
    }
    golden("help.txt", &run(&["--help"]).1);
}

#[test]
fn bad_usage_is_exit_status_2() {
    for arguments in [
        &[][..],
        &["chek"],
        &["check", "--rot", "/x"],
        &["explain", "--output", "yaml"],
        &["run", "extra"],
        &["readers", "a/b/c"],
        &["readers", "a pod"],
        &["readers", "--for", "0s"],
        &["readers", "--for", "11m"],
        &["readers", "--for", "10"],
    ] {
        let (status, out, err) = run(arguments);
        assert_eq!((status, out.as_str()), (Some(2), ""), "{arguments:?}");
        assert!(!err.is_empty() && !err.contains("panicked"), "{arguments:?}: {err}");
    }
    assert!(run(&["chek"]).2.contains("'check'"));
}

#[test]
fn findings_and_telemetry_are_printed_from_the_code() {
    golden("findings.txt", &run(&["findings"]).1);
    golden("findings-rotation_stalled.txt", &run(&["findings", "token.rotation_stalled"]).1);
    golden("../../docs/telemetry.md", &run(&["telemetry"]).1);
    let unknown = |code| (run(&["findings", code]).0, run(&["findings", code]).2);
    assert_eq!(
        unknown("token.rotation_staled"),
        (
            Some(2),
            "tokenwatch: unknown finding \"token.rotation_staled\": did you mean \
             token.rotation_stalled?\n"
                .into()
        )
    );
    assert_eq!(
        unknown("expired").1,
        "tokenwatch: unknown finding \"expired\": did you mean token.expired?\n"
    );
    assert_eq!(
        unknown("\u{1b}[31m").1,
        "tokenwatch: unknown finding \"\\u{1b}[31m\": `tokenwatch findings` lists them all\n"
    );
}

#[test]
fn core_dumps_are_disabled() {
    let mut child = tokenwatch(&["explain", "-"])
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let limits = format!("/proc/{}/limits", child.id());
    let is_zero = || {
        std::fs::read_to_string(&limits)
            .unwrap()
            .lines()
            .any(|line| line.starts_with("Max core file size        0 "))
    };
    let started = std::time::Instant::now();
    while !is_zero() && started.elapsed().as_secs() < 10 {
        std::thread::yield_now(); // the process is still starting
    }
    let seen = is_zero();
    drop(child.stdin.take());
    child.wait().unwrap();
    assert!(seen);
}

/// docs/replay.md leaves out the configuration of a pod so.
#[test]
fn the_null_device_is_an_empty_configuration() {
    let (status, out, err) = run(&["config", "--config", "/dev/null"]);
    assert_eq!((status, err.as_str()), (Some(0), ""), "{out}");
    assert_eq!(run(&["config", "--config", "/dev/zero"]).0, Some(2));
}

#[test]
fn the_configuration_is_shown_with_origins() {
    let node = Node::new();
    node.file(
        "tw.yaml",
        "clock:\n  servers: [ntp1.example]\notlp:\n  headers: {authorization: Bearer hunter2}\n",
    );
    let mut command = tokenwatch(&["config", "--config", "tw.yaml", "--clock-max-age", "1h"]);
    command
        .current_dir(node.root())
        .env("TOKENWATCH_FILES_RESCAN", "2m")
        .env("OTEL_EXPORTER_OTLP_ENDPOINT", "http://collector:4317");
    let (status, out, err) = outcome(&mut command);
    assert_eq!((status, err.as_str()), (Some(0), ""));
    assert!(!out.contains("hunter2"));
    golden("config.yaml", &out);
}

#[test]
fn every_mistake_is_reported_at_once() {
    let node = Node::new();
    node.file(
        "tw.yaml",
        "clok: {}\nclock:\n  intervall: 64s\n  timeout: 5\n  interval: 8s\nlog: {level: loud!, \
         format: jsn}\nalerts: {memory: 4Mi}\notlp: {client_key_file: /k}\n",
    );
    let mut command = tokenwatch(&["run", "--config", "tw.yaml", "--clock-server", "a:b"]);
    command.current_dir(node.root()).env("TOKENWATCH_CLOCK_AGE", "1h");
    let standard = [
        ("OTEL_EXPORTER_OTLP_ENDPOINT", "ftp://collector"),
        ("OTEL_EXPORTER_OTLP_TIMEOUT", "10s"),
        ("OTEL_EXPORTER_OTLP_HEADERS", "hunter2"),
        ("OTEL_RESOURCE_ATTRIBUTES", "nonsense"),
    ];
    let (status, out, err) = outcome(command.envs(standard));
    assert_eq!((status, out.as_str()), (Some(2), ""));
    assert!(!err.contains("hunter2"), "{err}");
    golden("config-mistakes.txt", &err);
    let mut command =
        tokenwatch(&["config", "--config", "/nowhere/tw.yaml", "--clock-timeout", "5"]);
    let (status, _, err) = outcome(command.env("OTEL_RESOURCE_ATTRIBUTES", "nonsense"));
    assert_eq!(status, Some(2));
    assert_eq!(
        err,
        "tokenwatch: 3 mistakes in the configuration\n/nowhere/tw.yaml: cannot read the \
         configuration file: No such file or directory (os error 2)\nflag --clock-timeout: 5 has \
         no unit: write 5s for seconds or 5m for minutes\nenvironment variable \
         OTEL_RESOURCE_ATTRIBUTES: an entry has no `=`: write name=value,name=value and \
         percent-encode commas in values (%2C)\n"
    );
}

#[test]
fn a_mistake_in_a_flag_names_the_flag_of_this_command() {
    for (arguments, message) in [
        (["clock", "--server", "a:b"], "flag --server: \"b\" is not a port"),
        (["check", "--clock-server", "a:b"], "flag --clock-server: \"b\" is not a port"),
    ] {
        let (status, _, err) = run(&arguments);
        assert!(status == Some(2) && err.contains(message), "{err}");
    }
}

#[test]
fn check_distinguishes_healthy_from_broken() {
    let node = Node::new();
    node.pod("fine", &token(&payload("fine", 1_000, 3_600)));
    let (status, seen) = check_json(&node);
    assert_eq!(status, Some(0), "{seen:#}");
    node.pod("stalled", &token(&payload("stalled", 3_300, 3_600)));
    node.pod("expired", &token(&payload("expired", 3_700, 3_600)));
    node.pod("broken", "eyJhbGciOiJSUzI1NiJ9.cut");
    let (status, seen) = check_json(&node);
    assert_eq!(status, Some(1), "{seen:#}");
    let states: Vec<_> = seen["tokens"]
        .as_array()
        .unwrap()
        .iter()
        .map(|token| (&token["pod"]["name"], &token["state"]))
        .collect();
    let expected = [("expired", "expired"), ("fine", "fresh"), ("stalled", "stalled")]
        .map(|(name, state)| (json!(name), json!(state)));
    assert_eq!(states, expected.iter().map(|(name, state)| (name, state)).collect::<Vec<_>>());
    for code in ["token.expired", "token.rotation_stalled", "token.malformed"] {
        let finding =
            seen["findings"].as_array().unwrap().iter().find(|finding| finding["code"] == code);
        let finding = finding.unwrap_or_else(|| panic!("{code} in {seen:#}"));
        assert!(
            finding["summary"].is_string()
                && finding["remedy"]["text"].is_string()
                && finding["subject"]["pod"]["uid"].is_string()
        );
    }
    let (status, out, err) = check(&node, &[]);
    assert_eq!((status, err.as_str()), (Some(1), ""));
    assert!(
        out.find("shop/expired") < out.find("shop/stalled")
            && out.find("shop/stalled") < out.find("shop/fine"),
        "worst first: {out}"
    );
    assert!(!out.contains('\u{1b}'), "no colours into a pipe");
    assert!(out.lines().all(|line| line.chars().count() <= 120), "{out}");
}

#[test]
fn check_keeps_the_keys_of_its_json() {
    let node = Node::new();
    node.pod("gone", &token(&payload("gone", 3_700, 3_600)));
    let (_, seen) = check_json(&node);
    let keys = |value: &Value| value.as_object().unwrap().keys().cloned().collect::<Vec<_>>();
    for key in ["at", "clock", "tokens", "findings"] {
        assert!(keys(&seen).iter().any(|known| known == key), "{key}");
    }
    let token = [
        "audiences",
        "bound_to",
        "effective_deadline",
        "expires_at",
        "issued_at",
        "path",
        "pod",
        "refresh_due",
        "service_account",
        "signature",
        "state",
        "verdict",
        "volume",
        "warn_after",
    ];
    assert_eq!(keys(&seen["tokens"][0]), token);
    assert_eq!(keys(&seen["tokens"][0]["pod"]), ["name", "namespace", "uid"]);
    let expired = seen["findings"]
        .as_array()
        .unwrap()
        .iter()
        .find(|finding| finding["code"] == "token.expired")
        .unwrap();
    assert_eq!(
        keys(expired),
        ["cause", "code", "deadline", "evidence", "remedy", "severity", "subject", "summary"]
    );
    assert_eq!(keys(&expired["remedy"]), ["command", "text"]);
    assert_eq!(keys(&expired["subject"]), ["path", "pod", "volume"]);
}

#[test]
fn check_without_a_readable_root_names_the_paths_it_tried() {
    let (status, out, err) = run(&["check", "--root", "/nowhere/kubelet"]);
    assert_eq!((status, out.as_str()), (Some(2), ""));
    assert!(err.contains("/nowhere/kubelet") && err.contains("--root"), "{err}");
    let (status, _, err) = run(&["check", "--host-prefix", "/nowhere"]);
    assert_eq!(status, Some(2));
    assert!(err.contains("/nowhere/var/lib/kubelet") && err.contains("--root"), "{err}");
}

#[test]
fn a_relative_root_starts_at_the_working_directory() {
    let node = Node::new();
    node.pod("fine", &token(&payload("fine", 1_000, 3_600)));
    let (parent, name) = (node.root().parent().unwrap(), node.root().file_name().unwrap());
    let (status, out, err) =
        outcome(tokenwatch(&["check", "--root"]).arg(name).current_dir(parent));
    assert!(status == Some(0) && out.contains("shop/fine"), "{status:?} {out} {err}");
    let (status, out, err) = outcome(
        tokenwatch(&["check", "--host-prefix"])
            .arg(parent)
            .arg("--root")
            .arg(Path::new("/").join(name)),
    );
    assert!(status == Some(0) && out.contains("shop/fine"), "on the host: {status:?} {out} {err}");
}

#[test]
fn an_unreadable_root_is_not_reported_as_healthy() {
    let node = Node::new();
    node.pod("fine", &token(&payload("fine", 1_000, 3_600)));
    let (status, out, _) = check(&node, &["--root", "/nowhere/kubelet"]);
    assert_eq!(status, Some(2));
    assert!(out.contains("not read: /nowhere/kubelet/pods: No such file or directory"), "{out}");
}

/// `check` as the user nobody with these capabilities (setpriv(1)). The binary is copied to a
/// directory where that user may run it.
fn check_as_nobody(node: &Node, capabilities: &str) -> (Option<i32>, String, String) {
    let open = tempfile::Builder::new()
        .permissions(PermissionsExt::from_mode(0o755))
        .tempdir()
        .expect("a folder");
    let binary = open.path().join("tokenwatch");
    // Copied by another process. If this one wrote it, the file could still be open in a child that
    // another test forks at that moment, and executing it would fail as "busy".
    let copied =
        Command::new("cp").arg(env!("CARGO_BIN_EXE_tokenwatch")).arg(&binary).status().expect("cp");
    assert!(copied.success());
    let mut command = Command::new("setpriv");
    command.args(["--reuid=65534", "--regid=65534", "--clear-groups"]);
    command.args([format!("--inh-caps={capabilities}"), format!("--ambient-caps={capabilities}")]);
    command.arg(binary).args(["check", "--clock-discover=false", "--root"]).arg(node.root());
    outcome(bare(&mut command))
}

#[test]
fn one_capability_is_enough_for_reading() {
    if !nix::unistd::geteuid().is_root() {
        assert!(std::env::var_os("CI").is_none(), "needs root to switch to another user");
        eprintln!("SKIPPED: needs root to switch to another user");
        return;
    }
    let node = Node::new();
    node.pod("fine", &token(&payload("fine", 1_000, 3_600)));
    std::fs::set_permissions(node.root().join("pods"), PermissionsExt::from_mode(0o700)).unwrap();
    let (status, out, err) = check_as_nobody(&node, "-all,+dac_read_search");
    assert!(status == Some(0) && out.contains("shop/fine"), "{status:?} {out} {err}");
    let (status, _, err) = check_as_nobody(&node, "-all");
    assert!(status == Some(2) && err.contains("CAP_DAC_READ_SEARCH"), "{status:?} {err}");
}

#[test]
fn check_prints_no_control_characters() {
    let node = Node::new();
    let mut hostile = payload("evil", 1_000, 3_600);
    hostile["aud"] = json!(["\u{1b}]0;owned\u{7}"]);
    hostile["kubernetes.io"]["pod"]["name"] = json!("\u{1b}[2J\u{202e}evil");
    node.pod("evil", &token(&hostile));
    for output in ["table", "json"] {
        let (_, out, _) = check(&node, &["--output", output]);
        assert!(
            out.contains("evil")
                && out.chars().all(|c| c == '\n' || !c.is_control())
                && !out.contains('\u{202e}'),
            "{output}: {out:?}"
        );
    }
}

#[test]
fn a_closed_pipe_is_no_error() {
    let mut child =
        tokenwatch(&["telemetry"]).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    drop(child.stdout.take());
    let Output { status, stderr, .. } = child.wait_with_output().unwrap();
    assert_eq!((status.code(), stderr.as_slice()), (Some(0), &b""[..]));
}

/// The output of a command on a terminal of this width.
fn on_a_terminal(columns: u16, command: &mut Command) -> String {
    let size = nix::pty::Winsize { ws_row: 24, ws_col: columns, ws_xpixel: 0, ws_ypixel: 0 };
    let nix::pty::OpenptyResult { master, slave } =
        nix::pty::openpty(Some(&size), None).expect("a terminal");
    let mut child = command.stdout(slave).spawn().expect("the binary runs");
    // The command keeps the terminal open, and reading would never end.
    command.stdout(Stdio::null());
    let mut output = Vec::new();
    let _ = std::fs::File::from(master).read_to_end(&mut output); // Linux reports the end as EIO
    child.wait().expect("the command ends");
    String::from_utf8(output).expect("UTF-8")
}

#[test]
fn a_terminal_gets_colours_and_wrapped_lines() {
    let node = Node::new();
    node.pod(
        "a-stalled-pod-with-a-long-name",
        &token(&payload("a-stalled-pod-with-a-long-name", 3_300, 3_600)),
    );
    let check = || {
        let mut command = tokenwatch(&["check", "--root"]);
        command.arg(node.root()).env("TERM", "xterm");
        command
    };
    let coloured = on_a_terminal(80, &mut check());
    assert!(coloured.contains("\u{1b}[33mwarning\u{1b}[0m"), "{coloured:?}");
    assert!(!on_a_terminal(80, check().env("TERM", "dumb")).contains('\u{1b}'));
    let plain = on_a_terminal(80, check().env("NO_COLOR", "1"));
    assert!(plain.contains("a-stalled") && !plain.contains('\u{1b}'), "{plain:?}");
    // Commands and names are not wrapped, so that they can be copied.
    let wrapped = |line: &&str| {
        !line.starts_with("    ") && !line.starts_with("warning ") && !line.contains(" under /")
    };
    for line in plain.lines().filter(wrapped) {
        assert!(line.chars().count() <= 80, "{line:?}");
    }
    let narrow = on_a_terminal(60, tokenwatch(&["findings", "token.expired"]).env("NO_COLOR", "1"));
    for line in narrow.lines().filter(wrapped) {
        assert!(line.chars().count() <= 60, "{line:?}");
    }
}

#[test]
fn output_that_cannot_be_written_is_an_error() {
    let node = Node::new();
    let root = node.root().to_string_lossy().into_owned();
    let legacy = node.file("legacy", &token(&explain::legacy()));
    let legacy = legacy.to_string_lossy();
    for arguments in [
        &["telemetry"][..],
        &["findings"],
        &["config"],
        &["check", "--root", &root],
        &["explain", &legacy],
        &["clock"],
    ] {
        let full = std::fs::File::options().write(true).open("/dev/full").unwrap();
        let Output { status, stderr, .. } = tokenwatch(arguments).stdout(full).output().unwrap();
        let error = String::from_utf8(stderr).unwrap();
        let expected =
            "tokenwatch: cannot write to standard output: No space left on device (os error 28)\n";
        assert_eq!((status.code(), error.as_str()), (Some(2), expected), "{arguments:?}");
    }
}

/// The agent on this node: the lines of its standard output, and the file of its log. A pipe could
/// fill up meanwhile.
fn start(node: &Node, arguments: &[&str]) -> (Child, impl Iterator<Item = String>, PathBuf) {
    let log = node.file("log", "");
    let mut command = tokenwatch(&[&["run"], arguments, &["--root"]].concat());
    let mut child = command
        .arg(node.root())
        .stdout(Stdio::piped())
        .stderr(std::fs::File::create(&log).unwrap())
        .spawn()
        .unwrap();
    let lines = BufReader::new(child.stdout.take().unwrap()).lines().map(Result::unwrap);
    (child, lines, log)
}

/// Even at the level trace the output contains no byte of a token.
#[test]
fn run_prints_alerts_and_stops_on_a_signal() {
    let node = Node::new();
    let text = token(&payload("expired", 3_700, 3_600));
    node.pod("expired", &text);
    let (mut child, mut lines, log) = start(&node, &["--log-level", "trace"]);
    let mut output = vec![lines.find(|line| line.contains("token.expired")).expect("an alert")];
    nix::sys::signal::kill(
        nix::unistd::Pid::from_raw(child.id().cast_signed()),
        nix::sys::signal::SIGTERM,
    )
    .unwrap();
    output.extend(lines);
    assert_eq!(child.wait().unwrap().code(), Some(0));
    output.push(std::fs::read_to_string(log).unwrap());
    let output = output.join("\n");
    assert!(
        output.contains("stopping") && !output.contains(SIGNATURE) && !output.contains(&text[..40]),
        "{output}"
    );
}

/// After ten seconds, which is the time that a starting kubelet gets.
#[test]
fn run_raises_an_alert_for_unreadable_roots() {
    let node = Node::new();
    let (mut child, mut lines, _) = start(&node, &["--root", "/nowhere/kubelet"]);
    lines.find(|line| line.contains(" warning  agent.blind  node node-1")).expect("an alert");
    let summary = lines.next().unwrap();
    child.kill().unwrap();
    child.wait().unwrap();
    assert_eq!(
        summary.trim(),
        "This agent cannot see the kubelet root /nowhere/kubelet on node node-1: cannot read \
         the directory pods: No such file or directory (ENOENT); mount kubelet's root directory \
         there, or name the right one with --root. It does not watch the tokens there."
    );
}

/// As behind `| head -1`. The next output would be a reminder, hours later.
#[test]
fn run_ends_when_standard_output_is_closed() {
    let node = Node::new();
    node.pod("expired", &token(&payload("expired", 3_700, 3_600)));
    let (mut child, mut lines, log) = start(&node, &["--log-level", "warn"]);
    lines.find(|line| line.contains("journalctl -u kubelet")).expect("a whole alert");
    drop(lines);
    let started = std::time::Instant::now();
    let status = loop {
        match child.try_wait().unwrap() {
            Some(status) => break status,
            None if started.elapsed().as_secs() > 20 => {
                break child.kill().and_then(|()| child.wait()).unwrap();
            }
            None => std::thread::yield_now(),
        }
    };
    let log = std::fs::read_to_string(log).unwrap();
    assert_eq!(
        (status.code(), log.as_str()),
        (
            Some(1),
            "tokenwatch: standard output is closed, and no OTLP endpoint is configured: the agent \
             stops because nobody receives its alerts\n"
        )
    );
}
