//! Class F: the API server does not accept the key or the issuer of tokens.

use tokenwatch_core::findings::{Code, Severity};

use crate::cluster::{ISSUER, Server};
use crate::node::{Node, Spec};
use crate::rotation::reads_each_minute;
use crate::scenario::{Expected, Scenario};

/// The new issuer of the cluster.
const NEW: &str = "https://issuer.example";
/// When the API server restarts, and how long that takes.
const RESTART: (i64, i64) = (1_000, 1_030);

/// A node with a client that reads once a minute, and API servers as `set` makes them.
fn polled(end: i64, set: impl Fn(&mut Node)) -> Node {
    let mut node = Node::new(end);
    set(&mut node);
    for pod in [crate::play::AGENT, "web-0", "cart-0"] {
        node.runs(pod, Spec::HOUR, end);
    }
    reads_each_minute(&mut node, "cart-0", Spec::HOUR);
    node.finish()
}

fn replaced_hard() -> Node {
    polled(3_400, |node| {
        node.cluster.away.push(RESTART);
        node.cluster.servers[0].keys.change(RESTART.0, &["key-2"]);
    })
}

/// Each of two API servers has a key of its own.
fn one_key_each() -> Node {
    polled(3_400, |node| {
        let mut other = Server::good();
        other.keys.change(-1, &["key-2"]);
        node.cluster.servers.push(other);
    })
}

fn issuer_hard() -> Node {
    polled(3_400, |node| {
        node.cluster.away.push(RESTART);
        node.cluster.servers[0].issuers.change(RESTART.0, &[NEW]);
    })
}

/// The old issuer is accepted for a day. A client keeps the first token, which is extended.
fn issuer_kept() -> Node {
    let end = 4_000;
    let mut node = Node::new(end);
    node.cluster.away.push(RESTART);
    let issuers = &mut node.cluster.servers[0].issuers;
    issuers.change(RESTART.0, &[NEW, ISSUER]);
    issuers.change(RESTART.0 + 86_400, &[NEW]);
    node.runs(crate::play::AGENT, Spec::HOUR, end);
    node.runs("cart-0", Spec::YEAR, end);
    node.reads("cart-0", Spec::YEAR, &[4]);
    node.finish()
}

/// A verifier outside of the cluster keeps the old keys.
fn cached_outside() -> Node {
    let mut node = polled(3_400, |node| {
        node.cluster.away.push(RESTART);
        node.cluster.servers[0].keys.change(RESTART.0, &["key-2", "key-1"]);
    });
    node.breaks = Some(2_944); // the first token of the new key
    node
}

const fn named(code: Code, severity: Severity, lead: i64, cause: &'static str) -> Expected {
    Expected::Named { code, severity, lead, cause, also: &[] }
}

/// The scenarios of the class.
pub(crate) const SCENARIOS: &[Scenario] = &[
    Scenario {
        id: "f-key-hard",
        what: "The signing key is replaced, and the old one is not kept: every token is refused.",
        story: replaced_hard,
        expected: named(Code::KeyUnknown, Severity::Warning, -200, "key"),
    },
    Scenario {
        id: "f-split",
        what: "Each of two API servers has a key of its own, and refuses the tokens of the other.",
        story: one_key_each,
        expected: named(Code::KeyUnknown, Severity::Warning, -200, "key"),
    },
    Scenario {
        id: "f-issuer-hard",
        what: "The issuer is changed, and the old one is not accepted any more.",
        story: issuer_hard,
        expected: named(Code::KeyUnknown, Severity::Warning, -200, "issuer"),
    },
    Scenario {
        id: "f-issuer-kept",
        what: "The issuer is changed, and the old one is accepted for a day.",
        story: issuer_kept,
        expected: named(Code::IssuerMismatch, Severity::Info, 80_000, "shop/cart-0"),
    },
    Scenario {
        id: "f-cached",
        what: "A verifier outside of the cluster keeps old keys, and refuses tokens of a new one.",
        story: cached_outside,
        expected: Expected::NotNamed {
            why: "the token is good, and nothing on the node shows what that verifier keeps",
        },
    },
];
