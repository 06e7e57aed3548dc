//! The one list of settings.

// Every check has the same shape, whatever the type: it is given a reference and says yes or why
// not.
#![allow(
    clippy::trivially_copy_pass_by_ref,
    clippy::ref_option,
    clippy::ptr_arg,
    clippy::unnecessary_wraps
)]

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr};
use std::path::PathBuf;

use tokenwatch_core::base::time::Delta;
use tokenwatch_core::world::clocks::ServerName;
use tokenwatch_otlp::protocol::{Compression, Protocol, Temporality};
use tracing_subscriber::filter::{LevelFilter, Targets};

use super::kinds::{Kind, LogFormat, Port, Secret};
use super::mistakes::Problem;
use super::otlp::ALERT_MEMORY;
use super::size::Size;
use super::yaml::Spot;

/// What was given for a setting, before it is understood.
#[derive(Clone, Copy, Debug)]
pub(super) enum Input<'a> {
    /// A value in the file.
    Node(&'a Spot),
    /// A variable, or each use of a flag.
    Texts(&'a [String]),
}

/// One setting: everything that anybody needs to know about it.
#[derive(Debug)]
pub struct Setting {
    /// As in the file, sections separated by dots: `clock.servers`.
    pub name: &'static str,
    /// What it does.
    pub doc: &'static str,
    /// Its flag, without dashes.
    pub flag: &'static str,
    /// What stands for its value in help.
    pub value: &'static str,
    /// Whether its flag can be given several times.
    pub repeatable: bool,
    /// The standard OpenTelemetry variable that counts where this setting is not given, and the
    /// unit that its numbers lack.
    pub standard: Option<(&'static str, &'static str)>,
    pub(super) set: fn(&mut Settings, Input<'_>) -> Result<(), Vec<Problem>>,
    pub(super) show: fn(&Settings) -> Option<String>,
}

impl Setting {
    /// The environment variable: `TOKENWATCH_CLOCK_SERVERS`.
    pub fn variable(&self) -> String {
        format!("TOKENWATCH_{}", self.name.to_uppercase().replace('.', "_"))
    }

    /// The part before the dot; empty for a setting of no section.
    pub fn section(&self) -> &'static str {
        self.name.split_once('.').map_or("", |(section, _)| section)
    }

    /// The setting called `name`.
    pub fn named(name: &str) -> Option<&'static Self> {
        SETTINGS.iter().find(|setting| setting.name == name)
    }
}

fn set<T: Kind>(
    field: &mut T,
    input: Input<'_>,
    allowed: fn(&T) -> Result<(), String>,
) -> Result<(), Vec<Problem>> {
    let value = match input {
        Input::Node(spot) => T::from_spot(spot)?,
        Input::Texts(texts) => T::from_texts(texts)?,
    };
    allowed(&value).map_err(|message| vec![Problem::here(message)])?;
    *field = value;
    Ok(())
}

fn anything<T>(_: &T) -> Result<(), String> {
    Ok(())
}

