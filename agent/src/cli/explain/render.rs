//! A token and its deadlines: text for people, JSON for scripts.

use serde_json::{Value, json};
use tokenwatch_core::base::text::shown;
use tokenwatch_core::base::time::{Delta, Wall};
use tokenwatch_core::findings::Severity;
use tokenwatch_core::world::tokens::{Claims, LegacyClaims, ObjectRef, State, Verdict};

use super::Explained;
use crate::cli::clock::clock_line;
use crate::cli::output::{Layout, pad, relative, whole};

/// For people.
pub(super) fn text(explained: &Explained, layout: Layout) -> String {
    let line = |(name, value): (&str, String)| format!("  {} {value}\n", pad(name, 12));
    let facts: String = facts(&explained.claims).into_iter().map(line).collect();
    let judgement = [
        ("state", state(explained, layout)),
        ("verdict", verdict(explained, layout)),
        ("clock", clock_line(&explained.clock)),
    ];
    let title = layout.strong(&title(&explained.claims));
    let (judgement, deadlines) = (judgement.map(line).concat(), deadlines(explained));
    let rule = layout.wrap(&rule(explained), "");
    format!("{title}\n{facts}\n{judgement}\n{deadlines}\n{rule}{}", stale(explained, layout))
}

fn title(claims: &Claims) -> String {
    let binding = &claims.binding;
    let account = format!("{}/{}", shown(&binding.namespace), shown(&binding.service_account.name));
    let pod = binding.pod.as_ref().map(|pod| format!(", bound to pod {}", shown(&pod.name)));
    let pod = pod.unwrap_or_else(|| ", not bound to a pod".to_owned());
    let node = binding.node.as_ref().map(|node| format!(" on node {}", shown(&node.name)));
    format!("Token of service account {account}{pod}{}", node.unwrap_or_default())
}

fn facts(claims: &Claims) -> Vec<(&'static str, String)> {
    let audiences: Vec<_> = claims.audiences.iter().map(|audience| shown(audience)).collect();
    let key = claims.key_id.as_deref().map(|key| ("key", shown(key).into_owned()));
    let pod = claims
        .binding
        .pod
        .as_ref()
        .and_then(|pod| pod.uid.as_deref())
        .map(|uid| ("pod uid", shown(uid).into_owned()));
    let always =
        [("issuer", shown(&claims.issuer).into_owned()), ("audiences", audiences.join(", "))];
    let generation = [("generation", claims.generation().as_str().to_owned())];
    always.into_iter().chain(pod).chain(key).chain(generation).collect()
}

fn state(explained: &Explained, layout: Layout) -> String {
    let name = explained.state.name();
    let bad = |severity| layout.severity(severity, name);
    match explained.state {
        State::Fresh => format!("{}: kubelet does not need to replace it yet", layout.good(name)),
        State::Due => format!("{name}: kubelet replaces it at the next sync"),
        State::Late => format!("{}: a healthy kubelet would have replaced it", bad(Severity::Info)),
        State::Stalled => format!("{}: kubelet has stopped replacing it", bad(Severity::Warning)),
        State::Expired => format!("{}: its exp has passed", bad(Severity::Critical)),
        State::NotYetValid => format!("{}: its nbf is in the future", bad(Severity::Critical)),
    }
}

fn verdict(explained: &Explained, layout: Layout) -> String {
    let name = explained.verdict.name();
    let (label, meaning) = match explained.verdict {
        Verdict::Live => (
            layout.good(name),
            "an API server whose clock is right accepts it while its pod and account exist",
        ),
        Verdict::Dead => (
            layout.severity(Severity::Critical, name),
            "an API server whose clock is right refuses it",
        ),
        Verdict::Uncertain => (layout.severity(Severity::Warning, name), doubt(explained)),
    };
    format!("{label}: {meaning}")
}

/// The end of the token's lifetime that true time may be beyond.
fn doubt(explained: &Explained) -> &'static str {
    let true_time = explained.clock.estimate.interval(explained.clock.at.wall);
    match (true_time.lo < explained.claims.not_before, true_time.hi >= explained.claims.expires_at)
    {
        (true, false) => {
            "it is so new that, within the error of the clock, it may not be valid yet"
        }
        (false, true) => "it is so old that, within the error of the clock, it may have expired",
        (true, true) | (false, false) => "the error of the clock is longer than its lifetime",
    }
}

/// Name, time and meaning of each deadline, in order.
fn moments(explained: &Explained) -> [(&'static str, Wall, &'static str); 8] {
    let d = &explained.deadlines;
    let (effective, expires) = meanings_of_the_end(&explained.claims);
    [
        ("accepted from", d.accepted_from, "nbf minus the API server's leeway of 60 s"),
        ("issued", d.issued, "iat"),
        ("refresh due", d.due, "kubelet replaces it, up to 10 s earlier"),
        ("late", d.late, "a healthy kubelet has replaced it by then"),
        ("stalled", d.stalled, "after that, kubelet has stopped rotating it"),
        ("effective", d.effective, effective),
        ("expires", d.expires, expires),
        ("refused", d.hard, "exp, 60 s leeway and 10 s cache: no API server accepts it"),
    ]
}

