//! The report: a table for people, JSON for scripts, Markdown for an issue or a wiki.

use serde_json::{Value, json};
use tokenwatch_core::base::text::{count_of, shown};
use tokenwatch_core::base::time::Wall;
use tokenwatch_core::findings::Severity;

use super::upgrade::{Upgrade, Workload};
use crate::cli::output::{Layout, relative};
use crate::cli::readers::{Found, origin};
use crate::reader_list::{Proof, Readiness};

/// Largest widths of the columns, with the gaps at most 120.
const LIMITS: [usize; 6] = [44, 20, 11, 7, 14, 17];
const HEADINGS: [&str; 6] = ["WORKLOAD", "CONTAINER", "RESULT", "READERS", "REFUSED", "READS"];
const RESULT: usize = 2;
pub(super) const NOTHING: &str = "-";
/// What the report is about.
const TITLE: &str = "Without expiry extension (--service-account-extend-token-expiration=false), \
                     the API server refuses a token when kubelet has replaced it for some twelve \
                     minutes. It refuses those that these readers hold at the time REFUSED; today \
                     they work for up to a year.";

/// For people.
pub(super) fn table(upgrade: &Upgrade, found: &Found, layout: Layout) -> String {
    let now = found.list().at.0;
    let mut out = layout.wrap(TITLE, "") + &layout.wrap(&origin(found), "");
    if !upgrade.workloads.is_empty() {
        let rows: Vec<Vec<String>> = upgrade.workloads.iter().map(|one| row(one, now)).collect();
        out += "\n";
        out += &layout.table(&HEADINGS, &LIMITS, &rows, &|row, column, cell| {
            paint(&upgrade.workloads[row], column, cell, layout)
        });
    }
    let failing = upgrade.workloads.iter().filter(|one| one.readiness == Readiness::Fails);
    out.extend(failing.map(|one| paragraph(one, layout)));
    out.extend(upgrade.problems.iter().map(|problem| format!("\nnot seen: {}\n", shown(problem))));
    format!("{out}\n{}", layout.wrap(&summary(upgrade), ""))
}

fn row(workload: &Workload, now: Wall) -> Vec<String> {
    let refused = workload.refused.map(|at| relative(at.0, now));
    vec![
        shown(&workload.name.shown()).into_owned(),
        container(workload),
        workload.readiness.name().to_owned(),
        workload.readers.to_string(),
        refused.unwrap_or_else(|| NOTHING.to_owned()),
        workload.example.habit.words(),
    ]
}

fn container(workload: &Workload) -> String {
    workload.container.as_deref().map_or_else(|| NOTHING.to_owned(), |it| shown(it).into_owned())
}

fn paint(workload: &Workload, column: usize, cell: String, layout: Layout) -> String {
    match (column, workload.readiness) {
        (RESULT, Readiness::Fails) => layout.severity(Severity::Warning, &cell),
        (_, Readiness::Ready | Readiness::Recovers | Readiness::Unknown | Readiness::Fails) => cell,
    }
}

fn paragraph(workload: &Workload, layout: Layout) -> String {
    let name = layout.strong(&shown(&workload.name.shown()));
    let lines = [
        shown(&workload.example.who()).into_owned(),
        format!("pods: {}", pods(workload)),
        format!("evidence: {}", evidence(workload)),
    ];
    let lines: String = lines.iter().map(|line| layout.wrap(line, "  ")).collect();
    format!("\n{name}\n{lines}")
}

fn pods(workload: &Workload) -> String {
    let named: Vec<_> = workload.pods.iter().map(|pod| shown(pod)).collect();
    named.join(", ")
}

fn evidence(workload: &Workload) -> String {
    let proofs: Vec<String> = workload.example.evidence.iter().map(Proof::words).collect();
    if proofs.is_empty() {
        format!("its habit: {}", workload.example.habit.words())
    } else {
        proofs.join(", ")
    }
}

fn summary(upgrade: &Upgrade) -> String {
    let count = |readiness| count_of(upgrade.count(readiness), "workload");
    format!(
        "{} would fail; {} would recover after a 401; {} not known; {} ready; {} whose token is \
         not extended, or who never read it",
        count(Readiness::Fails),
        count(Readiness::Recovers),
        count(Readiness::Unknown),
        count_of(upgrade.ready, "reader"),
        count_of(upgrade.not_concerned, "reader"),
    )
}

/// For scripts. Keys are only ever added.
pub(super) fn json(upgrade: &Upgrade, found: &Found) -> Value {
    let list = found.list();
    json!({
        "at": list.at,
        "node": list.node,
        "privilege": list.privilege,
        "source": found.source(),
        "workloads": upgrade.workloads.iter().map(of_workload).collect::<Vec<_>>(),
        "ready": upgrade.ready,
        "not_concerned": upgrade.not_concerned,
        "problems": upgrade.problems,
    })
}

fn of_workload(workload: &Workload) -> Value {
    json!({
        "workload": workload.name.json(),
        "container": workload.container,
        "path": workload.example.path,
        "result": workload.readiness.name(),
        "readers": workload.readers,
        "pods": workload.pods,
        "refused_at": workload.refused,
        "habit": workload.example.habit,
        "library": workload.example.library,
        "evidence": workload.example.evidence,
    })
}

/// For an issue or a wiki.
pub(super) fn markdown(upgrade: &Upgrade, found: &Found) -> String {
    let list = found.list();
    let (node, at) = (plain(&list.node), list.at.0.rfc3339());
    let rows: String = upgrade.workloads.iter().map(markdown_row).collect();
    let problems =
        upgrade.problems.iter().map(|problem| format!("- not seen: {}\n", plain(problem)));
    format!(
        "# Upgrade readiness of node {node}, {at}\n\n{TITLE}\n\n| workload | container | result | \
         readers | refused | reads | evidence |\n|---|---|---|---|---|---|---|\n{rows}\n{}\n{}",
        summary(upgrade),
        problems.collect::<String>()
    )
}

/// Text that means itself in a cell of Markdown: names come from outside.
pub(super) fn plain(text: &str) -> String {
    let escaped = |c: char| if "\\`*_{}[]()<>#!|@~".contains(c) { vec!['\\', c] } else { vec![c] };
    shown(text).chars().flat_map(escaped).collect()
}

fn markdown_row(workload: &Workload) -> String {
    let cells = [
        workload.name.shown(),
        container(workload),
        workload.readiness.name().to_owned(),
        workload.readers.to_string(),
        workload.refused.map_or_else(|| NOTHING.to_owned(), |at| at.0.rfc3339()),
        workload.example.habit.words(),
        evidence(workload),
    ];
    let cells: Vec<String> = cells.iter().map(|cell| plain(cell)).collect();
    format!("| {} |\n", cells.join(" | "))
}