macro_rules! settings {
    (
        { $( $(#[doc = $doc:literal])* $field:ident: $ty:ty = $default:expr, --$flag:literal $value:literal $(, check $check:expr)? ; )* }
        $( $(#[doc = $section_doc:literal])* $section:ident: $Section:ident {
            $( $(#[doc = $inner_doc:literal])* $inner:ident: $inner_ty:ty = $inner_default:expr, --$inner_flag:literal $inner_value:literal
                $(, otel $standard:literal $unit:literal)? $(, check $inner_check:expr)? ; )*
        } )*
    ) => {
        /// Every setting, with its value.
        #[derive(Clone, Debug, PartialEq)]
        pub struct Settings {
            $( $(#[doc = $doc])* pub $field: $ty, )*
            $( $(#[doc = $section_doc])* pub $section: $Section, )*
        }

        impl Default for Settings {
            fn default() -> Self {
                Self { $( $field: $default, )* $( $section: $Section::default(), )* }
            }
        }

        $(
            $(#[doc = $section_doc])*
            #[derive(Clone, Debug, PartialEq)]
            pub struct $Section { $( $(#[doc = $inner_doc])* pub $inner: $inner_ty, )* }

            impl Default for $Section {
                fn default() -> Self {
                    Self { $( $inner: $inner_default, )* }
                }
            }
        )*

        /// The sections, with what each is about.
        pub(super) const SECTIONS: &[(&str, &str)] = &[$( (stringify!($section), concat!($($section_doc),*)) ),*];

        /// Every setting, in the order they are shown.
        pub static SETTINGS: &[Setting] = &[
            $( settings!(@one stringify!($field), concat!($($doc),*), [$field], $ty, $flag, $value, [$($check)?], []), )*
            $( $( settings!(@one concat!(stringify!($section), ".", stringify!($inner)), concat!($($inner_doc),*), [$section.$inner], $inner_ty,
                $inner_flag, $inner_value, [$($inner_check)?], [$($standard, $unit)?]), )* )*
        ];
    };
    (@one $name:expr, $doc:expr, [$($path:tt)+], $ty:ty, $flag:literal, $value:literal, [$($check:expr)?], [$($standard:literal, $unit:literal)?]) => {
        Setting {
            name: $name,
            doc: $doc,
            flag: $flag,
            value: $value,
            repeatable: <$ty as Kind>::SEVERAL,
            standard: settings!(@standard $($standard, $unit)?),
            set: |settings, input| set(&mut settings.$($path)+, input, settings!(@check $($check)?)),
            show: |settings| settings.$($path)+.show(),
        }
    };
    (@check $check:expr) => { $check };
    (@check) => { anything };
    (@standard $standard:literal, $unit:literal) => { Some(($standard, $unit)) };
    (@standard) => { None };
}

settings! {
    {
    #[doc = "Kubelet root directories, as on the host; found by themselves when none is given."]
    roots: Vec<PathBuf> = Vec::new(), --"root" "DIR";
    #[doc = "Where the host's / is seen: the mount of the host's file system in a container."]
    host_prefix: PathBuf = PathBuf::from("/"), --"host-prefix" "DIR";
    #[doc = "This node's name; else the variable NODE_NAME, else the host name."]
    node: Option<String> = None, --"node" "NAME", check named;
    #[doc = "When asked to stop, spans and alerts have this long to get out."]
    shutdown_timeout: Delta = Delta::from_secs(5), --"shutdown-timeout" "DURATION", check positive;
    }
    #[doc = "How kubelet works here."]
    kubelet: Kubelet {
        #[doc = "kubelet's syncFrequency; a longer one moves late and stalled out with it."]
        sync_period: Delta = Delta::from_secs(60), --"kubelet-sync-period" "DURATION", check positive;
    }
    #[doc = "How token files are watched."]
    files: Files {
        #[doc = "Everything is looked at again this often, whatever the watches said."]
        rescan: Delta = Delta::from_secs(60), --"files-rescan" "DURATION", check a_second;
    }
    #[doc = "How the node's clock is proven."]
    clock: Clock {
        #[doc = "Time servers to ask; IPv6 addresses in brackets."]
        servers: Vec<ServerName> = Vec::new(), --"clock-server" "HOST[:PORT]";
        #[doc = "Each server is asked this often, at least 16s apart."]
        interval: Delta = Delta::from_secs(64), --"clock-interval" "DURATION", check positive;
        #[doc = "A server that has not answered by then has not answered."]
        timeout: Delta = Delta::from_secs(1), --"clock-timeout" "DURATION", check positive;
        #[doc = "A clock that is off by more is a finding."]
        offset_limit: Delta = Delta::from_millis(500), --"clock-offset-limit" "DURATION", check positive;
        #[doc = "Error bound that is assumed while nothing vouches for the clock."]
        assumed_bound: Delta = Delta::from_secs(300), --"clock-assumed-bound" "DURATION", check positive;
        #[doc = "After this long without an answer the servers' last word counts for nothing."]
        max_age: Delta = Delta::from_secs(1_800), --"clock-max-age" "DURATION", check positive;
        #[doc = "Without servers: ask those that the host's own time daemon is configured with."]
        discover: bool = true, --"clock-discover" "BOOL";
    }
    #[doc = "What is said, and how often."]
    alerts: Alerts {
        #[doc = "A finding that stays is said again this often."]
        remind_every: Delta = Delta::from_secs(4 * 3_600), --"alerts-remind-every" "DURATION", check a_minute;
        #[doc = "An alert that waits longer for a collector is a finding of its own."]
        delivery_limit: Delta = Delta::from_secs(60), --"alerts-delivery-limit" "DURATION", check positive;
        #[doc = "Memory that undelivered alerts may take; when it is full reminders are given up first, then info, then the oldest, and counted."]
        memory: Size = Size::from_bytes(ALERT_MEMORY as u64), --"alerts-memory" "SIZE", check bearable;
    }
    #[doc = "Where spans, alerts and metrics go. What is not given is taken from the standard OTEL_EXPORTER_OTLP_… variables."]
    otlp: Otlp {
        #[doc = "Collector's URL, such as http://collector:4317; without one, `run` prints what it would send."]
        endpoint: Option<String> = None, --"otlp-endpoint" "URL", otel "OTEL_EXPORTER_OTLP_ENDPOINT" "", check url;
        #[doc = "grpc or http/protobuf."]
        protocol: Option<Protocol> = None, --"otlp-protocol" "PROTOCOL", otel "OTEL_EXPORTER_OTLP_PROTOCOL" "";
        #[doc = "Sent with every request; the values are secret and never shown."]
        headers: BTreeMap<String, Secret> = BTreeMap::new(), --"otlp-header" "NAME=VALUE", otel "OTEL_EXPORTER_OTLP_HEADERS" "";
        #[doc = "Certificates of the authorities that the collector's certificate is checked against."]
        ca_file: Option<PathBuf> = None, --"otlp-ca-file" "FILE", otel "OTEL_EXPORTER_OTLP_CERTIFICATE" "";
        #[doc = "The agent's own certificate, for mutual TLS."]
        client_cert_file: Option<PathBuf> = None, --"otlp-client-cert-file" "FILE", otel "OTEL_EXPORTER_OTLP_CLIENT_CERTIFICATE" "";
        #[doc = "The key to it."]
        client_key_file: Option<PathBuf> = None, --"otlp-client-key-file" "FILE", otel "OTEL_EXPORTER_OTLP_CLIENT_KEY" "";
        #[doc = "gzip or none."]
        compression: Option<Compression> = None, --"otlp-compression" "COMPRESSION", otel "OTEL_EXPORTER_OTLP_COMPRESSION" "";
        #[doc = "A request that takes longer has failed."]
        timeout: Option<Delta> = None, --"otlp-timeout" "DURATION", otel "OTEL_EXPORTER_OTLP_TIMEOUT" "ms", check positive_if_any;
        #[doc = "Metrics are sent this often."]
        metrics_interval: Option<Delta> = None, --"otlp-metrics-interval" "DURATION", otel "OTEL_METRIC_EXPORT_INTERVAL" "ms", check positive_if_any;
        #[doc = "cumulative, delta or lowmemory."]
        temporality: Option<Temporality> = None, --"otlp-temporality" "TEMPORALITY", otel "OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE" "";
    }
    #[doc = "What the Kubernetes API is used for: the names of this node's pods, and Events on them. Everything else works without."]
    kubernetes: Kubernetes {
        #[doc = "Watch the pods of this node. Wants list and watch on pods."]
        enabled: bool = false, --"kubernetes" "BOOL";
        #[doc = "Write findings as Events too, where the API is used. Wants create and patch on events (events.k8s.io)."]
        events: bool = true, --"kubernetes-events" "BOOL";
        #[doc = "How to reach the API server from outside of a pod; inside, the pod's own service account is used."]
        kubeconfig: Option<PathBuf> = None, --"kubeconfig" "FILE";
    }
    #[doc = "What is served on the node: /metrics, /livez, /readyz, and a status page at /. No token bytes, and no password: keep it to addresses you trust."]
    http: Http {
        #[doc = "Serve /metrics, /livez, /readyz and a status page."]
        enabled: bool = true, --"http" "BOOL";
        #[doc = "Addresses to listen on."]
        address: Vec<IpAddr> = vec![IpAddr::V4(Ipv4Addr::LOCALHOST)], --"http-address" "ADDRESS";
        #[doc = "Port to listen on."]
        port: Port = Port(9723), --"http-port" "PORT";
    }
    #[doc = "What outlives the agent."]
    state: State {
        #[doc = "Directory where active findings are remembered, so that a restart neither loses nor repeats one; none: they are raised anew."]
        dir: Option<PathBuf> = None, --"state-dir" "DIR";
    }
    #[doc = "The agent's own diary, on standard error."]
    log: Log {
        #[doc = "error, warn, info, debug or trace; also per module, as in info,tokenwatch=debug."]
        level: String = "info".to_owned(), --"log-level" "LEVEL", check level;
        #[doc = "text or json."]
        format: LogFormat = LogFormat::Text, --"log-format" "FORMAT";
    }
}

fn positive(value: &Delta) -> Result<(), String> {
    at_least(value, Delta::from_millis(1))
}

fn positive_if_any(value: &Option<Delta>) -> Result<(), String> {
    value.as_ref().map_or(Ok(()), positive)
}

/// A full scan of a large node takes tens of milliseconds: more often than each second is load
/// without news.
fn a_second(value: &Delta) -> Result<(), String> {
    at_least(value, Delta::from_secs(1))
}

/// More often is not a reminder but a flood.
fn a_minute(value: &Delta) -> Result<(), String> {
    at_least(value, Delta::from_secs(60))
}

fn at_least(value: &Delta, least: Delta) -> Result<(), String> {
    if *value >= least {
        return Ok(());
    }
    Err(format!(
        "{} is too short: at least {}",
        super::duration::show(*value),
        super::duration::show(least)
    ))
}

/// Below, one large pod's trouble does not fit (some 50 alerts); above, the agent weighs more than
/// what it watches over.
fn bearable(value: &Size) -> Result<(), String> {
    let (least, most) = (Size::from_bytes(64 << 10), Size::from_bytes(1 << 30));
    match *value {
        value if value < least => Err(format!("{value} is too little: at least {least}")),
        value if value > most => Err(format!("{value} is too much: at most {most}")),
        _ => Ok(()),
    }
}

fn named(value: &Option<String>) -> Result<(), String> {
    match value {
        Some(name) if name.trim().is_empty() => Err("a name is wanted, this is empty".to_owned()),
        _ => Ok(()),
    }
}

fn url(value: &Option<String>) -> Result<(), String> {
    let Some(text) = value else { return Ok(()) };
    match text.parse::<http::Uri>() {
        Ok(uri)
            if matches!(uri.scheme_str(), Some("http" | "https"))
                && uri.host().is_some_and(|host| !host.is_empty()) =>
        {
            Ok(())
        }
        _ => Err(format!(
            "\"{}\" is not a URL such as http://collector:4317 or https://collector:4318",
            tokenwatch_core::base::text::shown(text)
        )),
    }
}

/// Stricter than the filter itself, which takes any word for the name of a module.
fn level(value: &String) -> Result<(), String> {
    let is_level = |text: &str| ["off", "error", "warn", "info", "debug", "trace"].contains(&text);
    let is_directive = |part: &str| is_level(part.rsplit('=').next().unwrap_or(part));
    if value.split(',').map(str::trim).all(is_directive) && filter(value).is_some() {
        return Ok(());
    }
    let shown = tokenwatch_core::base::text::shown(value);
    Err(format!(
        "\"{shown}\" is no log level: error, warn, info, debug, trace, off, or per module as in \
         info,tokenwatch=debug"
    ))
}

/// The crate that carries requests to the API server.
const API_CLIENT: &str = "kube_client";

/// Levels per module and no more: tracing's `EnvFilter` also takes patterns over fields, and brings
/// a regex engine (0.5 MB) for them.
fn filter(level: &str) -> Option<Targets> {
    let parts: Vec<&str> = level.split(',').map(str::trim).collect();
    parts.join(",").parse().ok()
}

impl Log {
    /// What is written. Should the level be refused in spite of its check, everything from info on
    /// is.
    pub fn filter(&self) -> Targets {
        let filter = filter(&self.level)
            .unwrap_or_else(|| Targets::new().with_default(tracing::Level::INFO));
        // It tells of each request that fails; the source and the sink that asked say so once, and
        // what to do.
        let asked_for = self.level.contains(API_CLIENT);
        if asked_for { filter } else { filter.with_target(API_CLIENT, LevelFilter::OFF) }
    }
}
