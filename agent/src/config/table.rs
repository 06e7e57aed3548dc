//! The list of all settings.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr};
use std::path::PathBuf;

use tokenwatch_core::base::time::Delta;
use tokenwatch_core::world::clocks::ServerName;
use tokenwatch_otlp::protocol::{Compression, Protocol, Temporality};

use super::checks::{
    a_minute, a_second, alert_memory, level, not_blank, positive, positive_if_any, url,
};
use super::declare::{Input, anything, set, settings};
use super::kinds::{Address, Kind, LogFormat, Port, Secret};
use super::log_filter;
use super::mistakes::Problem;
use super::otlp::ALERT_MEMORY;
use super::size::Size;

/// The declaration of one setting.
#[derive(Debug)]
pub struct Setting {
    /// Name in the file, with the section before a dot: `clock.servers`.
    pub name: &'static str,
    /// Description for `--help`: a noun phrase with its unit, and the default.
    pub doc: &'static str,
    /// The flag, without dashes.
    pub flag: &'static str,
    /// Placeholder of the value in help.
    pub value: &'static str,
    /// Whether the flag can be given several times.
    pub repeatable: bool,
    /// The standard OpenTelemetry variable that applies if the setting is not given, and the unit
    /// of its bare numbers.
    pub standard: Option<(&'static str, &'static str)>,
    pub(super) set: fn(&mut Settings, Input<'_>) -> Result<(), Vec<Problem>>,
    pub(super) show: fn(&Settings) -> Option<String>,
}

impl Setting {
    /// The environment variable: `TOKENWATCH_CLOCK_SERVERS`.
    pub fn variable(&self) -> String {
        format!("TOKENWATCH_{}", self.name.to_uppercase().replace('.', "_"))
    }

    /// The part before the dot; empty for a setting without a section.
    pub fn section(&self) -> &'static str {
        self.name.split_once('.').map_or("", |(section, _)| section)
    }

    /// The setting called `name`.
    pub fn named(name: &str) -> Option<&'static Self> {
        SETTINGS.iter().find(|setting| setting.name == name)
    }
}

