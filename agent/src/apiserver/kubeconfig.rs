//! The part of a kubeconfig that an agent on a node can use: an address, authorities, and a token or a certificate.
//!
//! Plug-ins that log a person in are programs that would run as this agent: they are refused, as is a server whose certificate nobody checks.

use std::path::{Path, PathBuf};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use rustls::pki_types::ServerName;
use serde::Deserialize;
use tokenwatch_core::text::shown;
use zeroize::Zeroizing;

use super::access::{Credential, Found, read};

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) struct Kubeconfig {
    current_context: Option<String>,
    #[serde(default)]
    clusters: Vec<Named<Cluster>>,
    #[serde(default)]
    users: Vec<Named<User>>,
    #[serde(default)]
    contexts: Vec<Named<Context>>,
}

#[derive(Deserialize)]
struct Named<T> {
    name: String,
    #[serde(alias = "cluster", alias = "user", alias = "context")]
    value: T,
}

#[derive(Deserialize)]
struct Context {
    cluster: String,
    user: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
struct Cluster {
    server: String,
    certificate_authority: Option<PathBuf>,
    certificate_authority_data: Option<String>,
    tls_server_name: Option<String>,
    #[serde(default)]
    insecure_skip_tls_verify: bool,
    proxy_url: Option<String>,
}

/// Wiped when it is not needed any more.
struct Secret(Zeroizing<String>);

impl<'de> Deserialize<'de> for Secret {
    fn deserialize<D: serde::Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        String::deserialize(from).map(|text| Self(Zeroizing::new(text)))
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
struct User {
    token: Option<Secret>,
    #[serde(rename = "tokenFile")]
    token_file: Option<PathBuf>,
    client_certificate: Option<PathBuf>,
    client_certificate_data: Option<String>,
    client_key: Option<PathBuf>,
    client_key_data: Option<Secret>,
    exec: Option<serde::de::IgnoredAny>,
    auth_provider: Option<serde::de::IgnoredAny>,
    username: Option<serde::de::IgnoredAny>,
}

/// What in `text` is a kubeconfig with a context that is used. Not a word of the file is repeated but names: it holds secrets.
pub(super) fn parsed(text: &[u8], file: &Path) -> Result<Kubeconfig, String> {
    let place = file.display();
    let text = std::str::from_utf8(text).map_err(|_| format!("{place} is no kubeconfig: it is not text"))?;
    let parsed: Result<Kubeconfig, _> = serde_saphyr::from_str(text);
    let kubeconfig = parsed.map_err(|why| match why.location() {
        Some(at) => format!("{place} is no kubeconfig that can be used: line {} is not as it should be", at.line()),
        None => format!("{place} is no kubeconfig"),
    })?;
    kubeconfig.chosen().map_err(|why| format!("{place}: {why}"))?;
    Ok(kubeconfig)
}

/// The way that it names. Files in it are relative to it.
pub(super) fn understood(text: &[u8], file: &Path) -> Result<Found, String> {
    let kubeconfig = parsed(text, file)?;
    let beside = |path: &PathBuf| file.parent().unwrap_or(Path::new("")).join(path);
    let at = |why: String| format!("{}: {why}", file.display());
    let (cluster, user) = kubeconfig.chosen().map_err(at)?;
    Ok(Found {
        server: cluster.server.parse().map_err(|why| at(format!("server {} is no address: {why}", shown(&cluster.server))))?,
        server_name: cluster.name().map_err(at)?,
        authorities: cluster.authorities(beside, file).map_err(at)?,
        credential: user.credential(beside).map_err(at)?,
    })
}

fn named<'a, T>(all: &'a [Named<T>], name: &str, what: &str) -> Result<&'a T, String> {
    let found = all.iter().find(|one| one.name == name).map(|one| &one.value);
    found.ok_or_else(|| format!("it has no {what} called \"{}\"", shown(name)))
}

impl Kubeconfig {
    fn chosen(&self) -> Result<(&Cluster, &User), String> {
        let current = self.current_context.as_deref().filter(|name| !name.is_empty()).ok_or("current-context names none")?;
        let context = named(&self.contexts, current, "context")?;
        let (cluster, user) = (named(&self.clusters, &context.cluster, "cluster")?, named(&self.users, &context.user, "user")?);
        cluster.refused().or(user.refused()).map_or(Ok((cluster, user)), |why| Err(why.to_owned()))
    }
}

impl Cluster {
    fn refused(&self) -> Option<&'static str> {
        if self.insecure_skip_tls_verify {
            return Some("insecure-skip-tls-verify would send the token to whoever answers: give certificate-authority instead");
        }
        self.proxy_url.as_ref().map(|_| "proxy-url is not supported: reach the API server directly")
    }

    fn name(&self) -> Result<Option<ServerName<'static>>, String> {
        let name = self.tls_server_name.clone().map(ServerName::try_from).transpose();
        name.map_err(|why| format!("tls-server-name is no name: {why}"))
    }

    fn authorities(&self, beside: impl Fn(&PathBuf) -> PathBuf, file: &Path) -> Result<Option<(Vec<u8>, String)>, String> {
        if let Some(data) = &self.certificate_authority_data {
            return Ok(Some((decoded(data, "certificate-authority-data")?, file.display().to_string())));
        }
        let path = self.certificate_authority.as_ref().map(beside);
        path.map(|path| Ok((read(&path)?, path.display().to_string()))).transpose()
    }
}

impl User {
    fn refused(&self) -> Option<&'static str> {
        let logs_in = self.exec.is_some() || self.auth_provider.is_some() || self.username.is_some();
        logs_in.then_some("exec, auth-provider and passwords are for people: give the agent a token, a tokenFile or a client certificate")
    }

    fn credential(&self, beside: impl Fn(&PathBuf) -> PathBuf) -> Result<Credential, String> {
        if let Some(token) = &self.token {
            return Ok(Credential::Token(token.0.clone()));
        }
        if let Some(file) = &self.token_file {
            return Ok(Credential::TokenFile(beside(file)));
        }
        let chain = part(self.client_certificate_data.as_deref(), self.client_certificate.as_ref().map(&beside), "client-certificate")?;
        let key = part(self.client_key_data.as_ref().map(|data| data.0.as_str()), self.client_key.as_ref().map(&beside), "client-key")?;
        match (chain, key.map(Zeroizing::new)) {
            (Some(chain), Some(key)) => Ok(Credential::Certificate { chain, key }),
            (None, None) => Ok(Credential::None),
            _ => Err("client-certificate and client-key go together".to_owned()),
        }
    }
}

fn part(data: Option<&str>, file: Option<PathBuf>, name: &str) -> Result<Option<Vec<u8>>, String> {
    match data {
        Some(data) => decoded(data, &format!("{name}-data")).map(Some),
        None => file.map(|file| read(&file)).transpose(),
    }
}

fn decoded(data: &str, name: &str) -> Result<Vec<u8>, String> {
    STANDARD.decode(data.trim()).map_err(|_| format!("{name} is not in base64"))
}
