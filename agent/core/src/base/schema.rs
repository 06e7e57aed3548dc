//! The names of all exported telemetry: spans, attributes, log events, metrics. `tokenwatch
//! telemetry` prints the tables of this file.
//!
//! `k8s.*`, `server.*`, `network.*`, `process.*`, `file.path` and `error.type` are OpenTelemetry
//! semantic conventions. The other names are our own: `tokenwatch.*`, `token.*`, `clock.*` and
//! `ntp.*`.

/// The version of OpenTelemetry's semantic conventions that these names come from.
pub const SCHEMA_URL: &str = "https://opentelemetry.io/schemas/1.44.0";

macro_rules! names {
    ($(#[$table_doc:meta])* $table:ident {
        $($(#[doc = $doc:literal])* $constant:ident = $name:literal;)*
    }) => {
        $($(#[doc = $doc])* pub const $constant: &str = $name;)*
        $(#[$table_doc])*
        pub const $table: &[Entry] = &[$(Entry { name: $name, meaning: concat!($($doc),*) }),*];
    };
}

/// A name with its meaning.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Entry {
    /// The name.
    pub name: &'static str,
    /// Its meaning.
    pub meaning: &'static str,
}

names! {
    /// Spans.
    SPANS {
        #[doc = "One generation of one token, from `iat` until it is replaced, removed or expired. \
            Root of its trace."]
        SPAN_GENERATION = "token.generation";
        #[doc = "From `iat` until the rotation is due."]
        SPAN_FRESH = "token.fresh";
        #[doc = "From the due time until the rotation. Its duration is the rotation delay, and 0 \
            if the rotation was early."]
        SPAN_REFRESH_WAIT = "token.refresh_wait";
        #[doc = "From the appearance of a generation until one container first reads it; until the \
            generation ends, if the container never does. Child of the generation."]
        SPAN_READER_LAG = "token.reader_lag";
        #[doc = "One measurement of the node's clock against all time servers. Root of its trace. \
            Exported if it shows something new, and else once an hour."]
        SPAN_CLOCK = "clock.measure";
        #[doc = "One NTP request with its response."]
        SPAN_NTP = "ntp.exchange";
    }
}

names! {
    /// Attributes of spans and log records, and keys of evidence.
    ATTRIBUTES {
        #[doc = "Namespace of the watched pod. In the resource: of the agent's own pod."]
        K8S_NAMESPACE = "k8s.namespace.name";
        #[doc = "Name of the watched pod. In the resource: of the agent's own pod."]
        K8S_POD_NAME = "k8s.pod.name";
        #[doc = "UID of the watched pod. In the resource: of the agent's own pod."]
        K8S_POD_UID = "k8s.pod.uid";
        #[doc = "Name of the node that a finding is about. In the resource: the node of the agent."]
        K8S_NODE_NAME = "k8s.node.name";
        #[doc = "Name of the Deployment that owns the watched pod. Only with access to the \
            Kubernetes API."]
        K8S_DEPLOYMENT = "k8s.deployment.name";
        #[doc = "Name of the StatefulSet that owns it."]
        K8S_STATEFULSET = "k8s.statefulset.name";
        #[doc = "Name of the DaemonSet that owns it."]
        K8S_DAEMONSET = "k8s.daemonset.name";
        #[doc = "Name of the Job that owns it."]
        K8S_JOB = "k8s.job.name";
        #[doc = "Name of the CronJob that owns it."]
        K8S_CRONJOB = "k8s.cronjob.name";
        #[doc = "Name of the ReplicaSet that owns it, if no Deployment does."]
        K8S_REPLICASET = "k8s.replicaset.name";
        #[doc = "Name of the ReplicationController that owns it."]
        K8S_REPLICATION_CONTROLLER = "k8s.replicationcontroller.name";
        #[doc = "Name of the container that reads the token. Absent if it is one of several, or \
            not known. In the resource: the agent's own container."]
        K8S_CONTAINER = "k8s.container.name";
        #[doc = "Name of the volume that holds the token."]
        K8S_VOLUME = "k8s.volume.name";
        #[doc = "Service account that the token authenticates."]
        SERVICE_ACCOUNT = "token.service_account";
        #[doc = "Path of a file on the host that holds copies of tokens."]
        FILE_PATH = "file.path";
        #[doc = "Path of the token's file in the volume."]
        TOKEN_PATH = "token.path";
        #[doc = "Opaque id of the generation. The same on every node and across restarts."]
        TOKEN_GENERATION = "token.generation.id";
        #[doc = "`aud`"]
        TOKEN_AUDIENCES = "token.audiences";
        #[doc = "`iss`"]
        TOKEN_ISSUER = "token.issuer";
        #[doc = "`iat`, RFC 3339."]
        TOKEN_ISSUED_AT = "token.issued_at";
        #[doc = "`exp`, RFC 3339."]
        TOKEN_EXPIRES_AT = "token.expires_at";
        #[doc = "`kubernetes.io.warnafter`, RFC 3339. Only for extended tokens."]
        TOKEN_WARN_AFTER = "token.warn_after";
        #[doc = "Time when kubelet is due to replace the token, RFC 3339."]
        TOKEN_REFRESH_DUE = "token.refresh_due";
        #[doc = "`warnafter` if present, or else `exp`, RFC 3339."]
        TOKEN_EFFECTIVE_DEADLINE = "token.effective_deadline";
        #[doc = "Time when this generation appeared in the file, RFC 3339."]
        TOKEN_APPEARED_AT = "token.appeared_at";
        #[doc = "How the generation ended: replaced, expired, gone (removed) or open (the agent \
            stopped first)."]
        TOKEN_OUTCOME = "token.outcome";
        #[doc = "State of the token at the end of the span: fresh, due, late, stalled, expired or \
            not_yet_valid."]
        TOKEN_STATE = "token.state";
        #[doc = "Time from due to the rotation, in seconds. Negative if it was early."]
        TOKEN_ROTATION_DELAY = "token.rotation.delay";
        #[doc = "Whether the container read the generation: read, never_read, or unknown if the \
            agent may have missed it."]
        READER_OUTCOME = "token.reader.outcome";
        #[doc = "Opaque id of the generation that the container still held before. Absent if it \
            read none before."]
        READER_HELD = "token.reader.held";
        #[doc = "Verdict about the reader: current, never_read, waiting, idle, stale or unknown."]
        READER_VERDICT = "token.reader.verdict";
        #[doc = "Meaning of a link: previous or next generation."]
        LINK_RELATION = "token.link";
        #[doc = "Id of the finding. The same across restarts of the agent."]
        FINDING_ID = "tokenwatch.finding.id";
        #[doc = "Code of the finding."]
        FINDING_CODE = "tokenwatch.finding.code";
        #[doc = "Severity of the finding: info, warning or critical."]
        FINDING_SEVERITY = "tokenwatch.finding.severity";
        #[doc = "Id of the cause, if other nodes may have it, too. The same on each of them."]
        CAUSE_ID = "tokenwatch.cause.id";
        #[doc = "Time when requests start to fail, RFC 3339. Of a token whose expiry is extended, \
            when it goes stale; of one that is not valid yet, when requests stop failing."]
        FINDING_DEADLINE = "tokenwatch.finding.deadline";
        #[doc = "What to do, as a sentence."]
        FINDING_REMEDY = "tokenwatch.finding.remedy";
        #[doc = "What to do, as a command."]
        FINDING_COMMAND = "tokenwatch.finding.command";
        #[doc = "Time when the finding was first raised, RFC 3339."]
        FINDING_RAISED_AT = "tokenwatch.finding.raised_at";
        #[doc = "Prefix of the facts that the finding is based on."]
        FINDING_EVIDENCE = "tokenwatch.finding.evidence";
        #[doc = "True time minus the node's wall clock, in seconds. Positive if the node is \
            behind."]
        CLOCK_OFFSET = "clock.offset";
        #[doc = "Largest distance of true time from wall clock + offset, in seconds."]
        CLOCK_ERROR_BOUND = "clock.error_bound";
        #[doc = "State of the clock: synchronised, off, drifting, stepped, disagreeing or unknown."]
        CLOCK_STATE = "clock.state";
        #[doc = "Number of time servers that answered and agree. A name counts once, however many \
            addresses it has; of a pool, each address counts."]
        CLOCK_AGREEING = "clock.servers.agreeing";
        #[doc = "Number of configured time servers, with those that do not answer, counted in the \
            same way."]
        CLOCK_SERVERS = "clock.servers.total";
        #[doc = "Names of the time servers that the majority contradicts."]
        CLOCK_FALSETICKERS = "clock.servers.falsetickers";
        #[doc = "Time source that confirms the clock: servers, servers_and_kernel (fewer than half \
            of the servers, with which the kernel agrees), kernel or nothing."]
        CLOCK_SOURCE = "clock.source";
        #[doc = "Whether a time daemon synchronises the clock, as reported by the kernel."]
        CLOCK_KERNEL_SYNCHRONISED = "clock.kernel.synchronised";
        #[doc = "The kernel's bound of the error (maxerror of adjtimex), in seconds."]
        CLOCK_KERNEL_MAX_ERROR = "clock.kernel.max_error";
        #[doc = "Size of a step of the wall clock, in seconds. Positive if forward."]
        CLOCK_STEP = "clock.step";
        #[doc = "Time of the step, RFC 3339, by the clock after it."]
        CLOCK_STEP_AT = "clock.step.at";
        #[doc = "Age of the last usable answer of a time server, in seconds."]
        CLOCK_ANSWER_AGE = "clock.answer_age";
        #[doc = "Name of the time server, as configured."]
        SERVER_ADDRESS = "server.address";
        #[doc = "Port of the time server."]
        SERVER_PORT = "server.port";
        #[doc = "Address of the time server that was queried."]
        NETWORK_PEER = "network.peer.address";
        #[doc = "Offset of this exchange, in seconds (RFC 5905 theta)."]
        NTP_OFFSET = "ntp.offset";
        #[doc = "Round-trip delay of this exchange, in seconds (RFC 5905 delta)."]
        NTP_DELAY = "ntp.delay";
        #[doc = "Root distance: the bound of the error of this exchange, in seconds (RFC 5905 \
            lambda)."]
        NTP_ROOT_DISTANCE = "ntp.root_distance";
        #[doc = "Stratum of the time server."]
        NTP_STRATUM = "ntp.stratum";
        #[doc = "Reference id of the time server."]
        NTP_REFERENCE_ID = "ntp.reference_id";
        #[doc = "Result of the comparison with the other time servers: agrees, falseticker, \
            undecided or unusable."]
        NTP_VERDICT = "ntp.verdict";
        #[doc = "Privilege level of the agent: files, hostPID or fanotify."]
        PRIVILEGE_RUNG = "tokenwatch.privilege.rung";
        #[doc = "Why an exchange failed."]
        ERROR_TYPE = "error.type";
    }
}

names! {
    /// Attributes of metrics alone. Each has its old name beside it, for one release.
    METRIC_ATTRIBUTES {
        #[doc = "What became of alerts: accepted, rejected or given_up."]
        METRIC_OUTCOME = "tokenwatch.outcome";
        #[doc = "The signal of OTLP: traces or metrics."]
        METRIC_SIGNAL = "tokenwatch.signal";
        #[doc = "The source of the agent, such as files or ntp."]
        METRIC_SOURCE = "tokenwatch.source";
        #[doc = "Why the API server refused requests, by its log."]
        METRIC_REASON = "tokenwatch.reason";
    }
}

/// The name of each attribute of [`METRIC_ATTRIBUTES`] before it had a namespace. It goes with the
/// next release.
pub const OLD_NAMES: [(&str, &str); 4] = [
    (METRIC_OUTCOME, "outcome"),
    (METRIC_SIGNAL, "signal"),
    (METRIC_SOURCE, "source"),
    (METRIC_REASON, "reason"),
];

/// A metric.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Metric {
    /// Its name.
    pub name: &'static str,
    /// Gauge, counter, updowncounter or histogram.
    pub instrument: &'static str,
    /// Its unit, in UCUM.
    pub unit: &'static str,
    /// Its attributes.
    pub attributes: &'static str,
    /// Its meaning.
    pub meaning: &'static str,
}

