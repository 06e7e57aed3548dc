//! The questions with their answers: text for people, JSON for scripts.

use serde_json::{Value, json};
use tokenwatch_core::base::text::shown;
use tokenwatch_core::engine::{TokenView, Why};
use tokenwatch_core::findings::Severity;

use super::Reasons;
use super::questions::{Answer, Finds};
use crate::cli::check::{finding_json, paragraph};
use crate::cli::output::Layout;

/// For people: the answers, and then the findings with their remedies.
pub(super) fn text(reasons: &Reasons, layout: Layout) -> String {
    let tokens: Vec<String> =
        reasons.tokens.iter().map(|why| one_token(why, reasons, layout)).collect();
    let others = reasons.others.iter().map(|finding| paragraph(finding, reasons.at, layout));
    let others: String = others.collect();
    let heading = "No token can be read in these places of the pod:\n";
    let others = if others.is_empty() { others } else { format!("{heading}{others}") };
    tokens
        .into_iter()
        .chain([others])
        .filter(|part| !part.is_empty())
        .collect::<Vec<_>>()
        .join("\n")
}

fn one_token(why: &Why, reasons: &Reasons, layout: Layout) -> String {
    let title = layout.strong(&format!("Token {}", name(&why.token)));
    let answers = reasons.answers(why);
    let answers: String = (1..).zip(&answers).map(|(nth, it)| answer(nth, it, layout)).collect();
    let findings = why.findings.iter().map(|finding| paragraph(finding, reasons.at, layout));
    let findings: String = findings.collect();
    let none = "\nno finding about this token or this node\n";
    format!("{title}\n{answers}{}", if findings.is_empty() { none } else { &findings })
}

fn name(token: &TokenView) -> String {
    let pod = match (&token.pod.namespace, &token.pod.name) {
        (Some(namespace), Some(name)) => format!("{}/{}", shown(namespace), shown(name)),
        _ => shown(&token.pod.uid).into_owned(),
    };
    format!("{pod} {}/{}", shown(&token.key.volume), shown(&token.key.path))
}

fn answer(nth: usize, answer: &Answer, layout: Layout) -> String {
    let mark = match answer.finds {
        Finds::Good => layout.good("good"),
        Finds::Bad => layout.severity(Severity::Warning, "bad"),
        Finds::NotKnown => "not known".to_owned(),
    };
    format!("\n{nth}. {} {mark}\n{}", answer.question, layout.wrap(&answer.text, "   "))
}

/// For scripts. Keys are only ever added.
pub(super) fn json(reasons: &Reasons) -> Value {
    let tokens: Vec<Value> = reasons.tokens.iter().map(|why| token(why, reasons)).collect();
    let others: Vec<Value> = reasons.others.iter().map(finding_json).collect();
    json!({"at": reasons.at.rfc3339(), "tokens": tokens, "other_findings": others})
}

fn token(why: &Why, reasons: &Reasons) -> Value {
    let TokenView { key, pod, .. } = &why.token;
    let text = |name: &Option<String>| name.as_deref().map(shown).map(Value::from);
    let answers = reasons.answers(why);
    json!({
        "pod": {
            "namespace": text(&pod.namespace), "name": text(&pod.name), "uid": shown(&pod.uid),
        },
        "volume": shown(&key.volume),
        "path": shown(&key.path),
        "state": why.token.state.name(),
        "verdict": why.token.verdict.name(),
        "answers": answers.iter().map(of_answer).collect::<Vec<_>>(),
        "findings": why.findings.iter().map(finding_json).collect::<Vec<_>>(),
    })
}

fn of_answer(answer: &Answer) -> Value {
    let finds = answer.finds.name();
    json!({"question": answer.question, "finds": finds, "answer": answer.text})
}
