//! The effective configuration, as YAML that can be read back, with where each value came from.

use std::fmt::Write as _;

use super::load::Loaded;
use super::mistakes::Origin;
use super::table::{SECTIONS, SETTINGS, Setting};
use crate::environment::Environment;

/// Origins stand in this column, where the value leaves room.
const ORIGIN_COLUMN: usize = 48;

/// YAML, one line a setting.
pub fn effective(loaded: &Loaded, environment: &Environment) -> String {
    let mut out =
        String::from("# The effective configuration. After each value: where it comes from.\n");
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

/// A setting that was not given may be decided by a standard variable.
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

/// Read and shown as the setting itself would be, so that a secret stays one; what does not parse
/// is not repeated.
fn standard_value(setting: &Setting, text: &str, unit: &str) -> String {
    let mut settings = super::Settings::default();
    let text = format!("{}{unit}", text.trim());
    match (setting.set)(&mut settings, super::table::Input::Texts(&[text])) {
        Ok(()) => (setting.show)(&settings).unwrap_or_else(|| "~".to_owned()),
        Err(_) => "~ # not understood;".to_owned(),
    }
}
