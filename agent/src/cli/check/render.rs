//! The result of `check`: a table for people, JSON for scripts.

use std::collections::BTreeMap;

use serde_json::{Value, json};
use tokenwatch_core::base::text::{count_of, escaped, shown};
use tokenwatch_core::base::time::{Reading, Wall};
use tokenwatch_core::engine::TokenView;
use tokenwatch_core::findings::{CauseId, Finding, Severity, Subject};
use tokenwatch_core::world::cluster::PodRef;
use tokenwatch_core::world::tokens::{Bound, State, Verdict};

use super::{Checked, reviews};
use crate::cli::clock::clock_line;
use crate::cli::output::{Layout, relative};
use crate::cli::{readers, signature};

/// Largest widths of the columns, with the gaps at most 120.
const LIMITS: [usize; 6] = [40, 30, 13, 9, 12, 12];
const HEADINGS: [&str; 6] = ["POD", "TOKEN", "STATE", "VERDICT", "ROTATION", "DEADLINE"];
/// The columns of state and verdict.
const STATE: usize = 2;
const VERDICT: usize = 3;

/// For people: tokens, worst first, then the findings with their remedies.
pub(super) fn table(checked: &Checked, layout: Layout) -> String {
    let mut tokens: Vec<&TokenView> = checked.tokens.iter().collect();
    tokens.sort_by_key(|token| (urgency(token), token.deadlines.effective));
    let clock = format!("clock: {}", clock_line(&checked.clock));
    let mut out = layout.wrap(&headline(checked), "") + &layout.wrap(&clock, "");
    out += &layout.wrap(&signatures(checked), "");
    if !tokens.is_empty() {
        let rows: Vec<Vec<String>> = tokens.iter().map(|token| row(token, checked.at)).collect();
        out += "\n";
        out += &layout.table(&HEADINGS, &LIMITS, &rows, &|row, column, cell| {
            paint_cell(tokens[row], column, cell, layout)
        });
    }
    out += &sealed(checked, layout);
    out += &checked
        .findings
        .iter()
        .map(|finding| paragraph(finding, checked.at.wall, layout))
        .collect::<Vec<_>>()
        .concat();
    out += &reviews::section(checked, token_name, layout);
    if let Some(found) = &checked.readers {
        out += "\n";
        out += &readers::section(found, layout);
    }
    out += &checked
        .problems
        .iter()
        .map(|problem| format!("\nnot read: {}\n", shown(problem)))
        .collect::<Vec<_>>()
        .concat();
    out + &summary_line(checked, layout)
}

fn headline(checked: &Checked) -> String {
    let pods: std::collections::BTreeSet<&str> =
        checked.tokens.iter().map(|token| token.key.pod_uid.as_str()).collect();
    let tokens = count_of(checked.tokens.len(), "token");
    let part = checked.part.as_ref().map(|part| {
        format!(" in namespace {} (of {} on this node)", part.namespace, count_of(part.of, "token"))
    });
    format!(
        "{tokens} of {}{} under {} at {}",
        count_of(pods.len(), "pod"),
        part.unwrap_or_default(),
        roots(checked).join(", "),
        checked.at.wall.rfc3339()
    )
}

/// How many signatures were checked, and with which result; or why none was.
fn signatures(checked: &Checked) -> String {
    let missing = checked.missing().keys;
    let mut counts: BTreeMap<String, usize> = BTreeMap::new();
    for token in &checked.tokens {
        *counts.entry(signature::summary(token.signature, missing.as_deref())).or_default() += 1;
    }
    let counts: Vec<_> =
        counts.into_iter().map(|(text, count)| format!("{count} {text}")).collect();
    if counts.is_empty() { String::new() } else { format!("signatures: {}", counts.join("; ")) }
}

fn roots(checked: &Checked) -> Vec<String> {
    checked.roots.iter().map(|root| shown(&root.to_string_lossy()).into_owned()).collect()
}

