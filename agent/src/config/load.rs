//! Loads the settings from file, environment and flags, or reports every mistake in them.

use std::collections::{BTreeMap, BTreeSet};

use serde_saphyr::Spanned;
use tokenwatch_core::base::text::shown;
use tokenwatch_core::base::time::Delta;
use tokenwatch_core::world::clocks::ServerName;

use super::declare::Input;
use super::mistakes::{Mistakes, Origin, Problem};
use super::nearest::nearest;
use super::table::{SECTIONS, SETTINGS, Setting, Settings};
use super::yaml::{self, Node, Place, Spot, place};
use crate::environment::Environment;

/// Minimum interval of queries to a time server. Operators require at least this (RFC 8633, section
/// 3.1; the default minimum of chrony and ntpd is 2^6 s, and most servers allow 2^4 s).
const SHORTEST_INTERVAL: Delta = Delta::from_secs(16);
/// Minimum interval if all servers are on this machine, where no other operator is affected.
const SHORTEST_LOOPBACK_INTERVAL: Delta = Delta::from_secs(1);
/// The variable with the path of the configuration file. It belongs to no setting.
const CONFIG_VARIABLE: &str = "TOKENWATCH_CONFIG";

/// Variables of `run` that belong to no setting: a recording is made for one run.
const RUN_VARIABLES: [&str; 2] = ["TOKENWATCH_RECORD", "TOKENWATCH_PSEUDONYMS"];

/// What the operator gave.
#[derive(Clone, Debug)]
pub struct Given<'a> {
    /// Path and text of the configuration file.
    pub file: Option<(String, String)>,
    /// The environment.
    pub environment: &'a Environment,
    /// The flags.
    pub flags: Vec<Flag>,
}

/// A flag on the command line.
#[derive(Clone, Debug)]
pub struct Flag {
    /// The setting that it sets.
    pub setting: &'static Setting,
    /// Its name for this command, without dashes.
    pub name: &'static str,
    /// Its values, in order.
    pub texts: Vec<String>,
}

/// The settings, and their origins.
#[derive(Clone, Debug)]
pub struct Loaded {
    /// The values.
    pub settings: Settings,
    origins: BTreeMap<&'static str, Origin>,
    broken: BTreeSet<&'static str>,
}

impl Loaded {
    /// The origin of the setting called `name`.
    pub fn origin(&self, name: &str) -> Origin {
        self.origins.get(name).cloned().unwrap_or(Origin::Default)
    }

    /// Whether the value given for the setting called `name` was refused.
    pub fn is_broken(&self, name: &str) -> bool {
        self.broken.contains(name)
    }
}

/// Loads the settings, in the order of precedence.
pub fn load(given: &Given<'_>) -> Result<Loaded, Mistakes> {
    match read(given) {
        (loaded, mistakes) if mistakes.0.is_empty() => Ok(loaded),
        (_, mistakes) => Err(mistakes),
    }
}

/// As [`load`], but returns both the settings and the mistakes, for callers that check further.
pub fn read(given: &Given<'_>) -> (Loaded, Mistakes) {
    let mut loader = Loader::default();
    if let Some((name, text)) = &given.file {
        loader.file(name, text);
    }
    loader.environment(given.environment);
    for flag in &given.flags {
        loader.take(flag.setting, Input::Texts(&flag.texts), &Origin::Flag(flag.name));
    }
    loader.finish()
}

#[derive(Default)]
struct Loader {
    settings: Settings,
    origins: BTreeMap<&'static str, Origin>,
    broken: BTreeSet<&'static str>,
    mistakes: Mistakes,
    /// The keys of the file so far.
    seen: BTreeMap<String, Place>,
}

impl Loader {
    fn take(&mut self, setting: &'static Setting, input: Input<'_>, origin: &Origin) {
        match (setting.set)(&mut self.settings, input) {
            Ok(()) => {
                self.origins.insert(setting.name, origin.clone());
            }
            Err(problems) => {
                self.broken.insert(setting.name);
                for problem in problems {
                    self.problem(setting, problem, origin);
                }
            }
        }
    }

    fn problem(&mut self, setting: &Setting, problem: Problem, origin: &Origin) {
        match (origin, problem.place) {
            (Origin::File { name, .. }, Some(place)) => {
                self.in_file(name, Some(place), format!("{}: {}", setting.name, problem.message));
            }
            (Origin::File { .. }, None) => {
                self.mistakes.add(origin.clone(), format!("{}: {}", setting.name, problem.message));
            }
            (Origin::Default | Origin::Variable(_) | Origin::Flag(_), _) => {
                self.mistakes.add(origin.clone(), problem.message);
            }
        }
    }

