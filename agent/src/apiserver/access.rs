//! How the API server is reached: with the service account of the pod that the agent is in, or with a kubeconfig.

use std::path::{Path, PathBuf};

use http::{HeaderValue, Uri};
use rustls::pki_types::ServerName;
use zeroize::Zeroizing;

use super::kubeconfig;
use crate::environment::Environment;

/// Where kubelet puts a pod's service account (Kubernetes' documentation, "Accessing the Kubernetes API from a Pod").
const SERVICE_ACCOUNT: &str = "/var/run/secrets/kubernetes.io/serviceaccount";
/// Tokens are some 1 kB, bundles of authorities some 200 kB; what is larger is something else.
const LARGEST_FILE: u64 = 4 << 20;

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

/// What was found there.
pub(super) struct Found {
    pub(super) server: Uri,
    /// The name that the server's certificate has to have, if it is not the address.
    pub(super) server_name: Option<ServerName<'static>>,
    /// Certificates of authorities in PEM, and where they are from; else the system's count.
    pub(super) authorities: Option<(Vec<u8>, String)>,
    pub(super) credential: Credential,
}

/// Who is asking.
pub(super) enum Credential {
    /// Nobody.
    None,
    /// This token.
    Token(Zeroizing<String>),
    /// The token that is in this file when it is needed.
    TokenFile(PathBuf),
    /// Whom this certificate names, in PEM with its key.
    Certificate { chain: Vec<u8>, key: Zeroizing<Vec<u8>> },
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

    /// Looks, now.
    pub(super) fn find(&self) -> Result<Found, String> {
        match self {
            Self::Pod { server, directory } => {
                let authorities = directory.join("ca.crt");
                Ok(Found {
                    server: server.parse().map_err(|why| format!("{server} is no address: {why}"))?,
                    server_name: None,
                    authorities: Some((read(&authorities)?, authorities.display().to_string())),
                    credential: Credential::TokenFile(directory.join("token")),
                })
            }
            Self::Kubeconfig(file) => kubeconfig::understood(&read(file)?, file),
        }
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

/// A file that is there and is no kubeconfig; one that is not there may come.
fn malformed(file: &Path) -> Result<(), String> {
    match read(file) {
        Ok(text) => kubeconfig::parsed(&text, file).map(drop),
        Err(_) => Ok(()),
    }
}

impl Found {
    /// The header that says who is asking. What is in it is marked as not to be shown.
    pub(super) fn authorization(&self) -> Result<Option<HeaderValue>, String> {
        match &self.credential {
            Credential::None | Credential::Certificate { .. } => Ok(None),
            Credential::Token(token) => bearer(token.as_bytes()).map(Some),
            Credential::TokenFile(file) => {
                let token = Zeroizing::new(read(file)?);
                bearer(token.trim_ascii()).map_err(|why| format!("{}: {why}", file.display())).map(Some)
            }
        }
    }
}

fn bearer(token: &[u8]) -> Result<HeaderValue, String> {
    if token.is_empty() {
        return Err("the token is empty".to_owned());
    }
    let text = Zeroizing::new([b"Bearer ", token].concat());
    let mut value = HeaderValue::from_bytes(&text).map_err(|_| "the token has characters that no token has".to_owned())?;
    value.set_sensitive(true);
    Ok(value)
}

/// Reads a file that has a size to be expected.
pub(super) fn read(file: &Path) -> Result<Vec<u8>, String> {
    let told = |why: std::io::Error| format!("{} cannot be read: {why}", file.display());
    let metadata = std::fs::metadata(file).map_err(told)?;
    if !metadata.is_file() || metadata.len() > LARGEST_FILE {
        return Err(format!("{} cannot be read: it has to be a regular file below 4 MiB", file.display()));
    }
    std::fs::read(file).map_err(told)
}
