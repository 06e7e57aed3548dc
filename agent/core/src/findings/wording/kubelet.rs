//! The finding about kubelet itself.

use std::collections::{BTreeMap, BTreeSet};

use super::names::plural;
use super::unsynced::UNSYNCED_SINCE;
use super::{logged, logged_remedy, metrics, remedy};
use crate::base::text::shown;
use crate::base::time::{Delta, Reading, Wall};
use crate::base::value::Attributes;
use crate::findings::{Code, Finding, KubeletSymptom, MAX_NAMED, StallSign, Subject};
use crate::world::cluster::PodRef;
use crate::world::kubelet::errors::{ErrorCause, Logged};
use crate::world::tokens::{Generation, TokenKey};
use crate::world::{Config, World};

/// The tokens that kubelet did not replace, at one moment.
struct Tokens<'a> {
    of: Vec<(&'a TokenKey, &'a Generation)>,
    pods: usize,
    expired: usize,
    /// The first and the last effective deadline.
    deadlines: Option<(Wall, Wall)>,
}

impl<'a> Tokens<'a> {
    fn new(stall: &'a KubeletSymptom, world: &'a World, now: Wall) -> Self {
        let find = |key: &'a TokenKey| Some((key, world.tokens.get(key)?.current.as_ref()?));
        let mut of: Vec<_> = stall.tokens.iter().filter_map(find).collect();
        of.sort_by_key(|(_, generation)| generation.deadlines.effective);
        let deadlines = of.iter().map(|(_, generation)| generation.deadlines.effective);
        let pods: BTreeSet<&str> = of.iter().map(|(key, _)| key.pod_uid.as_str()).collect();
        let has_expired = |of: &&(&TokenKey, &Generation)| of.1.claims.expires_at <= now;
        Self {
            pods: pods.len(),
            expired: of.iter().filter(has_expired).count(),
            deadlines: deadlines.clone().min().zip(deadlines.max()),
            of,
        }
    }

    /// `2 of them have expired, and the last one expires in 8m 0s.`
    fn expiry(&self, now: Wall) -> String {
        let (left, all) = (self.of.len() - self.expired, self.of.len());
        let last = self.deadlines.map(|(_, last)| last - now).unwrap_or_default();
        match (self.expired, left) {
            (_, 0) if all == 1 => "It has expired.".to_owned(),
            (_, 0) => "All of them have expired.".to_owned(),
            (0, _) => format!("The last of them expires in {last}."),
            (expired, left) => {
                format!("{expired} of them expired, the other {left} expire within {last}.")
            }
        }
    }

    /// The cause of the node that kubelet logged for most of the pods.
    fn cause(&self, world: &'a World, now: &Reading) -> Option<Cause<'a>> {
        let mut causes: BTreeMap<ErrorCause, (BTreeSet<&str>, Logged<'a>)> = BTreeMap::new();
        for (key, _) in &self.of {
            let Some(logged) = world.kubelet_error(key, now) else { continue };
            if logged.error.cause.is_of_node() {
                let new = || (BTreeSet::new(), logged);
                let (pods, last) = causes.entry(logged.error.cause).or_insert_with(new);
                pods.insert(&key.pod_uid);
                *last = if logged.age < last.age { logged } else { *last };
            }
        }
        let (what, (pods, last)) = causes.into_iter().max_by_key(|(_, (pods, _))| pods.len())?;
        Some(Cause { what, pods: pods.len(), last })
    }

    /// The first pods by deadline, each as `shop/cart-0 until 2027-01-15T08:10:00Z`.
    fn first(&self, world: &World) -> Vec<String> {
        let name = |(key, generation): &(&TokenKey, &Generation)| {
            let tracked = world.tokens.get(key)?;
            let pod = PodRef::of(tracked, world.cluster.pod(&key.pod_uid));
            let until = generation.deadlines.effective.rfc3339();
            Some(format!("{} until {until}", shown(&pod.full_name())))
        };
        self.of.iter().filter_map(name).take(MAX_NAMED).collect()
    }
}

/// The cause of the node that kubelet logged for most of the pods with such a cause.
struct Cause<'a> {
    what: ErrorCause,
    pods: usize,
    last: Logged<'a>,
}

impl Cause<'_> {
    fn sentence(&self) -> String {
        let (pods, text) = (plural(self.pods as u64, "pod"), logged::quoted(&self.last.error.text));
        let cause = logged::cause(self.what).unwrap_or("another error");
        let ago = self.last.age;
        format!(
            " It logged why for {pods}, the last time {ago} ago: {cause}. Its text: \"{text}\"."
        )
    }

