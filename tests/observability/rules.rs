//! deploy/prometheus, checked by Prometheus's own tool.

use std::process::Command;

use crate::bed::repository;
use crate::process::{run, text};
use crate::tools::debian;

fn promtool(arguments: &[&str]) -> Option<String> {
    let checked = run(Command::new(debian("promtool")?)
        .args(arguments)
        .current_dir(repository().join("deploy/prometheus")));
    Some(text(&checked.stdout))
}

#[test]
fn rules_are_well_formed() {
    let Some(output) = promtool(&["check", "rules", "tokenwatch.rules.yaml"]) else { return };
    assert!(output.contains("SUCCESS"), "{output}");
}

#[test]
fn every_rule_passes_its_cases() {
    let Some(output) = promtool(&["test", "rules", "tokenwatch.test.yaml"]) else { return };
    assert!(output.contains("SUCCESS"), "{output}");
}
