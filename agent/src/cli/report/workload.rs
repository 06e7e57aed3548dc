//! The names of workloads in reports.

use crate::reader_list::Pod;

/// The name of a workload.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct WorkloadName {
    pub(super) namespace: Option<String>,
    pub(super) kind: String,
    pub(super) name: String,
}

impl WorkloadName {
    pub(super) fn of(pod: &Pod) -> Self {
        let (kind, name) = match (&pod.owner, &pod.name) {
            (Some(owner), _) => (owner.kind.clone(), owner.name.clone()),
            (None, Some(name)) => ("Pod".to_owned(), name.clone()),
            (None, None) => ("Pod".to_owned(), pod.uid.clone()),
        };
        Self { namespace: pod.namespace.clone(), kind, name }
    }

    /// `shop/Deployment/cart`
    pub(super) fn shown(&self) -> String {
        let Self { namespace, kind, name } = self;
        let namespace = namespace.as_ref().map(|it| format!("{it}/")).unwrap_or_default();
        format!("{namespace}{kind}/{name}")
    }

    /// For scripts.
    pub(super) fn json(&self) -> serde_json::Value {
        let Self { namespace, kind, name } = self;
        serde_json::json!({ "namespace": namespace, "kind": kind, "name": name })
    }
}
