//! What is deployed beside the agent (rules, dashboards, collector), compared with the code without
//! running it.

#![allow(clippy::unwrap_used, clippy::panic)] // a failed test panics
#![allow(clippy::disallowed_methods)] // a test starts programs, measures time and makes folders

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use serde_json::Value;
use tokenwatch_core::base::schema::METRICS;
use tokenwatch_core::findings::Code;

/// Findings without an alert: if such a finding does harm, another finding reports it.
const INFO_ONLY: [Code; 6] = [
    Code::RotationLate,
    Code::ClockUnsynchronized,
    Code::IssuerMismatch,
    Code::ExtendedOnly,
    Code::Legacy,
    Code::LifetimeLong,
];

fn deploy() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../deploy")
}

fn text(name: &str) -> String {
    std::fs::read_to_string(deploy().join(name))
        .unwrap_or_else(|error| panic!("deploy/{name}: {error}"))
}

fn yaml(name: &str) -> Value {
    serde_saphyr::from_str(&text(name)).unwrap_or_else(|error| panic!("deploy/{name}: {error}"))
}

fn list(value: &Value) -> &[Value] {
    value.as_array().map_or(&[], Vec::as_slice)
}

fn rules() -> Vec<Value> {
    let file = yaml("prometheus/tokenwatch.rules.yaml");
    list(&file["groups"]).iter().flat_map(|group| list(&group["rules"]).to_vec()).collect()
}

fn alerts() -> Vec<Value> {
    rules().into_iter().filter(|rule| rule["alert"].is_string()).collect()
}

/// The code that an alert is about, if it is about one.
fn code(alert: &Value) -> Option<Code> {
    let expression = alert["expr"].as_str()?;
    expression.split_once("tokenwatch_finding_code=\"")?.1.split('"').next()?.parse().ok()
}

#[test]
fn every_finding_above_info_has_an_alert() {
    let alerted: BTreeSet<Code> = alerts().iter().filter_map(code).collect();
    for code in Code::ALL.iter().filter(|code| !code.is_reserved()) {
        assert_ne!(alerted.contains(code), INFO_ONLY.contains(code), "{code}");
    }
}

/// `UPDATE_GOLDEN=1 cargo test --test deploy` copies new texts of the catalogue into the rules and
/// their cases.
#[test]
fn alerts_have_the_texts_of_the_catalogue() {
    for alert in alerts() {
        let Some(code) = code(&alert) else { continue };
        let annotations = &alert["annotations"];
        assert!(
            annotations["runbook_url"]
                .as_str()
                .unwrap()
                .ends_with(&format!("/docs/runbooks/{code}.md")),
            "{code}"
        );
        for (text, wanted) in [
            (&annotations["description"], code.info().meaning),
            (&annotations["remedy"], code.info().action),
        ] {
            if text != wanted && std::env::var_os("UPDATE_GOLDEN").is_some() {
                reword(text, &wanted.into());
                continue;
            }
            assert_eq!(text, wanted, "{code}");
        }
    }
}

fn reword(old: &Value, new: &Value) {
    for name in ["prometheus/tokenwatch.rules.yaml", "prometheus/tokenwatch.test.yaml"] {
        std::fs::write(deploy().join(name), text(name).replace(&old.to_string(), &new.to_string()))
            .unwrap();
    }
}

#[test]
fn every_alert_has_a_place_a_meaning_and_a_remedy() {
    for alert in alerts() {
        let annotation = |name: &str| {
            alert["annotations"][name]
                .as_str()
                .unwrap_or_else(|| panic!("{}: no {name}", alert["alert"]))
                .to_owned()
        };
        let of_all = ["TokenwatchSharedCause", "TokenwatchFleetStalled", "TokenwatchNobodyHeard"]
            .iter()
            .any(|name| alert["alert"] == *name);
        let place = ["$labels.k8s_node_name", "$labels.pod"]
            .iter()
            .any(|label| annotation("summary").contains(label));
        assert!(place || of_all, "{alert}");
        assert!(
            !annotation("description").is_empty() && !annotation("remedy").is_empty(),
            "{alert}"
        );
        assert!(page_exists(&annotation("runbook_url")), "{alert}");
    }
}

/// Whether the URL names a page of docs/runbooks, and a heading on it.
fn page_exists(url: &str) -> bool {
    let (page, anchor) = url
        .rsplit('/')
        .next()
        .unwrap()
        .split_once('#')
        .unwrap_or((url.rsplit('/').next().unwrap(), ""));
    let page =
        std::fs::read_to_string(deploy().join("../docs/runbooks").join(page)).unwrap_or_default();
    let mut anchors = page
        .lines()
        .filter_map(|line| line.strip_prefix("## "))
        .map(|heading| heading.to_lowercase().replace(' ', "-"));
    !page.is_empty() && (anchor.is_empty() || anchors.any(|known| known == anchor))
}

