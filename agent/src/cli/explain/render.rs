//! A token and its deadlines: text for people, JSON for scripts.

use std::fmt;

use serde_json::{Value, json};
use tokenwatch_core::base::text::shown;
use tokenwatch_core::base::time::{Delta, Wall};
use tokenwatch_core::findings::Severity;
use tokenwatch_core::world::tokens::{
    Bound, Claims, Foreign, LegacyClaims, ObjectRef, State, Verdict,
};

use super::{Explained, ReadFrom};
use crate::cli::clock::clock_line;
use crate::cli::output::{Layout, pad, relative, whole};
use crate::cli::review::Reviewed;
use crate::cli::signature;

/// For people.
pub(super) fn text(explained: &Explained, layout: Layout) -> String {
    let line = |(name, value): (&str, String)| fact(name, &value);
    let review = explained.reviewed().map(|review| fact("TokenReview", &review.text()));
    let review = review.unwrap_or_default();
    let from = ("read from", explained.read_from.to_string());
    let facts = [from].into_iter().chain(facts(&explained.claims));
    let facts: String = facts.map(line).collect();
    let judgement = [
        ("state", state(explained, layout)),
        ("verdict", verdict(explained, layout)),
        ("signature", signature(explained)),
        ("clock", clock_line(&explained.clock)),
    ];
    let title = layout.strong(&title(&explained.claims));
    let (judgement, deadlines) = (judgement.map(line).concat(), deadlines(explained));
    let rule = layout.wrap(&rule(explained), "");
    let revocation = layout.wrap(&revocation(&explained.claims), "");
    let stale = stale(explained, layout);
    format!("{title}\n{facts}\n{judgement}{review}\n{deadlines}\n{rule}\n{revocation}{stale}")
}

/// One line.
fn fact(name: &str, value: &str) -> String {
    format!("  {} {value}\n", pad(name, 12))
}

fn title(claims: &Claims) -> String {
    let binding = &claims.binding;
    let account = format!("{}/{}", shown(&binding.namespace), shown(&binding.service_account.name));
    let whose = format!("Token of service account {account}");
    let bound = match binding.bound() {
        Bound::Pod(pod) => format!(", bound to pod {}", shown(&pod.name)),
        Bound::Secret(secret) => format!(", bound to Secret {}", shown(&secret.name)),
        Bound::Node(node) => return format!("{whose}, bound to node {}", shown(&node.name)),
        Bound::Nothing => ", not bound to a pod, a Secret or a node".to_owned(),
    };
    let node = binding.node.as_ref().map(|node| format!(" on node {}", shown(&node.name)));
    format!("{whose}{bound}{}", node.unwrap_or_default())
}

fn facts(claims: &Claims) -> Vec<(&'static str, String)> {
    let audiences: Vec<_> = claims.audiences.iter().map(|audience| shown(audience)).collect();
    let key = claims.key.id.as_deref().map(|key| ("key", shown(key).into_owned()));
    let uid = bound_uid(claims).map(|(name, uid)| (name, shown(uid).into_owned()));
    let always =
        [("issuer", shown(&claims.issuer).into_owned()), ("audiences", audiences.join(", "))];
    let generation = [("generation", claims.generation().as_str().to_owned())];
    always.into_iter().chain(uid).chain(key).chain(generation).collect()
}

fn bound_uid(claims: &Claims) -> Option<(&'static str, &str)> {
    let (name, object) = match claims.binding.bound() {
        Bound::Pod(pod) => ("pod uid", pod),
        Bound::Secret(secret) => ("secret uid", secret),
        Bound::Node(node) => ("node uid", node),
        Bound::Nothing => return None,
    };
    object.uid.as_deref().map(|uid| (name, uid))
}

