//! Metrics as text for Prometheus: OpenMetrics 1.0, or the older text format 0.0.4.
//!
//! Written by hand, because the `prometheus` crate does not support OpenMetrics. Names follow
//! OpenTelemetry's "Prometheus and OpenMetrics Compatibility": dots become underscores, the unit is
//! appended, and counters end in `_total`.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use opentelemetry::{KeyValue, Value};
use opentelemetry_sdk::metrics::data::{
    AggregatedMetrics, Histogram, HistogramDataPoint, Metric, MetricData, ResourceMetrics, Sum,
};

/// The text format.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Format {
    /// OpenMetrics 1.0.
    OpenMetrics,
    /// Prometheus' text format 0.0.4.
    Text,
}

impl Format {
    /// The format for a client that sends this `Accept`.
    pub(super) fn accepted(accept: Option<&str>) -> Self {
        let wanted = accept.unwrap_or_default().split(',').any(is_openmetrics);
        if wanted { Self::OpenMetrics } else { Self::Text }
    }

    pub(super) fn content_type(self) -> &'static str {
        match self {
            Self::OpenMetrics => "application/openmetrics-text; version=1.0.0; charset=utf-8",
            Self::Text => "text/plain; version=0.0.4; charset=utf-8",
        }
    }
}

/// Any client that accepts OpenMetrics gets it, whatever it prefers.
fn is_openmetrics(range: &str) -> bool {
    let mut parts = range.split(';').map(str::trim);
    let is_refused = |part: &str| part.strip_prefix("q=").is_some_and(|q| q.parse() == Ok(0.0));
    parts.next().is_some_and(|kind| kind.eq_ignore_ascii_case("application/openmetrics-text"))
        && !parts.any(is_refused)
}

/// All metrics, in the order in which the instruments were created.
pub(super) fn write(metrics: &ResourceMetrics, format: Format) -> String {
    let mut exposition = Exposition { out: String::new(), format };
    exposition.target(metrics);
    for metric in
        metrics.scope_metrics().flat_map(opentelemetry_sdk::metrics::data::ScopeMetrics::metrics)
    {
        exposition.metric(metric);
    }
    if format == Format::OpenMetrics {
        exposition.out.push_str("# EOF\n");
    }
    exposition.out
}

/// The text in the making.
struct Exposition {
    out: String,
    format: Format,
}

impl Exposition {
    fn line(&mut self, line: std::fmt::Arguments<'_>) {
        let _ = self.out.write_fmt(line); // writing to a String cannot fail
        self.out.push('\n');
    }

    /// `target_info`: the attributes of the resource.
    fn target(&mut self, metrics: &ResourceMetrics) {
        let labels: Vec<_> =
            metrics.resource().iter().map(|(key, value)| label(key.as_str(), value)).collect();
        let (family, kind) = match self.format {
            Format::OpenMetrics => ("target", "info"),
            Format::Text => ("target_info", "gauge"),
        };
        self.line(format_args!(
            "# HELP {family} Attributes of the resource that reports these metrics."
        ));
        self.line(format_args!("# TYPE {family} {kind}"));
        self.line(format_args!("target_info{} 1", braced(&sorted(labels))));
    }

    fn metric(&mut self, metric: &Metric) {
        match metric.data() {
            AggregatedMetrics::F64(data) => self.data(metric, data, ToString::to_string),
            AggregatedMetrics::U64(data) => self.data(metric, data, ToString::to_string),
            AggregatedMetrics::I64(data) => self.data(metric, data, ToString::to_string),
        }
    }

    fn data<T: Copy>(&mut self, metric: &Metric, data: &MetricData<T>, shown: fn(&T) -> String) {
        match data {
            MetricData::Gauge(gauge) => {
                let points = gauge.data_points();
                let points = points.map(|at| (labels(at.attributes()), shown(&at.value())));
                self.family(metric, ("gauge", ""), points);
            }
            MetricData::Sum(sum) => self.sum(metric, sum, shown),
            MetricData::Histogram(histogram) => self.histogram(metric, histogram, shown),
            MetricData::ExponentialHistogram(_) => {} // the agent creates none
        }
    }

    fn sum<T: Copy>(&mut self, metric: &Metric, sum: &Sum<T>, shown: fn(&T) -> String) {
        let kind = if sum.is_monotonic() { ("counter", "_total") } else { ("gauge", "") };
        let points = sum.data_points().map(|at| (labels(at.attributes()), shown(&at.value())));
        self.family(metric, kind, points);
    }

