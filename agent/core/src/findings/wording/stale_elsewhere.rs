//! The finding about pods of other nodes that use old tokens.

use super::names::plural;
use crate::base::text::shown;
use crate::base::value::Attributes;
use crate::findings::{Code, Finding, MAX_NAMED, Remedy, Severity, Subject};
use crate::world::refusals::{StaleBy, StaleUser};

/// Most users that the sentence names.
const MAX_SHOWN: usize = 3;

/// The finding; none without such users. It is info: an agent on the node of the pod sees its
/// reads, and whether kubelet has written the newer token.
pub(crate) fn stale_elsewhere(node: &str, users: &[StaleUser]) -> Option<Finding> {
    let evidence = Attributes::new()
        .with("users", users.len())
        .with("first", named(users, MAX_NAMED).as_slice())
        .with("reader_evidence", kinds(users).as_slice());
    let text = Code::ReaderStale.info().action.to_owned();
    (!users.is_empty()).then(|| Finding {
        code: Code::ReaderStale,
        severity: Severity::Info,
        subject: Subject::node(node),
        summary: summary(node, users),
        deadline: None,
        evidence,
        remedy: Remedy { text, command: None },
        trace: None,
    })
}

/// What shows it. That the token was replaced is certain, and whether kubelet wrote the newer one
/// is not.
fn kinds(users: &[StaleUser]) -> Vec<String> {
    let is_extended = |user: &StaleUser| matches!(user.by, StaleBy::Extended(_));
    let extended = users.iter().any(is_extended).then_some("stale-token (likely)");
    let replaced = users.iter().any(|user| !is_extended(user)).then_some("audit (likely)");
    extended.into_iter().chain(replaced).map(str::to_owned).collect()
}

fn summary(node: &str, users: &[StaleUser]) -> String {
    let others = users.len().saturating_sub(MAX_SHOWN);
    let more = match others {
        0 => String::new(),
        others => format!(" and {others} more"),
    };
    format!(
        "{} of the cluster {} an old token, by the audit log of the API server on node {}: \
         {}{more}.{} The client has not read the new one, or kubelet on its node has not \
         written it.",
        plural(users.len() as u64, "client"),
        if users.len() == 1 { "uses" } else { "use" },
        shown(node),
        named(users, MAX_SHOWN).join(", "),
        extended(users),
    )
}

fn extended(users: &[StaleUser]) -> &'static str {
    let is_extended = users.iter().any(|user| matches!(user.by, StaleBy::Extended(_)));
    if is_extended {
        " A token past its warnafter works only because of expiry extension."
    } else {
        ""
    }
}

/// `shop/cart-0 on node n2 (service account cart, user agent app/1.0, replaced 14m 3s ago)`
fn named(users: &[StaleUser], most: usize) -> Vec<String> {
    users.iter().take(most).map(user).collect()
}

fn user(user: &StaleUser) -> String {
    let (namespace, account) = (shown(&user.account.namespace), shown(&user.account.name));
    let pod = user.pod.as_ref().map_or_else(|| "no pod".into(), |pod| shown(&pod.name));
    let node = user.node.as_ref().map(|node| format!(" on node {}", shown(node)));
    let agent = user.agent.as_ref().map(|agent| format!(", user agent {}", shown(agent)));
    let (node, agent) = (node.unwrap_or_default(), agent.unwrap_or_default());
    format!("{namespace}/{pod}{node} (service account {account}{agent}, {})", by(user.by))
}

fn by(what: StaleBy) -> String {
    match what {
        StaleBy::Extended(past) => format!("{past} past warnafter"),
        StaleBy::Replaced(ago) => format!("kubelet requested a newer one {ago} before"),
    }
}
