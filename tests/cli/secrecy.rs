//! No argument, variable or file that looks like a token is echoed: through every command and every
//! flag that `--help` lists, every variable, every setting of a file.

use std::io::Read as _;
use std::net::{Ipv4Addr, SocketAddr};
use std::process::Stdio;
use std::time::{Duration, Instant};

use serde_json::json;
use tokenwatch::config::SETTINGS;

use crate::node::{Node, SIGNATURE, payload, token};
use crate::web::{free_port, get};
use crate::{fed, outcome, run, tokenwatch};

/// Ends every command that loads settings before it acts.
const MISTAKE: [&str; 2] = ["--log-level", "loud!"];

fn secret() -> String {
    token(&payload("cart-0", 1_000, 3_600))
}

/// A token as it may be given by mistake.
fn shapes(token: &str) -> Vec<String> {
    let parts: Vec<&str> = token.split('.').collect();
    let wrapped: Vec<&str> =
        (0..token.len()).step_by(64).map(|at| &token[at..token.len().min(at + 64)]).collect();
    let encoded = base64::Engine::encode(&base64::engine::general_purpose::STANDARD, token);
    vec![
        token.to_owned(),
        parts[0].to_owned(),
        parts[1].to_owned(),
        token[..24].to_owned(),
        format!("Bearer {token}"),
        format!("name={token}"),
        format!("/tmp/{token}/x.yaml"),
        format!("https://{token}@collector:4317/{token}"),
        format!("Authorization=Bearer%20{}", token.replace('.', "%2E")),
        format!("--{token}"),
        wrapped.join("\n"),
        encoded,
    ]
}

/// Fails if any piece of the token is in `text`, also in other letters.
fn is_clean(text: &str, token: &str, what: &dyn std::fmt::Debug) {
    let pieces = token.as_bytes().windows(10).step_by(3);
    let folded = text.to_ascii_lowercase();
    for piece in pieces {
        let piece = String::from_utf8_lossy(piece);
        assert!(!text.contains(&*piece), "{what:?} shows {piece}:\n{text}");
        let piece = piece.to_ascii_lowercase();
        assert!(!folded.contains(&piece), "{what:?} shows {piece} in other letters:\n{text}");
    }
}

fn check(arguments: &[&str], token: &str) -> String {
    let (_, out, err) = run(arguments);
    is_clean(&format!("{out}{err}"), token, &&arguments[..arguments.len().min(2)]);
    err
}

/// The commands that `--help` lists.
fn commands() -> Vec<String> {
    let help = run(&["--help"]).1;
    let list = help.split("Commands:").nth(1).and_then(|rest| rest.split("\n\n").next());
    let words = list.unwrap_or_default().lines().filter_map(|line| line.split_whitespace().next());
    words.filter(|word| *word != "help").map(ToOwned::to_owned).collect()
}

/// The flags that its `--help` lists.
fn flags(command: &str) -> Vec<String> {
    let help = run(&[command, "--help"]).1;
    let words = help.split_whitespace().filter(|word| word.starts_with("--") && word.len() > 2);
    let names =
        words.map(|word| word.split(['=', '<', ',', '.', '\'', '[']).next().unwrap_or_default());
    let mut flags: Vec<String> = names.map(ToOwned::to_owned).collect();
    flags.sort();
    flags.dedup();
    flags
}

#[test]
fn every_flag_of_every_command_hides_a_token() {
    let token = secret();
    let commands = commands();
    assert!(commands.len() >= 9, "{commands:?}");
    let mut tried = 0;
    for command in &commands {
        let flags = flags(command);
        assert!(flags.iter().any(|flag| flag == "--config"), "{command}: {flags:?}");
        for flag in flags.iter().filter(|flag| *flag != "--help" && *flag != "--version") {
            for shape in shapes(&token) {
                let joined = format!("{flag}={shape}");
                check(&[&[command.as_str(), &joined], &MISTAKE[..]].concat(), &token);
                tried += 1;
            }
            check(&[&[command.as_str(), flag, &token], &MISTAKE[..]].concat(), &token);
        }
    }
    assert!(tried > 500, "{tried}");
}

