//! Every name that leaves the agent: spans, attributes, log events, metrics. `tokenwatch telemetry`
//! prints this file's tables.
//!
//! `k8s.*`, `server.*`, `network.*`, `process.*` and `error.type` are OpenTelemetry semantic
//! conventions; the rest is ours, under `tokenwatch.`, `token.`, `clock.` and `ntp.`.

/// The version of OpenTelemetry's semantic conventions that those names are taken from.
pub const SCHEMA_URL: &str = "https://opentelemetry.io/schemas/1.44.0";

macro_rules! names {
    ($(#[$table_doc:meta])* $table:ident { $($(#[doc = $doc:literal])* $constant:ident = $name:literal;)* }) => {
        $($(#[doc = $doc])* pub const $constant: &str = $name;)*
        $(#[$table_doc])*
        pub const $table: &[Entry] = &[$(Entry { name: $name, meaning: concat!($($doc),*) }),*];
    };
}

/// A name and what it means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Entry {
    /// The name.
    pub name: &'static str,
    /// What it means.
    pub meaning: &'static str,
}

names! {
    /// Spans.
    SPANS {
        #[doc = "One generation of one token: from `iat` until it is replaced, gone or dead. The root of its trace."]
        SPAN_GENERATION = "token.generation";
        #[doc = "From `iat` until kubelet is due to replace the token."]
        SPAN_FRESH = "token.fresh";
        #[doc = "From due until replaced: its duration is the rotation delay. Without duration when the rotation came early."]
        SPAN_REFRESH_WAIT = "token.refresh_wait";
        #[doc = "One measurement of the node's clock against all servers. The root of its trace."]
        SPAN_CLOCK = "clock.measure";
        #[doc = "One NTP request and its answer."]
        SPAN_NTP = "ntp.exchange";
    }
}

names! {
    /// Attributes of spans, log records and evidence.
    ATTRIBUTES {
        #[doc = "Namespace of the watched pod."]
        K8S_NAMESPACE = "k8s.namespace.name";
        #[doc = "Name of the watched pod."]
        K8S_POD_NAME = "k8s.pod.name";
        #[doc = "UID of the watched pod."]
        K8S_POD_UID = "k8s.pod.uid";
        #[doc = "The node that a finding is about; in the resource, the node the agent runs on."]
        K8S_NODE_NAME = "k8s.node.name";
        #[doc = "Who made the watched pod, where the cluster tells: its Deployment."]
        K8S_DEPLOYMENT = "k8s.deployment.name";
        #[doc = "The same, for a StatefulSet."]
        K8S_STATEFULSET = "k8s.statefulset.name";
        #[doc = "The same, for a DaemonSet."]
        K8S_DAEMONSET = "k8s.daemonset.name";
        #[doc = "The same, for a Job."]
        K8S_JOB = "k8s.job.name";
        #[doc = "The same, for a CronJob."]
        K8S_CRONJOB = "k8s.cronjob.name";
        #[doc = "The same, for a ReplicaSet that no Deployment made."]
        K8S_REPLICASET = "k8s.replicaset.name";
        #[doc = "The same, for a ReplicationController."]
        K8S_REPLICATION_CONTROLLER = "k8s.replicationcontroller.name";
        #[doc = "Name of the volume that holds the token."]
        K8S_VOLUME = "k8s.volume.name";
        #[doc = "Service account the token speaks for."]
        SERVICE_ACCOUNT = "token.service_account";
        #[doc = "The token's file in the volume."]
        TOKEN_PATH = "token.path";
        #[doc = "Opaque id of the generation; the same on every node and over restarts."]
        TOKEN_GENERATION = "token.generation.id";
        #[doc = "`aud`"]
        TOKEN_AUDIENCES = "token.audiences";
        #[doc = "`iss`"]
        TOKEN_ISSUER = "token.issuer";
        #[doc = "`iat`, RFC 3339."]
        TOKEN_ISSUED_AT = "token.issued_at";
        #[doc = "`exp`, RFC 3339."]
        TOKEN_EXPIRES_AT = "token.expires_at";
        #[doc = "`kubernetes.io.warnafter`, RFC 3339; only on extended tokens."]
        TOKEN_WARN_AFTER = "token.warn_after";
        #[doc = "When kubelet is due to replace it, RFC 3339."]
        TOKEN_REFRESH_DUE = "token.refresh_due";
        #[doc = "`warnafter` if present, else `exp`, RFC 3339."]
        TOKEN_EFFECTIVE_DEADLINE = "token.effective_deadline";
        #[doc = "When this generation appeared in the file, RFC 3339."]
        TOKEN_APPEARED_AT = "token.appeared_at";
        #[doc = "How a generation ended: replaced, expired, gone or open (the agent stopped first)."]
        TOKEN_OUTCOME = "token.outcome";
        #[doc = "State at the end: fresh, due, late, stalled, expired, not_yet_valid."]
        TOKEN_STATE = "token.state";
        #[doc = "Due to replaced, in seconds; negative when early."]
        TOKEN_ROTATION_DELAY = "token.rotation.delay";
        #[doc = "What a link means: previous (the generation before) or next."]
        LINK_RELATION = "token.link";
        #[doc = "The finding's id: the same over restarts of the agent."]
        FINDING_ID = "tokenwatch.finding.id";
        #[doc = "The finding's code."]
        FINDING_CODE = "tokenwatch.finding.code";
        #[doc = "info, warning or critical."]
        FINDING_SEVERITY = "tokenwatch.finding.severity";
        #[doc = "When it starts to hurt, RFC 3339."]
        FINDING_DEADLINE = "tokenwatch.finding.deadline";
        #[doc = "What to do, in a sentence."]
        FINDING_REMEDY = "tokenwatch.finding.remedy";
        #[doc = "What to do, as a command."]
        FINDING_COMMAND = "tokenwatch.finding.command";
        #[doc = "When it was first raised, RFC 3339."]
        FINDING_RAISED_AT = "tokenwatch.finding.raised_at";
        #[doc = "Prefix of each fact a finding rests on."]
        FINDING_EVIDENCE = "tokenwatch.finding.evidence";
        #[doc = "True time minus the node's wall clock, in seconds: positive when the node is behind."]
        CLOCK_OFFSET = "clock.offset";
        #[doc = "How far true time can be from wall + offset, in seconds."]
        CLOCK_ERROR_BOUND = "clock.error_bound";
        #[doc = "synchronised, off, drifting, stepped, disagreeing or unknown."]
        CLOCK_STATE = "clock.state";
        #[doc = "Servers that answered and agree."]
        CLOCK_AGREEING = "clock.servers.agreeing";
        #[doc = "Servers asked."]
        CLOCK_SERVERS = "clock.servers.total";
        #[doc = "Names of the servers that the others prove wrong."]
        CLOCK_FALSETICKERS = "clock.servers.falsetickers";
        #[doc = "What vouches for the clock: servers, kernel or nothing."]
        CLOCK_SOURCE = "clock.source";
        #[doc = "Whether the kernel says that a time daemon keeps this clock."]
        CLOCK_KERNEL_SYNCHRONISED = "clock.kernel.synchronised";
        #[doc = "The kernel's own bound on the error (adjtimex maxerror), in seconds."]
        CLOCK_KERNEL_MAX_ERROR = "clock.kernel.max_error";
        #[doc = "How far the wall clock was set, in seconds: positive when forward."]
        CLOCK_STEP = "clock.step";
        #[doc = "When it was set, RFC 3339, by the clock after it."]
        CLOCK_STEP_AT = "clock.step.at";
        #[doc = "How long ago a time server last gave a usable answer, in seconds."]
        CLOCK_ANSWER_AGE = "clock.answer_age";
        #[doc = "Time server, as configured."]
        SERVER_ADDRESS = "server.address";
        #[doc = "Its port."]
        SERVER_PORT = "server.port";
        #[doc = "The address that was asked."]
        NETWORK_PEER = "network.peer.address";
        #[doc = "Offset of this exchange, in seconds (RFC 5905 theta)."]
        NTP_OFFSET = "ntp.offset";
        #[doc = "Round-trip delay of this exchange, in seconds (RFC 5905 delta)."]
        NTP_DELAY = "ntp.delay";
        #[doc = "Root distance: the bound on this exchange's offset, in seconds (RFC 5905 lambda)."]
        NTP_ROOT_DISTANCE = "ntp.root_distance";
        #[doc = "The server's stratum."]
        NTP_STRATUM = "ntp.stratum";
        #[doc = "The server's reference id."]
        NTP_REFERENCE_ID = "ntp.reference_id";
        #[doc = "agrees, falseticker, undecided or unusable."]
        NTP_VERDICT = "ntp.verdict";
        #[doc = "files, hostPID or fanotify."]
        PRIVILEGE_RUNG = "tokenwatch.privilege.rung";
        #[doc = "Why an exchange gave nothing."]
        ERROR_TYPE = "error.type";
    }
}

/// A metric.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Metric {
    /// Its name.
    pub name: &'static str,
    /// Gauge, counter, updowncounter or histogram.
    pub instrument: &'static str,
    /// UCUM.
    pub unit: &'static str,
    /// Its attributes.
    pub attributes: &'static str,
    /// What it means.
    pub meaning: &'static str,
}

macro_rules! metrics {
    ($($constant:ident = $name:literal $instrument:literal $unit:literal [$attributes:literal] $meaning:literal;)*) => {
        $(#[doc = $meaning] pub const $constant: &str = $name;)*
        /// Metrics.
        pub const METRICS: &[Metric] = &[$(Metric { name: $name, instrument: $instrument, unit: $unit, attributes: $attributes, meaning: $meaning }),*];
    };
}

metrics! {
    METRIC_TOKENS = "tokenwatch.tokens" "gauge" "{token}" ["token.state"] "Tokens on this node.";
    METRIC_FINDINGS = "tokenwatch.findings" "gauge" "{finding}" ["tokenwatch.finding.code, tokenwatch.finding.severity"] "Active findings.";
    METRIC_ROTATION_DELAY = "tokenwatch.rotation.delay" "histogram" "s" [""] "Due to replaced, of each rotation seen.";
    METRIC_DEADLINE_MIN = "tokenwatch.deadline.min" "gauge" "s" [""] "Time to the nearest effective deadline; negative when it has passed.";
    METRIC_CLOCK_OFFSET = "tokenwatch.clock.offset" "gauge" "s" [""] "True time minus wall clock. Absent while unknown.";
    METRIC_CLOCK_ERROR_BOUND = "tokenwatch.clock.error_bound" "gauge" "s" [""] "How far true time can be from wall + offset. Absent while unknown.";
    METRIC_CLOCK_STATE = "tokenwatch.clock.state" "gauge" "{clock}" ["clock.state"] "1 for the state the clock is in, 0 for the others.";
    METRIC_ALERTS = "tokenwatch.alerts" "counter" "{alert}" ["outcome"] "Alerts by outcome: accepted, rejected (refused by the collector for good), given_up (for want of memory).";
    METRIC_DROPPED = "tokenwatch.dropped" "counter" "{item}" ["signal"] "Spans and metric batches that were given up.";
    METRIC_SOURCES_UP = "tokenwatch.sources.up" "gauge" "{source}" ["source"] "1 if the source works, 0 if it is degraded.";
    METRIC_PRIVILEGE = "tokenwatch.privilege" "gauge" "{rung}" ["tokenwatch.privilege.rung"] "1 for the rung of the privilege ladder that the agent stands on: files, hostPID or fanotify.";
    METRIC_CLUSTER_PODS = "tokenwatch.cluster.pods" "gauge" "{pod}" [""] "Pods of this node that the API server told of. Absent without access to it.";
    METRIC_CLUSTER_AGE = "tokenwatch.cluster.age" "gauge" "s" [""] "Since the API server last told anything. Absent without access to it.";
    METRIC_CPU = "process.cpu.time" "counter" "s" ["cpu.mode"] "The agent's own CPU time, user and system.";
    METRIC_MEMORY = "process.memory.usage" "updowncounter" "By" [""] "The agent's own resident memory.";
}

/// Log events (`event.name`).
pub const EVENTS: &[Entry] = &[
    Entry {
        name: "tokenwatch.finding.raised",
        meaning: "A finding is new. Severity WARN or ERROR for warning and critical, INFO for \
                  info.",
    },
    Entry {
        name: "tokenwatch.finding.reminded",
        meaning: "A finding is still there (every remind interval), or became worse.",
    },
    Entry { name: "tokenwatch.finding.cleared", meaning: "A finding is gone. Severity INFO." },
];
