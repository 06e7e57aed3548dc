//! The effective configuration, as YAML that can be read back, with the origin of each value.

use std::fmt::Write as _;

use super::declare::Input;
use super::load::Loaded;
use super::mistakes::Origin;
use super::otlp::shown_endpoint;
use super::table::{SECTIONS, SETTINGS, Setting, Settings};
use crate::environment::Environment;

/// The column of the origins, if the value is not longer.
const ORIGIN_COLUMN: usize = 48;

/// YAML, one line for each setting.
pub fn effective(loaded: &Loaded, environment: &Environment) -> String {
    let mut out = String::from("# The effective configuration, with the origin of each value.\n");
    section(&mut out, "", loaded, environment);
    for (name, doc) in SECTIONS {
        let _ = writeln!(out, "\n# {doc}\n{name}:"); // writing to a String cannot fail
        section(&mut out, name, loaded, environment);
    }
    out
}

fn section(out: &mut String, section: &str, loaded: &Loaded, environment: &Environment) {
    let indent = if section.is_empty() { "" } else { "  " };
    for setting in SETTINGS.iter().filter(|setting| setting.section() == section) {
        let key = setting.name.rsplit('.').next().unwrap_or_default();
        let (value, origin) = value_and_origin(setting, loaded, environment);
        let line = format!("{indent}{key}: {value}");
        let _ = writeln!(out, "{line:ORIGIN_COLUMN$} # {origin}");
    }
}

/// The value of a setting that was not given may come from a standard variable.
fn value_and_origin(
    setting: &Setting,
    loaded: &Loaded,
    environment: &Environment,
) -> (String, Origin) {
    let origin = loaded.origin(setting.name);
    if origin == Origin::Default
        && let Some((variable, unit)) = setting.standard
        && let Some(text) = environment.get(variable)
    {
        return (standard_value(setting, text, unit), Origin::Variable(variable.to_owned()));
    }
    (shown_value(setting, &loaded.settings), origin)
}

/// The value; of the URL of a collector, no part that may be secret.
fn shown_value(setting: &Setting, settings: &Settings) -> String {
    let value = (setting.show)(settings).unwrap_or_else(|| "~".to_owned());
    let is_url = setting.name == "otlp.endpoint";
    let url = settings.otlp.endpoint.as_ref().filter(|_| is_url);
    url.and_then(|url| hidden_url(url)).unwrap_or(value)
}

/// A URL without its user, its query and its path, where it has one; none if there is nothing to
/// hide.
fn hidden_url(url: &str) -> Option<String> {
    let shown = url.parse().map_or_else(|_| "***".to_owned(), |uri| shown_endpoint(&uri));
    let is_same = shown.trim_end_matches('/') == url.trim_end_matches('/');
    (!is_same).then(|| serde_json::Value::from(shown).to_string())
}

/// The value of a standard variable, shown as the setting itself would be: secrets stay hidden. A
/// value that does not parse is not shown.
fn standard_value(setting: &Setting, text: &str, unit: &str) -> String {
    let mut settings = Settings::default();
    let text = format!("{}{unit}", text.trim());
    match (setting.set)(&mut settings, Input::Texts(&[text])) {
        Ok(()) => shown_value(setting, &settings),
        Err(_) => "~ # invalid value;".to_owned(),
    }
}
