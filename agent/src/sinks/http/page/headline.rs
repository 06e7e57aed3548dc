//! What is to be known in the first second: is something wrong, and what is next.

use tokenwatch_core::engine::Status;
use tokenwatch_core::findings::Severity;

use super::html::{Away, PodName, counted};

/// A severity's mark: a shape, so that colour is not all that tells it.
pub(super) fn mark_of(severity: Severity) -> &'static str {
    match severity {
        Severity::Critical => "✖",
        Severity::Warning => "▲",
        Severity::Info => "●",
    }
}

/// On a phone the rest is far below.
const NAVIGATION: &str = "<nav aria-label=\"On this page\"><a href=\"#clock\">Clock</a> <a \
                          href=\"#tokens\">Tokens</a> <a href=\"#sight\">What is not \
                          seen</a></nav>\n";

/// The worst that is so.
pub(super) struct Headline {
    worst: Option<Severity>,
    is_starting: bool,
}

/// Findings are worst first.
pub(super) fn of(status: &Status) -> Headline {
    let worst = status.findings.first().map(|(finding, _)| finding.severity);
    Headline { worst, is_starting: !status.sources.contains_key("files") }
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
        let class = match self.worst {
            Some(severity) => severity.name(),
            None if self.is_starting => "info",
            None => "ok",
        };
        let said = match self.worst {
            Some(_) => by_severity(status),
            None if self.is_starting => "Looking at everything for the first time".to_owned(),
            None => "Nothing is wrong".to_owned(),
        };
        let (mark, next) = (self.mark(), next(status));
        format!(
            "<section class=\"headline {class}\"><h2><span aria-hidden=\"true\">{mark}</span> \
             {said}</h2><p>{next}</p></section>\n{NAVIGATION}"
        )
    }
}

fn by_severity(status: &Status) -> String {
    let count = |severity| {
        status.findings.iter().filter(|(finding, _)| finding.severity == severity).count()
    };
    let told = |severity: Severity| match (count(severity), severity) {
        (0, _) => None,
        (count, Severity::Warning) => Some(counted(count, "warning")),
        (count, _) => Some(format!("{count} {}", severity.name())),
    };
    Severity::ALL.into_iter().rev().filter_map(told).collect::<Vec<_>>().join(", ")
}

/// The token that ends next, of those that have not.
fn next(status: &Status) -> String {
    let now = status.now.wall;
    let tokens = counted(status.tokens.len(), "token");
    let ahead = status.tokens.iter().filter(|token| token.deadlines.effective > now);
    match ahead.min_by_key(|token| token.deadlines.effective) {
        Some(token) => {
            let (deadline, pod) = (Away(token.deadlines.effective, now), PodName(&token.pod));
            format!("{tokens}; the nearest deadline is {deadline}: <b>{pod}</b>")
        }
        None => tokens,
    }
}
