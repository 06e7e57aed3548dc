//! The README and the reference pages: their commands, configuration, samples and tables agree
//! with the binary.

use serde_json::{Value, json};

use crate::node::{Node, payload, token};
use crate::{fed, run};

/// Every page that shows commands.
const PAGES: [&str; 4] =
    ["README.md", "docs/commands.md", "docs/configuration.md", "docs/how-it-works.md"];

fn page(name: &str) -> String {
    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(name);
    std::fs::read_to_string(path).unwrap_or_else(|error| panic!("{name}: {error}"))
}

#[test]
fn the_reference_names_every_command_and_finding() {
    let text = page("docs/commands.md");
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
fn the_configuration_in_the_docs_is_valid() {
    let text = page("docs/configuration.md");
    let yaml = text.split("```yaml\n").nth(1).unwrap().split("```").next().unwrap();
    let node = Node::new();
    let file = node.file("tw.yaml", yaml);
    let (status, out, err) = run(&["config", "--config", file.to_str().unwrap()]);
    assert_eq!((status, err.as_str()), (Some(0), ""));
    assert!(out.contains("ntp2.example") && out.contains("http://collector:4317"), "{out}");
}

/// Every command in the pages exists, with its flags.
#[test]
fn the_commands_in_the_docs_are_valid() {
    let text = PAGES.map(page).concat();
    let commands: Vec<&str> =
        text.lines().filter_map(|line| line.strip_prefix("    tokenwatch ")).collect();
    assert!(commands.len() >= 9, "{commands:?}");
    for command in commands {
        let words: Vec<&str> =
            command.split('#').next().unwrap().split_whitespace().chain(["--help"]).collect();
        assert_eq!(run(&words).0, Some(0), "{command}");
    }
}

/// The sample after `start` is real output, apart from the width of columns.
fn is_real_output(name: &str, start: &str, golden: &str) {
    let words = |line: &str| line.split_whitespace().map(str::to_owned).collect::<Vec<_>>();
    let golden = page(golden);
    let printed: Vec<_> = golden.lines().map(words).collect();
    let text = page(name);
    let sample = text.split_once(start).unwrap().1.split_once("(Shortened").unwrap().0;
    assert!(sample.lines().count() > 5, "{name}: {sample}");
    for line in sample.lines() {
        assert!(printed.contains(&words(line)), "{name}: {line}");
    }
}

#[test]
fn the_samples_in_the_docs_are_real_output() {
    for name in ["README.md", "docs/commands.md"] {
        is_real_output(name, "says what to do:\n", "tests/golden/check-table.txt");
    }
    is_real_output("README.md", "$ tokenwatch readers\n", "tests/golden/readers-table.txt");
}

/// What the README counts is what the pages that it links to count.
#[test]
fn the_figures_in_the_readme_are_those_of_their_pages() {
    let readme = page("README.md").split_whitespace().collect::<Vec<_>>().join(" ");
    let board = page("docs/incidents.md");
    let all = board.lines().find(|line| line.starts_with("| all |")).unwrap();
    let [incidents, before, later, hints, not_named, without] = all
        .split('|')
        .filter_map(|cell| cell.trim().parse::<u32>().ok())
        .collect::<Vec<_>>()
        .try_into()
        .unwrap();
    let [accused, similar] = board
        .split_once("False alarms: ")
        .and_then(|(_, rest)| rest.split_once(" look-alikes"))
        .and_then(|(counts, _)| counts.split_once(" of "))
        .map(|(accused, similar)| [accused, similar])
        .unwrap();
    let runbooks = run(&["findings"]).1.lines().skip(1).take_while(|line| !line.is_empty()).count();
    for stated in [
        format!("{incidents} public incidents"),
        format!(
            "names {before} before the first 401 ({} of these only at severity info), and {later} \
             with it or later",
            only_hinted(&board)
        ),
        format!("It does not name {not_named}; {without} have no scenario"),
        format!("and in {hints} nothing fails"),
        format!("accuses {accused} of {similar} look-alikes"),
        format!("Each of the {runbooks} findings"),
    ] {
        assert!(readme.contains(&stated), "{stated}");
    }
}

/// How many incidents the scoreboard has that nothing above info names before the first 401.
fn only_hinted(board: &str) -> u32 {
    let rows = board.lines().map(|line| line.split(" | ").collect::<Vec<_>>());
    rows.filter_map(|row| match row[..] {
        [_, _, count, code, lead] if code.starts_with("info ") => {
            let is_before = !lead.contains("after") && !lead.starts_with('-');
            is_before.then(|| count.parse::<u32>().unwrap())
        }
        _ => None,
    })
    .sum()
}

/// The commands that the end-to-end test takes from the README, by how they begin: each once, and
/// no other. `tests/e2e/deployed.rs` fails on them only after half an hour.
#[test]
fn the_installation_in_the_readme_has_the_commands_of_the_end_to_end_test() {
    let text = page("README.md");
    let section = text.split("## Install").nth(1).unwrap().split("\n## ").next().unwrap();
    let commands: Vec<&str> = section
        .lines()
        .filter_map(|line| line.strip_prefix("    "))
        .filter(|line| line.starts_with("helm ") || line.starts_with("kubectl "))
        .collect();
    let test = page("tests/e2e/deployed.rs");
    let taken = test.split("as_in_readme(\"").skip(1).filter_map(|rest| rest.split('"').next());
    let taken: Vec<&str> = taken.collect();
    assert_eq!(taken.len(), commands.len(), "{taken:?}\n{commands:#?}");
    for start in taken {
        let found = commands.iter().filter(|command| command.starts_with(start)).count();
        assert_eq!(found, 1, "{start}");
    }
}

/// The table of deadlines agrees with `explain`.
#[test]
fn the_deadlines_in_the_docs_are_right() {
    let text = page("docs/how-it-works.md");
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
