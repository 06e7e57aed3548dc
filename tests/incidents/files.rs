//! Classes H and I: audiences, and the file itself.

use tokenwatch_core::findings::{Code, Severity};
use tokenwatch_core::world::cluster::{MountedPart, Pod};
use tokenwatch_core::world::observation::{Absence, FileContent, Observation};
use tokenwatch_core::world::readers::MountKind;

use crate::node::{FOREVER, Node, Spec, Use, key};
use crate::readers::{with_agent, with_cart};
use crate::rotation::reads_each_minute;
use crate::scenario::{Expected, Scenario};

const AT: i64 = 600;

/// The node with `cart-0`, of which something else fails at `second`.
fn fails_otherwise(second: i64, spec: Spec) -> Node {
    let mut node = with_cart(900, spec);
    node.breaks = Some(second);
    node
}

/// The file holds something else from a second on.
fn holds(content: FileContent) -> Node {
    let mut node = with_agent(900);
    node.runs("cart-0", Spec::HOUR, AT);
    node.holds(AT, "cart-0", Spec::HOUR, content);
    node.breaks = Some(AT);
    node.finish()
}

fn malformed(reason: &str) -> Node {
    holds(FileContent::Malformed { reason: reason.into() })
}

/// kubelet has written the volume without the token.
fn missing() -> Node {
    let mut node = with_agent(900);
    node.pod("cart-0", &[Spec::HOUR]);
    node.lacks(2, "cart-0", Spec::HOUR, Absence::NoFile);
    node.breaks = Some(2);
    node.finish()
}

fn removed() -> Node {
    let mut node = with_agent(900);
    node.runs("cart-0", Spec::HOUR, AT);
    node.observe(AT, Observation::Gone(key("cart-0", Spec::HOUR)));
    node.breaks = Some(AT);
    node.finish()
}

/// A container mounts the file of the first generation.
fn subpath() -> Node {
    let end = 3_700;
    let mut node = with_agent(end);
    node.runs("cart-0", Spec::HOUR, end);
    let change = |pod: &mut Pod| pod.containers[0].tokens[0].part = MountedPart::File;
    node.pod_changes(3, "cart-0", change);
    let (directory, claims) = node.in_file(&key("cart-0", Spec::HOUR), 4);
    let verifier = Spec::HOUR.verifier;
    node.uses.push(Use { since: 4, until: FOREVER, claims, verifier });
    for second in (5..end).step_by(30) {
        let (path, deleted) = ("token".into(), second > 3_000);
        let kind = MountKind::Subpath { directory: directory.clone(), path, deleted };
        node.containers(second, "cart-0", Spec::HOUR, &kind, None);
    }
    node.finish()
}

/// The file holds the token of another pod, which has another account.
fn other_subject() -> Node {
    let mut node = with_cart(900, Spec::HOUR);
    let claims = node.token("web-0", Spec::HOUR, AT);
    node.writes(&key("cart-0", Spec::HOUR), claims, AT);
    node.breaks = Some(AT);
    node.finish()
}

/// A pod without a token, whose program wants one.
fn no_volume() -> Node {
    let mut node = with_agent(900);
    node.pod("cart-0", &[]);
    node.observe(2, Observation::WithoutTokens(vec!["cart-0".into()]));
    node.breaks = Some(5);
    node.finish()
}

/// A client reads the wrong one of two tokens.
fn other_path() -> Node {
    let mut node = with_agent(900);
    node.pod("cart-0", &[Spec::HOUR, Spec::SERVICE]);
    for spec in [Spec::HOUR, Spec::SERVICE] {
        node.kubelet("cart-0", spec, 2, 900);
    }
    reads_each_minute(&mut node, "cart-0", Spec::HOUR);
    node.breaks = Some(5);
    node.finish()
}

const fn named(code: Code, severity: Severity, lead: i64) -> Expected {
    Expected::Named { code, severity, lead, cause: "shop/cart-0", also: &[] }
}

/// The scenarios of both classes.
pub(crate) const SCENARIOS: &[Scenario] = &[
    Scenario {
        id: "h-audience",
        what: "The audience is not the one that AWS expects: `sts.amazon.com`, or of another \
               partition.",
        story: || {
            let typed = Spec { audience: "sts.amazon.com", ..Spec::AWS };
            fails_otherwise(5, typed).finish()
        },
        expected: named(Code::AudienceUnknown, Severity::Warning, -11),
    },
    Scenario {
        id: "i-missing",
        what: "kubelet has written the volume, and the token is not in it.",
        story: missing,
        expected: named(Code::Missing, Severity::Warning, -11),
    },
    Scenario {
        id: "i-removed",
        what: "The token of a running pod disappears.",
        story: removed,
        expected: named(Code::Missing, Severity::Warning, -75),
    },
    Scenario {
        id: "i-malformed",
        what: "The file holds a token with other text after it.",
        story: || malformed("it has characters that no token has"),
        expected: named(Code::Malformed, Severity::Warning, -11),
    },
    Scenario {
        id: "i-empty",
        what: "The file is empty.",
        story: || malformed("it is empty"),
        expected: named(Code::Malformed, Severity::Warning, -11),
    },
    Scenario {
        id: "i-unreadable",
        what: "The file cannot be read by anybody.",
        story: || holds(FileContent::Unreadable { reason: "read: EIO".into() }),
        expected: named(Code::Unreadable, Severity::Warning, -11),
    },
    Scenario {
        id: "i-subpath",
        what: "A container mounts the file by subPath, and never sees another token.",
        story: subpath,
        expected: named(Code::Subpath, Severity::Warning, 3_600),
    },
    Scenario {
        id: "i-forbidden",
        what: "The mode of the file keeps the user of the container from reading it.",
        story: || fails_otherwise(5, Spec::HOUR).finish(),
        expected: Expected::NotNamed {
            why: "the agent does not compare the mode of the file with the user of the container",
        },
    },
    Scenario {
        id: "i-other-subject",
        what: "The file holds the token of another pod's account, which may do nothing here.",
        story: other_subject,
        expected: Expected::NotNamed {
            why: "no finding yet compares the account of a token with that of its pod",
        },
    },
    Scenario {
        id: "i-no-volume",
        what: "The pod has no token (`automountServiceAccountToken: false`), and its program \
               wants one.",
        story: no_volume,
        expected: Expected::NotNamed {
            why: "the pod's spec has no token, and nothing shows that its program wants one",
        },
    },
    Scenario {
        id: "i-other-path",
        what: "A client reads the token at the default path, and not the one that was meant.",
        story: other_path,
        expected: Expected::NotNamed {
            why: "both tokens are good, and nothing shows which one was meant",
        },
    },
];