/// One case in which it fires, and one in which it does not: `promtool test rules` runs them.
#[test]
fn every_alert_is_tested_both_ways() {
    let tests = yaml("prometheus/tokenwatch.test.yaml");
    let cases: Vec<&Value> =
        list(&tests["tests"]).iter().flat_map(|test| list(&test["alert_rule_test"])).collect();
    for alert in alerts() {
        let of_alert: Vec<bool> = cases
            .iter()
            .filter(|case| case["alertname"] == alert["alert"])
            .map(|case| list(&case["exp_alerts"]).is_empty())
            .collect();
        assert!(of_alert.contains(&true) && of_alert.contains(&false), "{}", alert["alert"]);
    }
}

/// A duplicate on the "one" side of a join makes the rule fail for every node, and agents of two
/// clusters may have the same address.
#[test]
fn joins_distinguish_clusters() {
    for rule in rules() {
        let expression = rule["expr"].as_str().unwrap();
        assert!(!expression.contains("(job, instance)"), "{expression}");
    }
}

/// For Prometheus, a series ends five minutes after its last sample.
#[test]
fn every_group_is_evaluated_within_the_lookback_period() {
    for group in list(&yaml("prometheus/tokenwatch.rules.yaml")["groups"]) {
        let every = group["interval"].as_str().unwrap_or("1m");
        let minutes: u32 = every
            .strip_suffix('m')
            .and_then(|minutes| minutes.parse().ok())
            .unwrap_or_else(|| panic!("{every}"));
        assert!(minutes < 5, "{}: {every}", group["name"]);
    }
}

/// The values of `source` in `tokenwatch.sources.up`.
const SOURCES: [&str; 6] = ["files", "watch", "ntp", "kernel", "apiserver", "serviceaccounts"];

#[test]
fn every_source_has_a_remedy() {
    let alerts = alerts();
    let degraded =
        alerts.iter().find(|alert| alert["alert"] == "TokenwatchSourceDegraded").unwrap();
    let (remedy, page) =
        (degraded["annotations"]["remedy"].as_str().unwrap(), text("../docs/runbooks/README.md"));
    let section = page
        .split("\n## ")
        .find(|section| section.starts_with("TokenwatchSourceDegraded\n"))
        .unwrap();
    for source in SOURCES {
        assert!(
            remedy.contains(&format!(" {source} "))
                && section.contains(&format!("\n- `{source}`: ")),
            "{source}"
        );
    }
}

/// docs/observability.md lists every alert that is not about a finding.
#[test]
fn every_alert_without_a_finding_is_documented() {
    let page = text("../docs/observability.md");
    for alert in alerts().iter().filter(|alert| code(alert).is_none()) {
        let name = alert["alert"].as_str().unwrap();
        assert!(page.contains(&format!("`{name}`")), "{name} is not in docs/observability.md");
    }
}

#[test]
fn every_recorded_series_is_tested() {
    let tests = text("prometheus/tokenwatch.test.yaml");
    for rule in rules().iter().filter(|rule| rule["record"].is_string()) {
        let name = rule["record"].as_str().unwrap();
        assert!(
            tests.contains(&format!("expr: {name}\n"))
                || tests.contains(&format!("expr: count({name})\n")),
            "{name}"
        );
    }
}

/// A metric's name in Prometheus: with its unit, and `_total` for a counter.
fn in_prometheus(metric: &tokenwatch_core::base::schema::Metric) -> String {
    let unit = match metric.unit {
        "s" => "_seconds",
        "By" => "_bytes",
        _ => "",
    };
    let total = if metric.instrument == "counter" { "_total" } else { "" };
    format!("{}{unit}{total}", metric.name.replace('.', "_"))
}

#[test]
fn every_metric_is_recorded_by_node() {
    let recorded: String = rules()
        .iter()
        .filter_map(|rule| rule["record"].as_str().and(rule["expr"].as_str()))
        .collect();
    for metric in METRICS {
        assert!(
            recorded.contains(&in_prometheus(metric)),
            "{} is not in the rules as {}",
            metric.name,
            in_prometheus(metric)
        );
    }
}

