//! The tokens: worst findings first, then the nearest deadline.

use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::fmt::Write as _;

use tokenwatch_core::base::shares::in_turn;
use tokenwatch_core::base::text::count_of;
use tokenwatch_core::base::time::Wall;
use tokenwatch_core::engine::{Status, TokenView};
use tokenwatch_core::findings::{Severity, Subject};
use tokenwatch_core::world::cluster::Pod;
use tokenwatch_core::world::tokens::{State, TokenKey, Verdict};

use super::html::{Away, InNamespace, PodName, Short, Text, not_listed};
use super::moment::is_extended;
use super::rows::{self, Room};
use super::{lifetime, readers};

/// Tokens drawn as bars: those with findings, and those with the nearest deadlines.
const DRAWN: Room = Room { rows: 40, bytes: 124 << 10 };
/// Tokens shown as one line each, folded. With the drawn ones that is more than a node has pods
/// (default 110, at most 250 are common).
const LINES: Room = Room { rows: 460, bytes: 59 << 10 };
/// Audiences, and containers, shown for one token.
const LISTED: usize = 4;

pub(super) fn section(status: &Status) -> String {
    let mut out = head(status);
    if status.tokens.is_empty() {
        return out + "<p>No token was found on this node.</p></section>\n";
    }
    out.push_str(LEGEND);
    let tokens = sorted(status);
    let shown = rows::write(&mut out, &tokens, DRAWN, |out, token| drawn(out, token, status));
    lines(&mut out, tokens.get(shown..).unwrap_or_default(), status.now.wall);
    out + "</section>\n"
}

fn head(status: &Status) -> String {
    format!(
        "<section aria-labelledby=\"tokens\"><h2 id=\"tokens\">{}</h2>\n<p \
         class=\"quiet\">{}</p>\n{}",
        count_of(status.tokens.len(), "token"),
        by_state(status),
        if status.clock.estimate.assumed { UNCONFIRMED } else { "" }
    )
}

/// Once, and not as a warning on each token: the finding is about the clock.
const UNCONFIRMED: &str = "<p class=\"quiet\">No source confirms this node&#39;s clock. A token \
                           close to one of its times may be refused earlier or later than shown: \
                           such a one is marked ○.</p>\n";

const LEGEND: &str = "<p class=\"legend\"><span><svg class=\"key\" aria-hidden=\"true\"><rect \
     class=\"fresh\" width=\"100%\" y=\"2\" height=\"12\"/></svg> fresh</span><span><svg \
     class=\"key\" aria-hidden=\"true\"><rect class=\"wait\" width=\"100%\" y=\"5\" \
     height=\"9\"/></svg> due: \
     kubelet replaces it</span><span><svg class=\"key\" aria-hidden=\"true\"><rect \
     class=\"slack\" width=\"100%\" y=\"8\" height=\"6\"/></svg> stalled: still \
     works</span><span><svg class=\"key\" aria-hidden=\"true\"><rect class=\"over\" \
     width=\"100%\" y=\"12\" height=\"2\"/></svg> expired or stale</span><span><svg \
     class=\"key\" aria-hidden=\"true\"><line class=\"now\" x1=\"50%\" x2=\"50%\" y1=\"0\" \
     y2=\"16\"/></svg> now</span><span><svg class=\"key\" aria-hidden=\"true\"><line \
     class=\"read\" x1=\"50%\" x2=\"50%\" y1=\"0\" y2=\"6\"/></svg> read</span></p>\n";

fn by_state(status: &Status) -> String {
    let count = |state| status.tokens.iter().filter(|token| token.state == state).count();
    let counted = |state: State| {
        Some(count(state))
            .filter(|count| *count > 0)
            .map(|count| format!("{count} {}", state_name(state)))
    };
    State::ALL.into_iter().filter_map(counted).collect::<Vec<_>>().join(", ")
}

/// Worst findings first, those of each pod in turn; then the nearest deadline.
fn sorted(status: &Status) -> Vec<&TokenView> {
    let worst = worst(status);
    let severity = |token: &TokenView| Reverse(worst.get(&token.key).copied());
    let mut tokens: Vec<&TokenView> = status.tokens.iter().collect();
    tokens.sort_by_key(|token| (severity(token), token.deadlines.effective));
    in_turn(tokens, |token| (severity(token), Some(token.key.pod_uid.as_str())))
}

fn worst(status: &Status) -> BTreeMap<TokenKey, Severity> {
    let mut worst = BTreeMap::new();
    for (finding, _) in &status.findings {
        if let Subject::Token { pod, volume, path } = &finding.subject {
            let key =
                TokenKey { pod_uid: pod.uid.clone(), volume: volume.clone(), path: path.clone() };
            worst.entry(key).or_insert(finding.severity); // the first one is the worst
        }
    }
    worst
}

fn drawn(out: &mut String, token: &TokenView, status: &Status) {
    let (now, readers) = (status.now.wall, readers::of(token, status));
    let _ = write!(
        out,
        "<article class=\"token\"{}>{}{}<p class=\"when\">{}</p>{}",
        InNamespace(Some(&token.pod)),
        heading(token),
        badge(token, status.clock.estimate.assumed),
        next(token, now),
        lifetime::bar(&token.deadlines, &readers::reads(&readers), now)
    ); // writing to a String cannot fail
    readers::list(out, &readers, now);
    details(out, token, now);
    out.push_str("</article>\n");
}

fn heading(token: &TokenView) -> String {
    format!(
        "<h3>{}<span class=\"quiet\">{} · {}/{}</span></h3>",
        PodName(&token.pod),
        owner(token),
        Short(&token.key.volume),
        Short(&token.key.path)
    )
}