fn state(explained: &Explained, layout: Layout) -> String {
    let name = explained.state.name();
    let bad = |severity| layout.severity(severity, name);
    match explained.state {
        State::Fresh if !explained.is_of_kubelet() => {
            format!(
                "{}: it is not near its end, and kubelet does not replace it",
                layout.good(name)
            )
        }
        State::Due | State::Late if !explained.is_of_kubelet() => {
            format!("{}: near its end, and kubelet does not replace it", bad(Severity::Info))
        }
        State::Stalled if !explained.is_of_kubelet() => {
            format!("{}: near its end, and kubelet does not replace it", bad(Severity::Warning))
        }
        State::Fresh => format!("{}: kubelet does not need to replace it yet", layout.good(name)),
        State::Due => format!("{name}: kubelet replaces it at the next sync"),
        State::Late => format!("{}: a healthy kubelet would have replaced it", bad(Severity::Info)),
        State::Stalled => format!("{}: kubelet has stopped replacing it", bad(Severity::Warning)),
        State::Expired => format!("{}: its exp has passed", bad(Severity::Critical)),
        State::NotYetValid => format!("{}: its nbf is in the future", bad(Severity::Critical)),
    }
}

fn signature(explained: &Explained) -> String {
    let asked = &explained.asked;
    signature::text(asked.signature, asked.why_not.as_deref())
}