/// That the verdict on some tokens is open: nobody may tell the agent whether their Secrets exist.
fn sealed(checked: &Checked, layout: Layout) -> String {
    let is_sealed = |token: &&TokenView| match token.claims.binding.bound() {
        Bound::Secret(_) => true,
        Bound::Pod(_) | Bound::Node(_) | Bound::Nothing => false,
    };
    let pods: Vec<String> =
        checked.tokens.iter().filter(is_sealed).map(|token| pod_name(&token.pod)).collect();
    let text = format!(
        "not known: whether the Secrets exist to which these tokens are bound (the agent has no \
         right on Secrets): {}",
        pods.join(", ")
    );
    if pods.is_empty() { String::new() } else { format!("\n{}", layout.wrap(&text, "")) }
}

/// Smaller is worse.
fn urgency(token: &TokenView) -> u8 {
    match token.state {
        State::Expired => 0,
        State::NotYetValid => 1,
        State::Stalled => 2,
        State::Late => 3,
        State::Due | State::Fresh if token.verdict == Verdict::Dead => 4,
        State::Due => 5,
        State::Fresh => 6,
    }
}

fn row(token: &TokenView, at: Reading) -> Vec<String> {
    vec![
        pod_name(&token.pod),
        format!("{}/{}", shown(&token.key.volume), shown(&token.key.path)),
        token.state.name().to_owned(),
        token.verdict.name().to_owned(),
        relative(token.deadlines.due, at.wall),
        relative(token.deadlines.effective, at.wall),
    ]
}

/// Namespace and name if they are known, or else the UID.
/// A token by its pod, volume and path.
fn token_name(token: &TokenView) -> String {
    let (volume, path) = (shown(&token.key.volume), shown(&token.key.path));
    format!("{} {volume}/{path}", pod_name(&token.pod))
}

fn pod_name(pod: &PodRef) -> String {
    match (&pod.namespace, &pod.name) {
        (Some(namespace), Some(name)) => format!("{}/{}", shown(namespace), shown(name)),
        _ => shown(&pod.uid).into_owned(),
    }
}

fn paint_cell(token: &TokenView, column: usize, cell: String, layout: Layout) -> String {
    match column {
        STATE => match token.state {
            State::Expired | State::NotYetValid => layout.severity(Severity::Critical, &cell),
            State::Stalled => layout.severity(Severity::Warning, &cell),
            State::Late => layout.severity(Severity::Info, &cell),
            State::Due => cell,
            State::Fresh => layout.good(&cell),
        },
        VERDICT => match token.verdict {
            Verdict::Dead => layout.severity(Severity::Critical, &cell),
            // The clock's line has the reason why a token that is not near its end is uncertain.
            Verdict::Uncertain if token.state == State::Fresh => cell,
            Verdict::Uncertain => layout.severity(Severity::Warning, &cell),
            Verdict::Live => layout.good(&cell),
        },
        _ => cell,
    }
}

pub(in crate::cli) fn paragraph(finding: &Finding, now: Wall, layout: Layout) -> String {
    let severity = layout.severity(finding.severity, finding.severity.name());
    let deadline = finding
        .deadline
        .map(|at| format!("  deadline {} ({})\n", at.rfc3339(), relative(at, now)))
        .unwrap_or_default();
    format!(
        "\n{severity} {}  {}\n{}{deadline}{}",
        layout.strong(finding.code.as_str()),
        subject(&finding.subject),
        layout.wrap(&escaped(&finding.summary), "  "),
        layout.remedy(&finding.remedy)
    )
}

fn subject(subject: &Subject) -> String {
    match subject {
        Subject::Token { pod, volume, path } => {
            format!("{} {}/{}", pod_name(pod), shown(volume), shown(path))
        }
        Subject::Node { node } => format!("node {}", shown(node)),
        Subject::Server { server } => format!("server {}", shown(server)),
        Subject::File { node, path } => format!("node {} {}", shown(node), shown(path)),
    }
}

