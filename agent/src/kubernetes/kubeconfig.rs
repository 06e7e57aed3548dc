//! Kubeconfig files: read, and refused where the agent cannot or will not use them.

use std::path::Path;

use http::HeaderValue;
use http::header::AUTHORIZATION;
use kube::Config;
use kube::config::{AuthInfo, Cluster, Context, KubeConfigOptions, Kubeconfig};
use secrecy::ExposeSecret;
use tokenwatch_core::base::text::shown;
use tokio::runtime::Handle;
use zeroize::Zeroizing;

use super::credentials::{self, NotAToken};
use super::{ConfigError, server_url};
use crate::regular_file;

/// The client's configuration from the current context of a kubeconfig. Blocks.
pub(super) fn config(file: &Path) -> Result<Config, ConfigError> {
    let mut kubeconfig = read(file)?;
    named_files(&kubeconfig).into_iter().try_for_each(readable)?;
    let clusters = kubeconfig.clusters.iter_mut().filter_map(|named| named.cluster.as_mut());
    clusters.for_each(|cluster| cluster.proxy_url = Some(NO_PROXY.to_owned()));
    // Async by its signature: it reads files, and waits for nothing else.
    let options = KubeConfigOptions::default();
    let config = Config::from_custom_kubeconfig(kubeconfig, &options);
    let config = Handle::current().block_on(config);
    let mut config = config.map_err(|_| ConfigError::NotKubeconfig(file.to_owned()))?;
    config.proxy_url = None;
    let token = take_token(&mut config.auth_info, file)?;
    config.headers.extend(token.map(|token| (AUTHORIZATION, token)));
    Ok(config)
}

