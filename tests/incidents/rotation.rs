//! Class D: kubelet does not replace a token, or not for the container.

use tokenwatch_core::findings::{Code, Severity};
use tokenwatch_core::world::cluster::Pod;
use tokenwatch_core::world::readers::MountKind;

use crate::node::{FOREVER, Node, Spec, Use, Verifier};
use crate::play::AGENT;
use crate::readers::with_agent;
use crate::scenario::{Expected, Scenario};

/// Pods whose syncs show kubelet's rhythm.
const OTHERS: [&str; 6] = ["a-0", "b-0", "c-0", "d-0", "e-0", "f-0"];
const END: i64 = 3_700;
/// When it begins.
const FROM: i64 = 700;

/// A node with several pods, and `cart-0`, whose tokens kubelet replaces until `until`.
fn busy(specs: &[Spec], until: i64, others_until: i64) -> Node {
    let mut node = Node::new(END);
    node.runs(AGENT, Spec::HOUR, others_until);
    for (nth, name) in OTHERS.into_iter().enumerate() {
        node.pod(name, &[Spec::HOUR]);
        node.kubelet(name, Spec::HOUR, 5 + 7 * i64::try_from(nth).unwrap(), others_until);
    }
    node.pod("cart-0", specs);
    for spec in specs {
        node.kubelet("cart-0", *spec, 2, until);
    }
    node
}

/// Its client reads once a minute.
pub(crate) fn reads_each_minute(node: &mut Node, pod: &str, spec: Spec) {
    let end = node.end;
    let seconds: Vec<i64> = (4..end).step_by(55).collect();
    node.reads(pod, spec, &seconds);
}

fn pod_left_out(specs: &[Spec]) -> Node {
    let mut node = busy(specs, FROM, END);
    reads_each_minute(&mut node, "cart-0", Spec::HOUR);
    node.syncs(|key, second| key.pod_uid == "cart-0" && second >= FROM);
    node.finish()
}

fn volume_left_out() -> Node {
    let mut node = busy(&[Spec::HOUR, Spec::AWS], FROM, END);
    reads_each_minute(&mut node, "cart-0", Spec::HOUR);
    let is_it = |volume: &str, second| volume == Spec::HOUR.volume && second >= FROM;
    node.syncs(|key, second| key.pod_uid == "cart-0" && is_it(&key.volume, second));
    node.finish()
}

fn syncs_unseen() -> Node {
    let mut node = busy(&[Spec::HOUR], FROM, END);
    reads_each_minute(&mut node, "cart-0", Spec::HOUR);
    node.finish()
}

fn kubelet_stops() -> Node {
    let mut node = busy(&[Spec::HOUR], FROM, FROM);
    reads_each_minute(&mut node, "cart-0", Spec::HOUR);
    node.syncs(|_, second| second >= FROM);
    node.finish()
}

fn offline() -> Node {
    let mut node = busy(&[Spec::HOUR], FROM, FROM);
    node.cluster.away.push((FROM, FOREVER));
    reads_each_minute(&mut node, "cart-0", Spec::HOUR);
    node.syncs(|_, _| false);
    node.finish()
}

/// The pod has two hours to end.
fn terminating() -> Node {
    let mut node = busy(&[Spec::HOUR], FROM, END);
    let deletion = FROM + 7_200;
    let wall = node.at(deletion).wall;
    let change = |pod: &mut Pod| pod.deletion = Some(wall);
    node.pod_changes(FROM, "cart-0", change);
    node.cluster.deleted.insert("cart-0".into(), deletion);
    reads_each_minute(&mut node, "cart-0", Spec::HOUR);
    node.finish()
}

fn frozen() -> Node {
    let mut node = with_agent(END);
    node.runs("cart-0", Spec::HOUR, END);
    let claims = node.token("cart-0", Spec::HOUR, FROM);
    node.uses.push(Use { since: FROM, until: FOREVER, claims, verifier: Verifier::Api });
    for second in (FROM..END).step_by(30) {
        node.containers(second, "cart-0", Spec::HOUR, &MountKind::Frozen, None);
    }
    node.finish()
}

/// A virtual cluster writes a token of ten years, and the cloud accepts a day.
fn ten_years() -> Node {
    let spec = Spec { life: 10 * 365 * 86_400, ..Spec::AWS };
    let mut node = with_agent(600);
    node.runs("cart-0", spec, 600);
    node.breaks = Some(5);
    node.finish()
}

const fn named(code: Code, severity: Severity, lead: i64, cause: &'static str) -> Expected {
    // What is not replaced expires in the end.
    Expected::Named { code, severity, lead, cause, also: &[Code::Expired] }
}

/// The scenarios of the class.
pub(crate) const SCENARIOS: &[Scenario] = &[
    Scenario {
        id: "d-pod",
        what: "kubelet stops syncing the only volume of one pod.",
        story: || pod_left_out(&[Spec::HOUR]),
        expected: named(Code::RotationStalled, Severity::Warning, 1_800, "shop/cart-0"),
    },
    Scenario {
        id: "d-claim",
        what: "A terminating volume claim keeps kubelet from syncing all volumes of one pod.",
        story: || pod_left_out(&[Spec::HOUR, Spec::AWS]),
        expected: named(Code::RotationStalled, Severity::Warning, 1_800, "shop/cart-0"),
    },
    Scenario {
        id: "d-volume",
        what: "kubelet stops syncing one of two volumes of a pod.",
        story: volume_left_out,
        expected: named(Code::RotationStalled, Severity::Warning, 2_600, "another volume"),
    },
    Scenario {
        id: "d-unseen",
        what: "kubelet stops replacing one token, and the agent does not see its syncs.",
        story: syncs_unseen,
        expected: named(Code::RotationStalled, Severity::Warning, 400, "shop/cart-0"),
    },
    Scenario {
        id: "d-kubelet",
        what: "kubelet stops syncing all pods.",
        story: kubelet_stops,
        expected: named(Code::KubeletStalled, Severity::Warning, 2_600, "synced no volume"),
    },
    Scenario {
        id: "d-offline",
        what: "The node loses its connection to the API server, and gets no token any more.",
        story: offline,
        expected: named(Code::KubeletStalled, Severity::Warning, 400, "node-1"),
    },
    Scenario {
        id: "d-terminating",
        what: "A pod has longer to end than its token lives.",
        story: terminating,
        expected: named(Code::PodTerminating, Severity::Warning, 2_900, "shop/cart-0"),
    },
    Scenario {
        id: "d-frozen",
        what: "The node has the new token, and the container has an old mount.",
        story: frozen,
        expected: named(Code::MountFrozen, Severity::Warning, 2_900, "shop/cart-0"),
    },
    Scenario {
        id: "d-ten-years",
        what: "A virtual cluster writes a token of ten years, and the cloud refuses it.",
        story: ten_years,
        expected: named(Code::LifetimeLong, Severity::Info, -11, "shop/cart-0"),
    },
];
