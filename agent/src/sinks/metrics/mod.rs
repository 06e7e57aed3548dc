//! Metrics: gauges over the engine's snapshot, one histogram, and the agent's counters and cost.
//!
//! Two readers: the push to a collector, and the pull by a scraper. Each has instruments of its
//! own: the SDK lets the observations for one reader reach the other, which would then export a
//! series that has ended. Gauges are read from the engine at each export.

mod counters;
mod pull;

use std::collections::BTreeMap;
use std::sync::Arc;

use opentelemetry::metrics::{AsyncInstrument, Histogram, Meter, MeterProvider as _};
use opentelemetry::{InstrumentationScope, KeyValue};
use opentelemetry_sdk::metrics::reader::MetricReader;
use opentelemetry_sdk::metrics::{Instrument, SdkMeterProvider, Stream};
use tokenwatch_core::base::schema::{self, METRICS};
use tokenwatch_core::base::time::Delta;
use tokenwatch_core::engine::{NamedPod, Report, Snapshot};
use tokenwatch_core::findings::{Code, Severity};
use tokenwatch_core::world::clocks::ClockState;
use tokio::sync::oneshot;

use super::SnapshotSource;
use crate::proc;
pub(super) use counters::{Counter, Counters};
pub use pull::Pull;

/// Bounds of the rotation delay, in seconds. 0 holds early and punctual rotations. 60 and 90 are
/// kubelet's sync period and 1.5 times it, 120 is `late` and 300 is `stalled`.
const DELAY_BUCKETS: [f64; 12] =
    [0.0, 1.0, 5.0, 15.0, 30.0, 60.0, 90.0, 120.0, 300.0, 600.0, 1_800.0, 3_600.0];

/// Most series of one instrument: those of the findings, by code and severity. The SDK allocates
/// them all at the start. Its default of 2,000 takes 135 kB for each of twelve instruments.
const MOST_SERIES: usize = Code::ALL.len() * Severity::ALL.len();

/// Where the figures come from, and who reports them.
pub(super) struct Origin<'a> {
    pub(super) resource: opentelemetry_sdk::Resource,
    pub(super) scope: InstrumentationScope,
    pub(super) counters: &'a Arc<Counters>,
    pub(super) snapshot: &'a SnapshotSource,
}

/// The instruments, with their readers.
#[derive(Debug)]
pub(super) struct Metrics(Vec<Instrumented>);

/// One reader, and its instruments.
#[derive(Debug)]
struct Instrumented {
    provider: SdkMeterProvider,
    rotation: Histogram<f64>,
}

impl Metrics {
    /// Creates the instruments. `push` exports them, `pull` reads them for a scrape.
    pub(super) fn start(
        origin: &Origin<'_>,
        push: Option<impl MetricReader>,
        pull: Option<Pull>,
    ) -> Self {
        let push = push.map(|reader| Instrumented::new(origin, reader));
        let pull = pull.map(|reader| Instrumented::new(origin, reader));
        Self(push.into_iter().chain(pull).collect())
    }

    /// Records the rotations among these reports.
    pub(super) fn take(&self, reports: &[Report]) {
        for report in reports {
            match report {
                Report::Rotation { delay } => self.rotation(*delay),
                Report::Alert(_) | Report::Span(_) => {}
            }
        }
    }

    /// Records a rotation. An early one counts as delay 0: the sum of a histogram must not fall.
    pub(super) fn rotation(&self, delay: Delta) {
        let delay = delay.max(Delta::ZERO).as_secs_f64();
        self.0.iter().for_each(|one| one.rotation.record(delay, &[]));
    }

    /// Exports a last time; whether that worked. The SDK blocks, so this happens on a separate
    /// thread: the runtime can then stop without waiting for it.
    pub(super) async fn finish(self) -> bool {
        let (done, finished) = oneshot::channel();
        let shutdown = move || {
            let sent = self.0.iter().map(|one| one.provider.shutdown().is_ok());
            // Each is shut down, whatever became of the one before. Fails only after the limit.
            let _ = done.send(sent.fold(true, |all, one| all & one));
        };
        let started = std::thread::Builder::new().name("last-metrics".to_owned()).spawn(shutdown);
        started.is_ok() && finished.await.unwrap_or(false)
    }
}

