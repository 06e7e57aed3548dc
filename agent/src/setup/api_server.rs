//! The Kubernetes API client that the settings describe.

use std::fmt;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use tokenwatch_core::base::text::shown;

use crate::config::proxy::{self, Route};
use crate::config::{Address, Loaded, Mistake, Settings};
use crate::environment::Environment;
use crate::kubernetes::{Access, ApiClient, ConfigError, KubeletClient, Trust, without_login};

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

/// A client for this node's kubelet; nothing unless `kubelet.metrics` is set. It has the
/// credentials for the API server.
pub fn kubelet_client(
    settings: &Settings,
    environment: &Environment,
    node: &str,
) -> Result<Option<Arc<KubeletClient>>, ApiServerError> {
    let access = access(settings, environment)?.filter(|_| settings.kubelet.metrics);
    let Address { ip, port } = settings.kubelet.metrics_address;
    let server = SocketAddr::new(ip, port.unwrap_or(KUBELET_PORT));
    let client = |access| KubeletClient::new(access, server, trust(settings, node));
    Ok(access.map(client).map(Arc::new))
}

fn trust(settings: &Settings, node: &str) -> Trust {
    let of = &settings.kubelet;
    let certificate = on_host(&settings.host_prefix, &of.metrics_certificate);
    Trust { certificate, authorities: of.metrics_ca.clone(), node: node.to_owned() }
}

/// Port of kubelet (KubeletPort in pkg/cluster/ports).
const KUBELET_PORT: u16 = 10_250;

/// A path on the host, as this process sees it.
fn on_host(prefix: &Path, path: &Path) -> PathBuf {
    prefix.join(path.strip_prefix("/").unwrap_or(path))
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
            shown(&without_login(&server))
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

/// The URLs of the API server: the one that every pod has in its environment, and the one that the
/// agent itself uses.
pub fn api_server_urls(settings: &Settings, environment: &Environment) -> Vec<String> {
    let of_pod = Access::resolve(None, environment).ok();
    let own = access(settings, environment).ok().flatten();
    let servers = [of_pod, own].into_iter().flatten().filter_map(|access| access.server());
    let mut urls: Vec<String> = servers.collect();
    urls.dedup();
    urls
}

/// The addresses in these URLs. A server that is configured by name has none here.
pub(super) fn ends(urls: &[String]) -> Vec<SocketAddr> {
    urls.iter().filter_map(|url| end(url)).collect()
}

/// The address in a URL.
fn end(url: &str) -> Option<SocketAddr> {
    let url: http::Uri = url.parse().ok()?;
    let host = url.host()?.trim_start_matches('[').trim_end_matches(']');
    let default = if url.scheme() == Some(&http::uri::Scheme::HTTP) { 80 } else { 443 };
    Some(SocketAddr::new(host.parse().ok()?, url.port_u16().unwrap_or(default)))
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_api_server_has_the_address_that_pods_use() {
        let shown = |variables: [(&str, &str); 2]| {
            let urls = api_server_urls(&Settings::default(), &Environment::of(variables));
            ends(&urls).iter().map(ToString::to_string).collect::<Vec<_>>()
        };
        let of = |host, port| {
            shown([("KUBERNETES_SERVICE_HOST", host), ("KUBERNETES_SERVICE_PORT", port)])
        };
        assert_eq!(of("10.96.0.1", "443"), ["10.96.0.1:443"]);
        assert_eq!(of("fd00::1", "6443"), ["[fd00::1]:6443"]);
        assert_eq!(of("api.example", "443"), [""; 0]);
        assert_eq!(of("", "443"), [""; 0]);
    }

    #[test]
    fn a_url_has_an_address_and_a_port() {
        let table = [
            ("https://10.0.0.1:6443", Some("10.0.0.1:6443")),
            ("https://10.0.0.1", Some("10.0.0.1:443")),
            ("http://[::1]:8080", Some("[::1]:8080")),
            ("http://127.0.0.1/x", Some("127.0.0.1:80")),
            ("https://api.example:6443", None),
            ("nonsense", None),
        ];
        for (url, expected) in table {
            assert_eq!(end(url), expected.map(|end| end.parse().unwrap()), "{url}");
        }
    }
}
