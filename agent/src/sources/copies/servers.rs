//! Whose API server a kubeconfig names.

use std::net::IpAddr;

use tokenwatch_core::world::copies::CopyServer;

/// The names that DNS has for the API server in each cluster.
const IN_CLUSTER: [&str; 3] = ["kubernetes", "kubernetes.default", "kubernetes.default.svc"];

/// Where a URL leads: host and port.
type End = (String, u16);

/// The API servers of this node's cluster: those that the agent asks, and that pods use.
#[derive(Clone, Debug, Default)]
pub(super) struct Servers(Vec<End>);

impl Servers {
    /// Those at these URLs.
    pub(super) fn at(urls: &[String]) -> Self {
        Self(urls.iter().filter_map(|url| end(url)).collect())
    }

    /// Whose the server at this URL is. Nothing where no address can be compared: that of a proxy
    /// on the node tells nothing.
    pub(super) fn owner(&self, url: &str) -> Option<CopyServer> {
        let named = end(url)?;
        let is_in_cluster = IN_CLUSTER.contains(&named.0.as_str())
            || named.0.starts_with("kubernetes.default.svc.");
        if is_in_cluster || self.0.contains(&named) {
            return Some(CopyServer::Own);
        }
        (!self.0.is_empty() && !is_loopback(&named.0)).then_some(CopyServer::Other)
    }
}

fn is_loopback(host: &str) -> bool {
    host == "localhost" || host.parse().is_ok_and(|ip: IpAddr| ip.is_loopback())
}

fn end(url: &str) -> Option<End> {
    let (rest, default) = match url.trim().split_once("://") {
        Some(("https", rest)) => (rest, 443),
        Some(("http", rest)) => (rest, 80),
        None => (url.trim(), 443),
        Some(_) => return None,
    };
    let (host, port) = parts(rest.split(['/', '?', '#']).next()?)?;
    let port = port.map_or(Some(default), |port| port.parse().ok())?;
    let host = host.trim_end_matches('.').to_ascii_lowercase();
    let host = host.parse().map_or(host, |ip: IpAddr| ip.to_canonical().to_string());
    (!host.is_empty()).then_some((host, port))
}

/// Host and port. Some plugins put an IPv4 address into brackets, too.
fn parts(authority: &str) -> Option<(&str, Option<&str>)> {
    if let Some(bracketed) = authority.strip_prefix('[') {
        let (host, port) = bracketed.split_once(']')?;
        return Some((host, port.strip_prefix(':')));
    }
    let named = authority.split_once(':').map(|(host, port)| (host, Some(port)));
    Some(named.unwrap_or((authority, None)))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn only_an_address_that_can_be_compared_is_of_another_cluster() {
        use CopyServer::{Other, Own};
        let own = Servers::at(&["https://10.96.0.1:443".into(), "https://API.example:6443".into()]);
        let table = [
            ("https://10.96.0.1:443", Some(Own)),
            ("https://10.96.0.1", Some(Own)),
            ("https://[10.96.0.1]:443", Some(Own)), // Multus
            ("https://[::ffff:10.96.0.1]:443/", Some(Own)),
            ("https://api.example.:6443/", Some(Own)),
            ("https://kubernetes.default.svc", Some(Own)),
            ("https://kubernetes.default.svc.cluster.local:443", Some(Own)),
            ("https://kubernetes.default.service.example", Some(Other)),
            ("https://10.96.0.1:6443", Some(Other)),
            ("https://10.97.0.1", Some(Other)),
            ("http://10.96.0.1", Some(Other)), // another port
            ("https://other.example:6443", Some(Other)),
            ("https://[fd00::1]:6443", Some(Other)),
            ("https://127.0.0.1:6443", None),
            ("https://localhost:7445", None),
            ("https://[::1]:6443", None),
            ("https://10.96.0.1:port", None),
            ("https://[10.96.0.1", None),
            ("unix:///run/api.sock", None),
            ("", None),
        ];
        for (url, expected) in table {
            assert_eq!(own.owner(url), expected, "{url}");
        }
        let none = Servers::default();
        assert_eq!(none.owner("https://10.96.0.1"), None, "nothing to compare with");
        assert_eq!(none.owner("https://kubernetes.default.svc"), Some(Own));
    }

    proptest! {
        #[test]
        fn any_text_is_taken(url in "\\PC{0,60}|https?://[\\[\\]a-z0-9.:@/-]{0,40}") {
            let _ = Servers::at(std::slice::from_ref(&url)).owner(&url);
        }
    }
}
