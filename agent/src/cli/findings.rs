//! `tokenwatch findings [CODE]`: the documentation of each finding, for a terminal and as the pages
//! of docs/runbooks.

mod markdown;

use tokenwatch_core::base::text::shown;
use tokenwatch_core::findings::{Code, Runbook, Step};

use super::output::{Layout, TextOrMarkdown, print, print_error};
use crate::config::nearest;
use crate::environment::Environment;

/// One code, or the list. Exit 2: no such code.
pub(super) fn report(code: Option<&str>, output: TextOrMarkdown, environment: &Environment) -> u8 {
    let layout = Layout::for_stdout(environment);
    match (code.map(|text| (text, text.parse::<Code>())), output) {
        (None, TextOrMarkdown::Text) => print(&list(layout), 0),
        (None, TextOrMarkdown::Markdown) => print(&markdown::index(), 0),
        (Some((_, Ok(code))), TextOrMarkdown::Text) => print(&documentation(code, layout), 0),
        (Some((_, Ok(code))), TextOrMarkdown::Markdown) => print(&markdown::page(code), 0),
        (Some((text, Err(()))), _) => {
            print_error(&unknown(text));
            2
        }
    }
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