macro_rules! metrics {
    ($(
        $constant:ident = $name:literal $instrument:literal $unit:literal [$attributes:literal]
            $meaning:literal;
    )*) => {
        $(#[doc = $meaning] pub const $constant: &str = $name;)*
        /// Metrics.
        pub const METRICS: &[Metric] = &[$(Metric {
            name: $name,
            instrument: $instrument,
            unit: $unit,
            attributes: $attributes,
            meaning: $meaning,
        }),*];
    };
}

metrics! {
    METRIC_TOKENS = "tokenwatch.tokens" "gauge" "{token}" ["token.state"] "Tokens on this node.";
    METRIC_FINDINGS = "tokenwatch.findings" "gauge" "{finding}"
        ["tokenwatch.finding.code, tokenwatch.finding.severity"]
        "Active findings.";
    METRIC_CAUSES = "tokenwatch.causes" "gauge" "{finding}"
        ["tokenwatch.cause.id, tokenwatch.finding.code, tokenwatch.finding.severity"]
        "Active findings above info whose cause other nodes may have, too, by cause: the 16 worst.";
    METRIC_FINDING_INFO = "tokenwatch.finding.info" "gauge" "{finding}"
        ["k8s.namespace.name, k8s.pod.name, k8s.pod.uid, tokenwatch.cause.id, \
          tokenwatch.finding.code, tokenwatch.finding.severity"]
        "1 for each active finding, with its pod: the 32 worst, those of each pod in turn. The \
         UID is there where the names are unknown, or only the token claims them.";
    METRIC_FINDING_LEFT_OUT = "tokenwatch.finding.left_out" "gauge" "{finding}"
        ["tokenwatch.finding.code, tokenwatch.finding.severity"]
        "Active findings that tokenwatch.finding.info does not have, for lack of room.";
    METRIC_READERS = "tokenwatch.readers" "gauge" "{reader}" ["token.reader.verdict"]
        "Readers of tokens on this node that the agent has seen.";
    METRIC_ROTATION_DELAY = "tokenwatch.rotation.delay" "histogram" "s" [""]
        "Delay of each rotation after its due time. Early rotations count as 0.";
    METRIC_DEADLINE_MIN = "tokenwatch.deadline.min" "gauge" "s" [""]
        "Time until the nearest effective deadline. Negative if it has passed.";
    METRIC_CLOCK_OFFSET = "tokenwatch.clock.offset" "gauge" "s" [""]
        "True time minus the node's wall clock. Absent while unknown.";
    METRIC_CLOCK_ERROR_BOUND = "tokenwatch.clock.error_bound" "gauge" "s" [""]
        "Largest distance of true time from wall clock + offset. Absent while unknown.";
    METRIC_CLOCK_STATE = "tokenwatch.clock.state" "gauge" "{clock}" ["clock.state"]
        "1 for the current state of the clock, 0 for the others.";
    METRIC_ALERTS = "tokenwatch.alerts" "counter" "{alert}" ["tokenwatch.outcome, outcome"]
        "Alerts by outcome: accepted, rejected (by the collector, for good) or given_up (for lack \
         of memory).";
    METRIC_DROPPED = "tokenwatch.dropped" "counter" "{item}" ["tokenwatch.signal, signal"]
        "Spans and batches of metrics that were dropped.";
    METRIC_SOURCES_UP = "tokenwatch.sources.up" "gauge" "{source}" ["tokenwatch.source, source"]
        "1 if the source works, 0 if it is degraded.";
    METRIC_PRIVILEGE = "tokenwatch.privilege" "gauge" "{rung}" ["tokenwatch.privilege.rung"]
        "1 for the privilege level of the agent: files, hostPID or fanotify.";
    METRIC_CLUSTER_PODS = "tokenwatch.cluster.pods" "gauge" "{pod}" [""]
        "Pods of this node that the API server reported. Absent without access to it.";
    METRIC_CLUSTER_AGE = "tokenwatch.cluster.age" "gauge" "s" [""]
        "Time since the last data from the API server. Absent without access to it.";
    METRIC_REFUSALS = "tokenwatch.apiserver.refusals" "counter" "{request}"
        ["tokenwatch.reason, reason"]
        "Requests that the API servers on this node refused (401), by the reason in their log. \
         Absent without apiserver.logs and apiserver.journal.";
    METRIC_MISSED = "tokenwatch.apiserver.missed" "counter" "{pod}" [""]
        "Pods of this node behind refused requests that no warning had named before. Absent \
         without apiserver.logs and apiserver.journal.";
    METRIC_CPU = "process.cpu.time" "counter" "s" ["cpu.mode"]
        "CPU time of the agent, user and system.";
    METRIC_MEMORY = "process.memory.usage" "updowncounter" "By" [""]
        "Resident memory of the agent.";
}

/// Log events (`event.name`).
pub const EVENTS: &[Entry] = &[
    Entry {
        name: "tokenwatch.finding.raised",
        meaning: "A finding is new. Severity ERROR for critical, WARN for warning, INFO for \
                  info.",
    },
    Entry {
        name: "tokenwatch.finding.reminded",
        meaning: "A finding is still active (every remind interval), or became worse.",
    },
    Entry { name: "tokenwatch.finding.cleared", meaning: "A finding is resolved. Severity INFO." },
];
