//! How the API server is reached: with the service account of the pod that the agent is in, or with
//! a kubeconfig.

use std::path::{Path, PathBuf};
use std::time::Duration;

use http::header::USER_AGENT;
use http::uri::Scheme;
use http::{HeaderValue, Uri};
use kube::Config;
use kube::config::{AuthInfo, Cluster, KubeConfigOptions, Kubeconfig};
use tokenwatch_core::base::text::shown;

use crate::environment::Environment;

/// Where kubelet puts a pod's service account (Kubernetes' documentation, "Accessing the Kubernetes
/// API from a Pod").
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
    /// By a kubeconfig, if one is named; else from within the pod. What can never work is a mistake
    /// now.
    pub fn resolve(kubeconfig: Option<&Path>, environment: &Environment) -> Result<Self, String> {
        if let Some(file) = kubeconfig {
            malformed(file)?;
            return Ok(Self::Kubeconfig(file.to_owned()));
        }
        let variables = environment
            .get("KUBERNETES_SERVICE_HOST")
            .zip(environment.get("KUBERNETES_SERVICE_PORT"));
        let (host, port) = variables.ok_or(
            "kubernetes.enabled is set, and there is no way to the API: this is no pod \
             (KUBERNETES_SERVICE_HOST is not set), and kubernetes.kubeconfig names no file",
        )?;
        let host = if host.contains(':') { format!("[{host}]") } else { host.to_owned() };
        Ok(Self::Pod {
            server: format!("https://{host}:{port}"),
            directory: SERVICE_ACCOUNT.into(),
        })
    }

    /// Looks, now. The client reads a token file and a file of authorities again each minute by
    /// itself.
    pub(super) async fn config(&self) -> Result<Config, String> {
        let mut config = match self {
            Self::Pod { server, directory } => in_a_pod(server, directory)?,
            Self::Kubeconfig(file) => by_kubeconfig(file).await?,
        };
        config.connect_timeout = Some(CONNECT);
        config.default_retry = false; // who asks waits, and knows for how long
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
        std::fs::metadata(file)
            .map_err(|why| format!("{} cannot be read: {why}", file.display()))?;
    }
    let mut config = Config::new(uri);
    config.auth_info =
        AuthInfo { token_file: Some(token.display().to_string()), ..AuthInfo::default() };
    let checked = config.cluster_url.scheme() == Some(&Scheme::HTTPS);
    config.root_cert_file = checked.then_some(authorities);
    Ok(config)
}

async fn by_kubeconfig(file: &Path) -> Result<Config, String> {
    let kubeconfig = read(file)?;
    let config = Config::from_custom_kubeconfig(kubeconfig, &KubeConfigOptions::default()).await;
    config
        .map_err(|_| format!("{} is no kubeconfig that can be used; {}", file.display(), see(file)))
}

/// A file that is there and is no kubeconfig; one that is not there may come.
fn malformed(file: &Path) -> Result<(), String> {
    if file.exists() { read(file).map(drop) } else { Ok(()) }
}

/// A parser's own words would show the line that it stumbled over, with the secret that is in it.
fn read(file: &Path) -> Result<Kubeconfig, String> {
    std::fs::metadata(file).map_err(|why| format!("{} cannot be read: {why}", file.display()))?;
    let kubeconfig = Kubeconfig::read_from(file)
        .map_err(|_| format!("{} is no kubeconfig; {}", file.display(), see(file)))?;
    match mistake(&kubeconfig) {
        Some(mistake) => Err(format!("{}: {mistake}", file.display())),
        None => Ok(kubeconfig),
    }
}

fn see(file: &Path) -> String {
    format!("`kubectl config view --kubeconfig {}` says where it is wrong", file.display())
}

/// What names nothing, and what an agent does not do: a plug-in that logs a person in is a program
/// that would run with this agent's privileges, and a server whose certificate nobody checks may be
/// anybody's.
fn mistake(kubeconfig: &Kubeconfig) -> Option<String> {
    let Some(name) = kubeconfig.current_context.as_deref().filter(|name| !name.is_empty()) else {
        return Some("its current-context names none".to_owned());
    };
    let none =
        |what: &str, name: &str| Some(format!("it has no {what} called \"{}\"", shown(name)));
    let Some(context) = kubeconfig
        .contexts
        .iter()
        .find(|context| context.name == name)
        .and_then(|named| named.context.as_ref())
    else {
        return none("context", name);
    };
    let Some(cluster) = kubeconfig
        .clusters
        .iter()
        .find(|cluster| cluster.name == context.cluster)
        .and_then(|named| named.cluster.as_ref())
    else {
        return none("cluster", &context.cluster);
    };
    let user = context.user.as_deref().unwrap_or_default();
    match kubeconfig
        .auth_infos
        .iter()
        .find(|info| info.name == user)
        .and_then(|named| named.auth_info.as_ref())
    {
        Some(info) => unwanted(cluster, info).map(ToOwned::to_owned),
        None => none("user", user),
    }
}

fn unwanted(cluster: &Cluster, user: &AuthInfo) -> Option<&'static str> {
    let for_people = user.exec.is_some() || user.auth_provider.is_some() || user.username.is_some();
    if for_people {
        return Some(
            "logins by plug-in and password are for people: give a token, tokenFile or \
             client-certificate",
        );
    }
    if cluster.insecure_skip_tls_verify == Some(true) {
        return Some(
            "insecure-skip-tls-verify would give the credentials to whoever answers: give \
             certificate-authority",
        );
    }
    cluster.proxy_url.is_some().then_some("proxy-url is not supported")
}
