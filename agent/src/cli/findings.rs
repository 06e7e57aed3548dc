//! `tokenwatch findings [CODE]`: the documentation of each finding, for a terminal and as the pages
//! of docs/runbooks.

mod markdown;

use tokenwatch_core::base::text::shown;
use tokenwatch_core::findings::{Code, Runbook, Step};

use super::output::{Page, TextOrMarkdown, complain, say};
use crate::config::nearest;
use crate::environment::Environment;

/// One code, or the list. Exit 2: no such code.
pub(super) fn report(code: Option<&str>, output: TextOrMarkdown, environment: &Environment) -> u8 {
    let page = Page::for_stdout(environment);
    match (code.map(|text| (text, text.parse::<Code>())), output) {
        (None, TextOrMarkdown::Text) => say(&list(page), 0),
        (None, TextOrMarkdown::Markdown) => say(&markdown::index(), 0),
        (Some((_, Ok(code))), TextOrMarkdown::Text) => say(&documentation(code, page), 0),
        (Some((_, Ok(code))), TextOrMarkdown::Markdown) => say(&markdown::page(code), 0),
        (Some((text, Err(()))), _) => {
            complain(&unknown(text));
            2
        }
    }
}

fn list(page: Page) -> String {
    let rows = Code::ALL.iter().map(|code| {
        vec![code.as_str().to_owned(), status(*code).to_owned(), code.info().title.to_owned()]
    });
    let table = page.table(
        &["CODE", "", "WHAT"],
        &[40, 10, 60],
        &rows.collect::<Vec<_>>(),
        &|_, _, cell| cell,
    );
    format!(
        "{table}\n`tokenwatch findings CODE` explains a finding and what to do about it.\n\
         reserved: the agent does not detect it yet.\n"
    )
}

fn status(code: Code) -> &'static str {
    if code.is_reserved() { "reserved" } else { "" }
}

fn documentation(code: Code, page: Page) -> String {
    let info = code.info();
    let reserved =
        if code.is_reserved() { "\nReserved: the agent does not detect it yet.\n" } else { "" };
    let runbook = code.runbook();
    let of_runbook = |render: fn(&Runbook, Page) -> String| {
        runbook.map(|runbook| render(runbook, page)).unwrap_or_default()
    };
    [
        format!("{code}: {}\n{reserved}", info.title),
        part("Meaning", info.meaning, page),
        of_runbook(|runbook, page| part("Impact", runbook.impact, page)),
        part("Severity", info.severity, page),
        part("Detection", info.found_by, page),
        of_runbook(|runbook, page| format!("\nDiagnosis\n{}", steps(runbook.diagnosis, page))),
        part("Mitigation", info.action, page),
        of_runbook(|runbook, page| steps(runbook.mitigation, page)),
        of_runbook(|runbook, page| part("Resolved when", runbook.resolved_when, page)),
        of_runbook(|runbook, page| part("False positives", runbook.false_positives, page)),
    ]
    .concat()
}

fn part(title: &str, text: &str, page: Page) -> String {
    format!("\n{title}\n{}", page.wrap(text, "  "))
}

fn steps(steps: &[Step], page: Page) -> String {
    steps
        .iter()
        .map(|step| {
            format!(
                "{}    {}\n",
                page.wrap(&format!("{}:", step.what), "  "),
                page.strong(step.command)
            )
        })
        .collect::<Vec<_>>()
        .concat()
}

fn unknown(text: &str) -> String {
    // People often type only the part after the dot: `expired` for `token.expired`.
    let ending = Code::ALL
        .iter()
        .map(|code| code.as_str())
        .find(|code| code.split_once('.').is_some_and(|(_, end)| end == text));
    let near = ending.or_else(|| nearest(text, Code::ALL.iter().map(|code| code.as_str())));
    let hint = near.map_or("`tokenwatch findings` lists them all".to_owned(), |near| {
        format!("did you mean {near}?")
    });
    format!("unknown finding \"{}\": {hint}", shown(text))
}