    /// Everything about a metric whose points are numbers. A kind has a suffix for its samples.
    fn family(
        &mut self,
        metric: &Metric,
        (kind, suffix): (&str, &str),
        points: impl Iterator<Item = (Labels, String)>,
    ) {
        let name = name(metric);
        self.head(&name, metric, kind, suffix);
        self.samples(&format!("{name}{suffix}"), points);
    }

    /// `HELP`, `TYPE` and `UNIT`. In the older format the family has the name of its samples.
    fn head(&mut self, name: &str, metric: &Metric, kind: &str, suffix: &str) {
        let suffix = if self.format == Format::Text { suffix } else { "" };
        self.line(format_args!(
            "# HELP {name}{suffix} {}",
            escaped(metric.description(), self.format == Format::OpenMetrics)
        ));
        self.line(format_args!("# TYPE {name}{suffix} {kind}"));
        if let (Format::OpenMetrics, Some(unit)) = (self.format, unit(metric.unit())) {
            self.line(format_args!("# UNIT {name} {unit}"));
        }
    }

    fn histogram<T: Copy>(
        &mut self,
        metric: &Metric,
        histogram: &Histogram<T>,
        shown: fn(&T) -> String,
    ) {
        let name = name(metric);
        self.head(&name, metric, "histogram", "");
        for point in histogram.data_points() {
            let of = labels(point.attributes());
            self.buckets(&name, &of, point);
            self.sample(&format!("{name}_sum"), &of, &shown(&point.sum()));
            self.sample(&format!("{name}_count"), &of, &point.count().to_string());
        }
    }

    fn buckets<T>(&mut self, name: &str, of: &Labels, point: &HistogramDataPoint<T>) {
        let bounds = point.bounds().map(|bound| format!("{bound:?}")).chain(["+Inf".to_owned()]);
        let mut below = 0;
        for (bound, count) in bounds.zip(point.bucket_counts()) {
            below += count;
            let labels: Labels = of.iter().cloned().chain([("le".to_owned(), bound)]).collect();
            self.sample(&format!("{name}_bucket"), &labels, &below.to_string());
        }
    }

    /// Sorted, because the SDK returns them in no fixed order.
    fn samples(&mut self, name: &str, points: impl Iterator<Item = (Labels, String)>) {
        let points: BTreeMap<Labels, String> = points.collect();
        for (labels, value) in points {
            self.sample(name, &labels, &value);
        }
    }

    fn sample(&mut self, name: &str, labels: &[(String, String)], value: &str) {
        self.line(format_args!("{name}{} {value}", braced(labels)));
    }
}

type Labels = Vec<(String, String)>;

fn labels<'a>(attributes: impl Iterator<Item = &'a KeyValue>) -> Labels {
    sorted(attributes.map(|attribute| label(attribute.key.as_str(), &attribute.value)).collect())
}

fn label(key: &str, value: &Value) -> (String, String) {
    (plain(key), value.as_str().into_owned())
}

/// In a fixed order, so that a series looks the same in each scrape.
fn sorted(mut labels: Labels) -> Labels {
    labels.sort();
    labels.dedup_by(|later, first| later.0 == first.0); // `a.b` and `a_b` become the same name
    labels
}

fn braced(labels: &[(String, String)]) -> String {
    if labels.is_empty() {
        return String::new();
    }
    let pairs: Vec<String> =
        labels.iter().map(|(key, value)| format!("{key}=\"{}\"", escaped(value, true))).collect();
    format!("{{{}}}", pairs.join(","))
}

fn name(metric: &Metric) -> String {
    let name = plain(metric.name());
    match unit(metric.unit()) {
        Some(unit) if !name.ends_with(unit) => format!("{name}_{unit}"),
        _ => name,
    }
}

/// The Prometheus name of a unit of the schema. Units that count things (`{token}`) have none.
fn unit(ucum: &str) -> Option<&'static str> {
    match ucum {
        "s" => Some("seconds"),
        "By" => Some("bytes"),
        _ => None,
    }
}

fn plain(name: &str) -> String {
    let allowed = |c: char| if c.is_ascii_alphanumeric() || c == '_' { c } else { '_' };
    let plain: String = name.chars().map(allowed).collect();
    if plain.starts_with(|c: char| c.is_ascii_digit()) { format!("_{plain}") } else { plain }
}

fn escaped(text: &str, quotes: bool) -> String {
    let text = text.replace('\\', "\\\\").replace('\n', "\\n");
    if quotes { text.replace('"', "\\\"") } else { text }
}

#[cfg(test)]
#[path = "openmetrics_tests.rs"]
mod tests;
