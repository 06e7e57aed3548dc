//! By which name the agent lets itself be called.
//!
//! A page from elsewhere can point its own host name at 127.0.0.1 (DNS rebinding) and would then be
//! allowed by a browser to read what is served there: to the browser it is one origin. The browser
//! still says the name in `Host`. So only names that nobody can buy are answered: addresses,
//! `localhost`, names without a dot, and names that clusters and local networks give out by
//! themselves.

/// Top-level domains that no registrar sells: RFC 6762 and 6761, ICANN's `internal`, and the
/// cluster's own short form.
const PRIVATE: [&str; 4] = [".local", ".localhost", ".internal", ".svc"];

/// Whether a request for this authority (`Host`, or what stands in the request line) is meant for
/// the agent.
pub(super) fn is_ours(authority: &str) -> bool {
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
    fn names_that_somebody_could_point_here_are_not_answered() {
        for ours in [
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
            assert!(is_ours(ours), "{ours}");
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
            assert!(!is_ours(foreign), "{foreign}");
        }
    }
}
