//! Class E: a clock of the node, of an API server, or of both is wrong.

use tokenwatch_core::findings::{Code, Severity};

use crate::cluster::Server;
use crate::node::{Node, START, Spec, Verifier};
use crate::readers::with_cart;
use crate::rotation::reads_each_minute;
use crate::scenario::{Expected, Scenario};

const HOUR: i64 = 3_600;
const DAY: i64 = 24 * HOUR;

/// A node whose clocks are as `set` makes them, with a client that reads once a minute.
fn polled(end: i64, spec: Spec, set: impl Fn(&mut Node)) -> Node {
    let mut node = Node::new(end);
    set(&mut node);
    node.runs(crate::play::AGENT, spec, end);
    node.runs("cart-0", spec, end);
    reads_each_minute(&mut node, "cart-0", spec);
    node
}

/// The API server's clock jumps ahead by `ahead` seconds, and is repaired.
fn api_server_jumps(spec: Spec, ahead: i64) -> Node {
    let set = |node: &mut Node| {
        node.cluster.servers[0].ahead.change(600, ahead);
        node.cluster.servers[0].ahead.change(5_000, 0);
    };
    polled(5_300, spec, set).finish()
}

fn api_server_ahead() -> Node {
    let set = |node: &mut Node| node.cluster.servers[0].ahead.change(-1, 1_200);
    polled(3_700, Spec::HOUR, set).finish()
}

fn node_behind() -> Node {
    let set = |node: &mut Node| node.ahead.change(-1, -45 * 60 * 1_000);
    polled(3_700, Spec::HOUR, set).finish()
}

/// One machine, two hours ahead, is set right at 2,000.
fn set_back(has_time_servers: bool) -> Node {
    let set = |node: &mut Node| {
        node.ahead.change(-1, 2 * HOUR * 1_000);
        node.clock_set(2_000, 0);
        node.cluster.servers[0].ahead.change(-1, 2 * HOUR);
        node.cluster.servers[0].ahead.change(2_000, 0);
        node.has_time_servers = has_time_servers;
    };
    polled(2_300, Spec::HOUR, set).finish()
}

/// The machine starts with the wrong time of its host, and a time daemon steps the clock later.
fn boot() -> Node {
    let ahead = 28_000;
    let set = |node: &mut Node| {
        node.up = 20;
        node.ahead.change(-1, ahead * 1_000);
        node.clock_set(300, 0);
        node.cluster.servers[0].ahead.change(-1, ahead);
        node.cluster.servers[0].ahead.change(300, 0);
    };
    polled(600, Spec::HOUR, set).finish()
}

/// The clock starts at the beginning of 1970.
fn no_battery() -> Node {
    let set = |node: &mut Node| {
        node.up = 20;
        node.ahead.change(-1, -START * 1_000);
    };
    polled(3_700, Spec::HOUR, set).finish()
}

/// Two API servers, of which the second one goes `ahead` seconds ahead.
fn split(ahead: i64) -> Node {
    let set = |node: &mut Node| {
        node.cluster.servers.push(Server::good());
        node.cluster.servers[1].ahead.change(600, ahead);
    };
    let mut node = Node::new(3_700);
    set(&mut node);
    for pod in [crate::play::AGENT, "cart-0"] {
        node.runs(pod, Spec::HOUR, 3_700);
    }
    let rotated = node.lives("cart-0", Spec::HOUR)[1].0;
    node.reads("cart-0", Spec::HOUR, &[4, rotated + 1]);
    node.finish()
}

fn one_second() -> Node {
    let mut node = split(1);
    node.breaks = Some(600); // a certificate that the other server issued just now
    node
}

/// A token that a program on the node verifies by the node's clock, without leeway.
const STRICT: Spec = Spec { verifier: Verifier::OnNode, ..Spec::SERVICE };

/// The node is behind, and a client sends each new token at once.
fn strict(behind: i64, stepped: Option<i64>) -> Node {
    let end = 4_200;
    let mut node = Node::new(end);
    node.ahead.change(-1, -behind);
    if let Some(second) = stepped {
        node.clock_set(second, 0);
    }
    node.runs("cart-0", STRICT, end);
    let rotated = node.lives("cart-0", STRICT)[1].0;
    node.reads("cart-0", STRICT, &[100, rotated + 1]);
    node.finish()
}

