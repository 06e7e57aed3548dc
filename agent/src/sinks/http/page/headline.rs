//! The headline: the worst findings, and the nearest deadline.

use tokenwatch_core::engine::Status;
use tokenwatch_core::findings::Severity;

use super::html::{Away, PodName, count_of};

/// The symbol of a severity. Each has its own shape, for readers who cannot tell the colours apart.
pub(super) fn mark_of(severity: Severity) -> &'static str {
    match severity {
        Severity::Critical => "✖",
        Severity::Warning => "▲",
        Severity::Info => "●",
    }
}

/// Links to the sections, which are far below on a phone.
const NAVIGATION: &str = "<nav aria-label=\"On this page\"><a href=\"#clock\">Clock</a> <a \
                          href=\"#tokens\">Tokens</a> <a \
                          href=\"#visibility\">Visibility</a></nav>\n";

/// The headline of the page.
pub(super) struct Headline {
    worst: Option<Severity>,
    is_starting: bool,
}

/// The first finding is the worst one.
pub(super) fn of(status: &Status) -> Headline {
    let worst = status.findings.first().map(|(finding, _)| finding.severity);
    Headline { worst, is_starting: !status.agent.sources.contains_key("files") }
}

impl Headline {
    /// For the title of the tab.
    pub(super) fn mark(&self) -> &'static str {
        match self.worst {
            Some(severity) => mark_of(severity),
            None if self.is_starting => "…",
            None => "✔",
        }
    }

    pub(super) fn html(&self, status: &Status) -> String {
        let (class, text) = match self.worst {
            Some(severity) => (severity.name(), by_severity(status)),
            None if self.is_starting => ("info", "First scan in progress".to_owned()),
            None => ("ok", "No findings".to_owned()),
        };
        let (mark, next) = (self.mark(), next(status));
        format!(
            "<section class=\"headline {class}\"><h2><span aria-hidden=\"true\">{mark}</span> \
             {text}</h2><p>{next}</p></section>\n{NAVIGATION}"
        )
    }
}

fn by_severity(status: &Status) -> String {
    let count = |severity| {
        status.findings.iter().filter(|(finding, _)| finding.severity == severity).count()
    };
    let counted = |severity: Severity| match severity {
        Severity::Warning => count_of(count(severity), "warning"),
        Severity::Critical | Severity::Info => format!("{} {}", count(severity), severity.name()),
    };
    let present = Severity::ALL.into_iter().rev().filter(|severity| count(*severity) > 0);
    present.map(counted).collect::<Vec<_>>().join(", ")
}

/// The number of tokens, and the nearest deadline in the future.
fn next(status: &Status) -> String {
    let now = status.now.wall;
    let tokens = count_of(status.tokens.len(), "token");
    let ahead = status.tokens.iter().filter(|token| token.deadlines.effective > now);
    match ahead.min_by_key(|token| token.deadlines.effective) {
        Some(token) => {
            let (deadline, pod) = (Away(token.deadlines.effective, now), PodName(&token.pod));
            format!("{tokens}; the nearest deadline is {deadline}: <b>{pod}</b>")
        }
        None => tokens,
    }
}
