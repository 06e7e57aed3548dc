//! The Kubernetes API client that the settings describe.

use std::fmt;
use std::sync::Arc;

use tokenwatch_core::base::text::shown;

use crate::config::proxy::{self, Route};
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
    Ok(access.map(|access| {
        let note = without_proxy(&access, environment);
        Arc::new(ApiClient::new(access).with_note_about_proxies(note))
    }))
}

/// The API server is in the cluster's own network, and a credential for it must not pass through
/// anything else. So the agent uses no proxy for it. Where the environment names one, this says so.
pub fn api_server_note(settings: &Settings, environment: &Environment) -> Option<String> {
    without_proxy(&access(settings, environment).ok()??, environment)
}

fn without_proxy(access: &Access, environment: &Environment) -> Option<String> {
    let server = access.server()?;
    match proxy::route(environment, &server.parse().ok()?) {
        Route::Direct | Route::Excepted(_) => None,
        Route::Through(proxy) => Some(format!(
            "the agent connects to the API server ({}) directly, and not through {proxy}",
            shown(&server)
        )),
        Route::Unusable(unusable) => Some(unusable.to_string()),
    }
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
