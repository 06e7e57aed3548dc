//! The resource: which agent on which node sends.

use tokenwatch_core::base::ids::stable_id;
use tokenwatch_core::base::schema;
use tokenwatch_core::base::secrecy::redacted;
use tokenwatch_otlp::Resource;

use super::mistake::{Mistake, Source};
use super::variables::{self, Variables};
use crate::environment::Environment;

/// What is known of this agent.
#[derive(Clone, Debug, Default)]
pub struct Identity {
    /// The Kubernetes node, if it is one.
    pub node: Option<String>,
    /// Host name. In a pod it is the pod's, unless that shares the node's network.
    pub host: Option<String>,
}

/// Kubelet gives it to every container. Elsewhere, the variables below are of somebody else.
const IN_A_POD: &str = "KUBERNETES_SERVICE_HOST";
/// What the variables of the manifests say of the agent's own pod, by attribute.
const OWN_POD: [(&str, &str); 4] = [
    (schema::K8S_NAMESPACE, "POD_NAMESPACE"),
    (schema::K8S_POD_NAME, "POD_NAME"),
    (schema::K8S_POD_UID, "POD_UID"),
    (schema::K8S_CONTAINER, "CONTAINER_NAME"),
];

/// service.name (`OTEL_SERVICE_NAME`, else tokenwatch), service.version, service.instance.id,
/// k8s.node.name, host.name (the node's), and the agent's own pod where it is known.
/// `OTEL_RESOURCE_ATTRIBUTES` overrides all but the name given by `OTEL_SERVICE_NAME`; a broken one
/// is a mistake, as the specification wants, and nothing of it is used.
pub fn resource(env: &Environment, identity: &Identity) -> Result<Resource, Mistake> {
    let vars = Variables::new(env);
    let mut resource = detected(identity);
    set_own_pod(&mut resource, &vars);
    for (name, value) in given(&vars)? {
        resource.set(&redacted(&name), redacted(&value).into_owned());
    }
    if let Some(name) = vars.get("OTEL_SERVICE_NAME") {
        resource.set("service.name", redacted(name).into_owned());
    }
    Ok(resource)
}

fn set_own_pod(resource: &mut Resource, vars: &Variables<'_>) {
    let own = vars.get(IN_A_POD).map_or(&[][..], |_| &OWN_POD);
    for (name, variable) in own {
        if let Some(value) = vars.get(variable) {
            resource.set(name, redacted(value).into_owned());
        }
    }
}

fn given(vars: &Variables<'_>) -> Result<Vec<(String, String)>, Mistake> {
    const NAME: &str = "OTEL_RESOURCE_ATTRIBUTES";
    let source = || Source::Variable(NAME.to_owned());
    vars.get(NAME)
        .map_or(Ok(Vec::new()), variables::pairs)
        .map_err(|why| Mistake { source: source(), problem: why.into() })
}

fn detected(identity: &Identity) -> Resource {
    let mut resource = Resource::default();
    resource.set("service.name", "tokenwatch".to_owned());
    resource.set("service.version", env!("CARGO_PKG_VERSION").to_owned());
    resource.set("service.instance.id", instance(identity));
    // The host is the node. Its own name is only the pod's, in most pods.
    let host = identity.node.as_ref().or(identity.host.as_ref());
    for (name, value) in [(schema::K8S_NODE_NAME, identity.node.as_ref()), ("host.name", host)] {
        if let Some(value) = value {
            resource.set(name, redacted(value).into_owned());
        }
    }
    resource
}

/// One agent runs per node. Node and host name it, also across restarts of its container. In a pod
/// the host's name is the pod's, so each roll-out makes new instances, and agents of two clusters
/// on nodes of the same name differ.
fn instance(identity: &Identity) -> String {
    let [node, host] =
        [&identity.node, &identity.host].map(|part| part.as_deref().unwrap_or_default());
    stable_id("instance", &[node, host])
}
