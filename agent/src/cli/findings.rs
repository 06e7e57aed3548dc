//! `tokenwatch findings [CODE]`: the documentation of each finding, for a terminal and as the pages
//! of docs/runbooks, and for scripts.

mod markdown;

use serde_json::{Value, json};
use tokenwatch_core::base::text::shown;
use tokenwatch_core::findings::{Code, Runbook, Step};

use super::output::{Layout, TextMarkdownOrJson, print, print_error, print_json};
use crate::config::nearest;
use crate::environment::Environment;

/// One code, or the list. Exit 2: no such code.
pub(super) fn report(
    code: Option<&str>,
    output: TextMarkdownOrJson,
    environment: &Environment,
) -> u8 {
    let layout = Layout::for_stdout(environment);
    match code.map(|text| text.parse::<Code>().map_err(|()| text)) {
        None => print_all(output, layout),
        Some(Ok(code)) => print_one(code, output, layout),
        Some(Err(text)) => {
            print_error(&unknown(text));
            2
        }
    }
}

fn print_all(output: TextMarkdownOrJson, layout: Layout) -> u8 {
    match output {
        TextMarkdownOrJson::Text => print(&list(layout), 0),
        TextMarkdownOrJson::Markdown => print(&markdown::index(), 0),
        TextMarkdownOrJson::Json => print_json(&all(), 0),
    }
}

fn print_one(code: Code, output: TextMarkdownOrJson, layout: Layout) -> u8 {
    match output {
        TextMarkdownOrJson::Text => print(&documentation(code, layout), 0),
        TextMarkdownOrJson::Markdown => print(&markdown::page(code), 0),
        TextMarkdownOrJson::Json => print_json(&entry(code), 0),
    }
}

/// For scripts. Keys are only ever added.
fn all() -> Value {
    json!({"findings": Code::ALL.iter().copied().map(entry).collect::<Vec<_>>()})
}

fn entry(code: Code) -> Value {
    let info = code.info();
    json!({
        "code": code.as_str(),
        "title": info.title,
        "reserved": code.is_reserved(),
        "meaning": info.meaning,
        "severity": info.severity,
        "detection": info.found_by,
        "action": info.action,
        "runbook": code.runbook().map(runbook_json),
    })
}

fn runbook_json(runbook: &Runbook) -> Value {
    json!({
        "impact": runbook.impact,
        "diagnosis": commands(runbook.diagnosis),
        "mitigation": commands(runbook.mitigation),
        "resolved_when": runbook.resolved_when,
        "false_positives": runbook.false_positives,
    })
}

fn commands(steps: &[Step]) -> Value {
    steps.iter().map(|step| json!({"what": step.what, "command": step.command})).collect()
}

fn list(layout: Layout) -> String {
    let rows = Code::ALL.iter().map(|code| {
        vec![code.as_str().to_owned(), status(*code).to_owned(), code.info().title.to_owned()]
    });
    let rows: Vec<_> = rows.collect();
    let table = layout.table(&["CODE", "", "WHAT"], &[40, 10, 60], &rows, &|_, _, cell| cell);
    format!(
        "{table}\n`tokenwatch findings CODE` explains a finding and what to do about it.\n\
         reserved: the agent does not detect it yet.\n"
    )
}

fn status(code: Code) -> &'static str {
    if code.is_reserved() { "reserved" } else { "" }
}

fn documentation(code: Code, layout: Layout) -> String {
    let info = code.info();
    let reserved =
        if code.is_reserved() { "\nReserved: the agent does not detect it yet.\n" } else { "" };
    let runbook = code.runbook();
    let of_runbook = |render: fn(&Runbook, Layout) -> String| {
        runbook.map(|runbook| render(runbook, layout)).unwrap_or_default()
    };
    [
        format!("{code}: {}\n{reserved}", info.title),
        part("Meaning", info.meaning, layout),
        of_runbook(|runbook, layout| part("Impact", runbook.impact, layout)),
        part("Severity", info.severity, layout),
        part("Detection", info.found_by, layout),
        of_runbook(|runbook, layout| format!("\nDiagnosis\n{}", steps(runbook.diagnosis, layout))),
        part("Mitigation", info.action, layout),
        of_runbook(|runbook, layout| steps(runbook.mitigation, layout)),
        of_runbook(|runbook, layout| part("Resolved when", runbook.resolved_when, layout)),
        of_runbook(|runbook, layout| part("False positives", runbook.false_positives, layout)),
    ]
    .concat()
}

fn part(title: &str, text: &str, layout: Layout) -> String {
    format!("\n{title}\n{}", layout.wrap(text, "  "))
}

fn steps(steps: &[Step], layout: Layout) -> String {
    steps
        .iter()
        .map(|step| {
            format!(
                "{}    {}\n",
                layout.wrap(&format!("{}:", step.what), "  "),
                layout.strong(step.command)
            )
        })
        .collect::<Vec<_>>()
        .concat()
}

fn unknown(text: &str) -> String {
    // People often type only the part after the dot: `expired` for `token.expired`.
    let same_name = Code::ALL
        .iter()
        .map(|code| code.as_str())
        .find(|code| code.split_once('.').is_some_and(|(_, end)| end == text));
    let near = same_name.or_else(|| nearest(text, Code::ALL.iter().map(|code| code.as_str())));
    let hint = near.map_or("`tokenwatch findings` lists them all".to_owned(), |near| {
        format!("did you mean {near}?")
    });
    format!("unknown finding \"{}\": {hint}", shown(text))
}
