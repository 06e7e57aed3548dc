//! deploy/prometheus, by Prometheus's own tool.

use std::process::Command;

use crate::bed::repository;
use crate::process::{run, text};
use crate::tools::debian;

fn promtool(arguments: &[&str]) -> Option<String> {
    let output = run(Command::new(debian("promtool")?)
        .args(arguments)
        .current_dir(repository().join("deploy/prometheus")));
    Some(text(&output.stdout))
}

#[test]
fn rules_are_well_formed() {
    let Some(told) = promtool(&["check", "rules", "tokenwatch.rules.yaml"]) else { return };
    assert!(told.contains("SUCCESS"), "{told}");
}

#[test]
fn every_rule_does_what_its_cases_say() {
    let Some(told) = promtool(&["test", "rules", "tokenwatch.test.yaml"]) else { return };
    assert!(told.contains("SUCCESS"), "{told}");
}
