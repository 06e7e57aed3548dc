//! Classes A and B: a reader keeps a token that kubelet has replaced.

use tokenwatch_core::base::time::Delta;
use tokenwatch_core::findings::{Code, Severity};
use tokenwatch_core::world::readers::Connected;

use crate::node::{LOOK, Node, Spec};
use crate::play::AGENT;
use crate::scenario::{Expected, Scenario};

/// It opens a connection for each request.
pub(crate) const OPENS: Connected =
    Connected { established: 0, opened: Some(Delta::from_secs(LOOK)), requests: false };
/// It has one connection and sends no more than a client that watches.
pub(crate) const WATCHES: Connected = Connected { established: 1, opened: None, requests: false };
/// It sends requests on one connection.
const REQUESTS: Connected = Connected { established: 1, opened: None, requests: true };

/// A node with the agent's own pod, a pod that nobody uses, and `cart-0`.
pub(crate) fn with_cart(end: i64, spec: Spec) -> Node {
    let mut node = with_agent(end);
    node.runs("cart-0", spec, end);
    node
}

/// A node with the agent's own pod, and a pod that nobody uses.
pub(crate) fn with_agent(end: i64) -> Node {
    let mut node = Node::new(end);
    node.runs(AGENT, Spec::HOUR, end);
    node.runs("web-0", Spec::HOUR, end);
    node
}

/// Reads at its start, and uses the API server like this.
fn once(end: i64, spec: Spec, uses: Connected) -> Node {
    let mut node = with_cart(end, spec);
    node.reads("cart-0", spec, &[4]);
    node.processes("cart-0", spec, (3, end), uses);
    node.finish()
}

fn after_refusal() -> Node {
    let mut node = with_cart(3_700, Spec::HOUR);
    node.reads("cart-0", Spec::HOUR, &[4, 3_672]);
    node.processes("cart-0", Spec::HOUR, (3, 3_700), OPENS);
    node.finish()
}

/// Reads five minutes before the end of what it has, four times, and misses the fifth.
fn misses_window() -> Node {
    let mut node = with_cart(16_000, Spec::HOUR);
    let lives = node.lives("cart-0", Spec::HOUR);
    let reads = lives.iter().take(4).map(|(_, end)| end - 300);
    let reads: Vec<i64> = [4].into_iter().chain(reads).collect();
    node.reads("cart-0", Spec::HOUR, &reads);
    node.finish()
}

/// Reads at each change, until it loses its watch on the file.
fn loses_watch() -> Node {
    let mut node = with_cart(9_700, Spec::HOUR);
    let lives = node.lives("cart-0", Spec::HOUR);
    let reads: Vec<i64> = lives.iter().take(3).map(|(since, _)| since + 2).collect();
    node.reads("cart-0", Spec::HOUR, &reads);
    node.processes("cart-0", Spec::HOUR, (3, 9_700), OPENS);
    node.finish()
}

/// The agent starts ten minutes after the client has read.
fn before_the_agent() -> Node {
    once(3_700, Spec::HOUR, OPENS).agent_starts(600)
}

/// What an agent without hostPID sees.
fn at_level_files(end: i64, spec: Spec) -> Node {
    let mut node = with_cart(end, spec);
    node.pace = 600;
    node.reads("cart-0", spec, &[4]);
    node.finish()
}

const fn stale(severity: Severity, lead: i64) -> Expected {
    let code = Code::ReaderStale;
    Expected::Named { code, severity, lead, cause: "shop/cart-0", also: &[] }
}

/// The scenarios of both classes.
pub(crate) const SCENARIOS: &[Scenario] = &[
    Scenario {
        id: "a-hour",
        what: "A client keeps the first token, which lives for an hour.",
        story: || once(3_700, Spec::HOUR, OPENS),
        expected: stale(Severity::Warning, 600),
    },
    Scenario {
        id: "a-connection",
        what: "The same on one connection that stays open.",
        story: || once(3_700, Spec::HOUR, REQUESTS),
        expected: stale(Severity::Warning, 600),
    },
    Scenario {
        id: "a-day",
        what: "A client keeps the first token, which the API server extends to a day.",
        story: || once(3_700, Spec::DAY, OPENS),
        expected: stale(Severity::Warning, 80_000),
    },
    Scenario {
        id: "a-90d",
        what: "A client keeps the first token, which the API server extends to 90 days.",
        story: || once(3_700, Spec::DAYS_90, OPENS),
        expected: stale(Severity::Warning, 89 * 86_400),
    },
    Scenario {
        id: "a-year",
        what: "A client keeps the first token, which is extended to a year, to the first 401.",
        story: || once(3_700, Spec::YEAR, OPENS),
        expected: stale(Severity::Warning, 364 * 86_400),
    },
    Scenario {
        id: "a-after-401",
        what: "A client reads the token of an hour again only after the first 401.",
        story: after_refusal,
        expected: stale(Severity::Warning, 600),
    },
    Scenario {
        id: "a-window",
        what: "A client reads in a window before the end of the token, and misses it once.",
        story: misses_window,
        expected: stale(Severity::Warning, 200),
    },
    Scenario {
        id: "a-watch",
        what: "A client reads at each change of the file, until it loses its watch.",
        story: loses_watch,
        expected: stale(Severity::Warning, 300),
    },
    Scenario {
        id: "a-late-agent",
        what: "A client keeps the first token, and has read it before the agent started.",
        story: before_the_agent,
        expected: Expected::NotNamed {
            why: "the agent did not see the read: it cannot tell this client from one that needs \
                  no token",
        },
    },
    Scenario {
        id: "a-files",
        what: "A client keeps the first token, and the agent has no hostPID.",
        story: || at_level_files(3_700, Spec::HOUR),
        expected: stale(Severity::Info, 600),
    },
    Scenario {
        id: "b-istio",
        what: "A client keeps the first token for istiod, which lives for 12 hours.",
        story: || at_level_files(43_400, Spec::ISTIO),
        expected: stale(Severity::Info, 7_200),
    },
    Scenario {
        id: "b-service",
        what: "A client keeps the first token for another service, which lives for an hour.",
        story: || at_level_files(3_700, Spec::SERVICE),
        expected: stale(Severity::Info, 580),
    },
    Scenario {
        id: "b-entra",
        what: "A client keeps the first token for Microsoft Entra, which lives for an hour.",
        story: || at_level_files(110_000, Spec::ENTRA),
        expected: stale(Severity::Info, -29 * 3_600),
    },
    Scenario {
        id: "b-aws",
        what: "A client keeps the first token for AWS, which lives for a day.",
        story: || at_level_files(130_000, Spec::AWS),
        expected: stale(Severity::Info, -13 * 3_600),
    },
];
