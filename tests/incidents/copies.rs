//! Class C: a copy of a token outside of its volume.

use tokenwatch_core::findings::{Code, Severity};
use tokenwatch_core::world::copies::{Mention, Plugin};
use tokenwatch_core::world::observation::Observation;
use tokenwatch_core::world::tokens::{Claims, ObjectRef};

use crate::node::{FOREVER, HostFile, Node, Spec, Use, Verifier, key};
use crate::play::AGENT;
use crate::readers::with_agent;
use crate::scenario::{Expected, Scenario};

const DAY: i64 = 86_400;

const MULTUS: HostFile = HostFile {
    path: "/etc/cni/net.d/multus.d/multus.kubeconfig",
    plugin: Some(Plugin::Multus),
    mention: Mention::Named,
};
const WHEREABOUTS: HostFile = HostFile {
    path: "/etc/cni/net.d/whereabouts.d/whereabouts.kubeconfig",
    plugin: Some(Plugin::Whereabouts),
    mention: Mention::Named,
};
const LINKERD: HostFile = HostFile {
    path: "/etc/cni/net.d/ZZZ-linkerd-cni-kubeconfig",
    plugin: Some(Plugin::LinkerdCni),
    mention: Mention::Named,
};
const CALICO: HostFile = HostFile {
    path: "/etc/cni/net.d/calico-kubeconfig",
    plugin: Some(Plugin::Calico),
    mention: Mention::Named,
};

const MULTUS_POD: &str = "kube-multus-ds-x7k2p";

/// The plugin uses the copy from one second to another.
fn uses(node: &mut Node, claims: &Claims, since: i64, until: i64) {
    let (claims, verifier) = (claims.clone(), Verifier::Api);
    node.uses.push(Use { since, until, claims, verifier });
}

/// A pod of a plugin writes its token into the file when it starts, and never again.
fn written_once(end: i64, pod: &'static str, spec: Spec, copy: HostFile) -> Node {
    let mut node = with_agent(end);
    node.runs(pod, spec, end);
    let claims = node.token(pod, spec, 5);
    node.copy(5, copy, Some(claims.clone()));
    uses(&mut node, &claims, 5, FOREVER);
    node
}

/// Calico's token: bound to no pod, with a life of a day.
fn calico(node: &Node, issued: i64) -> Claims {
    let spec = Spec { life: DAY, ..Spec::HOUR };
    let mut claims = node.issued(&key("calico-node-x7k2p", spec), spec, issued, 0);
    claims.binding.pod = None;
    claims.credential = Some("calico-1".into());
    claims
}

/// The agent starts when the copy is eleven hours old.
fn calico_stops() -> Node {
    let end = 2 * 3_600;
    let mut node = with_agent(end);
    node.runs("calico-node-x7k2p", Spec::HOUR, end);
    let claims = calico(&node, -11 * 3_600);
    node.copy(5, CALICO, Some(claims.clone()));
    uses(&mut node, &claims, 5, FOREVER);
    node.finish()
}

/// The node is suspended for 26 hours. Its clock is set right half a minute later.
fn suspended() -> Node {
    let (from, long) = (3_600, 26 * 3_600);
    let end = from + long;
    let mut node = Node::new(end + 600);
    node.pause = Some((from, long));
    node.clock_set(end + 30, long * 1_000);
    node.runs("calico-node-x7k2p", Spec::HOUR, end + 600);
    let claims = calico(&node, 5);
    node.copy(5, CALICO, Some(claims.clone()));
    uses(&mut node, &claims, 5, from);
    uses(&mut node, &claims, end, FOREVER);
    node.finish()
}

/// The pod that wrote the copy is replaced by one that does not write it.
fn pod_gone() -> Node {
    let mut node = with_agent(1_200);
    node.runs(MULTUS_POD, Spec::HOUR, 600);
    let claims = node.token(MULTUS_POD, Spec::HOUR, 5);
    node.copy(5, MULTUS, Some(claims.clone()));
    uses(&mut node, &claims, 5, FOREVER);
    node.pod_gone(600, MULTUS_POD);
    node.observe(605, Observation::Gone(key(MULTUS_POD, Spec::HOUR)));
    node.finish()
}

/// A file that an uninstalled plugin left behind 90 days ago.
fn left_over() -> Node {
    let mut node = with_agent(600);
    let mut claims = node.issued(&key(MULTUS_POD, Spec::HOUR), Spec::HOUR, -90 * DAY, 0);
    claims.binding.node = None;
    let copy = HostFile { mention: Mention::NotNamed, ..MULTUS };
    node.copy(5, copy, Some(claims));
    node.finish()
}