/// The node's clock jumps ahead by 2 h 12 min.
fn node_ahead() -> Node {
    let mut node = Node::new(1_200);
    node.clock_set(600, 7_920_000);
    node.runs("cart-0", STRICT, 500);
    node.reads("cart-0", STRICT, &[100]);
    node.finish()
}

/// A machine with all of a cluster is suspended for 22 h 30 min, and its clock goes on from there.
fn suspended() -> Node {
    let (from, long) = (1_000, 22 * HOUR + 1_800);
    let end = from + long + 6 * 1_000;
    let mut node = Node::new(end);
    node.pause = Some((from, long));
    node.cluster.servers[0].ahead.change(from + long, -long);
    node.runs("cart-0", Spec::AWS, end);
    node.reads("cart-0", Spec::AWS, &[100, from + long + 60]);
    node.finish()
}

/// One of three time servers is ten seconds ahead of the others.
fn false_server() -> Node {
    polled(1_800, Spec::HOUR, |node| node.false_server = 10).finish()
}

/// The node stands still for ten minutes, and its daemon steps the clock two minutes later.
fn paused() -> Node {
    let (from, long) = (1_000, 600);
    let end = from + long;
    let mut node = Node::new(3_700);
    node.pause = Some((from, long));
    node.clock_set(end + 120, long * 1_000);
    for pod in [crate::play::AGENT, "web-0", "cart-0"] {
        node.runs(pod, Spec::HOUR, 3_700);
    }
    node.breaks = Some(end); // a program that compares times of two nodes
    node.finish()
}

/// Without time servers, only the step shows.
fn stepped_unseen() -> Node {
    let mut node = with_cart(1_500, Spec::HOUR);
    node.has_time_servers = false;
    node.clock_set(600, -20_000);
    node.breaks = Some(600); // a program that compares times of two nodes
    node.finish()
}

/// One of the node's and the API server's clocks is off, and no time server answers.
fn undecided() -> Node {
    let set = |node: &mut Node| {
        node.has_time_servers = false;
        node.cluster.servers[0].ahead.change(-1, 1_200);
    };
    polled(3_700, Spec::HOUR, set).finish()
}

const fn named(
    code: Code,
    severity: Severity,
    lead: i64,
    cause: &'static str,
    also: &'static [Code],
) -> Expected {
    Expected::Named { code, severity, lead, cause, also }
}

/// What comes with the offset of a machine that has the control plane, too.
const WITH_OFFSET: &[Code] =
    &[Code::ClockStepped, Code::NotYetValid, Code::FutureDated, Code::ApiserverSkew];

