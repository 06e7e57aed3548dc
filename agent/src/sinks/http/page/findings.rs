//! The findings, worst first, with their remedies.

use std::cmp::Reverse;
use std::fmt::Write as _;

use tokenwatch_core::base::shares::in_turn;
use tokenwatch_core::base::time::Wall;
use tokenwatch_core::base::value::Value;
use tokenwatch_core::engine::Status;
use tokenwatch_core::findings::{Finding, Remedy, Subject};

use super::headline::mark_of;
use super::html::{Away, PodName, Sentence, Short, Text, not_listed};
use super::rows::{self, Room};

/// Findings shown in full. The rest follow as one line each: they rarely have another cause. One
/// takes some 2 kB, and at most 10.
const FULL: Room = Room { rows: 12, bytes: 40 << 10 };
/// Most findings shown as one line.
const LINES: Room = Room { rows: 200, bytes: 24 << 10 };

pub(super) fn section(status: &Status) -> String {
    if status.findings.is_empty() {
        return String::new();
    }
    let mut out =
        String::from("<section aria-labelledby=\"findings\"><h2 id=\"findings\">Findings</h2>\n");
    let findings = sorted(status);
    let shown = rows::write(&mut out, &findings, FULL, |out, (finding, since)| {
        full(out, finding, *since, status);
    });
    lines(&mut out, findings.get(shown..).unwrap_or_default());
    out + "</section>\n"
}

/// Worst first, and those of each pod in turn.
fn sorted(status: &Status) -> Vec<&(Finding, Wall)> {
    in_turn(&status.findings, |(finding, _)| (Reverse(finding.severity), finding.subject.pod_uid()))
}

fn full(out: &mut String, finding: &Finding, since: Wall, status: &Status) {
    heading(out, finding);
    remedy(out, &finding.remedy);
    when(out, finding, since, status.now.wall);
    evidence(out, finding, &finding.id(&status.node).0);
    out.push_str("</article>\n");
}

fn heading(out: &mut String, finding: &Finding) {
    let (name, code) = (finding.severity.name(), finding.code.as_str());
    let mark = mark_of(finding.severity);
    let _ = write!(
        out,
        "<article class=\"finding {name}\"><h3><span aria-hidden=\"true\">{mark}</span> {name} \
         <code>{code}</code></h3><p class=\"who\">{}</p><p>{}</p>",
        subject(&finding.subject),
        Sentence(&finding.summary)
    ); // writing to a String cannot fail
}

fn remedy(out: &mut String, remedy: &Remedy) {
    let _ = write!(out, "<p class=\"do\"><b>Do:</b> {}</p>", Sentence(&remedy.text));
    if let Some(command) = &remedy.command {
        let _ = write!(out, "<pre tabindex=\"0\"><code>{}</code></pre>", Sentence(command));
    }
}

fn when(out: &mut String, finding: &Finding, since: Wall, now: Wall) {
    let _ = write!(out, "<p class=\"when\">since {} ({})", since.clock_time(), Away(since, now));
    if let Some(deadline) = finding.deadline {
        let _ = write!(out, " · deadline {} ({})", deadline.rfc3339(), Away(deadline, now));
    }
    out.push_str("</p>");
}

fn evidence(out: &mut String, finding: &Finding, id: &str) {
    if finding.evidence.iter().next().is_none() {
        return;
    }
    let _ = write!(out, "<details id=\"e-{}\"><summary>Evidence</summary><dl>", Text(id));
    for (name, value) in finding.evidence.iter() {
        let _ = write!(out, "<dt>{}</dt><dd>{}</dd>", Text(name), Sentence(&shown(value)));
    }
    out.push_str("</dl></details>");
}

fn shown(value: &Value) -> String {
    match value {
        Value::Bool(yes) => yes.to_string(),
        Value::Int(number) => number.to_string(),
        Value::Float(number) => number.to_string(),
        Value::Text(text) => text.clone(),
        Value::List(texts) => texts.join(", "),
    }
}

fn subject(subject: &Subject) -> String {
    match subject {
        Subject::Token { pod, volume, path } => {
            let owner = pod
                .owner
                .as_ref()
                .map(|owner| format!(" · {}", Short(&owner.to_string())))
                .unwrap_or_default();
            format!("<b>{}</b>{owner} · {}/{}", PodName(pod), Short(volume), Short(path))
        }
        Subject::Node { node } => format!("<b>node {}</b>", Short(node)),
        Subject::Server { server } => format!("<b>time server {}</b>", Short(server)),
        Subject::File { node, path } => {
            format!("<b>node {}</b> · {}", Short(node), Short(path))
        }
    }
}

fn lines(out: &mut String, rest: &[&(Finding, Wall)]) {
    if rest.is_empty() {
        return;
    }
    let more = rest.len();
    let _ = write!(out, "<details id=\"more-findings\"><summary>{more} more</summary>");
    out.push_str("<ul class=\"lines\">");
    let listed = rows::write(out, rest, LINES, |out, (finding, _)| line(out, finding));
    out.push_str("</ul>");
    not_listed(out, more - listed);
    out.push_str("</details>\n");
}

fn line(out: &mut String, finding: &Finding) {
    let (mark, code) = (mark_of(finding.severity), finding.code.as_str());
    let _ = writeln!(out, "<li>{mark} <code>{code}</code> {}</li>", subject(&finding.subject));
}
