//! The findings, worst first, with their remedies.

use std::cmp::Reverse;
use std::fmt::Write as _;

use tokenwatch_core::base::shares::in_turn;
use tokenwatch_core::base::time::Wall;
use tokenwatch_core::base::value::Value;
use tokenwatch_core::engine::Status;
use tokenwatch_core::findings::{Finding, Remedy, Subject};

use super::headline::mark_of;
use super::html::{Away, InNamespace, Sentence, Short, Text, not_listed, whose};
use super::moment::Moment;
use super::rows::{self, Room};
use super::runbook;

/// Findings shown in full. The rest follow as one line each: they rarely have another cause. One
/// takes some 2 kB, and at most 10.
const FULL: Room = Room { rows: 12, bytes: 32 << 10 };
/// Most findings shown as one line.
const LINES: Room = Room { rows: 200, bytes: 25 << 10 };

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
    when(out, finding, since, status);
    evidence(out, finding, &finding.id(&status.node).0);
    out.push_str("</article>\n");
}

fn heading(out: &mut String, finding: &Finding) {
    let (name, namespace) = (finding.severity.name(), InNamespace(finding.subject.pod()));
    let _ = write!(
        out,
        "<article class=\"finding {name}\"{namespace}>{}<p class=\"who\">{}</p><p>{}</p>",
        title(finding),
        subject(&finding.subject),
        Sentence(&finding.summary)
    ); // writing to a String cannot fail
}

/// Severity and code, with a link to the runbook that this agent serves.
fn title(finding: &Finding) -> String {
    let (mark, name) = (mark_of(finding.severity), finding.severity.name());
    let (code, path) = (finding.code.as_str(), runbook::PATH);
    format!(
        "<h3><span aria-hidden=\"true\">{mark}</span> {name} <code>{code}</code> <a \
         href=\"{path}{code}\">Runbook</a></h3>"
    )
}

/// The script shows it: without one it does nothing.
const COPY: &str = "<button type=\"button\" class=\"copy\" hidden>Copy</button>";

fn remedy(out: &mut String, remedy: &Remedy) {
    let _ = write!(out, "<p class=\"do\"><b>Do:</b> {}</p>", Sentence(&remedy.text));
    if let Some(command) = &remedy.command {
        let _ = write!(out, "<pre tabindex=\"0\"><code>{}</code></pre>{COPY}", Sentence(command));
    }
}

fn when(out: &mut String, finding: &Finding, since: Wall, status: &Status) {
    let now = status.now.wall;
    let _ = write!(out, "<p class=\"when\">since {} ({})", since.clock_time(), Away(since, now));
    if let Some(moment) = Moment::of(finding, status) {
        let (name, at) = (moment.name(), moment.at());
        let _ = write!(out, " · {name} {} ({})", at.rfc3339(), Away(at, now));
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
    let who = whose(subject);
    match subject {
        Subject::Token { pod, volume, path } => {
            let owner = pod
                .owner
                .as_ref()
                .map(|owner| format!(" · {}", Short(&owner.to_string())))
                .unwrap_or_default();
            format!("{who}{owner} · {}/{}", Short(volume), Short(path))
        }
        Subject::Node { .. } | Subject::Server { .. } => who,
        Subject::File { path, .. } => format!("{who} · {}", Short(path)),
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
    let (namespace, subject) = (InNamespace(finding.subject.pod()), subject(&finding.subject));
    let _ = writeln!(out, "<li{namespace}>{mark} <code>{code}</code> {subject}</li>");
}
