//! The parts of a pod that findings, spans and the status page show.

use serde::{Deserialize, Serialize};

use crate::base::schema;
use crate::base::text::shown;
use crate::base::time::Wall;
use crate::base::value::Attributes;

use super::{Container, Isolation};
use crate::world::tokens::Tracked;

/// A pod of this node.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pod {
    /// The UID in the path of kubelet's directory. For a mirror pod it is that of the static pod
    /// (annotation `kubernetes.io/config.mirror`).
    pub uid: String,
    /// Its namespace.
    pub namespace: String,
    /// Its name.
    pub name: String,
    /// The owner that people know: the Deployment rather than its ReplicaSet, the CronJob rather
    /// than its Job.
    pub owner: Option<Owner>,
    /// Name of its service account (`spec.serviceAccountName`).
    pub service_account: Option<String>,
    /// The containers and init containers that mount a projected volume.
    pub containers: Vec<Container>,
    /// Its phase (`status.phase`).
    pub phase: Phase,
    /// How far it is separated from the node.
    #[serde(flatten)]
    pub isolation: Isolation,
    /// Whether it is a static pod. The API server knows only the mirror of such a pod.
    pub is_static: bool,
    /// `deletionTimestamp`, present while the pod is terminating: kubelet kills the containers by
    /// then. It includes the grace period.
    pub deletion: Option<Wall>,
}

/// The owner of a pod.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Owner {
    /// `Deployment`, `StatefulSet`, `Job`…
    pub kind: String,
    /// Its name. It is in the pod's namespace, unless it is a Node.
    pub name: String,
}

/// The phase of a pod (`status.phase`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Phase {
    /// At least one container has not started.
    Pending,
    /// All containers were created, and at least one runs.
    Running,
    /// All containers ended with success.
    Succeeded,
    /// All containers ended, at least one with a failure.
    Failed,
    /// The phase is absent, or kubelet does not report it.
    #[default]
    Unknown,
}

impl Phase {
    /// The name in the API.
    pub fn name(self) -> &'static str {
        match self {
            Self::Pending => "Pending",
            Self::Running => "Running",
            Self::Succeeded => "Succeeded",
            Self::Failed => "Failed",
            Self::Unknown => "Unknown",
        }
    }
}

impl std::str::FromStr for Phase {
    type Err = ();
    fn from_str(text: &str) -> Result<Self, ()> {
        [Self::Pending, Self::Running, Self::Succeeded, Self::Failed, Self::Unknown]
            .into_iter()
            .find(|phase| phase.name() == text)
            .ok_or(())
    }
}

impl Owner {
    /// The attribute that OpenTelemetry's semantic conventions define for the name of such an
    /// owner, if there is one.
    pub fn attribute(&self) -> Option<&'static str> {
        let attributes = [
            ("Deployment", schema::K8S_DEPLOYMENT),
            ("ReplicaSet", schema::K8S_REPLICASET),
            ("StatefulSet", schema::K8S_STATEFULSET),
            ("DaemonSet", schema::K8S_DAEMONSET),
            ("Job", schema::K8S_JOB),
            ("CronJob", schema::K8S_CRONJOB),
            ("ReplicationController", schema::K8S_REPLICATION_CONTROLLER),
        ];
        attributes.into_iter().find(|(kind, _)| *kind == self.kind).map(|(_, attribute)| attribute)
    }
}

/// `Deployment cart`.
impl std::fmt::Display for Owner {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} {}", shown(&self.kind), shown(&self.name))
    }
}

impl Pod {
    /// The evidence about this pod in a finding about the token in `volume`. Usual values are left
    /// out.
    pub fn evidence(&self, volume: &str) -> Attributes {
        let set = |yes: bool| yes.then_some(true);
        Attributes::new()
            .with_some("owner", self.owner.as_ref().map(ToString::to_string))
            .with_some("containers", self.mounting(volume).as_deref())
            .with("phase", self.phase.name())
            .with_some("terminating_until", self.deletion)
            .with_some("host_network", set(self.isolation.host_network))
            .with_some("static_pod", set(self.is_static))
    }

    /// `app (registry.example/cart:1.2)` for each container that mounts the volume.
    fn mounting(&self, volume: &str) -> Option<Vec<String>> {
        let mounts = |container: &&Container| container.volumes.iter().any(|name| name == volume);
        let named = |container: &Container| format!("{} ({})", container.name, container.image);
        let names: Vec<String> = self.containers.iter().filter(mounts).map(named).collect();
        (!names.is_empty()).then_some(names)
    }
}

/// The names of a pod, as far as the path, the claims or the cluster give them.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct PodRef {
    /// Its namespace, if known.
    pub namespace: Option<String>,
    /// Its name, if known.
    pub name: Option<String>,
    /// Its UID, from the path.
    pub uid: String,
    /// Its owner, if the cluster gives it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub owner: Option<Owner>,
    /// Whether nothing but the claims of a token gives its namespace and name. Whoever can write a
    /// file into the pod can claim any.
    #[serde(default, skip_serializing_if = "is_false")]
    pub is_claimed: bool,
}

#[allow(clippy::trivially_copy_pass_by_ref)] // for serde
fn is_false(value: &bool) -> bool {
    !*value
}

impl PodRef {
    /// The pod of a token: from the cluster if it knows the pod, else from the path and the claims.
    /// Claims that do not name the pod of the path by its UID are ignored. A signature by a key of
    /// the cluster proves those that do.
    pub fn of(tracked: &Tracked, known: Option<&Pod>) -> Self {
        match known {
            Some(pod) => Self { uid: tracked.key.pod_uid.clone(), ..Self::known(pod) },
            None => Self::claimed(tracked),
        }
    }

