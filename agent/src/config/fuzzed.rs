//! Any text as the configuration: the file, the flags, the environment.

use super::otlp::{self, Identity, OwnOtlp};
use super::{Flag, Given, SETTINGS, Setting, effective, read};
use crate::environment::Environment;
use crate::fuzzed::assert_shown_without_signature;

/// Parts of an input: between zero bytes. The first is the file, then come `--flag=value` and
/// `NAME=value`.
pub(crate) fn config(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    let mut parts = text.split('\0');
    let file = parts.next().unwrap_or_default();
    let assigned: Vec<(&str, &str)> = parts.filter_map(|part| part.split_once('=')).collect();
    let flags = assigned.iter().filter_map(|(name, value)| flag(name, value)).collect();
    let variables = assigned.iter().copied().filter(|(name, _)| !name.starts_with("--"));
    let shown = outputs(file, &Environment::of(variables), flags);
    assert_shown_without_signature(bytes, &shown); // as `streams` prints it
}

fn flag(name: &str, value: &str) -> Option<Flag> {
    let name = name.strip_prefix("--")?;
    let setting = SETTINGS.iter().find(|setting: &&Setting| setting.flag == name)?;
    Some(Flag { setting, name: setting.flag, texts: vec![value.to_owned()] })
}

/// Everything that is printed or logged of these settings.
pub(super) fn outputs(file: &str, environment: &Environment, flags: Vec<Flag>) -> String {
    let file = (!file.is_empty()).then(|| ("tw.yaml".to_owned(), file.to_owned()));
    let (loaded, mistakes) = read(&Given { file, environment, flags });
    let headers = loaded.settings.otlp.headers.iter();
    let own = OwnOtlp {
        endpoint: loaded.settings.otlp.endpoint.clone(),
        headers: headers.map(|(name, value)| (name.clone(), value.reveal().to_owned())).collect(),
        ..OwnOtlp::default()
    };
    let resource = otlp::resource(environment, &Identity::default());
    let mut out = format!("{mistakes}\n{}\n", effective(&loaded, environment));
    out += &resource.err().map(|mistake| mistake.to_string()).unwrap_or_default();
    match otlp::Settings::resolve(&own, environment) {
        Ok(Some(settings)) => {
            let targets = settings.targets().map(ToString::to_string);
            let notes = [settings.doubts(), settings.exceptions(), settings.proxies()];
            out += &targets.chain(notes.into_iter().flatten()).collect::<Vec<_>>().join("\n");
        }
        Ok(None) => {}
        Err(mistakes) => out.extend(mistakes.iter().map(ToString::to_string)),
    }
    out
}