fn owner(token: &TokenView) -> String {
    let owner = token.pod.owner.as_ref().or_else(|| token.known.as_ref()?.owner.as_ref());
    owner.map(|owner| format!(" {}", Short(&owner.to_string()))).unwrap_or_default()
}

fn state_name(state: State) -> &'static str {
    match state {
        State::NotYetValid => "not yet valid",
        State::Fresh | State::Due | State::Late | State::Stalled | State::Expired => state.name(),
    }
}

/// State and verdict. A live verdict is left out: readers expect it. Where the clock is not known,
/// a verdict that is uncertain shows nothing about the token: it is neither amber nor green.
fn badge(token: &TokenView, is_clock_assumed: bool) -> String {
    let (mark, class) = look(token, is_clock_assumed);
    let (state, verdict) = (state_name(token.state), verdict_text(token.verdict));
    format!(
        "<span class=\"badge {class}\"><span aria-hidden=\"true\">{mark}</span> \
         {state}{verdict}</span>"
    )
}

fn look(token: &TokenView, is_clock_assumed: bool) -> (&'static str, &'static str) {
    match (token.state, token.verdict) {
        (State::Expired | State::NotYetValid, _) | (_, Verdict::Dead) => ("✖", "critical"),
        (State::Stalled, _) => ("▲", "warning"),
        (_, Verdict::Uncertain) if is_clock_assumed => ("○", "quiet"),
        (_, Verdict::Uncertain) => ("▲", "warning"),
        (State::Late | State::Due, _) => ("●", "info"),
        (State::Fresh, _) => ("✔", "ok"),
    }
}

fn verdict_text(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Live => "",
        Verdict::Dead => " · API servers refuse it",
        Verdict::Uncertain => " · API servers may refuse it",
    }
}

fn next(token: &TokenView, now: Wall) -> String {
    let deadlines = &token.deadlines;
    let due = if deadlines.due > now { "due" } else { "was due" };
    let mut text = format!("{due} {}", Away(deadlines.due, now));
    if is_extended(deadlines) {
        let _ = write!(text, ", stale {}", Away(deadlines.effective, now));
    }
    let _ = write!(text, ", deadline {}", Away(deadlines.expires, now));
    text
}

fn details(out: &mut String, token: &TokenView, now: Wall) {
    let TokenKey { pod_uid, volume, path } = &token.key;
    let id = [pod_uid, volume, path].map(|part| Short(part).to_string()).join("-");
    let _ = write!(out, "<details id=\"t-{id}\"><summary>Times and pod</summary><dl>");
    times(out, token, now);
    pair(out, "service account", &token.claims.binding.service_account.name);
    pair(out, "audiences", &audiences(&token.claims.audiences));
    if let Some(pod) = &token.known {
        known(out, pod, volume);
    }
    pair(out, "pod UID", pod_uid);
    out.push_str("</dl></details>");
}

fn times(out: &mut String, token: &TokenView, now: Wall) {
    for (name, at) in moments(token).into_iter().filter_map(|(name, at)| Some((name, at?))) {
        pair(out, name, &format!("{} ({})", at.rfc3339(), Away(at, now)));
    }
}

fn moments(token: &TokenView) -> [(&'static str, Option<Wall>); 7] {
    let deadlines = &token.deadlines;
    [
        ("issued", Some(deadlines.issued)),
        ("appeared", token.appeared_at),
        ("due", Some(deadlines.due)),
        ("late", Some(deadlines.late)),
        ("stalled", Some(deadlines.stalled)),
        ("stale", is_extended(deadlines).then_some(deadlines.effective)),
        ("deadline", Some(deadlines.expires)),
    ]
}

fn audiences(all: &[String]) -> String {
    let more = if all.len() > LISTED {
        format!(" and {} more", all.len() - LISTED)
    } else {
        String::new()
    };
    all.iter().take(LISTED).map(String::as_str).collect::<Vec<_>>().join(", ") + &more
}

fn known(out: &mut String, pod: &Pod, volume: &str) {
    let phase = if pod.deletion.is_some() { "terminating" } else { pod.phase.name() };
    pair(out, "phase", phase);
    let mounting = pod
        .containers
        .iter()
        .filter(|container| container.volumes.iter().any(|name| name == volume));
    for container in mounting.take(LISTED) {
        pair(out, "container", &format!("{} ({})", container.name, container.image));
    }
}

fn pair(out: &mut String, name: &str, value: &str) {
    let _ = write!(out, "<dt>{name}</dt><dd>{}</dd>", Text(value));
}

fn lines(out: &mut String, tokens: &[&TokenView], now: Wall) {
    if tokens.is_empty() {
        return;
    }
    let more = tokens.len();
    let _ = write!(out, "<details id=\"more-tokens\"><summary>{more} more</summary>");
    out.push_str("<ul class=\"lines\">");
    let listed = rows::write(out, tokens, LINES, |out, token| line(out, token, now));
    out.push_str("</ul>");
    not_listed(out, more - listed);
    out.push_str("</details>\n");
}

fn line(out: &mut String, token: &TokenView, now: Wall) {
    let (pod, volume) = (PodName(&token.pod), Short(&token.key.volume));
    let (state, namespace) = (state_name(token.state), InNamespace(Some(&token.pod)));
    let at = Away(token.deadlines.effective, now);
    let name = if is_extended(&token.deadlines) { "stale" } else { "deadline" };
    let _ = writeln!(
        out,
        "<li{namespace}>{pod} <span class=\"quiet\">{volume} · {state} · {name} {at}</span></li>"
    );
}
