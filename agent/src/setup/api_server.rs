//! The Kubernetes API client that the settings describe.

use std::fmt;
use std::sync::Arc;

use crate::config::{Loaded, Mistake, Settings};
use crate::environment::Environment;
use crate::kubernetes::{Access, ApiClient, ConfigError};

/// The settings enable the Kubernetes API, and nothing describes how to reach the API server.
#[derive(Debug)]
pub struct ApiServerError(ConfigError);

impl fmt::Display for ApiServerError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl std::error::Error for ApiServerError {}

/// A client for the API server; nothing unless `kubernetes.enabled` is set. It connects with its
/// first request.
pub fn api_server(
    settings: &Settings,
    environment: &Environment,
) -> Result<Option<Arc<ApiClient>>, ApiServerError> {
    let access = access(settings, environment)?;
    Ok(access.map(|access| Arc::new(ApiClient::new(access))))
}

/// The mistake in the settings of the API server, if they can never work.
pub fn api_server_mistake(loaded: &Loaded, environment: &Environment) -> Option<Mistake> {
    let error = access(&loaded.settings, environment).err()?;
    let has_file = loaded.settings.kubernetes.kubeconfig.is_some();
    let setting = if has_file { "kubernetes.kubeconfig" } else { "kubernetes.enabled" };
    Some(Mistake { origin: loaded.origin(setting), message: error.to_string() })
}

fn access(
    settings: &Settings,
    environment: &Environment,
) -> Result<Option<Access>, ApiServerError> {
    if !settings.kubernetes.enabled {
        return Ok(None);
    }
    let access = Access::resolve(settings.kubernetes.kubeconfig.as_deref(), environment);
    access.map(Some).map_err(ApiServerError)
}
