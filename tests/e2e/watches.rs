//! An agent in a user namespace of its own, where the kernel's limits on inotify are the test's:
//! the rest of the machine has enough watches, and does not take the ones that this agent needs.

use std::process::Command;

use crate::bed::{Cluster, free_tcp_port, free_udp_port, through, workdir};
use crate::installed::{page_at, sample};
use crate::process::{Process, run};
use crate::wait::{secs, until};

pub struct Limited {
    process: Process,
    address: String,
}

impl Limited {
    /// Watches the node of the cluster, and serves pages.
    pub fn start(cluster: &Cluster, scenario: &str) -> Self {
        let port = free_tcp_port();
        // No time server answers there: this agent is not about clocks.
        let mut agent = cluster.agent(free_udp_port());
        agent.args(["--http", "true", "--http-port", &port.to_string()]);
        let mut command = through(&["unshare", "--user", "--map-root-user"], &agent);
        let process = Process::start(&mut command, &workdir(scenario).join("limited-agent.log"));
        Self { process, address: format!("127.0.0.1:{port}") }
    }

    /// Limits the watches of the namespace. Those that exist stay.
    pub fn limit_watches(&self, to: u32) {
        let write = format!("echo {to} > /proc/sys/user/max_inotify_watches");
        let process = self.process.id().to_string();
        let enter = ["--target", &process, "--user", "--preserve-credentials", "sh", "-c", &write];
        run(Command::new("nsenter").args(enter));
    }

    /// Waits until the agent reports that it watches, or that it cannot.
    pub fn wait_watching(&self, is_watching: bool) {
        let value = f64::from(u8::from(is_watching));
        let what = format!("the agent to report tokenwatch_sources_up {value} for watching");
        until(&what, secs(90), || {
            let metrics = self.page("/metrics");
            (sample(&metrics, "tokenwatch_sources_up", "\"watch\"") == Some(value)).then_some(())
        });
    }

    pub fn page(&self, path: &str) -> String {
        page_at(&self.address, path)
    }
}
