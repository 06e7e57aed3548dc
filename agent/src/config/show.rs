//! The effective configuration, as YAML that can be read back, with the origin of each value.

use std::fmt::Write as _;

use super::load::Loaded;
use super::mistakes::Origin;
use super::setting::{Input, Setting};
use super::table::{SECTIONS, SETTINGS};
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
    ((setting.show)(&loaded.settings).unwrap_or_else(|| "~".to_owned()), origin)
}

/// The value of a standard variable, shown as the setting itself would be: secrets stay hidden. A
/// value that does not parse is not shown.
fn standard_value(setting: &Setting, text: &str, unit: &str) -> String {
    let mut settings = super::Settings::default();
    let text = format!("{}{unit}", text.trim());
    match (setting.set)(&mut settings, Input::Texts(&[text])) {
        Ok(()) => (setting.show)(&settings).unwrap_or_else(|| "~".to_owned()),
        Err(_) => "~ # invalid value;".to_owned(),
    }
}
