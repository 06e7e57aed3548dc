//! The headline: how many findings there are, and the worst of them with its pod.

use tokenwatch_core::base::text::count_of;
use tokenwatch_core::engine::Status;
use tokenwatch_core::findings::{Finding, Severity};

use super::html::whose;
use super::moment::Moment;

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
        let (mark, next) = (self.mark(), worst(status));
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

/// The number of tokens, and the worst finding. A token without a finding is no news, however soon
/// it is due: kubelet replaces it.
fn worst(status: &Status) -> String {
    let tokens = count_of(status.tokens.len(), "token");
    let Some(finding) = the_worst(status) else { return tokens };
    let (who, code) = (whose(&finding.subject), finding.code.as_str());
    let when = Moment::of(finding, status).map(|at| at.in_words(status.now.wall));
    format!("{tokens}; worst: {who} <code>{code}</code>{}", when.unwrap_or_default())
}

/// Of the highest severity: a pod rather than the node, and whose requests fail first.
fn the_worst(status: &Status) -> Option<&Finding> {
    let highest = status.findings.iter().map(|(finding, _)| finding.severity).max()?;
    let worst = status.findings.iter().filter(|(finding, _)| finding.severity == highest);
    let rank = |finding: &Finding| {
        let deadline = finding.deadline;
        (finding.subject.pod_uid().is_none(), deadline.is_none(), deadline)
    };
    worst.map(|(finding, _)| finding).min_by_key(|finding| rank(finding))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sinks::http::page::sample::{empty, finding, token, troubled};
    use tokenwatch_core::findings::{Code, Subject};

    #[test]
    fn the_worst_pod_is_named_and_not_a_healthy_one() {
        let (soon, later) = (token("soon-0", 3_500), token("later-0", 3_000));
        let node = || {
            let (of_pod, at) = finding(&soon, Code::ClockOffset, Severity::Critical);
            let subject = Subject::node("worker-1");
            (Finding { subject, deadline: None, ..of_pod }, at)
        };
        let stalled = |token| finding(token, Code::RotationStalled, Severity::Critical);
        let late = |token| finding(token, Code::RotationLate, Severity::Info);
        // (what it shows, the findings, the name in the headline)
        let table = [
            ("no finding", vec![], None),
            ("the earlier deadline", vec![stalled(&later), stalled(&soon)], Some("shop/soon-0")),
            ("the severity first", vec![stalled(&later), late(&soon)], Some("shop/later-0")),
            ("a pod before the node", vec![node(), stalled(&later)], Some("shop/later-0")),
            ("the node alone", vec![node()], Some("node worker-1")),
        ];
        for (what, findings, expected) in table {
            let mut status = empty();
            status.tokens = vec![soon.clone(), later.clone()];
            status.findings = findings;
            let text = worst(&status);
            let names = ["shop/soon-0", "shop/later-0", "node worker-1"];
            let named: Vec<_> = names.into_iter().filter(|name| text.contains(name)).collect();
            assert_eq!(named, Vec::from_iter(expected), "{what}: {text}");
        }
        assert!(worst(&troubled()).contains("deadline passed"));
    }
}