/// Without a mistake beside it, the value is used.
#[test]
fn every_flag_hides_a_token_that_is_used() {
    let (node, token) = (Node::new(), secret());
    node.pod("dead-0", &self::token(&payload("dead-0", 3_700, 3_600)));
    let root = node.root().to_string_lossy().into_owned();
    let empty = node.file("empty", "").to_string_lossy().into_owned();
    for (command, more) in [
        ("check", &["--root", &root][..]),
        ("explain", &[&empty]),
        ("clock", &[]),
        ("config", &[]),
        ("replay", &[&empty]),
        ("findings", &[]),
    ] {
        for flag in flags(command).iter().filter(|flag| *flag != "--help") {
            check(&[&[command, &format!("{flag}={token}")], more].concat(), &token);
        }
    }
    for arguments in [
        &["--record", &format!("/nowhere/{token}")][..],
        &["--record", &root, "--pseudonyms", "--root", &format!("/{token}"), "--http-port", &token],
        &["--kubernetes", "true", "--kubeconfig", &token],
        &["--otlp-endpoint", "https://127.0.0.1:1", "--otlp-ca-file", &token],
        &["--otlp-endpoint", &format!("http://{token}@{token}:x")],
        &["--host-prefix", &format!("/{token}")],
    ] {
        let log = node.file("log", "");
        let mut child = tokenwatch(&[&["run", "--root", "/nowhere"], arguments].concat())
            .stdout(Stdio::null())
            .stderr(std::fs::File::create(&log).unwrap())
            .spawn()
            .unwrap();
        let started = Instant::now();
        while child.try_wait().unwrap().is_none() && started.elapsed() < Duration::from_secs(2) {
            std::thread::sleep(Duration::from_millis(20));
        }
        let _ = child.kill(); // it may have ended
        child.wait().unwrap();
        let log = std::fs::read_to_string(log).unwrap();
        is_clean(&log, &token, &arguments[0]);
    }
}

#[test]
fn every_command_hides_a_token_in_the_place_of_a_word() {
    let token = secret();
    for shape in shapes(&token) {
        check(&[&shape], &token);
        check(&["help", &shape], &token);
        for command in commands() {
            let agent = ["run", "demo"].contains(&command.as_str());
            let last: &[&str] = if agent { &MISTAKE } else { &[] };
            check(&[&[command.as_str(), &shape], last].concat(), &token);
            check(&[&[command.as_str(), "x", &shape], last].concat(), &token);
            check(&[&[command.as_str(), "--output", &shape], last].concat(), &token);
        }
    }
}

/// A token that a terminal wrapped reaches a command as several words.
#[test]
fn the_rest_of_a_token_is_hidden_too() {
    let token = secret();
    let parts: Vec<&str> =
        (0..token.len()).step_by(76).map(|at| &token[at..token.len().min(at + 76)]).collect();
    check(&[&["explain"], parts.as_slice()].concat(), &token);
    check(&["explain", SIGNATURE], &token);
    check(&["findings", SIGNATURE], &token);
}

#[test]
fn ordinary_words_are_repeated() {
    for (arguments, words) in [
        (&["explain", "/nowhere/keyJson/token"][..], "/nowhere/keyJson/token"),
        (&["findings", "token.expird"], "token.expird"),
        (&["check", "--colour"], "--colour"),
        (&["config", "--clock-timeout", "soon"], "soon"),
        (&["config", "--config", "/nowhere/tw.yaml"], "/nowhere/tw.yaml"),
        (&["replay", "/nowhere/incident-2026-11-28T10.jsonl"], "incident-2026-11-28T10.jsonl"),
    ] {
        let (_, _, err) = run(arguments);
        assert!(err.contains(words) && !err.contains("redacted"), "{err}");
    }
    let (_, _, err) = run(&["explain", &secret()]);
    assert!(err.contains("looks like a token") && err.contains("standard input"), "{err}");
    let (_, _, err) = run(&["config", "--config", "eyJhbGciOi"]);
    assert!(err.contains("[redacted: looks like a token]: cannot read"), "{err}");
}

/// Every variable that some command reads.
fn variables() -> Vec<String> {
    let others = [
        "TOKENWATCH_CONFIG",
        "TOKENWATCH_RECORD",
        "TOKENWATCH_PSEUDONYMS",
        "NODE_NAME",
        "HOSTNAME",
        "TMPDIR",
        "KUBERNETES_SERVICE_HOST",
        "KUBERNETES_SERVICE_PORT",
        "KUBECONFIG",
        "OTEL_SERVICE_NAME",
        "OTEL_RESOURCE_ATTRIBUTES",
        "OTEL_SDK_DISABLED",
        "HTTPS_PROXY",
        "NO_PROXY",
    ];
    let parts =
        ["ENDPOINT", "PROTOCOL", "HEADERS", "CERTIFICATE", "COMPRESSION", "TIMEOUT", "INSECURE"];
    let signals = ["", "TRACES_", "LOGS_", "METRICS_"];
    let standard = signals
        .iter()
        .flat_map(|signal| parts.map(|part| format!("OTEL_EXPORTER_OTLP_{signal}{part}")));
    let declared = SETTINGS.iter().filter_map(|setting| setting.standard);
    SETTINGS
        .iter()
        .map(tokenwatch::config::Setting::variable)
        .chain(others.map(ToOwned::to_owned))
        .chain(standard)
        .chain(declared.map(|(name, _)| name.to_owned()))
        .collect()
}

