//! The built binary from outside: what each command prints, and its exit status.

// A test that cannot be set up fails: its helpers are tests too, which the lints cannot see.
#![allow(missing_docs, clippy::expect_used, clippy::unwrap_used, clippy::panic)]

#[path = "support/golden.rs"]
mod golden;
#[path = "support/node.rs"]
mod node;

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Output, Stdio};

use golden::golden;
use node::{Node, SIGNATURE, bare, payload, token};
use serde_json::{Value, json};

/// Nothing of this machine gets in: no environment, and no time server is asked that nobody named.
fn tokenwatch(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_tokenwatch"));
    command
        .args(arguments)
        .env_clear()
        .env("TOKENWATCH_CLOCK_DISCOVER", "false")
        .env("TOKENWATCH_NODE", "node-1")
        .stdin(Stdio::null());
    if arguments.first() == Some(&"run") {
        command.env("TOKENWATCH_HTTP_ENABLED", "false"); // agents of other tests run at the same time
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
    let _ = stdin.write_all(input); // oversized input is not read to its end
    drop(stdin);
    let Output { status, stdout, stderr } = child.wait_with_output().expect("it ends");
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
    let commands =
        ["run", "check", "explain", "clock", "demo", "replay", "config", "findings", "telemetry"];
    for command in commands {
        let (status, out, err) = run(&[command, "--help"]);
        assert_eq!((status, err.as_str()), (Some(0), ""), "{command}");
        assert!(out.contains("Example") && out.contains("Exit status: 0"), "{command}");
        golden(&format!("help-{command}.txt"), &out);
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

fn readme() -> String {
    std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../README.md"))
        .expect("README.md")
}

#[test]
fn the_readme_names_what_there_is() {
    let text = readme();
    for command in run(&["--help"])
        .1
        .split("Commands:")
        .nth(1)
        .unwrap()
        .split("Options:")
        .next()
        .unwrap()
        .split_whitespace()
    {
        let is_command = run(&[command, "--help"]).0 == Some(0) && command != "help";
        assert!(!is_command || text.contains(&format!("| `{command}")), "{command}");
    }
    let (looked_for, reserved) =
        text.split_once("## Findings").unwrap().1.split_once("Reserved").unwrap();
    for line in run(&["findings"]).1.lines().skip(1).take_while(|line| !line.is_empty()) {
        let code = format!("`{}`", line.split_whitespace().next().unwrap());
        assert_eq!(
            (reserved.contains(&code), looked_for.contains(&code)),
            (line.contains(" reserved "), !line.contains(" reserved ")),
            "{code}"
        );
    }
}

#[test]
fn the_readmes_configuration_is_one() {
    let text = readme();
    let yaml = text.split("```yaml\n").nth(1).unwrap().split("```").next().unwrap();
    let node = Node::new();
    let file = node.file("tw.yaml", yaml);
    let (status, out, err) = run(&["config", "--config", file.to_str().unwrap()]);
    assert_eq!((status, err.as_str()), (Some(0), ""));
    assert!(out.contains("ntp2.example") && out.contains("http://collector:4317"), "{out}");
}

/// Each command of the README is one, with flags that exist.
#[test]
fn the_readmes_commands_are_understood() {
    let text = readme();
    let commands: Vec<&str> =
        text.lines().filter_map(|line| line.strip_prefix("    tokenwatch ")).collect();
    assert!(commands.len() >= 5, "{commands:?}");
    for command in commands {
        let words: Vec<&str> =
            command.split('#').next().unwrap().split_whitespace().chain(["--help"]).collect();
        assert_eq!(run(&words).0, Some(0), "{command}");
    }
}

/// What the README shows of `check` is what it prints, apart from the width of columns and what is
/// left out.
#[test]
fn the_readmes_sample_is_printed_so() {
    let words = |line: &str| line.split_whitespace().map(str::to_owned).collect::<Vec<_>>();
    let golden = std::fs::read_to_string(concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/../tests/golden/check-table.txt"
    ))
    .unwrap();
    let printed: Vec<_> = golden.lines().map(words).collect();
    let text = readme();
    let sample =
        text.split_once("says what to do:\n").unwrap().1.split_once("(Shortened").unwrap().0;
    for line in sample.lines() {
        assert!(printed.contains(&words(line)), "{line}");
    }
}

/// The README's table of seconds, held against `explain`.
#[test]
fn the_readmes_deadlines_are_kept() {
    let text = readme();
    let rows = text
        .split_once("| token | due |")
        .unwrap()
        .1
        .lines()
        .skip(2)
        .take_while(|line| line.starts_with('|'));
    let lifetimes = [(600, None), (3_600, None), (31_536_000, Some(3_607)), (604_800, None)];
    for (row, (lifetime, warn_after)) in rows.zip(lifetimes) {
        let told: Vec<i64> =
            row.split('|').skip(2).filter_map(|cell| cell.replace(' ', "").parse().ok()).collect();
        let mut claims = payload("cart-0", 100, lifetime);
        let issued = claims["iat"].as_i64().unwrap();
        claims["kubernetes.io"]["warnafter"] =
            warn_after.map_or(Value::Null, |after: i64| json!(issued + after));
        let seen: Value = serde_json::from_str(
            &fed(&["explain", "--output", "json"], token(&claims).as_bytes()).1,
        )
        .unwrap();
        let age = |key: &str| {
            seen[key]
                .as_str()
                .unwrap()
                .parse::<chrono::DateTime<chrono::Utc>>()
                .unwrap()
                .timestamp()
                - issued
        };
        let is: Vec<i64> =
            ["refresh_due", "late", "stalled", "effective_deadline", "hard_deadline"]
                .map(age)
                .into();
        // The fourth column, critical, is in the table of agent/core/src/token/deadlines.rs.
        assert_eq!([&told[..3], &told[4..]].concat(), is, "{row}");
    }
}

#[test]
fn no_core_is_dumped_with_a_token_in_it() {
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
        std::thread::yield_now(); // it is still starting
    }
    let seen = is_zero();
    drop(child.stdin.take());
    child.wait().unwrap();
    assert!(seen);
}

#[test]
fn the_configuration_is_shown_with_its_origins() {
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
fn every_mistake_is_told_at_once() {
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
        "tokenwatch: 3 mistakes in the configuration\n/nowhere/tw.yaml: the configuration file \
         cannot be read: No such file or directory (os error 2)\nflag --clock-timeout: 5 has no \
         unit: write 5s for seconds or 5m for minutes\nenvironment variable \
         OTEL_RESOURCE_ATTRIBUTES: an entry has no `=`: write name=value,name=value and \
         percent-encode commas in values (%2C)\n"
    );
}

#[test]
fn a_mistake_in_a_flag_names_the_flag_as_the_command_calls_it() {
    for (arguments, told) in [
        (["clock", "--server", "a:b"], "flag --server: \"b\" is not a port"),
        (["check", "--clock-server", "a:b"], "flag --clock-server: \"b\" is not a port"),
    ] {
        let (status, _, err) = run(&arguments);
        assert!(status == Some(2) && err.contains(told), "{err}");
    }
}

#[test]
fn check_tells_healthy_from_broken() {
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
fn check_keeps_the_contracts_keys() {
    let node = Node::new();
    node.pod("gone", &token(&payload("gone", 3_700, 3_600)));
    let (_, seen) = check_json(&node);
    let keys = |value: &Value| value.as_object().unwrap().keys().cloned().collect::<Vec<_>>();
    for key in ["at", "clock", "tokens", "findings"] {
        assert!(keys(&seen).iter().any(|known| known == key), "{key}");
    }
    let token = [
        "audiences",
        "effective_deadline",
        "expires_at",
        "issued_at",
        "path",
        "pod",
        "refresh_due",
        "service_account",
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
        ["code", "deadline", "evidence", "remedy", "severity", "subject", "summary"]
    );
    assert_eq!(keys(&expired["remedy"]), ["command", "text"]);
    assert_eq!(keys(&expired["subject"]), ["path", "pod", "volume"]);
}

#[test]
fn check_that_cannot_look_says_where_it_looked() {
    let (status, out, err) = run(&["check", "--root", "/nowhere/kubelet"]);
    assert_eq!((status, out.as_str()), (Some(2), ""));
    assert!(err.contains("/nowhere/kubelet") && err.contains("--root"), "{err}");
    let (status, _, err) = run(&["check", "--host-prefix", "/nowhere"]);
    assert_eq!(status, Some(2));
    assert!(err.contains("/nowhere/var/lib/kubelet") && err.contains("--root"), "{err}");
}

#[test]
fn a_relative_root_starts_from_where_one_stands() {
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
fn a_root_that_could_not_be_looked_at_is_not_called_well() {
    let node = Node::new();
    node.pod("fine", &token(&payload("fine", 1_000, 3_600)));
    let (status, out, _) = check(&node, &["--root", "/nowhere/kubelet"]);
    assert_eq!(status, Some(2));
    assert!(
        out.contains("not looked at: /nowhere/kubelet/pods: No such file or directory"),
        "{out}"
    );
}

/// `check` as nobody, with these capabilities of setpriv(1). The binary is copied to where nobody
/// may run it.
fn check_as_nobody(node: &Node, capabilities: &str) -> (Option<i32>, String, String) {
    let open = tempfile::Builder::new()
        .permissions(PermissionsExt::from_mode(0o755))
        .tempdir()
        .expect("a folder");
    let binary = open.path().join("tokenwatch");
    // By another process: a file that this one has open for writing is open in whatever another
    // test forks just then, and "busy" to whoever executes it.
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
fn one_capability_is_all_that_reading_takes() {
    if !nix::unistd::geteuid().is_root() {
        assert!(std::env::var_os("CI").is_none(), "needs root to become somebody else");
        eprintln!("SKIPPED: needs root to become somebody else");
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
fn check_shows_nothing_that_could_steer_a_terminal() {
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
fn explain_tells_a_tokens_deadlines_and_never_its_signature() {
    let text = token(&payload("cart-0", 1_000, 3_600)) + "\n";
    let node = Node::new();
    let file = node.file("token", &text);
    let (status, out, err) = run(&[
        "explain",
        &file.to_string_lossy(),
        "--output",
        "json",
        "--clock-assumed-bound",
        "1s",
    ]);
    assert_eq!((status, err.as_str()), (Some(0), ""), "{out}");
    let seen: Value = serde_json::from_str(&out).unwrap();
    assert_eq!(
        (&seen["state"], &seen["verdict"], &seen["stale"]),
        (&json!("fresh"), &json!("live"), &json!(false))
    );
    assert_eq!(seen["pod"], json!({"name": "cart-0", "uid": "uid-cart-0"}));
    for arguments in [&["explain", "-"][..], &["explain"], &["explain", "-", "--output", "json"]] {
        let (_, out, _) = fed(arguments, text.as_bytes());
        assert!(
            out.contains("cart-0") && !out.contains(SIGNATURE) && !out.contains(&text[..40]),
            "{out}"
        );
    }
}

#[test]
fn explain_says_by_its_exit_status_whether_the_token_works() {
    let status = |payload: &Value| {
        fed(&["explain", "--clock-assumed-bound", "1s"], token(payload).as_bytes()).0
    };
    assert_eq!(status(&payload("dead", 3_700, 3_600)), Some(1));
    let mut extended = payload("stale", 5_000, 31_536_000);
    extended["kubernetes.io"]["warnafter"] = json!(node::now() - 5_000 + 3_607);
    let (stale, out, _) =
        fed(&["explain", "--clock-assumed-bound", "1s"], token(&extended).as_bytes());
    assert_eq!(stale, Some(1));
    assert!(out.contains("--service-account-extend-token-expiration"), "{out}");
    let uncertain = fed(
        &["explain", "--output", "json", "--clock-assumed-bound", "1s"],
        token(&payload("u", 3_630, 3_600)).as_bytes(),
    );
    assert_eq!(uncertain.0, Some(1));
    assert!(uncertain.1.contains("\"uncertain\""));
}

#[test]
fn explain_names_what_is_no_token() {
    let pem = "-----BEGIN CERTIFICATE-----\nMIIB\n";
    let foreign = token(&json!({"iss": "https://else.where", "iat": 1, "exp": 2}));
    let encoded = "ZXlKaGJHY2lPaUpTVXpJMU5pSjk=";
    let oversized = format!("eyJ{}", "a".repeat(10_000_000));
    let cases = [
        ("", "nothing was read"),
        (pem, "a certificate or a key in PEM"),
        ("{\"kind\": \"Secret\"}", "JSON"),
        (foreign.as_str(), "a JWT of somebody else"),
        (encoded, "base64 -d"),
        ("eyJhbGciOiJSUzI1NiJ9.e30", "starts like one, but a JWT has 3 parts"),
        (
            "eyJhbGciOiJkaXIifQ..YQ.YQ.YQ",
            "this is an encrypted JWT (JWE), not a service-account token",
        ),
        (oversized.as_str(), "longer than 65536 bytes"),
        ("hunter2", "some other text"),
    ];
    for (input, told) in cases {
        let (status, out, err) = fed(&["explain", "-"], input.as_bytes());
        assert_eq!((status, out.as_str()), (Some(2), ""), "{told}");
        assert!(
            err.contains(told) && !err.contains("hunter2") && !err.contains("MIIB"),
            "{told}: {err}"
        );
    }
    assert_eq!(fed(&["explain"], &[0xff, 0xfe, 0]).0, Some(2));
    assert_eq!(run(&["explain", "/nowhere/token"]).0, Some(2));
    assert_eq!(run(&["explain", "/"]).0, Some(2));
}

/// The payload of a Secret's token.
fn legacy() -> Value {
    json!({
        "iss": "kubernetes/serviceaccount", "kubernetes.io/serviceaccount/namespace": "shop",
        "kubernetes.io/serviceaccount/secret.name": "cart-token-x", "kubernetes.io/serviceaccount/service-account.name": "cart",
    })
}

#[test]
fn explain_knows_a_legacy_token() {
    let (status, out, _) = fed(&["explain"], token(&legacy()).as_bytes());
    assert_eq!(status, Some(0));
    golden("explain-legacy.txt", &out);
}

#[test]
fn a_closed_pipe_is_no_error() {
    let mut child =
        tokenwatch(&["telemetry"]).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    drop(child.stdout.take());
    let Output { status, stderr, .. } = child.wait_with_output().unwrap();
    assert_eq!((status.code(), stderr.as_slice()), (Some(0), &b""[..]));
}

/// What a command writes to a terminal of so many columns.
fn on_a_terminal(columns: u16, command: &mut Command) -> String {
    let size = nix::pty::Winsize { ws_row: 24, ws_col: columns, ws_xpixel: 0, ws_ypixel: 0 };
    let nix::pty::OpenptyResult { master, slave } =
        nix::pty::openpty(Some(&size), None).expect("a terminal");
    let mut child = command.stdout(slave).spawn().expect("the binary runs");
    command.stdout(Stdio::null()); // the command holds the terminal open, and its other end would never end
    let mut told = Vec::new();
    let _ = std::fs::File::from(master).read_to_end(&mut told); // Linux tells the end as EIO
    child.wait().expect("it ends");
    String::from_utf8(told).expect("UTF-8")
}

#[test]
fn a_terminal_gets_colours_and_lines_that_fit() {
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
    // Commands and names are there to be copied; all else fits.
    let whole = |line: &&str| {
        !line.starts_with("    ") && !line.starts_with("warning ") && !line.contains(" under /")
    };
    for line in plain.lines().filter(whole) {
        assert!(line.chars().count() <= 80, "{line:?}");
    }
    let told = on_a_terminal(60, tokenwatch(&["findings", "token.expired"]).env("NO_COLOR", "1"));
    for line in told.lines().filter(whole) {
        assert!(line.chars().count() <= 60, "{line:?}");
    }
}

#[test]
fn an_answer_that_cannot_be_written_is_an_error() {
    let node = Node::new();
    let root = node.root().to_string_lossy().into_owned();
    let legacy = node.file("legacy", &token(&legacy()));
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
        let told = String::from_utf8(stderr).unwrap();
        assert_eq!(
            (status.code(), told.as_str()),
            (Some(2), "tokenwatch: standard output: No space left on device (os error 28)\n"),
            "{arguments:?}"
        );
    }
}

/// Until it is asked to stop; what it writes at its most talkative holds no token.
#[test]
fn run_prints_what_it_would_send_and_stops_when_it_is_asked_to() {
    let node = Node::new();
    let text = token(&payload("expired", 3_700, 3_600));
    node.pod("expired", &text);
    let mut command = tokenwatch(&["run", "--log-level", "trace", "--root"]);
    let diary = node.file("diary", ""); // a pipe that nobody reads meanwhile would fill
    let mut child = command
        .arg(node.root())
        .stdout(Stdio::piped())
        .stderr(std::fs::File::create(&diary).unwrap())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines().map(Result::unwrap);
    let mut told = vec![lines.find(|line| line.contains("token.expired")).expect("an alert")];
    nix::sys::signal::kill(
        nix::unistd::Pid::from_raw(child.id().cast_signed()),
        nix::sys::signal::SIGTERM,
    )
    .unwrap();
    told.extend(lines);
    assert_eq!(child.wait().unwrap().code(), Some(0));
    told.push(std::fs::read_to_string(diary).unwrap());
    let told = told.join("\n");
    assert!(
        told.contains("asked to stop") && !told.contains(SIGNATURE) && !told.contains(&text[..40]),
        "{told}"
    );
}

/// Ten seconds, which a kubelet that is just starting gets, and no more.
#[test]
fn run_raises_an_alert_for_roots_that_it_cannot_read() {
    let node = Node::new();
    let diary = node.file("diary", "");
    let mut command = tokenwatch(&["run", "--root", "/nowhere/kubelet", "--root"]);
    let mut child = command
        .arg(node.root())
        .stdout(Stdio::piped())
        .stderr(std::fs::File::create(&diary).unwrap())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines().map(Result::unwrap);
    lines.find(|line| line.contains(" warning  agent.blind  node node-1")).expect("an alert");
    let told = lines.next().unwrap();
    child.kill().unwrap();
    child.wait().unwrap();
    assert_eq!(
        told.trim(),
        "This agent cannot see the kubelet root /nowhere/kubelet on node node-1: its directory \
         pods cannot be read: No such file or directory (ENOENT); mount kubelet's root directory \
         there, or name the right one with --root. Tokens there are not watched."
    );
}

/// As behind `| head -1`: the agent has more to say only when it reminds, hours later.
#[test]
fn run_ends_when_nobody_reads_what_it_prints() {
    let node = Node::new();
    node.pod("expired", &token(&payload("expired", 3_700, 3_600)));
    let (diary, mut command) =
        (node.file("diary", ""), tokenwatch(&["run", "--log-level", "warn", "--root"]));
    let mut child = command
        .arg(node.root())
        .stdout(Stdio::piped())
        .stderr(std::fs::File::create(&diary).unwrap())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines().map(Result::unwrap);
    lines.find(|line| line.contains("journalctl -u kubelet")).expect("an alert to its end");
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
    let told = std::fs::read_to_string(diary).unwrap();
    assert_eq!(
        (status.code(), told.as_str()),
        (Some(1), "tokenwatch: standard output is closed: nobody reads what is printed\n")
    );
}

#[test]
fn a_public_pool_that_only_the_host_names_is_not_asked() {
    let host = Node::new();
    let root = host.root().to_str().unwrap();
    std::fs::create_dir(host.root().join("etc")).unwrap();
    host.file("etc/chrony.conf", "pool nobody.pool.ntp.org iburst\n");
    let (_, out, err) =
        run(&["clock", "--host-prefix", root, "--clock-discover", "true", "--output", "json"]);
    assert_eq!(serde_json::from_str::<Value>(&out).unwrap()["servers"], json!([]));
    assert!(err.contains("not asking nobody.pool.ntp.org"), "{err}");
}

#[test]
fn the_clock_without_servers_is_told_by_the_kernel() {
    let (status, out, err) = run(&["clock", "--output", "json"]);
    assert!(matches!(status, Some(0 | 2)), "{err}");
    let seen: Value = serde_json::from_str(&out).unwrap();
    assert_eq!(seen["servers"], json!([]));
}