impl Instrumented {
    fn new(origin: &Origin<'_>, reader: impl MetricReader) -> Self {
        let builder = SdkMeterProvider::builder().with_resource(origin.resource.clone());
        let provider = builder.with_view(bounded).with_reader(reader).build();
        let meter = provider.meter_with_scope(origin.scope.clone());
        observe_snapshot(&meter, origin.snapshot);
        observe_counters(&meter, origin.counters);
        observe_cost(&meter);
        let rotation = Instruments(&meter, schema::METRIC_ROTATION_DELAY).histogram();
        Self { provider, rotation }
    }
}

/// Limits every instrument to [`MOST_SERIES`].
fn bounded(_: &Instrument) -> Option<Stream> {
    Stream::builder().with_cardinality_limit(MOST_SERIES).build().ok()
}

/// Creates the instrument of this name as the schema describes it.
struct Instruments<'a>(&'a Meter, &'static str);

type Observer<'a, T> = &'a dyn AsyncInstrument<T>;

impl Instruments<'_> {
    fn unit(&self) -> &'static str {
        self.entry().map_or("", |metric| metric.unit)
    }

    fn meaning(&self) -> &'static str {
        self.entry().map_or("", |metric| metric.meaning)
    }

    fn entry(&self) -> Option<&'static schema::Metric> {
        METRICS.iter().find(|metric| metric.name == self.1)
    }

    fn histogram(&self) -> Histogram<f64> {
        let builder =
            self.0.f64_histogram(self.1).with_unit(self.unit()).with_description(self.meaning());
        builder.with_boundaries(DELAY_BUCKETS.to_vec()).build()
    }

    fn gauge_u64(&self, read: impl Fn(Observer<'_, u64>) + Send + Sync + 'static) {
        let builder = self
            .0
            .u64_observable_gauge(self.1)
            .with_unit(self.unit())
            .with_description(self.meaning());
        builder.with_callback(read).build();
    }

    fn gauge_f64(&self, read: impl Fn(Observer<'_, f64>) + Send + Sync + 'static) {
        let builder = self
            .0
            .f64_observable_gauge(self.1)
            .with_unit(self.unit())
            .with_description(self.meaning());
        builder.with_callback(read).build();
    }

    fn up_down_counter(&self, read: impl Fn(Observer<'_, i64>) + Send + Sync + 'static) {
        let builder = self
            .0
            .i64_observable_up_down_counter(self.1)
            .with_unit(self.unit())
            .with_description(self.meaning());
        builder.with_callback(read).build();
    }

    fn counter_u64(&self, read: impl Fn(Observer<'_, u64>) + Send + Sync + 'static) {
        let builder = self
            .0
            .u64_observable_counter(self.1)
            .with_unit(self.unit())
            .with_description(self.meaning());
        builder.with_callback(read).build();
    }

    fn counter_f64(&self, read: impl Fn(Observer<'_, f64>) + Send + Sync + 'static) {
        let builder = self
            .0
            .f64_observable_counter(self.1)
            .with_unit(self.unit())
            .with_description(self.meaning());
        builder.with_callback(read).build();
    }
}

/// Gauges over the engine's state. A series that the state no longer has disappears.
fn observe_snapshot(meter: &Meter, snapshot: &SnapshotSource) {
    let counts = |name, read: fn(&Snapshot, Observer<'_, u64>)| {
        let snapshot = Arc::clone(snapshot);
        Instruments(meter, name).gauge_u64(move |observer| read(&snapshot(), observer));
    };
    counts(schema::METRIC_TOKENS, tokens);
    counts(schema::METRIC_FINDINGS, findings);
    counts(schema::METRIC_CAUSES, causes);
    counts(schema::METRIC_FINDING_INFO, finding_info);
    counts(schema::METRIC_FINDING_LEFT_OUT, finding_left_out);
    counts(schema::METRIC_READERS, readers);
    counts(schema::METRIC_CLOCK_STATE, clock_state);
    counts(schema::METRIC_SOURCES_UP, sources);
    counts(schema::METRIC_PRIVILEGE, privilege);
    counts(schema::METRIC_CLUSTER_PODS, cluster_pods);
    let counters = |name, read: fn(&Snapshot, Observer<'_, u64>)| {
        let snapshot = Arc::clone(snapshot);
        Instruments(meter, name).counter_u64(move |observer| read(&snapshot(), observer));
    };
    counters(schema::METRIC_REFUSALS, refusals);
    counters(schema::METRIC_MISSED, missed);
    observe_durations(meter, snapshot);
}

fn refusals(snapshot: &Snapshot, observer: Observer<'_, u64>) {
    for (reason, count) in snapshot.refusals.iter().flat_map(|figures| &figures.by_reason) {
        observer.observe(*count, &both(schema::METRIC_REASON, reason.name()));
    }
}

fn missed(snapshot: &Snapshot, observer: Observer<'_, u64>) {
    if let Some(figures) = &snapshot.refusals {
        observer.observe(figures.missed, &[]);
    }
}

fn observe_durations(meter: &Meter, snapshot: &SnapshotSource) {
    let duration = |name, read: fn(&Snapshot) -> Option<Delta>| {
        let snapshot = Arc::clone(snapshot);
        Instruments(meter, name).gauge_f64(move |observer| seconds(read(&snapshot()), observer));
    };
    duration(schema::METRIC_CLUSTER_AGE, |snapshot| snapshot.cluster.map(|cluster| cluster.age));
    duration(schema::METRIC_DEADLINE_MIN, |snapshot| snapshot.nearest_deadline);
    duration(schema::METRIC_CLOCK_OFFSET, |snapshot| {
        (!snapshot.clock.assumed).then_some(snapshot.clock.offset)
    });
    duration(schema::METRIC_CLOCK_ERROR_BOUND, |snapshot| {
        (!snapshot.clock.assumed).then_some(snapshot.clock.bound)
    });
}

fn seconds(delta: Option<Delta>, observer: Observer<'_, f64>) {
    if let Some(delta) = delta {
        observer.observe(delta.as_secs_f64(), &[]);
    }
}

fn tokens(snapshot: &Snapshot, observer: Observer<'_, u64>) {
    for (state, count) in &snapshot.tokens {
        observer.observe(*count, &[KeyValue::new(schema::TOKEN_STATE, state.name())]);
    }
}

fn findings(snapshot: &Snapshot, observer: Observer<'_, u64>) {
    counted_by_code(&snapshot.findings.by_code, observer);
}

fn finding_left_out(snapshot: &Snapshot, observer: Observer<'_, u64>) {
    counted_by_code(&snapshot.findings.named.left_out, observer);
}

fn counted_by_code(counts: &BTreeMap<(Code, Severity), u64>, observer: Observer<'_, u64>) {
    for ((code, severity), count) in counts {
        observer.observe(*count, &kind(*code, *severity));
    }
}

fn kind(code: Code, severity: Severity) -> [KeyValue; 2] {
    [
        KeyValue::new(schema::FINDING_CODE, code.as_str()),
        KeyValue::new(schema::FINDING_SEVERITY, severity.name()),
    ]
}

fn finding_info(snapshot: &Snapshot, observer: Observer<'_, u64>) {
    for one in &snapshot.findings.named.all {
        let cause = one.cause.as_ref().map(|id| KeyValue::new(schema::CAUSE_ID, id.to_string()));
        let pod = one.pod.as_ref().map(pod_attributes).unwrap_or_default();
        let attributes: Vec<KeyValue> =
            kind(one.code, one.severity).into_iter().chain(cause).chain(pod).collect();
        observer.observe(1, &attributes);
    }
}

fn pod_attributes(pod: &NamedPod) -> Vec<KeyValue> {
    let uid = (!pod.is_proven).then_some(&pod.uid);
    [
        (schema::K8S_NAMESPACE, pod.namespace.as_ref()),
        (schema::K8S_POD_NAME, pod.name.as_ref()),
        (schema::K8S_POD_UID, uid),
    ]
    .into_iter()
    .filter_map(|(name, value)| Some(KeyValue::new(name, value?.clone())))
    .collect()
}

fn causes(snapshot: &Snapshot, observer: Observer<'_, u64>) {
    for ((cause, code, severity), count) in &snapshot.findings.by_cause {
        let cause = KeyValue::new(schema::CAUSE_ID, cause.to_string());
        let attributes: Vec<KeyValue> = kind(*code, *severity).into_iter().chain([cause]).collect();
        observer.observe(*count, &attributes);
    }
}

fn readers(snapshot: &Snapshot, observer: Observer<'_, u64>) {
    for (verdict, count) in &snapshot.readers {
        observer.observe(*count, &[KeyValue::new(schema::READER_VERDICT, verdict.name())]);
    }
}

fn clock_state(snapshot: &Snapshot, observer: Observer<'_, u64>) {
    for state in ClockState::ALL {
        observer.observe(
            u64::from(state == snapshot.clock.state),
            &[KeyValue::new(schema::CLOCK_STATE, state.name())],
        );
    }
}

fn sources(snapshot: &Snapshot, observer: Observer<'_, u64>) {
    for (source, up) in &snapshot.sources {
        observer.observe(u64::from(*up), &both(schema::METRIC_SOURCE, source));
    }
}

fn privilege(snapshot: &Snapshot, observer: Observer<'_, u64>) {
    if let Some(rung) = snapshot.rung {
        observer.observe(1, &[KeyValue::new(schema::PRIVILEGE_RUNG, rung.name())]);
    }
}

fn cluster_pods(snapshot: &Snapshot, observer: Observer<'_, u64>) {
    if let Some(cluster) = snapshot.cluster {
        observer.observe(cluster.pods as u64, &[]);
    }
}

fn observe_counters(meter: &Meter, counters: &Arc<Counters>) {
    let outcomes: [Labelled; 3] = [
        ("accepted", |c| &c.accepted),
        ("rejected", |c| &c.rejected),
        ("given_up", |c| &c.given_up),
    ];
    let dropped: [Labelled; 2] =
        [("traces", |c| &c.spans_dropped), ("metrics", |c| &c.metrics_dropped)];
    Instruments(meter, schema::METRIC_ALERTS).counter_u64(counted(
        schema::METRIC_OUTCOME,
        counters,
        outcomes,
    ));
    Instruments(meter, schema::METRIC_DROPPED).counter_u64(counted(
        schema::METRIC_SIGNAL,
        counters,
        dropped,
    ));
}

/// The attribute under its name and the one that it had before.
fn both(name: &'static str, value: &str) -> Vec<KeyValue> {
    let old = schema::OLD_NAMES.iter().filter(|(new, _)| *new == name).map(|(_, old)| *old);
    let names = std::iter::once(name).chain(old);
    names.map(|name| KeyValue::new(name, value.to_owned())).collect()
}

type Labelled = (&'static str, fn(&Counters) -> &Counter);

fn counted<const N: usize>(
    key: &'static str,
    counters: &Arc<Counters>,
    parts: [Labelled; N],
) -> impl Fn(Observer<'_, u64>) + use<N> {
    let counters = Arc::clone(counters);
    move |observer| {
        for (label, counter) in parts {
            observer.observe(counter(&counters).get(), &both(key, label));
        }
    }
}

fn observe_cost(meter: &Meter) {
    Instruments(meter, schema::METRIC_CPU).counter_f64(|observer| {
        for (mode, secs) in cpu_seconds().into_iter().flatten() {
            observer.observe(secs, &[KeyValue::new("cpu.mode", mode)]);
        }
    });
    Instruments(meter, schema::METRIC_MEMORY).up_down_counter(|observer| {
        if let Some(bytes) = resident_bytes() {
            observer.observe(bytes, &[]);
        }
    });
}

/// User and system time of this process, seconds.
fn cpu_seconds() -> Option<[(&'static str, f64); 2]> {
    let usage = proc::own_usage().ok()?;
    Some([("user", usage.user_seconds), ("system", usage.system_seconds)])
}

/// Resident set of this process.
fn resident_bytes() -> Option<i64> {
    i64::try_from(proc::own_usage().ok()?.resident_bytes).ok()
}