    /// A pod that the cluster knows.
    pub fn known(pod: &Pod) -> Self {
        Self {
            namespace: Some(pod.namespace.clone()),
            name: Some(pod.name.clone()),
            uid: pod.uid.clone(),
            owner: pod.owner.clone(),
            is_claimed: false,
        }
    }

    /// A pod of which nothing else is known.
    pub fn by_uid(uid: &str) -> Self {
        Self { namespace: None, name: None, uid: uid.to_owned(), owner: None, is_claimed: false }
    }

    fn claimed(tracked: &Tracked) -> Self {
        let bound = tracked.current.as_ref().and_then(|generation| {
            let binding = &generation.claims.binding;
            let pod = binding.pod.as_ref()?;
            let same = pod.uid.as_ref() == Some(&tracked.key.pod_uid);
            same.then(|| (binding.namespace.clone(), pod.name.clone()))
        });
        let is_claimed = bound.is_some() && !tracked.is_verified();
        let (namespace, name) = bound.unzip();
        Self { namespace, name, uid: tracked.key.pod_uid.clone(), owner: None, is_claimed }
    }

    /// `shop/cart-0`, or the UID where the names are not known.
    pub fn full_name(&self) -> String {
        match (&self.namespace, &self.name) {
            (Some(namespace), Some(name)) => format!("{namespace}/{name}"),
            (Some(_) | None, None) | (None, Some(_)) => format!("UID {}", self.uid),
        }
    }

    /// The pod as attributes of OpenTelemetry's semantic conventions. The owner's name is left out
    /// where they have no attribute for that kind of owner.
    pub fn attributes(&self) -> Attributes {
        let attributes = Attributes::new()
            .with_some(schema::K8S_NAMESPACE, self.namespace.as_ref())
            .with_some(schema::K8S_POD_NAME, self.name.as_ref())
            .with(schema::K8S_POD_UID, &self.uid);
        match self.owner.as_ref().and_then(|owner| Some((owner.attribute()?, &owner.name))) {
            Some((attribute, name)) => attributes.with(attribute, name),
            None => attributes,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::time::Reading;
    use crate::base::value::Value;
    use crate::world::tokens::{FileContent, FileSeen, KubeletPolicy, TokenKey, claims_for_tests};

    fn pod() -> Pod {
        let container = |name: &str, volume: &str| Container {
            name: name.into(),
            image: format!("registry.example/{name}:1"),
            volumes: vec![volume.into()],
            ..Container::default()
        };
        Pod {
            owner: Some(Owner { kind: "Deployment".into(), name: "cart".into() }),
            containers: vec![container("app", "tokens"), container("proxy", "other")],
            phase: Phase::Running,
            ..Pod::default()
        }
    }

    #[test]
    fn only_containers_that_mount_the_volume_are_named() {
        let evidence = pod().evidence("tokens");
        assert_eq!(
            evidence.get("containers"),
            Some(&Value::List(vec!["app (registry.example/app:1)".into()]))
        );
        assert_eq!(pod().evidence("unknown").get("containers"), None);
    }

    #[test]
    fn usual_values_are_left_out() {
        let names = |pod: Pod| {
            pod.evidence("tokens").iter().map(|(name, _)| name.to_owned()).collect::<Vec<_>>()
        };
        assert_eq!(names(pod()), ["owner", "containers", "phase"]);
        let unusual = Pod {
            isolation: Isolation { host_network: true, ..Isolation::default() },
            is_static: true,
            deletion: Some(Wall::from_secs(1)),
            ..pod()
        };
        assert_eq!(
            names(unusual),
            ["owner", "containers", "phase", "terminating_until", "host_network", "static_pod"]
        );
    }

    #[test]
    fn phases_are_named_as_they_parse() {
        assert_eq!("Pending".parse(), Ok(Phase::Pending));
        assert_eq!("pending".parse::<Phase>(), Err(()));
    }

    fn key() -> TokenKey {
        TokenKey {
            pod_uid: "pod-uid".into(),
            volume: "kube-api-access-x".into(),
            path: "token".into(),
        }
    }

    #[test]
    fn claims_that_name_another_pod_are_ignored() {
        let key = TokenKey { pod_uid: "other".into(), ..key() };
        let content = FileContent::Token(Box::new(claims_for_tests(1_800_000_000, 600, None)));
        let mut tracked = Tracked::new(key.clone());
        let seen = FileSeen { key, written_at: None, directory: None, content, signature: None };
        let _ = tracked.see(seen, &Reading::default(), KubeletPolicy::default());
        assert_eq!(PodRef::of(&tracked, None), PodRef { uid: "other".into(), ..PodRef::default() });
    }

    #[test]
    fn the_cluster_names_a_pod_without_claims() {
        let tracked = Tracked::new(key());
        let owner = Some(Owner { kind: "Deployment".into(), name: "cart".into() });
        let known = Pod {
            namespace: "shop".into(),
            name: "cart-0".into(),
            owner: owner.clone(),
            ..Pod::default()
        };
        let expected = PodRef {
            namespace: Some("shop".into()),
            name: Some("cart-0".into()),
            uid: "pod-uid".into(),
            owner,
            is_claimed: false,
        };
        assert_eq!(PodRef::of(&tracked, Some(&known)), expected);
    }
}
