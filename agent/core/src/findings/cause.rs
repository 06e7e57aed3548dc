//! What findings of several nodes have in common: one cause may be behind hundreds of them.

use std::fmt;

use super::{Code, Finding, Subject};
use crate::base::ids::stable_id;
use crate::base::text::shown;
use crate::base::value::Value;

/// The evidence that names the issuer of new tokens.
pub(crate) const PUBLISHED_ISSUER: &str = "published_issuer";
/// The evidence that names the keys of the tokens.
pub(crate) const KEY_IDS: &str = "key_ids";
/// The evidence that names API servers by their certificates.
pub(crate) const CERTIFICATE_NAMES: &str = "certificate_names";
/// The evidence that names the service account of a token.
pub(crate) const SERVICE_ACCOUNT: &str = "service_account";

/// The kind of an API server's id; the id alone where nothing tells it apart.
const API_SERVER: &str = "api_server";

/// Longest id: a label of a metric should fit on a screen. Longer ones end in a hash.
const MAX_LENGTH: usize = 160;

/// The id of a cause that several nodes may share, such as `workload:shop/Deployment/cart`. It is
/// made of what the nodes see alike, and so it is the same on each of them.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CauseId(String);

impl CauseId {
    /// The id of what `parts` name, which is of this kind.
    pub fn new(kind: &str, parts: &[&str]) -> Self {
        let named: Vec<_> = parts.iter().map(|part| shown(part)).collect();
        let id = format!("{kind}:{}", named.join("/"));
        Self(if id.chars().count() <= MAX_LENGTH { id } else { shortened(&id) })
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for CauseId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

fn shortened(id: &str) -> String {
    let hash = stable_id("cause", &[id]);
    let kept: String = id.chars().take(MAX_LENGTH - hash.len() - 1).collect();
    format!("{kept}~{hash}")
}

impl Finding {
    /// The cause that this finding may share with those of other nodes. None: its cause is the
    /// node's own, or the agent does not know what the pod belongs to.
    pub fn cause(&self) -> Option<CauseId> {
        match self.code {
            Code::SubjectReplaced => self.account(),
            Code::KeyUnknown => {
                self.first_of(KEY_IDS).map(|key| CauseId::new("signing_key", &[key]))
            }
            Code::IssuerMismatch => {
                self.text(PUBLISHED_ISSUER).map(|issuer| CauseId::new("issuer", &[issuer]))
            }
            Code::ApiserverSkew => Some(self.first_of(CERTIFICATE_NAMES).map_or_else(
                || CauseId(API_SERVER.into()),
                |name| CauseId::new(API_SERVER, &[name]),
            )),
            Code::ApiserverRejecting => Some(CauseId(API_SERVER.into())),
            Code::TokenControllerDown => Some(CauseId("controller_manager".into())),
            Code::DeliveryDelayed => Some(CauseId("collector".into())),
            Code::CopyStale | Code::ClockServersDisagree => self.by_subject(),
            Code::RotationLate
            | Code::RotationStalled
            | Code::Expired
            | Code::NotYetValid
            | Code::FutureDated
            | Code::Malformed
            | Code::Unreadable
            | Code::Missing
            | Code::ReaderStale
            | Code::MountFrozen
            | Code::Subpath
            | Code::PodTerminating
            | Code::AudienceUnknown => self.workload(),
            Code::ExtendedOnly
            | Code::Legacy
            | Code::LifetimeLong
            | Code::ClockOffset
            | Code::ClockUnsynchronized
            | Code::ClockStepped
            | Code::ClockUnknown
            | Code::KubeletStalled
            | Code::AgentBlind => None,
        }
    }

    /// The owner of the pod: its template makes pods on other nodes, too. A static pod is owned by
    /// its node.
    fn workload(&self) -> Option<CauseId> {
        let Subject::Token { pod, .. } = &self.subject else { return None };
        let owner = pod.owner.as_ref().filter(|owner| owner.kind != "Node")?;
        let namespace = pod.namespace.as_deref()?;
        Some(CauseId::new("workload", &[namespace, &owner.kind, &owner.name]))
    }

    fn account(&self) -> Option<CauseId> {
        let Subject::Token { pod, .. } = &self.subject else { return None };
        let (namespace, name) = (pod.namespace.as_deref()?, self.text(SERVICE_ACCOUNT)?);
        Some(CauseId::new("service_account", &[namespace, name]))
    }

    fn by_subject(&self) -> Option<CauseId> {
        match &self.subject {
            Subject::File { path, .. } => Some(CauseId::new("file", &[path])),
            Subject::Server { server } => Some(CauseId::new("time_server", &[server])),
            Subject::Token { .. } | Subject::Node { .. } => None,
        }
    }

    fn text(&self, evidence: &str) -> Option<&str> {
        self.evidence.get(evidence).and_then(Value::text)
    }

    /// The first in order: another node may have seen only some of them.
    fn first_of(&self, evidence: &str) -> Option<&str> {
        match self.evidence.get(evidence)? {
            Value::List(all) => all.iter().map(String::as_str).min(),
            Value::Text(one) => Some(one),
            Value::Bool(_) | Value::Int(_) | Value::Float(_) => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::value::Attributes;
    use crate::findings::{Remedy, Severity};
    use crate::world::cluster::{Owner, PodRef};

    fn finding(code: Code, subject: Subject, evidence: Attributes) -> Finding {
        Finding {
            code,
            severity: Severity::Warning,
            subject,
            summary: String::new(),
            deadline: None,
            evidence,
            remedy: Remedy { text: String::new(), command: None },
            trace: None,
        }
    }

    fn pod(uid: &str, owner: Option<(&str, &str)>) -> Subject {
        let owner = owner.map(|(kind, name)| Owner { kind: kind.into(), name: name.into() });
        let (namespace, name) = (Some("shop".into()), Some(format!("cart-{uid}")));
        let pod = PodRef { namespace, name, uid: uid.into(), owner, is_claimed: false };
        Subject::Token { pod, volume: "v".into(), path: "token".into() }
    }

    fn cause(code: Code, subject: Subject, evidence: Attributes) -> Option<String> {
        finding(code, subject, evidence).cause().map(|cause| cause.to_string())
    }

    #[test]
    fn findings_of_several_nodes_with_one_cause_have_one_id() {
        let of = Some(("Deployment", "cart"));
        let account = || Attributes::new().with(SERVICE_ACCOUNT, "api");
        let keys = |ids: &[&str]| {
            let ids: Vec<String> = ids.iter().map(|id| (*id).to_owned()).collect();
            Attributes::new().with(KEY_IDS, ids.as_slice())
        };
        let file = |node: &str| Subject::File { node: node.into(), path: "/etc/cni/k".into() };
        let none = Attributes::new;
        let table = [
            (
                Code::ReaderStale,
                pod("a", of),
                pod("b", of),
                none(),
                "workload:shop/Deployment/cart",
            ),
            (
                Code::RotationStalled,
                pod("a", of),
                pod("b", of),
                none(),
                "workload:shop/Deployment/cart",
            ),
            (
                Code::SubjectReplaced,
                pod("a", of),
                pod("b", None),
                account(),
                "service_account:shop/api",
            ),
            (
                Code::KeyUnknown,
                Subject::node("m"),
                Subject::node("n"),
                keys(&["k2", "k1"]),
                "signing_key:k1",
            ),
            (Code::CopyStale, file("m"), file("n"), none(), "file:/etc/cni/k"),
            (Code::ApiserverSkew, Subject::node("m"), Subject::node("n"), none(), "api_server"),
        ];
        for (code, one, other, evidence, expected) in table {
            assert_eq!(cause(code, one, evidence.clone()).as_deref(), Some(expected), "{code}");
            assert_eq!(cause(code, other, evidence).as_deref(), Some(expected), "{code}");
        }
        let some = cause(Code::KeyUnknown, Subject::node("n"), keys(&["k1"]));
        assert_eq!(some.as_deref(), Some("signing_key:k1"), "a node that saw only one of them");
    }

    #[test]
    fn what_is_the_nodes_own_or_not_known_shares_no_cause() {
        let none = Attributes::new;
        assert_eq!(cause(Code::ReaderStale, pod("a", None), none()), None);
        assert_eq!(cause(Code::ReaderStale, pod("a", Some(("Node", "n"))), none()), None, "static");
        assert_eq!(cause(Code::KeyUnknown, Subject::node("n"), none()), None);
        for code in [Code::ClockOffset, Code::KubeletStalled, Code::AgentBlind, Code::Missing] {
            assert_eq!(cause(code, Subject::node("n"), none()), None, "{code}");
        }
        let apart = [Some(("Deployment", "cart")), Some(("DaemonSet", "cart"))];
        let [one, other] = apart.map(|owner| cause(Code::ReaderStale, pod("a", owner), none()));
        assert_ne!(one, other);
    }

    proptest::proptest! {
        #[test]
        fn an_id_is_short_and_one_line_whatever_the_names_are(name: String, kind: String) {
            let id = cause(Code::Expired, pod("a", Some((&kind, &name))), Attributes::new());
            if let Some(id) = id {
                proptest::prop_assert!(id.chars().count() <= MAX_LENGTH, "{id}");
                proptest::prop_assert!(!id.chars().any(char::is_control), "{id:?}");
            }
        }

        #[test]
        fn long_names_that_differ_at_their_end_stay_apart(name in "[a-z]{200,400}") {
            let id = |name: &str| {
                cause(Code::Expired, pod("a", Some(("Deployment", name))), Attributes::new())
            };
            proptest::prop_assert_ne!(id(&format!("{name}a")), id(&format!("{name}b")));
        }
    }
}