    fn in_file(&mut self, file: &str, place: Option<Place>, message: String) {
        self.mistakes.add(Origin::File { name: file.to_owned(), place }, message);
    }

    fn file(&mut self, name: &str, text: &str) {
        match yaml::parse(text) {
            Ok(root) => self.section(name, "", &root),
            Err(error) => self.in_file(name, error.place, error.message),
        }
    }

    /// The mapping under a section, or the whole file.
    fn section(&mut self, file: &str, name: &str, value: &Spot) {
        match &value.node {
            Node::Null => {} // nothing but comments
            Node::Map(entries) => self.entries(file, name, entries),
            other @ (Node::Text(_) | Node::Bare(_) | Node::List(_)) => {
                let label = if name.is_empty() { String::new() } else { format!("{name}: ") };
                let found = other.description();
                let message = format!("{label}expected a mapping of settings, found {found}");
                self.in_file(file, Some(value.place), message);
            }
        }
    }

    fn entries(&mut self, file: &str, section: &str, entries: &[(Spanned<String>, Spot)]) {
        for (key, value) in entries {
            let name = if section.is_empty() {
                key.value.clone()
            } else {
                format!("{section}.{}", key.value)
            };
            if let Some(first) = self.seen.insert(name.clone(), place(key)) {
                self.in_file(
                    file,
                    Some(place(key)),
                    format!(
                        "{} is already set on line {}: remove one of them",
                        if is_known(&name) { &name } else { "this key" },
                        first.line
                    ),
                );
                continue;
            }
            self.entry(file, section, &name, key, value);
        }
    }

    fn entry(
        &mut self,
        file: &str,
        section: &str,
        name: &str,
        key: &Spanned<String>,
        value: &Spot,
    ) {
        let is_section = section.is_empty() && SECTIONS.iter().any(|(known, _)| *known == name);
        let setting = Setting::named(name);
        if setting.is_some() && matches!(value.node, Node::Null) {
            return; // a key without a value sets nothing
        }
        match setting.filter(|setting| setting.section() == section) {
            Some(setting) => {
                let origin = Origin::File { name: file.to_owned(), place: Some(value.place) };
                self.take(setting, Input::Node(value), &origin);
            }
            None if is_section => self.section(file, name, value),
            None => self.in_file(file, Some(place(key)), unknown_key(section, name)),
        }
    }

    fn environment(&mut self, environment: &Environment) {
        for (name, value) in environment.starting_with("TOKENWATCH_") {
            match SETTINGS.iter().find(|setting| setting.variable() == name) {
                Some(setting) => self.take(
                    setting,
                    Input::Texts(&[value.to_owned()]),
                    &Origin::Variable(name.to_owned()),
                ),
                None if is_no_setting(name) || is_service_link(name) => {}
                None => self
                    .mistakes
                    .add(Origin::Variable(shown(name).into_owned()), unknown_variable(name)),
            }
        }
        self.not_text(environment);
        self.node_name(environment);
    }

    /// A variable that cannot be read is not one that is not set.
    fn not_text(&mut self, environment: &Environment) {
        for name in environment.not_text().filter(|name| is_read(name)) {
            let origin = Origin::Variable(shown(name).into_owned());
            self.mistakes.add(origin, NOT_TEXT);
        }
    }

    /// The variable that Kubernetes manifests customarily set to `spec.nodeName`.
    fn node_name(&mut self, environment: &Environment) {
        if self.settings.node.is_none()
            && let Some(name) = environment.get("NODE_NAME")
        {
            self.settings.node = Some(name.to_owned());
            self.origins.insert("node", Origin::Variable("NODE_NAME".to_owned()));
        }
    }

    fn finish(mut self) -> (Loaded, Mistakes) {
        for (setting, message) in contradictions(&self.settings) {
            let origin = self.origins.get(setting).cloned().unwrap_or(Origin::Default);
            self.mistakes.add(origin, format!("{setting}: {message}"));
        }
        (
            Loaded { settings: self.settings, origins: self.origins, broken: self.broken },
            self.mistakes,
        )
    }
}

fn unknown_key(section: &str, name: &str) -> String {
    let known = SETTINGS
        .iter()
        .map(|setting| setting.name)
        .chain(SECTIONS.iter().map(|(section, _)| *section));
    let leaf = name.rsplit('.').next().unwrap_or(name);
    let elsewhere = || {
        SETTINGS
            .iter()
            .map(|setting| setting.name)
            .find(|known| known.rsplit('.').next() == Some(leaf))
    };
    let within =
        nearest(name, known).filter(|near| section.is_empty() || near.starts_with(section));
    match within.or_else(elsewhere) {
        Some(near) => format!("unknown key {}; did you mean {near}?", shown(name)),
        None => UNKNOWN_KEY.to_owned(),
    }
}

