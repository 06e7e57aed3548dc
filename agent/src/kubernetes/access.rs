//! Where the API server is and which credentials are used: those of the agent's own pod, or those
//! in a kubeconfig.

use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use http::header::{AUTHORIZATION, USER_AGENT};
use http::uri::Scheme;
use http::{HeaderValue, Uri};
use kube::Config;

use super::{ConfigError, credentials, kubeconfig, server_url, without_login};
use crate::environment::Environment;
use crate::regular_file;

/// Where kubelet mounts a pod's service account (Kubernetes documentation, "Accessing the
/// Kubernetes API from a Pod").
const SERVICE_ACCOUNT: &str = "/var/run/secrets/kubernetes.io/serviceaccount";
/// Timeout of one connection attempt. A control plane's load balancer accepts or refuses well
/// before.
pub(super) const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// Where address and credentials are read from, each time a connection is opened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Access {
    /// The service account of the agent's own pod.
    Pod {
        /// URL of the API server, from the pod's environment.
        server: String,
        /// Directory that holds the token and the certificate authorities.
        directory: PathBuf,
    },
    /// A kubeconfig file.
    Kubeconfig(PathBuf),
}

impl Access {
    /// The kubeconfig if one is named, else the agent's own pod. Fails on what can never work; a
    /// file that does not exist yet may still be created.
    pub fn resolve(
        kubeconfig: Option<&Path>,
        environment: &Environment,
    ) -> Result<Self, ConfigError> {
        let Some(file) = kubeconfig else { return Self::of_pod(environment) };
        if file.exists() {
            kubeconfig::read(file)?;
        }
        Ok(Self::Kubeconfig(file.to_owned()))
    }

    fn of_pod(environment: &Environment) -> Result<Self, ConfigError> {
        let variables = environment
            .get("KUBERNETES_SERVICE_HOST")
            .zip(environment.get("KUBERNETES_SERVICE_PORT"));
        let (host, port) = variables.ok_or(ConfigError::NoServer)?;
        let host = if host.contains(':') { format!("[{host}]") } else { host.to_owned() };
        let server = format!("https://{host}:{port}");
        Ok(Self::Pod { server, directory: SERVICE_ACCOUNT.into() })
    }

    /// The URL of the API server, if it is known by now.
    pub fn server(&self) -> Option<String> {
        match self {
            Self::Pod { server, .. } => Some(server.clone()),
            Self::Kubeconfig(file) => kubeconfig::server(file),
        }
    }

    /// Whether the connection is encrypted, or does not leave this machine. A name is not taken for
    /// this machine, whatever it resolves to.
    pub(super) fn is_private(&self) -> bool {
        let server = self.server().and_then(|server| server.parse::<Uri>().ok());
        server.is_some_and(|uri| uri.scheme() == Some(&Scheme::HTTPS) || is_loopback(&uri))
    }

    /// The directory that holds the token of the agent's own pod.
    pub(super) fn own_token(&self) -> Option<&Path> {
        match self {
            Self::Pod { directory, .. } => Some(directory),
            Self::Kubeconfig(_) => None,
        }
    }

    /// The client's configuration, read now, on a thread for blocking work. No file is read
    /// later.
    pub(super) fn config(&self) -> Result<Config, ConfigError> {
        let mut config = match self {
            Self::Pod { server, directory } => pod_config(server, directory)?,
            Self::Kubeconfig(file) => kubeconfig::config(file)?,
        };
        config.headers.push((
            USER_AGENT,
            HeaderValue::from_static(concat!("tokenwatch/", env!("CARGO_PKG_VERSION"))),
        ));
        Ok(config)
    }
}

impl std::fmt::Display for Access {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Pod { server, .. } => f.write_str(&without_login(server)),
            Self::Kubeconfig(file) => write!(f, "configured in {}", file.display()),
        }
    }
}

fn is_loopback(uri: &Uri) -> bool {
    let host = uri.host().unwrap_or_default().trim_start_matches('[').trim_end_matches(']');
    host.parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback())
}

/// Like `Config::incluster`, but for any directory, and with errors that name the missing file.
fn pod_config(server: &str, directory: &Path) -> Result<Config, ConfigError> {
    let uri = server_url::parsed(server).map_err(|why| ConfigError::InvalidAddress {
        address: server.chars().take(server_url::LONGEST).collect(),
        reason: why.to_string(),
    })?;
    let (token, authorities) = (directory.join("token"), directory.join("ca.crt"));
    for file in [&token, &authorities] {
        regular_file::check(file).map_err(|error| ConfigError::unreadable(file, &error))?;
    }
    let mut config = Config::new(uri);
    config.headers.push((AUTHORIZATION, credentials::token_in(&token)?));
    if config.cluster_url.scheme() == Some(&Scheme::HTTPS) {
        config.root_cert = Some(credentials::authorities_in(&authorities)?);
    }
    Ok(config)
}