fn verdict(explained: &Explained, layout: Layout) -> String {
    let name = explained.verdict.name();
    let (label, meaning) = match explained.verdict {
        Verdict::Live if explained.is_wrong() => (
            name.to_owned(),
            "by its times alone: its signature is wrong, and no API server accepts it",
        ),
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

type Moment = (&'static str, Wall, &'static str);

/// Name, time and meaning of each deadline, in order.
fn moments(explained: &Explained) -> Vec<Moment> {
    let d = &explained.deadlines;
    let (effective, expires) = meanings_of_the_end(&explained.claims);
    let begin = [
        ("accepted from", d.accepted_from, "nbf minus the API server's leeway of 60 s"),
        ("issued", d.issued, "iat"),
    ];
    let of_kubelet = [
        ("refresh due", d.due, "kubelet replaces it, up to 10 s earlier"),
        ("late", d.late, "a healthy kubelet has replaced it by then"),
        ("stalled", d.stalled, "after that, kubelet has stopped rotating it"),
    ];
    let end = [
        ("effective", d.effective, effective),
        ("expires", d.expires, expires),
        ("refused", d.hard, "exp, 60 s leeway and 10 s cache: no API server accepts it"),
    ];
    let of_kubelet = of_kubelet.into_iter().filter(|_| explained.is_of_kubelet());
    begin.into_iter().chain(of_kubelet).chain(end).collect()
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

/// What ends the token before its time (pkg/serviceaccount/claims.go).
fn revocation(claims: &Claims) -> String {
    let early = match claims.binding.bound() {
        Bound::Pod(_) => {
            "once the pod is deleted, or 60 s after its time of deletion; the node in it is for \
             information only"
        }
        Bound::Secret(_) => {
            "as soon as that Secret is deleted or recreated: deleting the Secret revokes the token"
        }
        Bound::Node(_) => {
            "as soon as that Node object is deleted or recreated: deleting the Node revokes the \
             token"
        }
        Bound::Nothing => {
            return "revocation: the token is bound to no object. Until it expires, only deleting \
                    or recreating the service account revokes it."
                .to_owned();
        }
    };
    format!(
        "revocation: an API server refuses the token {early}. Deleting or recreating the service \
         account revokes it, too."
    )
}

/// Of a token that kubelet does not replace.
fn no_rule(explained: &Explained) -> String {
    format!(
        "kubelet does not replace this token: it is bound to no pod, so it is of no projected \
         volume. Whoever requested it (`kubectl create token`, or a program by TokenRequest) has \
         to request another one before {}.",
        explained.deadlines.effective.rfc3339()
    )
}

/// kubelet's rule with the figures of this token (pkg/kubelet/token/token_manager.go).
fn rule(explained: &Explained) -> String {
    if !explained.is_of_kubelet() {
        return no_rule(explained);
    }
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
    let of_kubelet = |at: Wall| explained.is_of_kubelet().then(|| at.rfc3339());
    json!({
        "at": explained.clock.at.wall.rfc3339(),
        "read_from": read_from(&explained.read_from),
        "bound_to": claims.binding.bound().kind(),
        "clock": clock,
        "kind": "bound",
        "namespace": shown(&claims.binding.namespace),
        "service_account": object(Some(&claims.binding.service_account)),
        "pod": object(claims.binding.pod.as_ref()),
        "secret": object(claims.binding.secret.as_ref()),
        "node": object(claims.binding.node.as_ref()),
        "issuer": shown(&claims.issuer),
        "subject": shown(&claims.subject),
        "audiences": claims.audiences.iter().map(|audience| shown(audience)).collect::<Vec<_>>(),
        "key_id": claims.key.id.as_deref().map(shown),
        "generation": claims.generation().as_str(),
        "issued_at": claims.issued_at.rfc3339(),
        "not_before": claims.not_before.rfc3339(),
        "expires_at": claims.expires_at.rfc3339(),
        "warn_after": claims.warn_after.map(Wall::rfc3339),
        "accepted_from": explained.deadlines.accepted_from.rfc3339(),
        "refresh_due": of_kubelet(explained.deadlines.due),
        "late": of_kubelet(explained.deadlines.late),
        "stalled": of_kubelet(explained.deadlines.stalled),
        "effective_deadline": explained.deadlines.effective.rfc3339(),
        "hard_deadline": explained.deadlines.hard.rfc3339(),
        "seconds_left": seconds(explained.deadlines.effective - explained.clock.at.wall),
        "state": explained.state.name(),
        "verdict": explained.verdict.name(),
        "stale": explained.is_stale(),
        "token_review": explained.reviewed().as_ref().map(Reviewed::json),
        "signature": signature::json(explained.asked.signature, explained.asked.why_not.as_deref()),
    })
}

fn read_from(from: &ReadFrom) -> Value {
    json!({"file": from.file, "place": from.place})
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
pub(super) fn legacy_text(
    from: &ReadFrom,
    legacy: &LegacyClaims,
    review: Option<&Reviewed>,
    layout: Layout,
) -> String {
    let review = review.map(|review| fact("TokenReview", &review.text())).unwrap_or_default();
    let secret = legacy.secret.as_deref();
    let secret = secret.map(|secret| format!(", from Secret {}", shown(secret)));
    format!(
        "Legacy token of service account {}/{}{}\n{}{review}\n{}",
        shown(&legacy.namespace),
        shown(&legacy.service_account),
        secret.unwrap_or_default(),
        fact("read from", &from.to_string()),
        layout.wrap(LEGACY, "  ")
    )
}

/// For scripts.
pub(super) fn legacy_json(
    from: &ReadFrom,
    legacy: &LegacyClaims,
    review: Option<&Reviewed>,
) -> Value {
    json!({
        "token_review": review.map(Reviewed::json),
        "kind": "legacy",
        "read_from": read_from(from),
        "namespace": shown(&legacy.namespace),
        "service_account": {"name": shown(&legacy.service_account), "uid": Value::Null},
        "secret": legacy.secret.as_deref().map(shown),
        "expires_at": Value::Null,
    })
}

/// What is shown of somebody else's JWT: not who it is about.
pub(super) fn foreign(f: &mut fmt::Formatter<'_>, foreign: &Foreign, now: Wall) -> fmt::Result {
    let issuer = foreign.issuer.as_deref().unwrap_or("none");
    let audiences: Vec<_> = foreign.audiences.iter().map(|audience| shown(audience)).collect();
    let end = match foreign.expires_at {
        Some(at) if at <= now => format!("It expired at {} ({}).", at.rfc3339(), relative(at, now)),
        Some(at) => format!("It expires at {} ({}).", at.rfc3339(), relative(at, now)),
        None => "It has no exp, so it does not expire by itself.".to_owned(),
    };
    write!(
        f,
        "not a service-account token: a JWT of another issuer, without the claims of Kubernetes \
         (issuer {}, audiences {}). {end} kubelet does not replace it, and an API server accepts \
         it only if it is configured to trust that issuer (--oidc-issuer-url or \
         --authentication-config)",
        shown(issuer),
        if audiences.is_empty() { "none".to_owned() } else { audiences.join(", ") },
    )
}