#[test]
fn every_variable_hides_a_token() {
    let token = secret();
    for name in variables() {
        for shape in shapes(&token) {
            for command in [&["config"][..], &["run", "--log-level", "loud!"]] {
                let (_, out, err) = outcome(tokenwatch(command).env(&name, &shape));
                is_clean(&format!("{out}{err}"), &token, &(&name, command[0]));
            }
        }
    }
    for shape in shapes(&token).iter().filter(|shape| !shape.contains(['=', '\n'])) {
        let name = format!("TOKENWATCH_{shape}");
        let (_, out, err) = outcome(tokenwatch(&["config"]).env(&name, "x"));
        is_clean(&format!("{out}{err}"), &token, &"the name of a variable");
    }
}

/// The text of a file with `value` at the setting `name`.
fn file_with(name: &str, value: &str) -> String {
    match name.split_once('.') {
        Some((section, key)) => format!("{section}:\n  {key}: {value}\n"),
        None => format!("{name}: {value}\n"),
    }
}

#[test]
fn every_setting_of_a_file_hides_a_token() {
    let (node, token) = (Node::new(), secret());
    let config = |text: &str, what: &str| {
        let file = node.file("tw.yaml", text);
        let (_, out, err) = outcome(tokenwatch(&["config", "--config"]).arg(file));
        is_clean(&format!("{out}{err}"), &token, &what);
    };
    for setting in SETTINGS {
        for shape in shapes(&token) {
            let shape = json!(shape).to_string();
            for value in [format!("[{shape}]"), format!("{{{shape}: {shape}}}")] {
                config(&file_with(setting.name, &value), setting.name);
            }
            config(&file_with(setting.name, &token), setting.name);
        }
        let section = setting.section();
        let prefix = if section.is_empty() { String::new() } else { format!("{section}.") };
        config(&file_with(&format!("{prefix}{token}"), "1"), "a key");
    }
    for text in [
        token.clone(),
        format!("- {token}"),
        format!("\"{token}"),
        format!("{token}: {token}: {token}"),
        format!("clock: *{token}"),
        format!("!{token} x"),
        format!("clock: {{interval: {token}"),
        format!("%{token}\n---\n"),
        format!("---\n---\n{token}"),
        format!("clock:\n\t{token}"),
        format!("{{\"{token}\": \"\\q{token}\"}}"),
        format!("{}x", format!("{token}\n").repeat(400)),
    ] {
        config(&text, "a file");
    }
}

#[test]
fn other_files_hide_a_token() {
    let (node, token) = (Node::new(), secret());
    let root = node.root().to_string_lossy().into_owned();
    let kubeconfig = |server: &str, user: &str| {
        format!(
            "apiVersion: v1\nkind: Config\ncurrent-context: {user}\nclusters:\n- name: a\n  \
             cluster: {{server: \"{server}\", certificate-authority: \"/x/{user}\"}}\nusers:\n- \
             name: {user}\n  user: {{token: {user}, tokenFile: \"/{user}\"}}\ncontexts:\n- name: \
             {user}\n  context: {{cluster: a, user: {user}}}\n"
        )
    };
    for (name, text) in [
        ("kubeconfig", kubeconfig("https://127.0.0.1:1", &token)),
        ("kubeconfig", kubeconfig(&format!("https://127.0.0.1:1/{token}"), "a")),
        ("kubeconfig", kubeconfig(&token, "a")),
        ("kubeconfig", format!("{token}: [")),
        (&token[..120], "kind: Config".to_owned()),
        (&token[..24], token.clone()),
        ("recording.jsonl", token.clone()),
        ("recording.jsonl", format!("{{\"format\": \"{token}\", \"version\": 1}}\n")),
        ("recording.jsonl", format!("{{\"{token}\": ")),
    ] {
        let file = node.file(name, &text);
        let file = file.to_string_lossy().into_owned();
        let of_api = ["--root", &root, "--kubernetes", "true", "--kubeconfig", &file];
        check(&[&["check"], &of_api[..]].concat(), &token);
        check(&["replay", &file], &token);
        check(&["replay", &file, "--output", "json"], &token);
        check(&["explain", &file, "--output", "json"], &token);
        check(
            &["config", "--otlp-ca-file", &file, "--otlp-endpoint", "https://127.0.0.1:1"],
            &token,
        );
        std::fs::remove_file(&file).unwrap();
    }
}

