//! What the CNI configurations of a node name: plugins, and their kubeconfigs.

use std::collections::BTreeSet;

use serde_json::Value;
use tokenwatch_core::world::copies::{Mention, Plugin};

/// Most names that are kept of one configuration.
const MAX_NAMES: usize = 256;

/// What one CNI configuration names.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Named {
    /// The values of `type`.
    types: BTreeSet<String>,
    /// The kubeconfigs, as they are written there.
    pub(super) kubeconfigs: BTreeSet<String>,
}

impl Named {
    /// Reads a configuration; nothing if it is none.
    pub(super) fn read(text: &str) -> Option<Self> {
        let value: Value = serde_json::from_str(text).ok()?;
        let is_configuration =
            ["cniVersion", "type", "plugins", "name"].iter().any(|key| value.get(key).is_some());
        let mut named = Self::default();
        named.walk(&value);
        is_configuration.then_some(named)
    }

    /// `serde_json` has bounded the depth.
    fn walk(&mut self, value: &Value) {
        match value {
            Value::Object(entries) => {
                for (key, value) in entries {
                    self.entry(key, value);
                    self.walk(value);
                }
            }
            Value::Array(items) => items.iter().for_each(|item| self.walk(item)),
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
        }
    }

    fn entry(&mut self, key: &str, value: &Value) {
        let Some(text) = value.as_str().filter(|text| !text.is_empty()) else { return };
        let is_kubeconfig = key.to_ascii_lowercase().contains("kubeconfig");
        let names = match key {
            "type" => &mut self.types,
            _ if is_kubeconfig => &mut self.kubeconfigs,
            _ => return,
        };
        if names.len() < MAX_NAMES {
            names.insert(text.to_owned());
        }
    }
}

/// A file, by device and inode.
pub(super) type FileId = (u64, u64);

/// What all CNI configurations of the node name.
#[derive(Clone, Debug, Default)]
pub(super) struct Mentions {
    /// Whether there is any configuration.
    pub(super) any: bool,
    types: BTreeSet<String>,
    /// The plugins whose kubeconfigs are named.
    plugins: BTreeSet<Plugin>,
    files: BTreeSet<FileId>,
}

impl Mentions {
    /// Adds a configuration. `find` finds the file that a name in it stands for.
    pub(super) fn add(&mut self, named: &Named, find: impl Fn(&str) -> Option<FileId>) {
        self.any = true;
        self.types.extend(named.types.iter().cloned());
        self.plugins.extend(named.kubeconfigs.iter().filter_map(|path| Plugin::of_path(path)));
        self.files.extend(named.kubeconfigs.iter().filter_map(|path| find(path)));
    }

    /// Whether a configuration names this file of this plugin. A plugin that is configured without
    /// a kubeconfig uses the one at its default place.
    pub(super) fn of(&self, file: FileId, plugin: Option<Plugin>) -> Mention {
        let by_type = |plugin: Plugin| {
            let is_configured = plugin.types().iter().any(|name| self.types.contains(*name));
            is_configured && !self.plugins.contains(&plugin)
        };
        let is_named = self.files.contains(&file) || plugin.is_some_and(by_type);
        let is_other_named = plugin.is_some_and(|plugin| self.plugins.contains(&plugin));
        match (self.any, is_named, is_other_named) {
            (false, _, _) => Mention::Unknown,
            (true, true, _) => Mention::Named,
            (true, false, true) => Mention::OtherNamed,
            (true, false, false) => Mention::NotNamed,
        }
    }
}