/// The scenarios of the class.
pub(crate) const SCENARIOS: &[Scenario] = &[
    Scenario {
        id: "e-ahead-repaired",
        what: "The API server's clock is two days ahead, and is then set right: tokens from the \
               future are left.",
        story: || api_server_jumps(Spec::YEAR, 2 * DAY),
        expected: named(
            Code::ApiserverSkew,
            Severity::Warning,
            4_000,
            "ahead",
            &[Code::FutureDated, Code::NotYetValid],
        ),
    },
    Scenario {
        id: "e-ahead-hour",
        what: "The API server's clock jumps two hours ahead, and tokens are not extended.",
        story: || api_server_jumps(Spec::HOUR, 2 * HOUR),
        expected: named(
            Code::ApiserverSkew,
            Severity::Critical,
            -200,
            "ahead",
            &[Code::FutureDated, Code::NotYetValid],
        ),
    },
    Scenario {
        id: "e-api-ahead",
        what: "The control plane is 20 minutes ahead of the node.",
        story: api_server_ahead,
        expected: named(
            Code::ApiserverSkew,
            Severity::Critical,
            3_400,
            "ahead",
            &[Code::FutureDated, Code::NotYetValid],
        ),
    },
    Scenario {
        id: "e-undecided",
        what: "The same, and no time server answers.",
        story: undecided,
        expected: named(
            Code::ApiserverSkew,
            Severity::Critical,
            3_400,
            "ahead",
            &[Code::ClockUnknown, Code::FutureDated, Code::NotYetValid],
        ),
    },
    Scenario {
        id: "e-behind",
        what: "The node is 45 minutes behind: kubelet replaces tokens after they have expired.",
        story: node_behind,
        expected: named(Code::ClockOffset, Severity::Critical, 3_600, "behind", &[]),
    },
    Scenario {
        id: "e-set-back",
        what: "One machine, two hours ahead, is set right: its tokens are from the future.",
        story: || set_back(true),
        expected: named(Code::ClockOffset, Severity::Critical, 1_900, "ahead", WITH_OFFSET),
    },
    Scenario {
        id: "e-set-back-blind",
        what: "The same, and no time server answered before.",
        story: || set_back(false),
        expected: named(
            Code::NotYetValid,
            Severity::Critical,
            -60,
            "is not valid yet",
            &[Code::ClockUnknown, Code::ClockStepped, Code::FutureDated, Code::ApiserverSkew],
        ),
    },
    Scenario {
        id: "e-boot",
        what: "A machine boots with a clock that is hours ahead, and its daemon steps it back.",
        story: boot,
        expected: named(Code::ClockOffset, Severity::Critical, 280, "ahead", WITH_OFFSET),
    },
    Scenario {
        id: "e-no-battery",
        what: "A machine without a battery for its clock boots in 1970.",
        story: no_battery,
        expected: named(Code::ClockOffset, Severity::Critical, 3_600, "behind", WITH_OFFSET),
    },
    Scenario {
        id: "e-split",
        what: "Two API servers' clocks are 90 seconds apart: one refuses new tokens of the other.",
        story: || split(90),
        expected: named(
            Code::ApiserverSkew,
            Severity::Critical,
            1_800,
            "ahead",
            &[Code::FutureDated, Code::NotYetValid],
        ),
    },
    Scenario {
        id: "e-one-second",
        what: "Two API servers' clocks are a second apart: one refuses certificates of the other.",
        story: one_second,
        expected: Expected::NotNamed {
            why: "no token fails by a second, and the answers of an API server show no less",
        },
    },
    Scenario {
        id: "e-strict",
        what: "The node is 5 seconds behind, and a verifier without leeway refuses new tokens.",
        story: || strict(5_000, None),
        expected: named(Code::ClockOffset, Severity::Warning, 2_700, "behind", &[]),
    },
    Scenario {
        id: "e-step",
        what: "The node is 15 seconds behind until its time daemon steps the clock.",
        story: || strict(15_000, Some(3_600)),
        expected: named(
            Code::ClockOffset,
            Severity::Warning,
            2_700,
            "behind",
            &[Code::ClockStepped],
        ),
    },
    Scenario {
        id: "e-step-blind",
        what: "Somebody sets the node's clock by 20 seconds, and no time server answers.",
        story: stepped_unseen,
        expected: named(
            Code::ClockStepped,
            Severity::Warning,
            -1,
            "20",
            &[Code::ClockUnknown, Code::ApiserverSkew],
        ),
    },
    Scenario {
        id: "e-paused",
        what: "The node stands still for ten minutes, and its clock lags until it is stepped.",
        story: paused,
        expected: named(
            Code::ClockOffset,
            Severity::Critical,
            -64,
            "behind",
            &[Code::ClockStepped],
        ),
    },
    Scenario {
        id: "e-false-server",
        what: "One of three time servers is ten seconds ahead. Nothing fails.",
        story: false_server,
        expected: Expected::Hint {
            code: Code::ClockServersDisagree,
            severity: Severity::Warning,
            cause: "c:123",
        },
    },
    Scenario {
        id: "e-node-ahead",
        what: "The node's clock jumps two hours ahead, and a verifier on it refuses good tokens.",
        story: node_ahead,
        expected: named(Code::ClockOffset, Severity::Critical, -64, "ahead", &[Code::ClockStepped]),
    },
    Scenario {
        id: "e-suspended",
        what: "A machine with a whole cluster is suspended for a day, and its clock lags.",
        story: suspended,
        expected: named(
            Code::ClockOffset,
            Severity::Critical,
            3_600,
            "behind",
            &[Code::ApiserverSkew],
        ),
    },
];
