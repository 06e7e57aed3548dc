//! The proxy that the environment names: `HTTPS_PROXY`, `HTTP_PROXY`, `ALL_PROXY` and `NO_PROXY`,
//! in upper or lower case; the upper case wins, as in Go's programs.
//!
//! There is no standard. The rules are those that curl and Go's libraries share: the scheme of the
//! URL selects the variable, `NO_PROXY` lists hosts, domains, addresses and networks, and a
//! loopback address needs no proxy.

use std::fmt;
use std::net::IpAddr;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use http::uri::Scheme;
use http::{HeaderValue, Uri};

use super::percent;
use crate::environment::Environment;

/// How the agent gets to a URL.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Route {
    /// Directly: no variable names a proxy for it.
    #[default]
    Direct,
    /// Directly, although a variable names a proxy.
    Excepted(Exception),
    /// Through a proxy.
    Through(Proxy),
    /// Directly, because the agent cannot use the proxy.
    Unusable(Unusable),
}

/// A URL that needs no proxy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Exception {
    variable: &'static str,
    by: Excepting,
    host: String,
}

/// What excepts a host from the proxy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Excepting {
    /// `NO_PROXY` or `no_proxy`.
    Variable(&'static str),
    /// It is this machine.
    Loopback,
}

/// A proxy, and the variable that names it.
#[derive(Clone, PartialEq, Eq)]
pub struct Proxy {
    /// Its URL, without user and password.
    pub url: Uri,
    /// The header `Proxy-Authorization`.
    pub authorization: Option<HeaderValue>,
    variable: &'static str,
}

/// Why a proxy cannot be used. The value of the variable may hold a password: it is not shown.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unusable {
    variable: &'static str,
    why: String,
}

const HTTP: [&str; 4] = ["HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"];
const HTTPS: [&str; 4] = ["HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy"];
const EXCEPT: [&str; 2] = ["NO_PROXY", "no_proxy"];

/// The way to `to`.
pub fn route(environment: &Environment, to: &Uri) -> Route {
    let names = if to.scheme() == Some(&Scheme::HTTPS) { HTTPS } else { HTTP };
    let Some((variable, text)) = first(environment, &names) else { return Route::Direct };
    let host = to.host().unwrap_or_default().trim_matches(['[', ']']).to_ascii_lowercase();
    if let Some(by) = exception(environment, &host, port(to)) {
        return Route::Excepted(Exception { variable, by, host });
    }
    match proxy(variable, text) {
        Ok(proxy) => Route::Through(proxy),
        Err(why) => Route::Unusable(Unusable { variable, why }),
    }
}

fn first<'a>(
    environment: &'a Environment,
    names: &[&'static str],
) -> Option<(&'static str, &'a str)> {
    let set = |name: &&'static str| Some((*name, environment.get(name)?.trim()));
    names.iter().filter_map(set).find(|(_, text)| !text.is_empty())
}

fn port(to: &Uri) -> u16 {
    to.port_u16().unwrap_or(if to.scheme() == Some(&Scheme::HTTPS) { 443 } else { 80 })
}

fn exception(environment: &Environment, host: &str, port: u16) -> Option<Excepting> {
    if is_loopback(host) {
        return Some(Excepting::Loopback);
    }
    let (name, list) = first(environment, &EXCEPT)?;
    let mut entries = list.split([',', ' ', '\t']).map(str::trim).filter(|entry| !entry.is_empty());
    let is_covered = entries.any(|entry| covers(&entry.to_ascii_lowercase(), host, port));
    is_covered.then_some(Excepting::Variable(name))
}

fn is_loopback(host: &str) -> bool {
    host == "localhost" || host.parse().is_ok_and(|address: IpAddr| address.is_loopback())
}

/// Whether an entry of `NO_PROXY` covers a host: `*`, an address, a network, or a domain with all
/// that is below it. A port limits the entry to that port.
fn covers(entry: &str, host: &str, port: u16) -> bool {
    let (entry, only) = without_port(entry);
    if only.is_some_and(|only| only != port) {
        return false;
    }
    if let Ok(address) = host.parse::<IpAddr>() {
        return entry == "*" || is_within(address, entry.trim_matches(['[', ']']));
    }
    let domain = entry.trim_start_matches("*.").trim_start_matches('.').trim_end_matches('.');
    let host = host.trim_end_matches('.');
    let below = || host.strip_suffix(domain).is_some_and(|rest| rest.ends_with('.'));
    entry == "*" || (!domain.is_empty() && (host == domain || below()))
}