/// Of the effective deadline, and of `exp`.
fn meanings_of_the_end(claims: &Claims) -> (&'static str, &'static str) {
    match claims.warn_after {
        Some(_) => ("warnafter: stale from here", "exp, extended by the API server"),
        None => ("exp: expired from here", "exp"),
    }
}

fn deadlines(explained: &Explained) -> String {
    let now = explained.clock.at.wall;
    let line = |(name, at, what): (&str, Wall, &str)| {
        format!("  {} {}  {} {what}\n", pad(name, 14), at.rfc3339(), pad(&relative(at, now), 16))
    };
    moments(explained).into_iter().map(line).collect()
}

/// kubelet's rule with the figures of this token (pkg/kubelet/token/token_manager.go).
fn rule(explained: &Explained) -> String {
    let d = &explained.deadlines;
    let (ttl, sync) = (d.effective - d.issued, explained.kubelet.sync_period);
    let which = replacement(d.due - d.issued, ttl);
    format!(
        "kubelet's rule: this token has a lifetime of {}. kubelet replaces it {which}, at the next \
         sync of the pod (every {} to {}). If that fails, kubelet tries again at every sync. The \
         effective deadline is {}.",
        whole(ttl),
        whole(sync),
        whole(sync.fraction(3, 2)),
        d.effective.rfc3339()
    )
}

/// When kubelet replaces a token that is due so long after it was issued.
fn replacement(due: Delta, ttl: Delta) -> String {
    if due < ttl.fraction(80, 100) {
        "24 h after it was issued".to_owned()
    } else {
        format!("after 80 % of it, {} after it was issued", whole(due))
    }
}

fn stale(explained: &Explained, layout: Layout) -> String {
    let works = explained.is_stale() && explained.verdict == Verdict::Live;
    let text = "stale: it still works only because the API server runs with \
                --service-account-extend-token-expiration. Either kubelet has not replaced it, or \
                the process that uses it has not read the new one.";
    if works { format!("\n{}", layout.wrap(text, "")) } else { String::new() }
}

/// For scripts.
pub(super) fn json(explained: &Explained) -> Value {
    let claims = &explained.claims;
    let mut clock = explained.clock.json();
    if let Some(keys) = clock.as_object_mut() {
        keys.retain(|key, _| key != "findings" && key != "at");
    }
    json!({
        "at": explained.clock.at.wall.rfc3339(),
        "clock": clock,
        "kind": "bound",
        "namespace": shown(&claims.binding.namespace),
        "service_account": object(Some(&claims.binding.service_account)),
        "pod": object(claims.binding.pod.as_ref()),
        "node": object(claims.binding.node.as_ref()),
        "issuer": shown(&claims.issuer),
        "subject": shown(&claims.subject),
        "audiences": claims.audiences.iter().map(|audience| shown(audience)).collect::<Vec<_>>(),
        "key_id": claims.key_id.as_deref().map(shown),
        "generation": claims.generation().as_str(),
        "issued_at": claims.issued_at.rfc3339(),
        "not_before": claims.not_before.rfc3339(),
        "expires_at": claims.expires_at.rfc3339(),
        "warn_after": claims.warn_after.map(Wall::rfc3339),
        "accepted_from": explained.deadlines.accepted_from.rfc3339(),
        "refresh_due": explained.deadlines.due.rfc3339(),
        "late": explained.deadlines.late.rfc3339(),
        "stalled": explained.deadlines.stalled.rfc3339(),
        "effective_deadline": explained.deadlines.effective.rfc3339(),
        "hard_deadline": explained.deadlines.hard.rfc3339(),
        "seconds_left": seconds(explained.deadlines.effective - explained.clock.at.wall),
        "state": explained.state.name(),
        "verdict": explained.verdict.name(),
        "stale": explained.is_stale(),
    })
}

fn seconds(delta: Delta) -> i64 {
    delta.as_secs()
}

fn object(object: Option<&ObjectRef>) -> Value {
    object.map_or(
        Value::Null,
        |object| json!({"name": shown(&object.name), "uid": object.uid.as_deref().map(shown)}),
    )
}

/// What a user has to know about a Secret-based token.
const LEGACY: &str = "It has no deadline: it works until the Secret or the service account is \
     deleted, or until the API server removes a Secret that was not used for a year. kubelet never \
     replaces it. Use a projected token (the default of a pod) or `kubectl create token` instead.";

/// For people: a Secret-based token has no deadlines.
pub(super) fn legacy_text(legacy: &LegacyClaims, layout: Layout) -> String {
    let secret = legacy.secret.as_deref();
    let secret = secret.map(|secret| format!(", from Secret {}", shown(secret)));
    format!(
        "Legacy token of service account {}/{}{}\n{}",
        shown(&legacy.namespace),
        shown(&legacy.service_account),
        secret.unwrap_or_default(),
        layout.wrap(LEGACY, "  ")
    )
}

/// For scripts.
pub(super) fn legacy_json(legacy: &LegacyClaims) -> Value {
    json!({
        "kind": "legacy",
        "namespace": shown(&legacy.namespace),
        "service_account": {"name": shown(&legacy.service_account), "uid": Value::Null},
        "secret": legacy.secret.as_deref().map(shown),
        "expires_at": Value::Null,
    })
}
