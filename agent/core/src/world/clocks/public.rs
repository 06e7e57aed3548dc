//! Time servers that their operators offer to everyone: pools of volunteers, and the servers of
//! vendors and metrology institutes.

use super::server::ServerName;

/// Domains that hold public servers only. Every vendor's zone of the NTP pool is in the first:
/// `2.debian.pool.ntp.org`, `0.nixos.pool.ntp.org`.
const DOMAINS: [&str; 9] = [
    "pool.ntp.org",
    "ntppool.org",
    "ntp.ubuntu.com",
    "ntp.se",
    "ntp.br",
    "time.nl",
    "netnod.se",
    "usno.navy.mil",
    "ntsc.ac.cn",
];
/// Start of the first label, and the domain: `time2.google.com`, `time-a-g.nist.gov`.
const HOSTS: [(&str, &str); 21] = [
    ("ntp", "ubuntu.com"),
    ("time", "google.com"),
    ("time", "android.com"),
    ("time", "windows.com"),
    ("time", "microsoft.com"),
    ("time", "cloudflare.com"),
    ("time", "apple.com"),
    ("time", "facebook.com"),
    ("time", "fb.com"),
    ("time", "aws.com"),
    ("time", "nist.gov"),
    ("ntp", "nist.gov"),
    ("utcnist", "colorado.edu"),
    ("ptbtime", "ptb.de"),
    ("ntp", "nict.jp"),
    ("ntp", "aliyun.com"),
    ("time", "aliyun.com"),
    ("ntp", "tencent.com"),
    ("time", "cloud.tencent.com"),
    ("clock", "redhat.com"),
    ("clock", "isc.org"),
];
/// Addresses that the operators publish for those who cannot resolve names: of Google, Cloudflare
/// and NIST.
const ADDRESSES: [&str; 7] = [
    "216.239.35.",
    "2001:4860:4806:",
    "162.159.200.",
    "2606:4700:f1::",
    "129.6.15.",
    "132.163.96.",
    "132.163.97.",
];

impl ServerName {
    /// Whether the server is offered to everyone. Nobody chose it for this node's network, and its
    /// operators expect one polite client per host.
    pub fn is_public(&self) -> bool {
        let name = self.host.trim_end_matches('.').to_ascii_lowercase();
        DOMAINS.iter().any(|domain| is_in(&name, domain))
            || HOSTS.iter().any(|(start, domain)| name.starts_with(start) && is_in(&name, domain))
            || ADDRESSES.iter().any(|start| name.starts_with(start))
    }
}

/// Whether `name` is `domain` or below it.
fn is_in(name: &str, domain: &str) -> bool {
    name.strip_suffix(domain).is_some_and(|rest| rest.is_empty() || rest.ends_with('.'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pools_and_vendors_are_public_and_look_alikes_are_not() {
        let table = [
            ("pool.ntp.org", true),
            ("2.Debian.Pool.NTP.org.", true),
            ("0.nixos.pool.ntp.org", true),
            ("2.rhel.pool.ntp.org:123", true),
            ("ntp.ubuntu.com", true),
            ("1.ntp.ubuntu.com", true),
            ("ntp-bootstrap.ubuntu.com", true),
            ("time.windows.com", true),
            ("time.google.com", true),
            ("time4.google.com", true),
            ("time.cloudflare.com", true),
            ("time.euro.apple.com", true),
            ("time5.facebook.com", true),
            ("time.aws.com", true),
            ("time-a-g.nist.gov", true),
            ("216.239.35.12", true),
            ("2606:4700:f1::1", true),
            ("pool.ntp.org.example", false),
            ("notpool.ntp.org", false),
            ("xpool.ntp.org", false),
            ("ntp.example", false),
            ("time.corp.example", false),
            ("intranet.google.com", false),
            ("metadata.google.internal", false),
            ("169.254.169.123", false),
            ("ntp.cloud.aliyuncs.com", false),
            ("time.google.com.corp.example", false),
        ];
        for (name, is_public) in table {
            let server: ServerName = name.parse().unwrap();
            assert_eq!(server.is_public(), is_public, "{name}");
        }
    }
}
