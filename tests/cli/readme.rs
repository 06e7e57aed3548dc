//! The README: its commands, configuration, sample and table agree with the binary.

use serde_json::{Value, json};

use crate::node::{Node, payload, token};
use crate::{fed, run};

fn readme() -> String {
    std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../README.md"))
        .expect("README.md")
}

#[test]
fn the_readme_names_every_command_and_finding() {
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
fn the_configuration_in_the_readme_is_valid() {
    let text = readme();
    let yaml = text.split("```yaml\n").nth(1).unwrap().split("```").next().unwrap();
    let node = Node::new();
    let file = node.file("tw.yaml", yaml);
    let (status, out, err) = run(&["config", "--config", file.to_str().unwrap()]);
    assert_eq!((status, err.as_str()), (Some(0), ""));
    assert!(out.contains("ntp2.example") && out.contains("http://collector:4317"), "{out}");
}

/// Every command in the README exists, with its flags.
#[test]
fn the_commands_in_the_readme_are_valid() {
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

/// The lines of `check` in the README are real output, apart from the width of columns.
#[test]
fn the_sample_in_the_readme_is_real_output() {
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

/// So are those of `readers`.
#[test]
fn the_readers_in_the_readme_are_real_output() {
    let words = |line: &str| line.split_whitespace().map(str::to_owned).collect::<Vec<_>>();
    let golden = std::fs::read_to_string(concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/../tests/golden/readers-table.txt"
    ))
    .unwrap();
    let printed: Vec<_> = golden.lines().map(words).collect();
    let text = readme();
    let sample =
        text.split_once("$ tokenwatch readers\n").unwrap().1.split_once("(Shortened").unwrap();
    for line in sample.0.lines() {
        assert!(printed.contains(&words(line)), "{line}");
    }
}

/// The table of deadlines in the README agrees with `explain`.
#[test]
fn the_deadlines_in_the_readme_are_right() {
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
        let stated: Vec<i64> =
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
        let real: Vec<i64> =
            ["refresh_due", "late", "stalled", "effective_deadline", "hard_deadline"]
                .map(age)
                .into();
        // The fourth column, critical, is in the table of agent/core/src/world/tokens/deadlines.rs.
        assert_eq!([&stated[..3], &stated[4..]].concat(), real, "{row}");
    }
}