/// The copy has been there for an hour less than 76 of the 90 days of its token.
fn day_76() -> Node {
    let end = 2 * 3_600;
    let mut node = with_agent(end);
    node.runs(MULTUS_POD, Spec::DAYS_90, end);
    let of = key(MULTUS_POD, Spec::DAYS_90);
    let mut claims = node.issued(&of, Spec::DAYS_90, 3_600 - 76 * DAY, 0);
    claims.credential = Some("first".into());
    node.copy(5, MULTUS, Some(claims.clone()));
    uses(&mut node, &claims, 5, FOREVER);
    node.finish()
}

/// The signing key is replaced in two steps, and kubelet has replaced all tokens in between.
fn key_replaced() -> Node {
    let mut node = Node::new(13_000);
    let keys = &mut node.cluster.servers[0].keys;
    keys.change(7_200, &["key-2", "key-1"]);
    keys.change(12_000, &["key-2"]);
    node.runs(AGENT, Spec::HOUR, 13_000);
    node.runs("linkerd-cni-x7k2p", Spec::YEAR, 13_000);
    let claims = node.token("linkerd-cni-x7k2p", Spec::YEAR, 5);
    node.copy(5, LINKERD, Some(claims.clone()));
    uses(&mut node, &claims, 5, FOREVER);
    node.finish()
}

/// The plugin writes the token of another pod, whose account may do nothing here.
fn other_pod() -> Node {
    let mut node = with_agent(600);
    node.runs(MULTUS_POD, Spec::HOUR, 600);
    node.runs("cart-0", Spec::HOUR, 600);
    let mut claims = node.token("cart-0", Spec::HOUR, 305);
    claims.binding.pod = Some(ObjectRef { name: "cart-0".into(), uid: Some("cart-0".into()) });
    node.copy(305, MULTUS, Some(claims));
    node.breaks = Some(305);
    node.finish()
}

const fn copy(
    severity: Severity,
    lead: i64,
    cause: &'static str,
    also: &'static [Code],
) -> Expected {
    Expected::Named { code: Code::CopyStale, severity, lead, cause, also }
}

/// The scenarios of the class.
pub(crate) const SCENARIOS: &[Scenario] = &[
    Scenario {
        id: "c-calico",
        what: "calico-node does not renew the requested token of a day in its kubeconfig.",
        story: calico_stops,
        expected: copy(Severity::Warning, 11 * 3_600, "calico", &[]),
    },
    Scenario {
        id: "c-suspended",
        what: "The node stands still for longer than the copy lives, and its writer sleeps on.",
        story: suspended,
        expected: copy(
            Severity::Critical,
            -64,
            "expired",
            &[Code::ClockOffset, Code::ClockStepped, Code::ApiserverSkew, Code::Expired],
        ),
    },
    Scenario {
        id: "c-multus",
        what: "A plugin writes its token of an hour once, at its start.",
        story: || written_once(3_700, MULTUS_POD, Spec::HOUR, MULTUS).finish(),
        expected: copy(Severity::Warning, 400, "old token of pod", &[]),
    },
    Scenario {
        id: "c-pod-gone",
        what: "The copy is bound to a pod that was replaced.",
        story: pod_gone,
        expected: copy(Severity::Critical, -120, "does not exist", &[]),
    },
    Scenario {
        id: "c-left-over",
        what: "An uninstalled plugin has left its kubeconfig behind. Nothing fails.",
        story: left_over,
        expected: Expected::Hint {
            code: Code::CopyStale,
            severity: Severity::Info,
            cause: "expired",
        },
    },
    Scenario {
        id: "c-year",
        what: "A plugin writes its token once, which the API server extends to a year.",
        story: || written_once(3_700, "whereabouts-x7k2p", Spec::YEAR, WHEREABOUTS).finish(),
        expected: copy(Severity::Info, 364 * DAY, "old token of pod", &[]),
    },
    Scenario {
        id: "c-90d",
        what: "The same, extended to 90 days: the agent starts on day 76.",
        story: day_76,
        expected: copy(Severity::Warning, 13 * DAY, "old token of pod", &[]),
    },
    Scenario {
        id: "c-key",
        what: "A copy of an extended token is never written again, and its key is retired.",
        story: key_replaced,
        expected: copy(Severity::Info, 7_200, "token of pod", &[]),
    },
    Scenario {
        id: "c-other-pod",
        what: "A plugin finds another pod's token and writes that into its kubeconfig.",
        story: other_pod,
        expected: copy(Severity::Warning, -10, "cart-0", &[]),
    },
];
