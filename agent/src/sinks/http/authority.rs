//! The names under which the server answers: protection against DNS rebinding.
//!
//! A foreign web page can make its own host name point at 127.0.0.1. To a browser both are then one
//! origin, and the page could read what the agent serves. The browser still sends the name in
//! `Host`. So the server accepts IP addresses, `localhost`, names below top-level domains that
//! nobody can register, and those that the settings name. Not `.local`: whoever is on the same
//! network can claim such a name (RFC 6762). Nor a name without a dot: a search domain completes
//! it.

/// Top-level domains that nobody can register: RFC 6761, ICANN's `internal`, and the cluster's own
/// short form.
const PRIVATE: [&str; 3] = [".localhost", ".internal", ".svc"];

/// Whether the agent answers under this authority (`Host`, or the authority of the request line).
/// `names` are those of the settings.
pub(super) fn is_own(authority: &str, names: &[String]) -> bool {
    let name = without_port(authority).trim_end_matches('.').to_ascii_lowercase();
    let is_address = name.parse::<std::net::Ipv4Addr>().is_ok() || name.starts_with('[');
    is_address || is_name(&name) && (is_private(&name) || is_named(&name, names))
}

fn is_private(name: &str) -> bool {
    name == "localhost" || PRIVATE.iter().any(|end| name.ends_with(end))
}

fn is_named(name: &str, names: &[String]) -> bool {
    names.iter().any(|own| own.trim_end_matches('.').eq_ignore_ascii_case(name))
}

fn without_port(authority: &str) -> &str {
    match authority.rsplit_once(':') {
        Some((name, port)) if !port.ends_with(']') => name,
        _ => authority,
    }
}

fn is_name(name: &str) -> bool {
    !name.is_empty()
        && name.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_somebody_else_can_have_are_refused() {
        let names = ["Node-A.lan.".to_owned(), "printer.local".to_owned()];
        for own in [
            "127.0.0.1:9723",
            "10.0.0.7",
            "[::1]:9723",
            "[fe80::1]",
            "localhost:9723",
            "LOCALHOST",
            "tokenwatch.monitoring.svc:9723",
            "node-a.lan:9723",
            "Printer.local",
            "ip-10-0-0-7.eu-west-1.compute.internal:9723",
        ] {
            assert!(is_own(own, &names), "{own}");
        }
        for foreign in [
            "example.com",
            "node-a",
            "tokenwatch",
            "other.local",
            "x.printer.local",
            "local",
            "tokenwatch.monitoring.svc.cluster.local",
            "rebind.example.com:9723",
            "127.0.0.1.example.com",
            "localhost.example.com:1",
            "",
            ":9723",
            "a@b",
        ] {
            assert!(!is_own(foreign, &names), "{foreign}");
        }
    }
}