fn summary_line(checked: &Checked, layout: Layout) -> String {
    let count =
        |severity| checked.findings.iter().filter(|finding| finding.severity == severity).count();
    let unknown = checked.readers.as_ref().map(readers::unknown_words).unwrap_or_default();
    let readers = if unknown.is_empty() { unknown } else { format!("; no stale reader{unknown}") };
    match (count(Severity::Critical), count(Severity::Warning)) {
        (0, 0) if checked.has_stale_reader() => "\na reader is stale\n".to_owned(),
        (0, 0) if checked.problems.is_empty() && readers.is_empty() => {
            format!("\n{}\n", layout.good("no finding at warning or above"))
        }
        (0, 0) if checked.problems.is_empty() => {
            format!("\nno finding at warning or above{readers}\n")
        }
        (0, 0) => format!("\nno finding at warning or above in what could be read{readers}\n"),
        (critical, warning) => format!("\n{critical} critical, {}\n", count_of(warning, "warning")),
    }
}

/// For scripts. Keys are only ever added.
pub(super) fn json(checked: &Checked) -> Value {
    let mut value = json!({
        "at": checked.at.wall.rfc3339(),
        "roots": roots(checked),
        "problems": checked.problems.iter().map(|problem| shown(problem)).collect::<Vec<_>>(),
        "clock": clock(checked),
        "kubernetes": checked.cluster.json(),
        "tokens": tokens(checked),
        "findings": checked.findings.iter().map(finding_json).collect::<Vec<_>>(),
    });
    if let Some(found) = &checked.readers {
        value["readers"] = readers::json(found);
    }
    if let Some(part) = &checked.part {
        value["namespace"] = json!({"name": part.namespace.to_string(), "tokens_on_node": part.of});
    }
    value
}

/// As in `tokenwatch clock`. Its findings are among the others.
fn clock(checked: &Checked) -> Value {
    let mut clock = checked.clock.json();
    if let Some(keys) = clock.as_object_mut() {
        keys.retain(|key, _| key != "findings" && key != "at");
    }
    clock
}

fn tokens(checked: &Checked) -> Vec<Value> {
    let mut tokens: Vec<Value> = checked.tokens.iter().map(|it| token(it, checked)).collect();
    for (token, review) in tokens.iter_mut().zip(checked.reviews.iter().flatten()) {
        token["token_review"] = review.json();
    }
    tokens
}

fn token(token: &TokenView, checked: &Checked) -> Value {
    let claims = &token.claims;
    json!({
        "pod": pod(&token.pod),
        "volume": shown(&token.key.volume),
        "path": shown(&token.key.path),
        "service_account": shown(&claims.binding.service_account.name),
        "bound_to": claims.binding.bound().kind(),
        "audiences": claims.audiences.iter().map(|audience| shown(audience)).collect::<Vec<_>>(),
        "issued_at": claims.issued_at.rfc3339(),
        "expires_at": claims.expires_at.rfc3339(),
        "warn_after": claims.warn_after.map(Wall::rfc3339),
        "refresh_due": token.deadlines.due.rfc3339(),
        "effective_deadline": token.deadlines.effective.rfc3339(),
        "state": token.state.name(),
        "verdict": token.verdict.name(),
        "signature": signature::json(token.signature, checked.missing().keys.as_deref()),
    })
}

fn pod(pod: &PodRef) -> Value {
    let name = |name: &Option<String>| name.as_deref().map(shown).map(Value::from);
    json!({"namespace": name(&pod.namespace), "name": name(&pod.name), "uid": shown(&pod.uid)})
}

pub(in crate::cli) fn finding_json(finding: &Finding) -> Value {
    json!({
        "code": finding.code,
        "severity": finding.severity,
        "subject": subject_json(&finding.subject),
        "cause": finding.cause().as_ref().map(CauseId::as_str),
        "summary": finding.summary,
        "deadline": finding.deadline.map(Wall::rfc3339),
        "evidence": finding.evidence,
        "remedy": finding.remedy,
    })
}

fn subject_json(subject: &Subject) -> Value {
    match subject {
        Subject::Token { pod: of, volume, path } => {
            json!({"pod": pod(of), "volume": shown(volume), "path": shown(path)})
        }
        Subject::Node { node } => json!({"node": shown(node)}),
        Subject::Server { server } => json!({"server": shown(server)}),
        Subject::File { node, path } => json!({"node": shown(node), "file": shown(path)}),
    }
}
