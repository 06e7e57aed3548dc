//! The runbook of a finding as a page: what `tokenwatch findings CODE` prints, for a browser. The
//! agent has it with it, so a link to it works while nothing else does.

use tokenwatch_core::findings::{Code, Runbook, Step};

use super::STYLE;
use super::html::{Sentence, Text};

/// The path of the page, without the code.
pub(in crate::sinks::http) const PATH: &str = "/runbooks/";

/// The page of one code.
pub(in crate::sinks::http) fn render(code: Code) -> String {
    let (info, runbook) = (code.info(), code.runbook());
    let of_runbook = |text: fn(&Runbook) -> String| runbook.map(text).unwrap_or_default();
    let main = [
        section("Meaning", info.meaning),
        of_runbook(|runbook| section("Impact", runbook.impact)),
        section("Severity", info.severity),
        section("Detection", info.found_by),
        of_runbook(|runbook| heading("Diagnosis") + &steps(runbook.diagnosis)),
        section("Mitigation", info.action),
        of_runbook(|runbook| steps(runbook.mitigation) + &last_parts(runbook)),
    ];
    document(code, info.title, &main.concat())
}

fn last_parts(runbook: &Runbook) -> String {
    section("Resolved when", runbook.resolved_when)
        + &section("False positives", runbook.false_positives)
}

fn document(code: Code, title: &str, main: &str) -> String {
    format!(
        "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n<title>{code} · \
         tokenwatch</title>\n<meta name=\"viewport\" content=\"width=device-width, \
         initial-scale=1\">\n<meta name=\"color-scheme\" content=\"light dark\">\n<link \
         rel=\"icon\" \
         href=\"data:,\">\n<style>{STYLE}</style>\n</head>\n<body>\n<header><h1>{code}</h1><p><a \
         href=\"/\">Status</a></p></header>\n<main>\n<p>{}</p>\n{main}</main>\n{FOOTER}</body>\n\
         </html>\n",
        Text(title)
    )
}

/// What the capitals in the commands stand for.
const FOOTER: &str = "<footer><p>NAMESPACE, POD, NODE, UID and VOLUME are those of the finding. \
                      AGENT is this agent's pod.</p></footer>\n";

fn heading(title: &str) -> String {
    format!("<h2>{title}</h2>\n")
}

fn section(title: &str, text: &str) -> String {
    format!("{}<p>{}</p>\n", heading(title), Sentence(text))
}

fn steps(steps: &[Step]) -> String {
    let step = |step: &Step| {
        let (what, command) = (Sentence(step.what), Sentence(step.command));
        format!("<p>{what}:</p>\n<pre tabindex=\"0\"><code>{command}</code></pre>\n")
    };
    steps.iter().map(step).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_code_has_a_page_that_loads_nothing() {
        for code in Code::ALL {
            let page = render(*code);
            let body = page.split("</style>").nth(1).unwrap();
            assert!(body.contains(code.as_str()) && body.contains("<h2>Mitigation</h2>"), "{code}");
            assert!(!body.contains("<script") && !body.contains("src="), "{code}");
            assert_eq!(code.runbook().is_some(), body.contains("<h2>Impact</h2>"), "{code}");
            for element in ["p", "pre", "code", "h2", "main", "footer"] {
                let opened = body.matches(&format!("<{element}>")).count()
                    + body.matches(&format!("<{element} ")).count();
                assert_eq!(opened, body.matches(&format!("</{element}>")).count(), "{element}");
            }
        }
    }

    #[test]
    fn nothing_of_a_page_is_redacted() {
        let pages: String = Code::ALL.iter().map(|code| render(*code)).collect();
        assert_eq!(tokenwatch_core::base::secrecy::redacted(&pages), pages);
    }
}