    fn evidence(&self) -> Attributes {
        Attributes::new()
            .with("kubelet_error", self.what.name())
            .with("kubelet_error_text", shown(&self.last.error.text).into_owned())
            .with("kubelet_error_at", self.last.error.at)
            .with("kubelet_error_source", self.last.error.by.name())
            .with("kubelet_error_pods", self.pods)
    }
}

/// The finding that kubelet replaces no token.
pub(crate) fn kubelet(
    stall: &KubeletSymptom,
    world: &World,
    config: &Config,
    now: &Reading,
) -> Finding {
    let node = &config.node;
    let tokens = Tokens::new(stall, world, now.wall);
    let (reach, reached) = api_server(world, config, now);
    let idle = (now.wall - stall.since).max(Delta::ZERO);
    let first = tokens.first(world);
    let what = what(stall, &tokens, world, idle);
    let cause = tokens.cause(world, now);
    let metrics = world.kubelet_metrics(now);
    let by_metrics = || metrics.as_ref().map(metrics::sentence);
    let summary = format!(
        "kubelet on node {} {what} {} First: {}.{} {reach}",
        shown(node),
        tokens.expiry(now.wall),
        first.first().map_or("none left", |name| name.as_str()),
        cause.as_ref().map(Cause::sentence).or_else(by_metrics).unwrap_or_default(),
    );
    let of_cause = cause.as_ref().map(Cause::evidence).unwrap_or_default();
    let of_metrics = metrics.as_ref().map(metrics::evidence).unwrap_or_default();
    let likely = || metrics?.sign?.cause();
    Finding {
        code: Code::KubeletStalled,
        severity: stall.severity,
        subject: Subject::node(node),
        summary,
        deadline: tokens.deadlines.map(|(first, _)| first),
        evidence: evidence(stall, &tokens, world)
            .with("apiserver", reached)
            .and(of_cause)
            .and(of_metrics),
        remedy: cause
            .map(|cause| cause.what)
            .or_else(likely)
            .and_then(logged_remedy::of_node)
            .unwrap_or_else(remedy::of_kubelet),
        trace: None,
    }
}

fn evidence(stall: &KubeletSymptom, tokens: &Tokens<'_>, world: &World) -> Attributes {
    let silent = stall.sign == StallSign::SyncsNothing;
    Attributes::new()
        .with("tokens", tokens.of.len())
        .with("pods", tokens.pods)
        .with("expired", tokens.expired)
        .with("first", tokens.first(world).as_slice())
        .with("since", stall.since)
        .with_some(UNSYNCED_SINCE, silent.then_some(stall.since))
        .with_some("last_deadline", tokens.deadlines.map(|(_, last)| last))
}

/// What kubelet does not do.
fn what(stall: &KubeletSymptom, tokens: &Tokens<'_>, world: &World, idle: Delta) -> String {
    let (count, pods) = (tokens.of.len() as u64, tokens.pods as u64);
    let of = format!("{} of {}", plural(count, "token"), plural(pods, "pod"));
    match stall.sign {
        StallSign::ReplacesNothing => {
            return format!(
                "has replaced no token for {idle}, although {of} should have been replaced."
            );
        }
        StallSign::Fails(_) => {
            return format!("fails to replace {of}, the first of them due {idle} ago.");
        }
        StallSign::SyncsNothing => {}
    }
    let which = match world.kubelet.syncs.silent_pods() {
        (silent, all) if silent < all => format!("not synced {silent} of {all} pods"),
        _ => "synced no volume".to_owned(),
    };
    format!("has {which} for {idle}, and so will not replace {of}.")
}

/// Whether this agent reaches the API server: in words, and as evidence.
fn api_server(world: &World, config: &Config, now: &Reading) -> (String, &'static str) {
    if !config.cluster_configured {
        let text = "This agent has no access to the API server to compare with.";
        return (text.to_owned(), "not configured");
    }
    match (world.cluster.unreachable(), world.cluster.age(now)) {
        (None, Some(_)) => (
            "This agent reaches the API server, so the cause is on this node: kubelet itself, the \
             container runtime or the network of the node, or kubelet's own connection or \
             credentials."
                .to_owned(),
            "reachable",
        ),
        (Some(reason), _) => (
            format!("This agent does not reach the API server either: {}.", shown(reason)),
            "unreachable",
        ),
        (None, None) => {
            ("The API server has not answered this agent yet.".to_owned(), "no answer yet")
        }
    }
}