/// A key that resembles none may be a secret in the wrong place.
const UNKNOWN_KEY: &str = "unknown key; `tokenwatch config` lists all keys";

/// Whether this is the name of a setting or of a section.
fn is_known(name: &str) -> bool {
    Setting::named(name).is_some() || SECTIONS.iter().any(|(known, _)| *known == name)
}

/// How the names begin of the variables that the agent reads, in upper case.
const READ: [&str; 13] = [
    "TOKENWATCH_",
    "OTEL_",
    "NODE_NAME",
    "POD_NAME",
    "POD_UID",
    "CONTAINER_NAME",
    "KUBERNETES_SERVICE_",
    "HTTP_PROXY",
    "HTTPS_PROXY",
    "ALL_PROXY",
    "NO_PROXY",
    "SSL_CERT_FILE",
    "SSL_CERT_DIR",
];
const NOT_TEXT: &str = "it is not UTF-8 text: set it again, or remove it";

/// Whether the agent reads a variable of this name.
fn is_read(name: &str) -> bool {
    let name = name.to_uppercase();
    READ.iter().any(|start| name.starts_with(start))
}

fn unknown_variable(name: &str) -> String {
    let known: Vec<String> = SETTINGS.iter().map(Setting::variable).collect();
    let hint = nearest(name, known.iter().map(String::as_str))
        .map(|near| format!("; did you mean {near}?"));
    format!("unknown variable{}", hint.unwrap_or_default())
}

/// A variable that a command reads itself.
fn is_no_setting(name: &str) -> bool {
    name == CONFIG_VARIABLE || RUN_VARIABLES.contains(&name)
}

/// Whether Kubernetes sets this variable for a Service called tokenwatch (pkg/kubelet/envvars).
fn is_service_link(name: &str) -> bool {
    let protocol = |part: &str| name.contains(part);
    name.ends_with("_SERVICE_HOST")
        || name.contains("_SERVICE_PORT")
        || name.ends_with("_PORT")
        || (name.contains("_PORT_") && ["_TCP", "_UDP", "_SCTP"].into_iter().any(protocol))
}

/// Mistakes that involve more than one setting.
fn contradictions(settings: &Settings) -> Vec<(&'static str, String)> {
    let all = [
        interval_too_short(settings),
        timeout_too_long(settings),
        age_too_short(settings),
        metrics_without_api(settings),
    ];
    all.into_iter().flatten().collect()
}

/// The agent shows kubelet the token that it has for the API server, and kubelet asks that.
fn metrics_without_api(settings: &Settings) -> Option<(&'static str, String)> {
    let has_none = settings.kubelet.metrics && !settings.kubernetes.enabled;
    has_none.then(|| ("kubelet.metrics", "needs kubernetes.enabled".to_owned()))
}

fn interval_too_short(settings: &Settings) -> Option<(&'static str, String)> {
    let clock = &settings.clock;
    let mut named = clock.servers.iter().chain(&clock.pools).peekable();
    let loopback = named.peek().is_some() && named.all(is_loopback);
    let least = if loopback { SHORTEST_LOOPBACK_INTERVAL } else { SHORTEST_INTERVAL };
    (clock.interval < least).then(|| {
        let minimum = if loopback {
            "the minimum is 1s, even for servers on this machine"
        } else {
            "the minimum is 16s, because operators of time servers block clients that query more \
             often (1s if all servers are on this machine)"
        };
        let given = super::duration::show(clock.interval);
        ("clock.interval", format!("{given} is too short: {minimum}"))
    })
}

fn timeout_too_long(settings: &Settings) -> Option<(&'static str, String)> {
    let clock = &settings.clock;
    (clock.timeout >= clock.interval).then(|| {
        (
            "clock.timeout",
            "must be shorter than clock.interval, so that one round ends before the next begins"
                .to_owned(),
        )
    })
}

fn age_too_short(settings: &Settings) -> Option<(&'static str, String)> {
    let clock = &settings.clock;
    (clock.max_age <= clock.interval).then(|| {
        (
            "clock.max_age",
            "must be longer than clock.interval, or the clock is unknown between two measurements"
                .to_owned(),
        )
    })
}

fn is_loopback(server: &ServerName) -> bool {
    server.host == "localhost"
        || server.host.parse::<std::net::IpAddr>().is_ok_and(|address| address.is_loopback())
}