fn dashboards() -> [(&'static str, Value); 2] {
    ["fleet", "node"]
        .map(|name| (name, serde_json::from_str(&text(&format!("grafana/{name}.json"))).unwrap()))
}

#[test]
fn dashboards_are_complete() {
    for (name, dashboard) in dashboards() {
        assert_eq!(dashboard["uid"], format!("tokenwatch-{name}"));
        let panels = list(&dashboard["panels"]);
        let ids: BTreeSet<u64> = panels.iter().map(|panel| panel["id"].as_u64().unwrap()).collect();
        assert_eq!(ids.len(), panels.len(), "{name}: two panels with one id");
        for panel in panels {
            assert!(
                panel["title"].is_string() && panel["datasource"]["uid"] == "${datasource}",
                "{name}: {}",
                panel["title"]
            );
            assert!(
                list(&panel["targets"]).iter().all(|target| target["expr"].is_string()),
                "{name}: {}",
                panel["title"]
            );
        }
    }
}

#[test]
fn panels_do_not_overlap() {
    for (name, dashboard) in dashboards() {
        let mut taken = BTreeSet::new();
        for panel in list(&dashboard["panels"]) {
            let at = |key: &str| panel["gridPos"][key].as_u64().unwrap();
            let cells = (at("x")..at("x") + at("w"))
                .flat_map(|x| (at("y")..at("y") + at("h")).map(move |y| (x, y)));
            assert!(at("x") + at("w") <= 24, "{name}: {} is wider than the page", panel["title"]);
            cells.for_each(|cell| {
                assert!(taken.insert(cell), "{name}: {} overlaps another", panel["title"]);
            });
        }
    }
}

/// Dashboards query only series that the rules record by node, so they do not depend on how metrics
/// arrive.
#[test]
fn dashboards_query_only_recorded_series() {
    let recorded: BTreeSet<String> =
        rules().iter().filter_map(|rule| rule["record"].as_str().map(str::to_owned)).collect();
    for (name, dashboard) in dashboards() {
        for target in list(&dashboard["panels"]).iter().flat_map(|panel| list(&panel["targets"])) {
            let query = target["expr"].as_str().unwrap();
            let is_name = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == ':';
            let queried: Vec<&str> = query
                .split(|c| !is_name(c))
                .filter(|name| name.contains(':') || name.ends_with("_total"))
                .collect();
            assert!(
                !queried.is_empty() && queried.iter().all(|series| recorded.contains(*series)),
                "{name}: {query}"
            );
        }
    }
}

/// The version of the image is that of the collector in the tests.
#[test]
fn the_collector_is_the_one_that_is_tested() {
    let image = text("collector/kubernetes.yaml")
        .lines()
        .find_map(|line| line.trim().strip_prefix("image: ").map(str::to_owned))
        .unwrap();
    let version = image.rsplit(':').next().unwrap();
    let modules =
        std::fs::read_to_string(deploy().join("../tests/cluster/otelcol/go.mod")).unwrap();
    assert!(modules.contains(&format!("receiver/otlpreceiver v{version}\n")), "{image}");
}

/// systemd itself reads the unit, and rates what it leaves open. docs/deployment.md has the rating.
#[test]
fn the_unit_of_systemd_is_valid_and_hardened() {
    let folder = tempfile::tempdir().unwrap();
    let unit = folder.path().join("tokenwatch.service");
    // The program has to exist where the unit names it.
    let installed = env!("CARGO_BIN_EXE_tokenwatch");
    let text = text("systemd/tokenwatch.service").replace("/usr/local/bin/tokenwatch", installed);
    std::fs::write(&unit, &text).unwrap();
    let analyze = |arguments: &[&str]| {
        let mut command = std::process::Command::new("systemd-analyze");
        let output = command.args(arguments).arg(&unit).output().ok()?;
        let shown = [output.stdout, output.stderr].concat();
        Some((output.status.success(), String::from_utf8(shown).unwrap()))
    };
    let Some(verified) = analyze(&["verify", "--man=no"]) else {
        assert!(std::env::var_os("CI").is_none(), "systemd-analyze is missing");
        eprintln!("SKIPPED: systemd-analyze is missing, and the unit was not tested");
        return;
    };
    assert_eq!(verified, (true, String::new()));
    // In tenths: 26 is what remains with root, the network, and the clock that the agent reads.
    let (is_good, rated) =
        analyze(&["security", "--offline=true", "--no-pager", "--threshold=26"]).unwrap();
    assert!(is_good, "{rated}");
    for (weaker, stronger) in
        [("ProtectSystem=strict", ""), ("SystemCallFilter=@system-service", "")]
    {
        std::fs::write(&unit, text.replace(weaker, stronger)).unwrap();
        let rated = analyze(&["security", "--offline=true", "--no-pager", "--threshold=26"]);
        assert!(!rated.unwrap().0, "without {weaker}");
    }
}

/// The unit starts the program as its help describes it, with the chart's limits.
#[test]
fn the_unit_of_systemd_agrees_with_program_and_chart() {
    let unit = text("systemd/tokenwatch.service");
    let start = unit.lines().find_map(|line| line.strip_prefix("ExecStart=")).unwrap();
    let help = std::process::Command::new(env!("CARGO_BIN_EXE_tokenwatch"))
        .args(["run", "--help"])
        .output()
        .unwrap();
    let help = String::from_utf8(help.stdout).unwrap();
    for flag in start.split(' ').filter(|word| word.starts_with("--")) {
        assert!(help.contains(&format!("{flag} <")), "{flag}");
    }
    let limit = &yaml("chart/values.yaml")["resources"]["limits"]["memory"];
    assert_eq!(limit, "48Mi");
    assert!(unit.contains("\nMemoryMax=48M\n"), "{unit}");
    let seconds = &yaml("chart/values.yaml")["terminationGracePeriodSeconds"];
    assert!(unit.contains(&format!("\nTimeoutStopSec={seconds}s\n")), "{seconds}");
}
