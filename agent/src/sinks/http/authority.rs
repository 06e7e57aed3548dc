//! The names under which the server answers: protection against DNS rebinding.
//!
//! A foreign web page can make its own host name point at 127.0.0.1. To a browser both are then one
//! origin, and the page could read what the agent serves. The browser still sends the name in
//! `Host`. So the server accepts only names that nobody can register: IP addresses, `localhost`,
//! names without a dot, and names that clusters and local networks assign themselves.

/// Top-level domains that nobody can register: RFC 6762 and 6761, ICANN's `internal`, and the
/// cluster's own short form.
const PRIVATE: [&str; 4] = [".local", ".localhost", ".internal", ".svc"];

/// Whether the agent answers under this authority (`Host`, or the authority of the request line).
pub(super) fn is_own(authority: &str) -> bool {
    let name = without_port(authority).trim_end_matches('.').to_ascii_lowercase();
    let is_address = name.parse::<std::net::Ipv4Addr>().is_ok() || name.starts_with('[');
    is_address
        || (is_name(&name)
            && (!name.contains('.') || PRIVATE.iter().any(|end| name.ends_with(end))))
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
    fn names_that_anybody_can_register_are_refused() {
        for own in [
            "127.0.0.1:9723",
            "10.0.0.7",
            "[::1]:9723",
            "[fe80::1]",
            "localhost:9723",
            "LOCALHOST",
            "node-a",
            "tokenwatch.monitoring.svc:9723",
            "tokenwatch.monitoring.svc.cluster.local",
            "ip-10-0-0-7.eu-west-1.compute.internal:9723",
        ] {
            assert!(is_own(own), "{own}");
        }
        for foreign in [
            "example.com",
            "rebind.example.com:9723",
            "127.0.0.1.example.com",
            "localhost.example.com:1",
            "",
            ":9723",
            "a@b",
        ] {
            assert!(!is_own(foreign), "{foreign}");
        }
    }
}