/// An IPv6 address has colons of its own.
fn without_port(entry: &str) -> (&str, Option<u16>) {
    let is_bare_v6 = entry.matches(':').count() > 1 && !entry.starts_with('[');
    match entry.rsplit_once(':') {
        Some((host, port)) if !is_bare_v6 && !port.contains(']') => match port.parse() {
            Ok(port) => (host, Some(port)),
            Err(_) => (entry, None),
        },
        Some(_) | None => (entry, None),
    }
}

/// An address, or a network as `10.0.0.0/8`.
fn is_within(address: IpAddr, entry: &str) -> bool {
    let (network, length) = match entry.split_once('/') {
        Some((network, length)) => (network, length.parse::<u32>().ok()),
        None => (entry, Some(128)),
    };
    let (Ok(network), Some(length)) = (network.parse::<IpAddr>(), length) else { return false };
    match (bits(address), bits(network)) {
        ((a, width), (b, other)) if width == other => {
            let host_bits = width.saturating_sub(length);
            host_bits >= width || a >> host_bits == b >> host_bits
        }
        _ => false,
    }
}

/// Its bits, and how many they are.
fn bits(address: IpAddr) -> (u128, u32) {
    match address {
        IpAddr::V4(address) => (u128::from(address.to_bits()), 32),
        IpAddr::V6(address) => (address.to_bits(), 128),
    }
}

/// A proxy from the value of a variable. Without a scheme it is HTTP.
fn proxy(variable: &'static str, text: &str) -> Result<Proxy, String> {
    let text = if text.contains("://") { text.to_owned() } else { format!("http://{text}") };
    let uri: Uri = text.parse().map_err(|_| "its value is not a URL".to_owned())?;
    match uri.scheme_str() {
        Some("http") => {}
        Some(scheme) => return Err(format!("it speaks {scheme}, and the agent only http://")),
        None => return Err("its value has no scheme".to_owned()),
    }
    let authority = uri.authority().ok_or("its value names no host")?.as_str();
    let (login, host) =
        authority.rsplit_once('@').map_or((None, authority), |(login, host)| (Some(login), host));
    let url =
        format!("http://{host}/").parse().map_err(|_| "its value names no host".to_owned())?;
    let authorization = login.map(basic).transpose()?;
    Ok(Proxy { url, authorization, variable })
}

/// `Basic …` of `user:password`, percent-decoded.
fn basic(login: &str) -> Result<HeaderValue, String> {
    let (user, password) = login.split_once(':').unwrap_or((login, ""));
    let decoded = [user, password].map(percent::decoded);
    let [Some(user), Some(password)] = decoded else {
        return Err("user or password is not valid percent-encoding".to_owned());
    };
    let text = format!("Basic {}", BASE64_STANDARD.encode(format!("{user}:{password}")));
    let mut value = HeaderValue::from_str(&text).map_err(|_| "user or password is no text")?;
    value.set_sensitive(true);
    Ok(value)
}

impl Route {
    /// The proxy, if there is one to use.
    pub fn proxy(&self) -> Option<&Proxy> {
        match self {
            Self::Through(proxy) => Some(proxy),
            Self::Direct | Self::Excepted(_) | Self::Unusable(_) => None,
        }
    }
}

impl fmt::Display for Exception {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { variable, host, .. } = self;
        match self.by {
            Excepting::Variable(by) => {
                write!(f, "{by} excepts {host} from the proxy of {variable}")
            }
            Excepting::Loopback => {
                write!(f, "{host} is this machine: the proxy of {variable} is not for it")
            }
        }
    }
}

/// `the proxy http://proxy:3128 (HTTPS_PROXY)`
impl fmt::Display for Proxy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let url = self.url.to_string();
        write!(f, "the proxy {} ({})", url.trim_end_matches('/'), self.variable)
    }
}

impl fmt::Display for Unusable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the agent cannot use the proxy of {}: {}", self.variable, self.why)
    }
}

/// By hand, because of the password.
impl fmt::Debug for Proxy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
#[path = "proxy_tests.rs"]
mod tests;