/// A file system and claims full of tokens: the report of `check` and `explain`.
#[test]
fn names_on_the_node_hide_a_token() {
    let (node, token) = (Node::new(), secret());
    let volume = |pod: &str, volume: &str, file: &str, content: &str| {
        let directory = node.root().join("pods").join(pod).join("volumes");
        let directory = directory.join("kubernetes.io~projected").join(volume);
        std::fs::create_dir_all(&directory).unwrap();
        std::fs::write(directory.join(file), content).unwrap();
    };
    let name = &token[..200];
    volume("uid-a", "vol", name, &secret());
    volume("uid-b", name, "token", &token[..100]);
    volume(name, "vol", "token", &self::token(&payload("dead-0", 3_700, 3_600)));
    let mut nested = payload("cart-1", 1_000, 3_600);
    nested["kubernetes.io"]["pod"]["name"] = json!(token);
    nested["kubernetes.io"]["serviceaccount"]["name"] = json!(format!("x {token}"));
    nested["aud"] = json!([token, format!("https://x/{token}")]);
    nested["iss"] = json!(token);
    volume("uid-c", "vol", "token", &self::token(&nested));
    let root = node.root().to_string_lossy().into_owned();
    for output in ["table", "json"] {
        check(&["check", "--root", &root, "--output", output], &token);
        check(&["check", "--root", &root, "--output", output, "--node", &token], &token);
        check(&["check", "--root", &root, "--root", &format!("/{token}")], &token);
    }
    for output in ["text", "json"] {
        let (_, out, err) = fed(&["explain", "--output", output], self::token(&nested).as_bytes());
        is_clean(&format!("{out}{err}"), &token, &"explain");
        assert!(out.contains("redacted"), "{out}");
    }
}

/// An agent whose every name is a token: its log, its lines, its page, its metrics, its recording
/// and its state file.
#[test]
fn a_running_agent_hides_a_token() {
    let (node, token) = (Node::new(), secret());
    let name = &token[..200];
    let volume = node.root().join("pods").join("uid-a/volumes/kubernetes.io~projected/vol");
    std::fs::create_dir_all(&volume).unwrap();
    std::fs::write(volume.join(name), self::token(&payload("dead-0", 3_700, 3_600))).unwrap();
    let (port, state) = (free_port(), node.root().join("state"));
    let log = node.file("log", "");
    let mut child = tokenwatch(&["run", "--log-level", "trace", "--http", "true"])
        .args(["--http-port", &port.to_string(), "--node", &token])
        .args(["--clock-server", name, "--root", &format!("/{token}"), "--root"])
        .arg(node.root())
        .arg("--state-dir")
        .arg(&state)
        .arg("--record")
        .arg(node.root().join("recording.jsonl"))
        .env("OTEL_RESOURCE_ATTRIBUTES", format!("a={token},{name}=b"))
        .env_remove("TOKENWATCH_HTTP_ENABLED")
        .stdout(Stdio::piped())
        .stderr(std::fs::File::create(&log).unwrap())
        .spawn()
        .unwrap();
    let address = SocketAddr::new(Ipv4Addr::LOCALHOST.into(), port);
    let started = Instant::now();
    let pages = loop {
        let pages =
            ["/", "/metrics", "/readyz?verbose", "/livez"].map(|path| get(address, path, ""));
        let is_ready = pages[0].as_ref().is_some_and(|page| page.body.contains("token.expired"));
        if is_ready || started.elapsed() > Duration::from_mins(1) {
            break pages;
        }
        std::thread::sleep(Duration::from_millis(50));
    };
    let pid = nix::unistd::Pid::from_raw(child.id().cast_signed());
    nix::sys::signal::kill(pid, nix::sys::signal::SIGTERM).unwrap();
    let mut lines = String::new();
    child.stdout.take().unwrap().read_to_string(&mut lines).unwrap();
    child.wait().unwrap();
    let log = std::fs::read_to_string(log).unwrap();
    assert!(lines.contains("[redacted: looks like a token]"), "{lines} {log}");
    is_clean(&lines, &token, &"standard output");
    is_clean(&log, &token, &"the log");
    for page in pages {
        let page = page.unwrap_or_else(|| panic!("no answer: {log}"));
        is_clean(&page.body, &token, &"a page");
    }
    for file in ["recording.jsonl", "state/findings.json"] {
        let text = std::fs::read_to_string(node.root().join(file)).unwrap_or_default();
        assert!(!text.is_empty(), "{file} is written");
        is_clean(&text, &token, &file);
    }
    let (_, out, err) = outcome(tokenwatch(&["replay"]).arg(node.root().join("recording.jsonl")));
    assert!(out.contains("token.expired"), "{out} {err}");
    is_clean(&out, &token, &"replay");
}
