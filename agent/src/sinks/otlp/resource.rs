//! Who is speaking: the agent and its node, on everything that is sent.

use std::sync::Arc;

use opentelemetry::KeyValue;
use tokenwatch_core::base::ids::stable_id;

use super::convert;
use super::settings::Mistake;
use super::variables::{self, Variables};
use crate::environment::Environment;
use crate::sinks::SnapshotSource;
use crate::sinks::metrics::{Counters, Origin};

/// What is known of this agent.
#[derive(Clone, Debug, Default)]
pub struct Identity {
    /// The Kubernetes node, if it is one.
    pub node: Option<String>,
    /// Host name.
    pub host: Option<String>,
}

/// The resource's attributes, in the order they are sent.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Resource(pub Vec<(String, String)>);

impl Resource {
    /// service.name (`OTEL_SERVICE_NAME`, else tokenwatch), service.version, service.instance.id,
    /// k8s.node.name and host.name, with `OTEL_RESOURCE_ATTRIBUTES` over all but the name. A
    /// broken variable is a mistake, as the specification wants: nothing of it is used.
    pub fn resolve(env: &Environment, identity: &Identity) -> Result<Self, Mistake> {
        let vars = Variables::new(env);
        let given = vars.get("OTEL_RESOURCE_ATTRIBUTES").map_or(Ok(Vec::new()), variables::pairs);
        let given = given.map_err(|why| Mistake::in_variable("OTEL_RESOURCE_ATTRIBUTES", why))?;
        let mut resource = Self::detected(identity);
        for (name, value) in given {
            resource.set(&name, value);
        }
        if let Some(name) = vars.get("OTEL_SERVICE_NAME") {
            resource.set("service.name", name.to_owned());
        }
        Ok(resource)
    }

    /// The value called `name`.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.0.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }

    /// As the SDK wants it.
    pub(super) fn sdk(&self) -> opentelemetry_sdk::Resource {
        let attributes =
            self.0.iter().map(|(name, value)| KeyValue::new(name.clone(), value.clone()));
        opentelemetry_sdk::Resource::builder_empty()
            .with_schema_url(attributes, tokenwatch_core::base::schema::SCHEMA_URL)
            .build()
    }

    /// What this agent measures, and counts.
    pub(in crate::sinks) fn origin<'a>(
        &self,
        counters: &'a Arc<Counters>,
        snapshot: &'a SnapshotSource,
    ) -> Origin<'a> {
        Origin { resource: self.sdk(), scope: convert::scope(), counters, snapshot }
    }

    fn detected(identity: &Identity) -> Self {
        let mut resource = Self::default();
        resource.set("service.name", "tokenwatch".to_owned());
        resource.set("service.version", env!("CARGO_PKG_VERSION").to_owned());
        resource.set("service.instance.id", instance(identity));
        for (name, value) in [("k8s.node.name", &identity.node), ("host.name", &identity.host)] {
            if let Some(value) = value {
                resource.set(name, value.clone());
            }
        }
        resource
    }

    fn set(&mut self, name: &str, value: String) {
        match self.0.iter_mut().find(|(key, _)| key == name) {
            Some(entry) => entry.1 = value,
            None => self.0.push((name.to_owned(), value)),
        }
    }
}

/// One agent runs per node. Node and host name it, over restarts of its container too; in a pod the
/// host's name is the pod's, so that each roll-out makes new instances, and agents of two clusters
/// on nodes of the same name are told apart.
fn instance(identity: &Identity) -> String {
    let [node, host] =
        [&identity.node, &identity.host].map(|part| part.as_deref().unwrap_or_default());
    stable_id("instance", &[node, host])
}
