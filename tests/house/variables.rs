//! The environment of a test or a script reaches the agents that it starts, and an agent refuses an
//! unknown variable with its prefix. So a variable with that prefix is a setting of the agent.

use std::collections::BTreeSet;

use crate::tree::Tree;

const PREFIX: &str = "TOKENWATCH_";
/// What people read of the agent: every setting is in the help, and mistakes are samples.
const SETTINGS: &str = "tests/golden/";
/// Its tests are about variables that are no setting.
const LOADER: &str = "agent/src/config/";

pub(crate) fn the_prefix_of_settings_is_for_settings(tree: &Tree) -> Vec<String> {
    let shown = tree.files().filter(|(name, _)| name.starts_with(SETTINGS));
    let settings: BTreeSet<&str> = shown.flat_map(|(_, file)| variables(&file.text)).collect();
    let others = tree.files().filter(|(name, _)| !name.starts_with(LOADER));
    others
        .flat_map(|(name, file)| variables(&file.text).map(move |variable| (name, variable)))
        .filter(|(_, variable)| !settings.contains(variable))
        .map(|(name, variable)| format!("{name}: {variable} is no setting of the agent"))
        .collect()
}

fn variables(text: &str) -> impl Iterator<Item = &str> {
    text.split(|c: char| !(c.is_ascii_uppercase() || c == '_'))
        .filter(|word| word.starts_with(PREFIX) && !word.ends_with('_'))
}
