//! A token and its deadlines: text for people, JSON for scripts.

use serde_json::{Value, json};
use tokenwatch_core::base::text::shown;
use tokenwatch_core::base::time::{Delta, Wall};
use tokenwatch_core::findings::Severity;
use tokenwatch_core::world::tokens::{Claims, LegacyClaims, ObjectRef, State, Verdict};

use super::Explained;
use crate::cli::clock::clock_line;
use crate::cli::output::{Page, pad, relative, whole};

/// For people.
pub(super) fn text(explained: &Explained, page: Page) -> String {
    let claims = &explained.claims;
    let facts: Vec<String> = facts(claims)
        .into_iter()
        .map(|(name, value)| format!("  {} {value}\n", pad(name, 12)))
        .collect();
    format!(
        "{}\n{}\n  {} {}\n  {} {}\n  {} {}\n\n{}\n{}{}",
        page.strong(&title(claims)),
        facts.concat(),
        pad("state", 12),
        state(explained, page),
        pad("verdict", 12),
        verdict(explained, page),
        pad("clock", 12),
        clock_line(&explained.clock),
        deadlines(explained),
        page.wrap(&rule(explained), ""),
        stale(explained, page)
    )
}

fn title(claims: &Claims) -> String {
    let account = format!("{}/{}", shown(&claims.namespace), shown(&claims.service_account.name));
    let pod = claims.pod.as_ref().map_or(", not bound to a pod".to_owned(), |pod| {
        format!(", bound to pod {}", shown(&pod.name))
    });
    let node = claims
        .node
        .as_ref()
        .map(|node| format!(" on node {}", shown(&node.name)))
        .unwrap_or_default();
    format!("Token of service account {account}{pod}{node}")
}

fn facts(claims: &Claims) -> Vec<(&'static str, String)> {
    let audiences: Vec<_> = claims.audiences.iter().map(|audience| shown(audience)).collect();
    let key = claims.key_id.as_deref().map(|key| ("key", shown(key).into_owned()));
    let pod = claims
        .pod
        .as_ref()
        .and_then(|pod| pod.uid.as_deref())
        .map(|uid| ("pod uid", shown(uid).into_owned()));
    let always =
        [("issuer", shown(&claims.issuer).into_owned()), ("audiences", audiences.join(", "))];
    let generation = [("generation", claims.generation().as_str().to_owned())];
    always.into_iter().chain(pod).chain(key).chain(generation).collect()
}

fn state(explained: &Explained, page: Page) -> String {
    let name = explained.state.name();
    match explained.state {
        State::Fresh => format!("{}: kubelet has nothing to do", page.good(name)),
        State::Due => format!("{name}: kubelet replaces it with its next sync"),
        State::Late => {
            format!("{}: a healthy kubelet had replaced it", page.severity(Severity::Info, name))
        }
        State::Stalled => {
            format!("{}: kubelet does not replace it", page.severity(Severity::Warning, name))
        }
        State::Expired => format!("{}: its time is over", page.severity(Severity::Critical, name)),
        State::NotYetValid => {
            format!("{}: its time has not come", page.severity(Severity::Critical, name))
        }
    }
}

fn verdict(explained: &Explained, page: Page) -> String {
    let name = explained.verdict.name();
    match explained.verdict {
        Verdict::Live => format!("{}: an API server with a true clock accepts it", page.good(name)),
        Verdict::Dead => format!(
            "{}: an API server with a true clock refuses it",
            page.severity(Severity::Critical, name)
        ),
        Verdict::Uncertain => {
            format!("{}: {}", page.severity(Severity::Warning, name), doubt(explained))
        }
    }
}

/// Which end of the token's life true time may be beyond.
fn doubt(explained: &Explained) -> &'static str {
    let true_time = explained.clock.estimate.interval(explained.clock.at.wall);
    match (true_time.lo < explained.claims.not_before, true_time.hi >= explained.claims.expires_at)
    {
        (true, false) => {
            "it is so new that, within the clock's error, its time may not have come yet"
        }
        (false, true) => {
            "it is so near its end that, within the clock's error, its time may be over"
        }
        _ => "the clock's error is longer than its life",
    }
}

/// Name, time, and what happens then; in the order of a token's life.
fn moments(explained: &Explained) -> [(&'static str, Wall, &'static str); 8] {
    let d = &explained.deadlines;
    [
        ("accepted from", d.accepted_from, "nbf less the API server's leeway of 60 s"),
        ("issued", d.issued, "iat"),
        ("refresh due", d.due, "kubelet replaces it, up to 10 s earlier"),
        ("late", d.late, "later than a healthy kubelet"),
        ("stalled", d.stalled, "kubelet has stopped, or fails"),
        (
            "effective",
            d.effective,
            if explained.claims.warn_after.is_some() {
                "warnafter: stale from here"
            } else {
                "exp: stale from here"
            },
        ),
        (
            "expires",
            d.expires,
            if explained.claims.warn_after.is_some() {
                "exp, extended by the API server"
            } else {
                "exp"
            },
        ),
        ("refused", d.hard, "exp, 60 s leeway and 10 s cache: by every API server"),
    ]
}

fn deadlines(explained: &Explained) -> String {
    let now = explained.clock.at.wall;
    let line = |(name, at, what): (&str, Wall, &str)| {
        format!("  {} {}  {} {what}\n", pad(name, 14), at.rfc3339(), pad(&relative(at, now), 16))
    };
    moments(explained).into_iter().map(line).collect()
}

/// Kubelet's rule, with this token's figures (pkg/kubelet/token/token_manager.go).
fn rule(explained: &Explained) -> String {
    let d = &explained.deadlines;
    let ttl = d.effective - d.issued;
    let due = d.due - d.issued;
    let which = if due < ttl.fraction(80, 100) {
        "24 h after it was issued".to_owned()
    } else {
        format!("when 80 % of it is over, {} after it was issued", whole(due))
    };
    let sync = whole(explained.kubelet.sync_period);
    format!(
        "kubelet's rule: this token's lifetime is {}, so kubelet replaces it {which}, when it \
         next syncs the pod (every {sync} to {}). If that fails it tries again with every sync \
         until {}.",
        whole(ttl),
        whole(explained.kubelet.sync_period.fraction(3, 2)),
        d.effective.rfc3339()
    )
}

fn stale(explained: &Explained, page: Page) -> String {
    let works = explained.is_stale() && explained.verdict == Verdict::Live;
    let text = "stale: it still works, thanks only to the API server's \
                --service-account-extend-token-expiration. Whoever holds it has not read the file \
                again since it was replaced, or kubelet has not replaced it.";
    if works { format!("\n{}", page.wrap(text, "")) } else { String::new() }
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
        "namespace": shown(&claims.namespace),
        "service_account": object(Some(&claims.service_account)),
        "pod": object(claims.pod.as_ref()),
        "node": object(claims.node.as_ref()),
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

/// For people: a Secret-based token has no deadlines to tell.
pub(super) fn legacy_text(legacy: &LegacyClaims, page: Page) -> String {
    let secret = legacy
        .secret
        .as_deref()
        .map(|secret| format!(", from Secret {}", shown(secret)))
        .unwrap_or_default();
    let text = "It has no deadline: it works until the Secret or the service account is deleted, \
                or until the API server removes a Secret it has not seen used for a year. kubelet \
                never replaces it. Use a projected token instead (a pod's default), or `kubectl \
                create token`.";
    format!(
        "Legacy token of service account {}/{}{secret}\n{}",
        shown(&legacy.namespace),
        shown(&legacy.service_account),
        page.wrap(text, "  ")
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
