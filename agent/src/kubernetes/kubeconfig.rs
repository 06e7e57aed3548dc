//! Kubeconfig files: read, and refused where the agent cannot or will not use them.

use std::path::Path;

use kube::Config;
use kube::config::{AuthInfo, Cluster, Context, KubeConfigOptions, Kubeconfig};
use tokenwatch_core::base::text::shown;

use super::ConfigError;
use crate::regular_file;

/// The client's configuration from the current context of a kubeconfig.
pub(super) async fn config(file: &Path) -> Result<Config, ConfigError> {
    let mut kubeconfig = read(file)?;
    named_files(&kubeconfig).into_iter().try_for_each(readable)?;
    let clusters = kubeconfig.clusters.iter_mut().filter_map(|named| named.cluster.as_mut());
    clusters.for_each(|cluster| cluster.proxy_url = Some(NO_PROXY.to_owned()));
    let config = Config::from_custom_kubeconfig(kubeconfig, &KubeConfigOptions::default()).await;
    let mut config = config.map_err(|_| ConfigError::NotKubeconfig(file.to_owned()))?;
    config.proxy_url = None;
    Ok(config)
}

/// Fails where a file cannot be read, or might block: the library opens it by its path.
fn readable(file: &Path) -> Result<(), ConfigError> {
    regular_file::check(file).map_err(|error| ConfigError::unreadable(file, &error))
}

/// The files that the entries of the current context name.
fn named_files(kubeconfig: &Kubeconfig) -> Vec<&Path> {
    let Ok(context) = context(kubeconfig) else { return Vec::new() };
    let cluster = cluster(kubeconfig, &context.cluster).ok();
    let user = user(kubeconfig, context.user.as_deref().unwrap_or_default()).ok();
    let of_user = user.map(|user| [&user.token_file, &user.client_certificate, &user.client_key]);
    let of_user = of_user.into_iter().flatten().flatten();
    let authority = cluster.and_then(|cluster| cluster.certificate_authority.as_ref());
    authority.into_iter().chain(of_user).map(Path::new).collect()
}

/// Without a `proxy-url`, kube would take one from the environment. This one is removed again.
const NO_PROXY: &str = "http://unused";

/// The URL of the server of a kubeconfig's current context.
pub(super) fn server(file: &Path) -> Option<String> {
    let kubeconfig = read(file).ok()?;
    let cluster = &context(&kubeconfig).ok()?.cluster;
    self::cluster(&kubeconfig, cluster).ok()?.server.clone()
}

/// Reads a file and checks its current context.
pub(super) fn read(file: &Path) -> Result<Kubeconfig, ConfigError> {
    readable(file)?;
    let kubeconfig =
        Kubeconfig::read_from(file).map_err(|_| ConfigError::NotKubeconfig(file.to_owned()))?;
    match check(&kubeconfig) {
        Ok(()) => Ok(kubeconfig),
        Err(reason) => Err(ConfigError::Unsuitable { path: file.to_owned(), reason }),
    }
}

/// Every name must refer to an entry, and user and cluster must be suitable for an agent.
fn check(kubeconfig: &Kubeconfig) -> Result<(), String> {
    let context = context(kubeconfig)?;
    let cluster = cluster(kubeconfig, &context.cluster)?;
    let user = user(kubeconfig, context.user.as_deref().unwrap_or_default())?;
    match unsuitable(cluster, user) {
        Some(reason) => Err(reason.to_owned()),
        None => Ok(()),
    }
}

fn context(kubeconfig: &Kubeconfig) -> Result<&Context, String> {
    let name = kubeconfig.current_context.as_deref().filter(|name| !name.is_empty());
    let name = name.ok_or("current-context is empty")?;
    let named = kubeconfig.contexts.iter().find(|context| context.name == name);
    named.and_then(|named| named.context.as_ref()).ok_or_else(|| missing("context", name))
}

fn cluster<'a>(kubeconfig: &'a Kubeconfig, name: &str) -> Result<&'a Cluster, String> {
    let named = kubeconfig.clusters.iter().find(|cluster| cluster.name == name);
    named.and_then(|named| named.cluster.as_ref()).ok_or_else(|| missing("cluster", name))
}

fn user<'a>(kubeconfig: &'a Kubeconfig, name: &str) -> Result<&'a AuthInfo, String> {
    let named = kubeconfig.auth_infos.iter().find(|info| info.name == name);
    named.and_then(|named| named.auth_info.as_ref()).ok_or_else(|| missing("user", name))
}

fn missing(what: &str, name: &str) -> String {
    format!("it has no {what} named \"{}\"", shown(name))
}

const LOGIN: &str = "login plug-ins and passwords are not supported; use token, tokenFile or \
                     client-certificate";
const UNVERIFIED: &str = "insecure-skip-tls-verify would send the credentials to an unverified \
                          server; use certificate-authority";

/// A login plug-in is a program that would run with the agent's privileges, and a server whose
/// certificate is not verified may be anybody's.
fn unsuitable(cluster: &Cluster, user: &AuthInfo) -> Option<&'static str> {
    let is_login = user.exec.is_some() || user.auth_provider.is_some() || user.username.is_some();
    if is_login {
        return Some(LOGIN);
    }
    if cluster.insecure_skip_tls_verify == Some(true) {
        return Some(UNVERIFIED);
    }
    cluster.proxy_url.is_some().then_some("proxy-url is not supported")
}