/// The header with the token of a user: the one in the kubeconfig, or else the one in the file that
/// it names.
fn take_token(user: &mut AuthInfo, file: &Path) -> Result<Option<HeaderValue>, ConfigError> {
    let (token, token_file) = (user.token.take(), user.token_file.take());
    let unsuitable =
        |why| ConfigError::Unsuitable { path: file.to_owned(), reason: unusable_token(why) };
    match token.as_ref().map(ExposeSecret::expose_secret).filter(|token| !token.is_empty()) {
        Some(token) => credentials::bearer(token).map(Some).map_err(unsuitable),
        None => token_file.map(|file| credentials::token_in(Path::new(&file))).transpose(),
    }
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

/// Reads a file and checks its current context. Not with kube's own function: that panics at UTF-16
/// that is cut within a character, and reads a file of any size.
pub(super) fn read(file: &Path) -> Result<Kubeconfig, ConfigError> {
    let bytes = credentials::bytes(file).map_err(|error| ConfigError::unreadable(file, &error))?;
    let parsed = text(&bytes).and_then(|text| Kubeconfig::from_yaml(&text).ok());
    let mut kubeconfig = parsed.ok_or_else(|| ConfigError::NotKubeconfig(file.to_owned()))?;
    resolve(&mut kubeconfig, file);
    match check(&kubeconfig) {
        Ok(()) => Ok(kubeconfig),
        Err(reason) => Err(ConfigError::Unsuitable { path: file.to_owned(), reason }),
    }
}

/// UTF-8 with or without a mark, or UTF-16 as PowerShell writes it; none if it is neither.
fn text(bytes: &[u8]) -> Option<Zeroizing<String>> {
    let text = match bytes {
        [0xff, 0xfe, rest @ ..] => wide(u16::from_le_bytes, rest)?,
        [0xfe, 0xff, rest @ ..] => wide(u16::from_be_bytes, rest)?,
        [0xef, 0xbb, 0xbf, rest @ ..] | rest => str::from_utf8(rest).ok()?.to_owned(),
    };
    Some(Zeroizing::new(text))
}

fn wide(from: fn([u8; 2]) -> u16, bytes: &[u8]) -> Option<String> {
    let (pairs, rest) = bytes.as_chunks::<2>();
    let units = pairs.iter().map(|pair| from(*pair));
    char::decode_utf16(units).collect::<Result<String, _>>().ok().filter(|_| rest.is_empty())
}

/// A relative path is one from the folder of the kubeconfig, as for kubectl.
fn resolve(kubeconfig: &mut Kubeconfig, file: &Path) {
    let clusters = kubeconfig.clusters.iter_mut().filter_map(|named| named.cluster.as_mut());
    let authorities = clusters.map(|cluster| &mut cluster.certificate_authority);
    let users = kubeconfig.auth_infos.iter_mut().filter_map(|named| named.auth_info.as_mut());
    let of_users = users.flat_map(|user| {
        [&mut user.client_certificate, &mut user.client_key, &mut user.token_file]
    });
    for path in authorities.chain(of_users).flatten() {
        let folder = file.parent().unwrap_or(Path::new(""));
        if let Some(absolute) = folder.join(&*path).to_str() {
            absolute.clone_into(path);
        }
    }
}

/// Every name must refer to an entry, and user and cluster must be suitable for an agent.
fn check(kubeconfig: &Kubeconfig) -> Result<(), String> {
    let context = context(kubeconfig)?;
    let cluster = cluster(kubeconfig, &context.cluster)?;
    let user = user(kubeconfig, context.user.as_deref().unwrap_or_default())?;
    let server = cluster.server.as_deref().ok_or("it has no server")?;
    server_url::parsed(server).map_err(|reason| format!("its server cannot be used: {reason}"))?;
    if let Some(reason) = unsuitable(cluster, user) {
        return Err(reason.to_owned());
    }
    let token = user.token.as_ref().map(ExposeSecret::expose_secret);
    let header = token.filter(|token| !token.is_empty()).map(credentials::bearer);
    header.transpose().map(drop).map_err(unusable_token)
}

fn unusable_token(why: NotAToken) -> String {
    format!("its token cannot be used: {why}")
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

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "current-context: c\nclusters: [{name: o, cluster: {server: 'https://a', \
                        certificate-authority: ca.crt}}]\ncontexts: [{name: c, context: {cluster: \
                        o, user: u}}]\nusers: [{name: u, user: {tokenFile: /run/token, client-key: \
                        keys/k}}]\n";

    fn read_from(bytes: &[u8]) -> (tempfile::TempDir, Result<Kubeconfig, ConfigError>) {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("config");
        std::fs::write(&file, bytes).unwrap();
        (folder, read(&file))
    }

    fn utf_16(text: &str) -> Vec<u8> {
        "\u{feff}".encode_utf16().chain(text.encode_utf16()).flat_map(u16::to_le_bytes).collect()
    }

    #[test]
    fn a_relative_path_is_one_from_the_folder_of_the_kubeconfig() {
        let (folder, read) = read_from(TEXT.as_bytes());
        let kubeconfig = read.unwrap();
        let authority = kubeconfig.clusters[0].cluster.as_ref().unwrap();
        let user = kubeconfig.auth_infos[0].auth_info.as_ref().unwrap();
        let below = |name: &str| Some(folder.path().join(name).display().to_string());
        assert_eq!(authority.certificate_authority, below("ca.crt"));
        assert_eq!(user.client_key, below("keys/k"));
        assert_eq!(user.token_file.as_deref(), Some("/run/token"));
    }

    #[test]
    fn every_encoding_is_read_or_refused() {
        let big_endian: Vec<u8> =
            utf_16(TEXT).as_chunks::<2>().0.iter().flat_map(|[a, b]| [*b, *a]).collect();
        let marked = format!("\u{feff}{TEXT}").into_bytes();
        for bytes in [utf_16(TEXT), big_endian, marked] {
            assert!(read_from(&bytes).1.is_ok(), "{bytes:?}");
        }
        let mut cut_off = utf_16(TEXT);
        cut_off.pop();
        let table = [cut_off, b"\xff\xfe\x00".to_vec(), b"\xff".to_vec(), b"a: \xff".to_vec()];
        for bytes in table {
            let refused = read_from(&bytes).1;
            assert!(matches!(refused, Err(ConfigError::NotKubeconfig(_))), "{bytes:?}");
        }
        let large = read_from(&vec![b' '; (1 << 20) + 1]).1;
        assert!(matches!(large, Err(ConfigError::Unreadable { .. })), "{large:?}");
    }
}
