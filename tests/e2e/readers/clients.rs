//! The pods of `tests/cluster/readers.yaml`, and what the agent has to find at each level.

use tokenwatch_core::world::privileges::Level;

/// A reader of a token, and what is expected of the agent.
pub struct Client {
    pub pod: &'static str,
    pub container: &'static str,
    /// What it is, for people.
    pub what: &'static str,
    /// The habit that `tokenwatch readers` has to show at the end; several with "or" between them.
    pub habit: PerLevel<&'static str>,
    /// Whether the API server refuses its token in the end.
    pub is_refused: bool,
    pub named: PerLevel<Named>,
}

/// What is expected at the levels files, hostPID and fanotify.
#[derive(Clone, Copy)]
pub struct PerLevel<T>(pub [T; 3]);

impl<T: Copy> PerLevel<T> {
    const fn all(value: T) -> Self {
        Self([value; 3])
    }

    pub fn at(&self, level: Level) -> T {
        self.0[level as usize]
    }
}

/// Whether the agent reports a reader, with which code, and how.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Named {
    /// Never, at no severity.
    Not,
    /// As a suspicion (info), never as more.
    Suspected(&'static str),
    /// As a fault (warning or critical).
    Reported(&'static str),
}

const STALE: &str = "token.reader_stale";
const FROZEN: &str = "token.mount_frozen";
const SUBPATH: &str = "token.subpath";

/// The readers that the API server refuses.
const fn stale(
    pod: &'static str,
    what: &'static str,
    habit: PerLevel<&'static str>,
    named: PerLevel<Named>,
) -> Client {
    Client { pod, container: "main", what, habit, is_refused: true, named }
}

/// A reader with nothing to report.
const fn healthy(pod: &'static str, what: &'static str, habit: &'static str) -> Client {
    let (habit, named) = (PerLevel::all(habit), PerLevel::all(Named::Not));
    Client { pod, container: "main", what, habit, is_refused: false, named }
}

/// A client that uses what it has read once. At the level `files` only time tells: longer than
/// clients need that read again. With `hostPID`, its requests do.
const ONCE: PerLevel<Named> =
    PerLevel([Named::Suspected(STALE), Named::Reported(STALE), Named::Reported(STALE)]);
/// Its use is not seen.
const UNSEEN: PerLevel<Named> = PerLevel::all(Named::Suspected(STALE));
/// Without use, it may be idle.
const IDLE: PerLevel<Named> = PerLevel([Named::Suspected(STALE), Named::Not, Named::Not]);
const READS_OLD: PerLevel<Named> = PerLevel::all(Named::Reported(STALE));
const MINUTE: &str = "every";
const REQUEST: &str = "each_request";

pub const CLIENTS: [Client; 29] = [
    stale("client-go-8", "client-go v8", PerLevel::all("once"), ONCE),
    healthy("client-go-10", "client-go v10, a token of an hour", "every"),
    healthy("client-go", "client-go v0.34", MINUTE),
    stale("python-11", "Python kubernetes 11.0.0", PerLevel::all("once"), ONCE),
    healthy("python", "Python kubernetes 37.0.2", MINUTE),
    stale("lightkube", "Python lightkube 1.0.1", PerLevel::all("after_refusal"), ONCE),
    healthy("java", "Java client 24.0.0", MINUTE),
    stale("fabric8", "fabric8 5.12.3", PerLevel::all("after_refusal"), ONCE),
    healthy("javascript", "JavaScript client-node 1.4.0", MINUTE),
    healthy("kube-rs", "Rust kube 5.0.0", MINUTE),
    // It has other connections beside that to the API server, which hide its requests.
    stale("collector", "OpenTelemetry bearertokenauth 0.149", PerLevel::all("once"), UNSEEN),
    healthy("curl", "curl in a shell", REQUEST),
    stale("held", "kept descriptor", PerLevel::all("once"), READS_OLD),
    stale("mapped", "mapping", PerLevel::all("once"), ONCE),
    stale(
        "subpath",
        "subPath mount",
        PerLevel::all(REQUEST),
        PerLevel::all(Named::Reported(SUBPATH)),
    ),
    Client {
        pod: "pair",
        container: "stale",
        what: "once, beside a healthy container",
        habit: PerLevel(["", "", "once"]),
        is_refused: true,
        named: PerLevel([Named::Not, Named::Not, Named::Suspected(STALE)]),
    },
    Client {
        pod: "frozen",
        container: "main",
        what: "frozen mount",
        // The reads of an old mount are not seen, and `files` does not know that it is one.
        habit: PerLevel(["never", "unknown", "unknown"]),
        is_refused: true,
        named: PerLevel([Named::Not, Named::Reported(FROZEN), Named::Reported(FROZEN)]),
    },
    healthy("never", "never reads", "never"),
    healthy("anonymous", "connected without a token", "never"),
    Client {
        // Only connections show that it does not use the token.
        named: IDLE,
        ..healthy("idle", "idle since its first request", "once")
    },
    healthy("seldom", "every ten minutes", "unknown"),
    healthy("informer", "client-go informer", "unknown"),
    healthy("standby", "client-go leader election", MINUTE),
    healthy("initialised", "init container", "never"),
    Client { container: "sidecar", ..healthy("handing-on", "sidecar that hands on", REQUEST) },
    healthy("restarted", "restarted after each rotation", "unknown"),
    Client {
        // Two minutes later, a read would not be taken for that of a client that starts.
        named: IDLE,
        // At `fanotify` an exec session is no reader, unless it reads before the mark is set.
        habit: PerLevel(["once", "once", "never or once"]),
        ..healthy("looked-into", "exec session and debug container, just after the start", "")
    },
    healthy("job", "job that ends first", ""),
    Client {
        container: "fresh",
        habit: PerLevel(["", "", REQUEST]),
        named: PerLevel::all(Named::Not),
        ..healthy("pair", "healthy, beside a stale container", REQUEST)
    },
];
