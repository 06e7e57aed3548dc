//! How the API server is reached: with the service account of the pod that the agent is in, or with a kubeconfig.

use std::path::{Path, PathBuf};
use std::time::Duration;

use http::header::USER_AGENT;
use http::{HeaderValue, Uri};
use kube::Config;
use kube::config::{AuthInfo, KubeConfigOptions, Kubeconfig};
use tokenwatch_core::text::shown;

use crate::environment::Environment;

/// Where kubelet puts a pod's service account (Kubernetes' documentation, "Accessing the Kubernetes API from a Pod").
const SERVICE_ACCOUNT: &str = "/var/run/secrets/kubernetes.io/serviceaccount";
/// How long connecting may take: a control plane's load balancer answers or refuses well before.
const CONNECT: Duration = Duration::from_secs(10);

/// Where to look for the way, each time a connection is made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Access {
    /// The pod's own service account.
    Pod {
        /// What the pod's environment says of the API server.
        server: String,
        /// The directory with its token and the authorities' certificates.
        directory: PathBuf,
    },
    /// A file.
    Kubeconfig(PathBuf),
}

impl Access {
    /// By a kubeconfig, if one is named; else from within the pod. What can never work is a mistake now.
    pub fn resolve(kubeconfig: Option<&Path>, environment: &Environment) -> Result<Self, String> {
        if let Some(file) = kubeconfig {
            malformed(file)?;
            return Ok(Self::Kubeconfig(file.to_owned()));
        }
        let variables = environment.get("KUBERNETES_SERVICE_HOST").zip(environment.get("KUBERNETES_SERVICE_PORT"));
        let (host, port) = variables.ok_or(
            "kubernetes.enabled is set, and there is no way to the API: this is no pod (KUBERNETES_SERVICE_HOST is not set), and \
             kubernetes.kubeconfig names no file",
        )?;
        let host = if host.contains(':') { format!("[{host}]") } else { host.to_owned() };
        Ok(Self::Pod { server: format!("https://{host}:{port}"), directory: SERVICE_ACCOUNT.into() })
    }

    /// Looks, now. The client reads a token file and a file of authorities again each minute by itself.
    pub(super) async fn config(&self) -> Result<Config, String> {
        let mut config = match self {
            Self::Pod { server, directory } => in_a_pod(server, directory)?,
            Self::Kubeconfig(file) => by_kubeconfig(file).await?,
        };
        config.connect_timeout = Some(CONNECT);
        config.default_retry = false; // who asks waits, and knows for how long
        config.headers.push((USER_AGENT, HeaderValue::from_static(concat!("tokenwatch/", env!("CARGO_PKG_VERSION")))));
        Ok(config)
    }
}

impl std::fmt::Display for Access {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Pod { server, .. } => f.write_str(server),
            Self::Kubeconfig(file) => write!(f, "the server in {}", file.display()),
        }
    }
}

/// As `Config::incluster`, for any directory: what is missing is named.
fn in_a_pod(server: &str, directory: &Path) -> Result<Config, String> {
    let uri: Uri = server.parse().map_err(|why| format!("{server} is no address: {why}"))?;
    let (token, authorities) = (directory.join("token"), directory.join("ca.crt"));
    for file in [&token, &authorities] {
        std::fs::metadata(file).map_err(|why| format!("{} cannot be read: {why}", file.display()))?;
    }
    let mut config = Config::new(uri);
    config.auth_info = AuthInfo { token_file: Some(token.display().to_string()), ..AuthInfo::default() };
    config.root_cert_file = Some(authorities);
    Ok(config)
}

async fn by_kubeconfig(file: &Path) -> Result<Config, String> {
    let told = |why: &dyn std::fmt::Display| format!("{}: {}", file.display(), shown(&why.to_string()));
    let kubeconfig = Kubeconfig::read_from(file).map_err(|why| told(&why))?;
    let config = Config::from_custom_kubeconfig(kubeconfig, &KubeConfigOptions::default()).await.map_err(|why| told(&why))?;
    refused(&config).map_or(Ok(config), |why| Err(told(&why)))
}

/// A plug-in that logs a person in is a program that would run as this agent, with its privileges; and a server whose certificate nobody
/// checks may be anybody's, and is given the credentials.
fn refused(config: &Config) -> Option<&'static str> {
    let auth = &config.auth_info;
    match () {
        () if auth.exec.is_some() || auth.auth_provider.is_some() => Some("a plug-in for credentials is not run: give a token, tokenFile or client certificate"),
        () if config.accept_invalid_certs => Some("insecure-skip-tls-verify is not accepted: give certificate-authority"),
        () => None,
    }
}

/// A file that is there and is no kubeconfig; one that is not there may come.
fn malformed(file: &Path) -> Result<(), String> {
    if !file.exists() {
        return Ok(());
    }
    Kubeconfig::read_from(file).map(drop).map_err(|why| format!("{}: {}", file.display(), shown(&why.to_string())))
}