settings! {
    {
    #[doc = "Kubelet root directories on the host. Default: found automatically."]
    roots: Vec<PathBuf> = Vec::new(), --"root" "DIR";
    #[doc = "Mount point of the host's root file system, for an agent in a container. Default /."]
    host_prefix: PathBuf = PathBuf::from("/"), --"host-prefix" "DIR";
    #[doc = "Name of this node. Default: the variable NODE_NAME, or the host name."]
    node: Option<String> = None, --"node" "NAME", check not_blank;
    #[doc = "Time limit for sending spans and alerts on shutdown. Default 5s."]
    shutdown_timeout: Delta = Delta::from_secs(5), --"shutdown-timeout" "DURATION", check positive;
    }
    #[doc = "Settings of this node's kubelet."]
    kubelet: Kubelet {
        #[doc = "kubelet's syncFrequency. A longer one delays the states late and stalled in \
            proportion. Default 60s."]
        sync_period: Delta = Delta::from_secs(60), --"kubelet-sync-period" "DURATION",
            check positive;
        #[doc = "Files on the host with kubelet's log, by patterns too, such as \
            /var/lib/rancher/rke2/agent/logs/kubelet.log. The agent reports why kubelet does not \
            replace a token, by the errors there. Default: none."]
        logs: Vec<PathBuf> = Vec::new(), --"kubelet-log" "PATH";
        #[doc = "Whether to read kubelet's errors in the journal of systemd, in /var/log/journal \
            and /run/log/journal on the host. Default false."]
        journal: bool = false, --"kubelet-journal" "BOOL";
        #[doc = "Units of systemd with kubelet's messages, beside kubelet, k3s, k3s-agent, \
            rke2-server, rke2-agent, k0sworker, k0scontroller and those of MicroK8s and Canonical \
            Kubernetes. Default: none."]
        units: Vec<String> = Vec::new(), --"kubelet-unit" "UNIT";
        #[doc = "Whether to request kubelet's metrics while a token is not renewed and no log \
            names the cause. Requires kubernetes.enabled, get on nodes/metrics, and one of the \
            two files below. Default false."]
        metrics: bool = false, --"kubelet-metrics" "BOOL";
        #[doc = "Address of this node's kubelet. Without a port, 10250. Default 127.0.0.1."]
        metrics_address: Address = Address { ip: IpAddr::V4(Ipv4Addr::LOCALHOST), port: None },
            --"kubelet-metrics-address" "IP[:PORT]";
        #[doc = "File on the host with kubelet's own serving certificate, and no key. A kubelet \
            that shows a certificate in it is this node's. Default \
            /var/lib/kubelet/pki/kubelet.crt."]
        metrics_certificate: PathBuf = PathBuf::from("/var/lib/kubelet/pki/kubelet.crt"),
            --"kubelet-metrics-certificate" "FILE";
        #[doc = "PEM file of the CA certificates that sign kubelet's serving certificate, with \
            serverTLSBootstrap, for the node's name or address. Default: none."]
        metrics_ca: Option<PathBuf> = None, --"kubelet-metrics-ca" "FILE";
    }
    #[doc = "Reading of token files."]
    files: Files {
        #[doc = "Interval between full rescans of all token files. Default 60s."]
        rescan: Delta = Delta::from_secs(60), --"files-rescan" "DURATION", check a_second;
    }
    #[doc = "Observation of who reads the tokens."]
    readers: Readers {
        #[doc = "Whether to watch who opens the token files, and whether somebody still holds \
            replaced ones. Default true."]
        enabled: bool = true, --"readers" "BOOL";
        #[doc = "Addresses beside the API server's that verify this cluster's tokens, such as \
            10.0.0.7:443. A connection to one shows that a pod uses its token. Without a port, any \
            port. Requires the privilege level hostPID. Default: none."]
        verifiers: Vec<Address> = Vec::new(), --"readers-verifier" "IP[:PORT]";
    }
    #[doc = "Copies of tokens on the host, in the kubeconfigs and token files of CNI plugins."]
    copies: Copies {
        #[doc = "Whether to look for copies at the places of known plugins, such as \
            /etc/cni/net.d, as far as they are readable and belong to the kubelet roots. Default \
            true."]
        enabled: bool = true, --"copies" "BOOL";
        #[doc = "Further files and directories on the host with copies of tokens. Default: none."]
        paths: Vec<PathBuf> = Vec::new(), --"copies-path" "PATH";
    }
    #[doc = "Measurement of the node's clock."]
    clock: Clock {
        #[doc = "Time servers to query, with IPv6 addresses in brackets. Each has one vote on the \
            time, however many addresses it has. Default: see clock.discover."]
        servers: Vec<ServerName> = Vec::new(), --"clock-server" "HOST[:PORT]";
        #[doc = "Time servers to query, of which each name stands for independent servers: up to \
            four of its addresses have a vote each, and not one together. Default: see \
            clock.discover."]
        pools: Vec<ServerName> = Vec::new(), --"clock-pool" "HOST[:PORT]";
        #[doc = "Interval between queries of each time server, at least 16s. Default 64s."]
        interval: Delta = Delta::from_secs(64), --"clock-interval" "DURATION", check positive;
        #[doc = "Timeout of one NTP request. Default 1s."]
        timeout: Delta = Delta::from_secs(1), --"clock-timeout" "DURATION", check positive;
        #[doc = "Largest offset of the node's clock without a finding. Default 500ms."]
        offset_limit: Delta = Delta::from_millis(500), --"clock-offset-limit" "DURATION",
            check positive;
        #[doc = "Error bound assumed while no time source confirms the clock. Default 5m."]
        assumed_bound: Delta = Delta::from_secs(300), --"clock-assumed-bound" "DURATION",
            check positive;
        #[doc = "Maximum age of the last answers of the time servers. After that, the agent no \
            longer uses them. Default 30m."]
        max_age: Delta = Delta::from_secs(1_800), --"clock-max-age" "DURATION", check positive;
        #[doc = "Whether to query the time servers of the host's own time daemon, of DHCP or of \
            the cloud if clock.servers and clock.pools are empty. Default true."]
        discover: bool = true, --"clock-discover" "BOOL";
    }
    #[doc = "Alerts: their reminders and their delivery."]
    alerts: Alerts {
        #[doc = "Interval between reminders of an active finding. Default 4h."]
        remind_every: Delta = Delta::from_secs(4 * 3_600), --"alerts-remind-every" "DURATION",
            check a_minute;
        #[doc = "Longest wait of an alert for a collector before the finding \
            agent.delivery_delayed. Default 60s."]
        delivery_limit: Delta = Delta::from_secs(60), --"alerts-delivery-limit" "DURATION",
            check positive;
        #[doc = "Memory limit of undelivered alerts. When it is reached, the agent drops reminders \
            first, then info, then the oldest, and counts them. Default 4MiB."]
        memory: Size = Size::from_bytes(ALERT_MEMORY as u64), --"alerts-memory" "SIZE",
            check alert_memory;
    }
    #[doc = "Export of spans, alerts and metrics. The standard OTEL_EXPORTER_OTLP_… variables \
        apply where a setting is not given."]
    otlp: Otlp {
        #[doc = "URL of the collector, such as http://collector:4317. Default: none, and `run` \
            prints alerts and traces."]
        endpoint: Option<String> = None, --"otlp-endpoint" "URL",
            otel "OTEL_EXPORTER_OTLP_ENDPOINT" "", check url;
        #[doc = "Protocol: grpc or http/protobuf. Default: grpc on port 4317, or else \
            http/protobuf."]
        protocol: Option<Protocol> = None, --"otlp-protocol" "PROTOCOL",
            otel "OTEL_EXPORTER_OTLP_PROTOCOL" "";
        #[doc = "Headers of every request. Their values are secret and never shown. Default: none."]
        headers: BTreeMap<String, Secret> = BTreeMap::new(), --"otlp-header" "NAME=VALUE",
            otel "OTEL_EXPORTER_OTLP_HEADERS" "";
        #[doc = "PEM file of the CA certificates that verify the collector. Default: those of the \
            system."]
        ca_file: Option<PathBuf> = None, --"otlp-ca-file" "FILE",
            otel "OTEL_EXPORTER_OTLP_CERTIFICATE" "";
        #[doc = "PEM file of the agent's own certificate, for mutual TLS. Default: none."]
        client_cert_file: Option<PathBuf> = None, --"otlp-client-cert-file" "FILE",
            otel "OTEL_EXPORTER_OTLP_CLIENT_CERTIFICATE" "";
        #[doc = "PEM file of the private key of that certificate. Default: none."]
        client_key_file: Option<PathBuf> = None, --"otlp-client-key-file" "FILE",
            otel "OTEL_EXPORTER_OTLP_CLIENT_KEY" "";
        #[doc = "Compression of requests: gzip or none. Default: none."]
        compression: Option<Compression> = None, --"otlp-compression" "COMPRESSION",
            otel "OTEL_EXPORTER_OTLP_COMPRESSION" "";
        #[doc = "Timeout of one request. Default: 10s."]
        timeout: Option<Delta> = None, --"otlp-timeout" "DURATION",
            otel "OTEL_EXPORTER_OTLP_TIMEOUT" "ms", check positive_if_any;
        #[doc = "Interval between exports of metrics. Default: 60s."]
        metrics_interval: Option<Delta> = None, --"otlp-metrics-interval" "DURATION",
            otel "OTEL_METRIC_EXPORT_INTERVAL" "ms", check positive_if_any;
        #[doc = "Temporality of counters and histograms: cumulative, delta or lowmemory. Default: \
            cumulative."]
        temporality: Option<Temporality> = None, --"otlp-temporality" "TEMPORALITY",
            otel "OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE" "";
    }
    #[doc = "Use of the Kubernetes API: the names of this node's pods, their service accounts, and \
        Events on them. Everything else works without it."]
    kubernetes: Kubernetes {
        #[doc = "Whether to watch this node's pods and to request their service accounts. Requires \
            list and watch on pods, and get on serviceaccounts. Default false."]
        enabled: bool = false, --"kubernetes" "BOOL";
        #[doc = "Whether to write findings as Events too, if kubernetes.enabled is set. Requires \
            create and patch on events (events.k8s.io). Default true."]
        events: bool = true, --"kubernetes-events" "BOOL";
        #[doc = "Whether to watch the metadata of all service accounts of the cluster, so that the \
            agent notices within seconds, not within 20 minutes, that one was deleted. Requires \
            list and watch on serviceaccounts. Default false."]
        account_watch: bool = false, --"kubernetes-account-watch" "BOOL";
        #[doc = "Whether to request the lease of kube-controller-manager every five minutes, for \
            the finding controlplane.token_controller_down. One node is enough. Requires get on \
            the lease kube-controller-manager in kube-system. Default false."]
        controller_lease: bool = false, --"kubernetes-controller-lease" "BOOL";
        #[doc = "Whether to watch the Events FailedMount of pods, for the reason why kubelet does \
            not replace a token. Each agent receives those of the whole cluster. Requires list and \
            watch on events. Default false."]
        pod_events: bool = false, --"kubernetes-pod-events" "BOOL";
        #[doc = "Kubeconfig file, for an agent outside of a pod. Default: the pod's own service \
            account."]
        kubeconfig: Option<PathBuf> = None, --"kubeconfig" "FILE";
    }
    #[doc = "Logs of an API server on this node, on a control-plane node."]
    apiserver: Apiserver {
        #[doc = "Files on the host with the log and the audit log of an API server, by patterns \
            too, such as /var/log/pods/kube-system_kube-apiserver-*/*/*.log. The agent reports \
            which requests it refuses (401), and the pods behind them. Default: none."]
        logs: Vec<PathBuf> = Vec::new(), --"apiserver-log" "PATH";
        #[doc = "Whether to read the log of an API server in the journal of systemd, in \
            /var/log/journal and /run/log/journal on the host. Default false."]
        journal: bool = false, --"apiserver-journal" "BOOL";
        #[doc = "Units of systemd with an API server, beside k3s, kube-apiserver and those of \
            MicroK8s and Canonical Kubernetes. Default: none."]
        units: Vec<String> = Vec::new(), --"apiserver-unit" "UNIT";
    }
    #[doc = "HTTP server of the agent. It shows no token bytes and has no authentication: \
        listen only on addresses that you trust."]
    http: Http {
        #[doc = "Whether to serve /metrics, /readers, /livez, /readyz and the status page at /. \
            Default true."]
        enabled: bool = true, --"http" "BOOL";
        #[doc = "Addresses to listen on. Default 127.0.0.1."]
        address: Vec<IpAddr> = vec![IpAddr::V4(Ipv4Addr::LOCALHOST)], --"http-address" "ADDRESS";
        #[doc = "Port to listen on. Default 9723."]
        port: Port = Port(9723), --"http-port" "PORT";
        #[doc = "Names of this server in requests, beside IP addresses, localhost and names that \
            end in .svc, .localhost or .internal. Under any other name it refuses to answer, \
            against DNS rebinding. Default: none."]
        names: Vec<String> = Vec::new(), --"http-name" "NAME";
    }
    #[doc = "State that survives a restart of the agent."]
    state: State {
        #[doc = "Directory of the state file with the active findings. With it, a restart neither \
            loses nor repeats a finding. Default: none, and a restart raises them again."]
        dir: Option<PathBuf> = None, --"state-dir" "DIR";
    }
    #[doc = "Log of the agent, on standard error."]
    log: Log {
        #[doc = "Log level: off, error, warn, info, debug or trace, also per module as in \
            info,tokenwatch=debug. Default info."]
        level: String = "info".to_owned(), --"log-level" "LEVEL", check level;
        #[doc = "Log format: text or json. Default text."]
        format: LogFormat = LogFormat::Text, --"log-format" "FORMAT";
    }
}

impl Log {
    /// The filter for `level`.
    pub fn filter(&self) -> tracing_subscriber::filter::Targets {
        log_filter::filter(&self.level)
    }
}
