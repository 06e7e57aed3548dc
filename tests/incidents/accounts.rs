//! Class G: the objects that a token is bound to are other ones now, or gone.

use tokenwatch_core::findings::{Code, Severity};

use crate::node::{Node, Spec};
use crate::readers::with_cart;
use crate::rotation::reads_each_minute;
use crate::scenario::{Expected, Scenario};

const END: i64 = 3_400;
const AT: i64 = 1_000;

fn account_becomes(uid: Option<&'static str>) -> Node {
    let mut node = Node::new(END);
    node.cluster.account.change(AT, uid);
    for pod in [crate::play::AGENT, "web-0"] {
        node.runs(pod, Spec::HOUR, END);
    }
    // Without the account, kubelet gets no token.
    node.runs("cart-0", Spec::HOUR, if uid.is_some() { END } else { AT });
    reads_each_minute(&mut node, "cart-0", Spec::HOUR);
    node.finish()
}

/// The API server forgets the pod, and kubelet does not end its containers.
fn pod_gone() -> Node {
    let mut node = with_cart(END, Spec::HOUR);
    reads_each_minute(&mut node, "cart-0", Spec::HOUR);
    node.pod_gone(AT, "cart-0");
    node.finish()
}

const fn named(code: Code, lead: i64, cause: &'static str) -> Expected {
    let severity = Severity::Warning;
    Expected::Named { code, severity, lead, cause, also: &[] }
}

/// The scenarios of the class.
pub(crate) const SCENARIOS: &[Scenario] = &[
    Scenario {
        id: "g-recreated",
        what: "The service account is deleted and created again.",
        story: || account_becomes(Some("cart-uid-2")),
        expected: named(Code::SubjectReplaced, -220, "created again"),
    },
    Scenario {
        id: "g-deleted",
        what: "The service account is deleted.",
        story: || account_becomes(None),
        expected: named(Code::SubjectReplaced, -220, "does not exist"),
    },
    Scenario {
        id: "g-pod-gone",
        what: "The API server does not know a running pod any more.",
        story: pod_gone,
        expected: named(Code::PodTerminating, -70, "shop/cart-0"),
    },
];
