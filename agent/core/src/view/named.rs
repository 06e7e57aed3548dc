//! Active findings with their pods, as the series of a metric: so that alerts name the pod.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};

use crate::base::shares::{Tenant, in_turn_of_tenants};
use crate::base::text::shown;
use crate::findings::{CauseId, Code, Finding, Severity};

/// Most findings that a node names, each a series. An agent exports every minute, and a series
/// takes some 300 bytes: 32 on every one of 5,000 nodes are 0.8 MB/s, and a fleet where each node
/// has so many has a cause that `tokenwatch.causes` names. More alerts of one node than that
/// nobody reads one by one.
const MOST: usize = 32;

/// What the series of a finding shows. Findings that look alike here are one series.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct NamedFinding {
    /// Its code.
    pub code: Code,
    /// Its severity now.
    pub severity: Severity,
    /// The cause that other nodes may have, too.
    pub cause: Option<CauseId>,
    /// The pod; none if the subject is no token.
    pub pod: Option<NamedPod>,
}

/// A pod as labels name it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct NamedPod {
    /// Its namespace, where it is known.
    pub namespace: Option<String>,
    /// Its name, where it is known.
    pub name: Option<String>,
    /// Its UID. A label has it where nothing else proves which pod it is.
    pub uid: String,
    /// Whether the API server, or a signature, proves the names.
    pub is_proven: bool,
}

/// The findings that a node names, and the number of those left out.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct NamedFindings {
    /// The worst ones; of one severity, those of each pod and each namespace in turn.
    pub all: Vec<NamedFinding>,
    /// How many more there are, by code and severity.
    pub left_out: BTreeMap<(Code, Severity), u64>,
}

impl NamedFindings {
    pub(super) fn of<'a>(active: impl Iterator<Item = &'a Finding>) -> Self {
        let distinct: BTreeSet<NamedFinding> = active.map(NamedFinding::of).collect();
        let tenants: Vec<_> = distinct.into_iter().map(|one| (one.tenant(), one)).collect();
        let sorted = in_turn_of_tenants(&tenants, |(tenant, one)| (Reverse(one.severity), tenant));
        let mut sorted = sorted.into_iter().map(|(_, one)| one);
        let all = sorted.by_ref().take(MOST).cloned().collect();
        let mut left_out = BTreeMap::new();
        for one in sorted {
            *left_out.entry((one.code, one.severity)).or_default() += 1;
        }
        Self { all, left_out }
    }
}

impl NamedFinding {
    fn of(finding: &Finding) -> Self {
        let safe = |name: &String| shown(name).into_owned();
        let pod = finding.subject.pod().map(|pod| NamedPod {
            namespace: pod.namespace.as_ref().map(safe),
            name: pod.name.as_ref().map(safe),
            uid: safe(&pod.uid),
            is_proven: pod.name.is_some() && !pod.is_claimed,
        });
        let (code, severity, cause) = (finding.code, finding.severity, finding.cause());
        Self { code, severity, cause, pod }
    }

    /// A namespace that only claims name has no share: anybody can claim any.
    fn tenant(&self) -> Tenant {
        let namespace = |pod: &NamedPod| pod.namespace.clone().filter(|_| pod.is_proven);
        Tenant {
            namespace: self.pod.as_ref().and_then(namespace),
            pod: self.pod.as_ref().map(|pod| pod.uid.clone()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::value::Attributes;
    use crate::findings::{Remedy, Subject};
    use crate::world::cluster::PodRef;

    fn finding(pod: &str, severity: Severity) -> Finding {
        let (namespace, name) = pod.split_once('/').unwrap();
        let pod = PodRef {
            namespace: (!namespace.is_empty()).then(|| namespace.to_owned()),
            name: (!namespace.is_empty()).then(|| name.to_owned()),
            ..PodRef::by_uid(&format!("uid-{name}"))
        };
        Finding {
            code: Code::RotationStalled,
            severity,
            subject: Subject::Token { pod, volume: "v".into(), path: "token".into() },
            summary: String::new(),
            deadline: None,
            evidence: Attributes::new(),
            remedy: Remedy { text: String::new(), command: None },
            trace: None,
        }
    }

    fn named(findings: &[Finding]) -> NamedFindings {
        NamedFindings::of(findings.iter())
    }

    #[test]
    fn findings_that_look_alike_are_one_series() {
        let mut twice =
            [finding("shop/cart-0", Severity::Warning), finding("shop/cart-0", Severity::Warning)];
        if let Subject::Token { volume, .. } = &mut twice[1].subject {
            *volume = "other".into();
        }
        let found = named(&twice);
        assert_eq!((found.all.len(), found.left_out.len()), (1, 0));
        let pod = found.all[0].pod.clone().unwrap();
        assert_eq!(pod.namespace.as_deref(), Some("shop"));
        assert_eq!((pod.name.as_deref(), pod.is_proven), (Some("cart-0"), true));
    }

    #[test]
    fn a_claimed_or_unknown_name_proves_nothing() {
        let mut claimed = finding("shop/cart-0", Severity::Warning);
        if let Subject::Token { pod, .. } = &mut claimed.subject {
            pod.is_claimed = true;
        }
        for one in [claimed, finding("/cart-0", Severity::Warning)] {
            let found = named(&[one]);
            let pod = found.all[0].pod.as_ref().unwrap();
            assert_eq!((pod.uid.as_str(), pod.is_proven), ("uid-cart-0", false));
            assert_eq!(found.all[0].tenant().namespace, None);
        }
    }

    #[test]
    fn the_worst_are_named_and_the_others_are_counted() {
        let mut all: Vec<_> =
            (0..200).map(|nth| finding(&format!("batch/job-{nth}"), Severity::Info)).collect();
        all.extend((0..20).map(|nth| finding(&format!("web/app-{nth}"), Severity::Warning)));
        all.push(finding("shop/cart-0", Severity::Critical));
        all.push(finding("small/one", Severity::Info));
        let found = named(&all);
        let of = |namespace: &str| {
            let is_of = |one: &&NamedFinding| {
                one.pod.as_ref().and_then(|pod| pod.namespace.as_deref()) == Some(namespace)
            };
            found.all.iter().filter(is_of).count()
        };
        assert_eq!(found.all.len(), MOST);
        assert_eq!(["shop", "web", "batch", "small"].map(of), [1, 20, 10, 1]);
        let left = [((Code::RotationStalled, Severity::Info), 190)];
        assert_eq!(found.left_out, BTreeMap::from(left));
    }

    #[test]
    fn what_is_about_no_pod_is_named_without_one() {
        let node = Finding { subject: Subject::node("n1"), ..finding("a/b", Severity::Warning) };
        assert_eq!(named(&[node]).all[0].pod, None);
    }
}
