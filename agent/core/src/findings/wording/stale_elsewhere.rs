//! The finding about pods of other nodes that use tokens past `warnafter`.

use super::names::plural;
use crate::base::text::shown;
use crate::base::value::Attributes;
use crate::findings::{Code, Finding, MAX_NAMED, Remedy, Severity, Subject};
use crate::world::refusals::StaleUser;

/// Most users that the sentence names.
const MAX_SHOWN: usize = 3;

/// The finding; none without such users. It is info: the API server accepts an extended token for a
/// year, and an agent on the node of the pod sees its reads.
pub(crate) fn stale_elsewhere(node: &str, users: &[StaleUser]) -> Option<Finding> {
    let evidence = Attributes::new()
        .with("users", users.len())
        .with("first", named(users, MAX_NAMED).as_slice())
        .with("reader_evidence", ["stale-token (likely)".to_owned()].as_slice());
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

fn summary(node: &str, users: &[StaleUser]) -> String {
    let others = users.len().saturating_sub(MAX_SHOWN);
    let more = match others {
        0 => String::new(),
        others => format!(" and {others} more"),
    };
    format!(
        "{} of the cluster {} an extended token past its warnafter, by the audit log of the API \
         server on node {}: {}{more}. Such a token works only because of expiry extension. The \
         client has not read the new one, or kubelet on its node has not replaced it.",
        plural(users.len() as u64, "client"),
        if users.len() == 1 { "uses" } else { "use" },
        shown(node),
        named(users, MAX_SHOWN).join(", "),
    )
}

/// `shop/cart-0 (service account cart, 75s past warnafter)`
fn named(users: &[StaleUser], most: usize) -> Vec<String> {
    let name = |user: &StaleUser| {
        let (namespace, account) = (shown(&user.account.namespace), shown(&user.account.name));
        let pod = user.pod.as_ref().map_or_else(|| "no pod".into(), |pod| shown(&pod.name));
        format!("{namespace}/{pod} (service account {account}, {} past warnafter)", user.past)
    };
    users.iter().take(most).map(name).collect()
}
