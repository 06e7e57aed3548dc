//! Who takes what from whom: the modules of the workspace's crates, with every path in their code
//! followed to the module that defines what it names, through any re-export.

use std::collections::{BTreeMap, BTreeSet};

use crate::facts::{Facts, Kind};
use crate::tree::Tree;

/// Crate and modules, as `["tokenwatch_core", "world", "tokens"]`.
pub(crate) type Module = Vec<String>;

/// The module that defines something, and the item where it is not the module itself.
type Defined = (Module, Option<String>);

/// A name is followed through so many re-exports: more than anybody writes, and a bound where two
/// globs export each other.
const REEXPORTS: usize = 8;

/// Something of `to` that `from` uses.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Import {
    pub from: Module,
    pub to: Module,
    /// What of it; none where the module itself is named.
    pub item: Option<String>,
    pub kind: Option<Kind>,
    pub file: String,
    pub line: usize,
}

/// A module's own names.
#[derive(Default)]
struct Names {
    items: BTreeMap<String, Kind>,
    aliases: BTreeMap<String, Vec<String>>,
    globs: Vec<Vec<String>>,
}

/// The modules and what is in each.
pub(crate) struct Modules {
    names: BTreeMap<Module, Names>,
    crates: BTreeSet<String>,
}

/// A crate of the workspace: its name in paths, and its folder.
pub(crate) fn crates(tree: &Tree) -> Vec<(String, String)> {
    let manifest = tree.text("Cargo.toml");
    let members = manifest.split("members = [").nth(1).and_then(|rest| rest.split(']').next());
    let folders = members.unwrap_or_default().split('"').skip(1).step_by(2);
    folders.map(|folder| (crate_name(tree, folder), folder.to_owned())).collect()
}

fn crate_name(tree: &Tree, folder: &str) -> String {
    let manifest = tree.text(&format!("{folder}/Cargo.toml"));
    let name = manifest.split("name = \"").nth(1).and_then(|rest| rest.split('"').next());
    name.unwrap_or_default().replace('-', "_")
}

/// Every import between modules of the workspace.
pub(crate) fn imports(tree: &Tree) -> Vec<Import> {
    let modules = tree.modules();
    let mut found = BTreeSet::new();
    for (name, folder) in crates(tree) {
        let source = format!("{folder}/src/");
        for (file, contents) in tree.product(&source) {
            let home = home(&name, file.strip_prefix(&source).unwrap_or(file));
            found.extend(modules.imports_of(&home, file, &contents.facts));
        }
    }
    found.into_iter().collect()
}

/// The module that a file is; `main.rs` counts as one beside those of the library.
pub(crate) fn home(name: &str, file: &str) -> Module {
    let path = file.trim_end_matches(".rs");
    let path = path.strip_suffix("/mod").unwrap_or(path);
    let parts = path.split('/').filter(|part| *part != "lib");
    [name].into_iter().chain(parts).map(ToOwned::to_owned).collect()
}

impl Modules {
    pub(crate) fn of(tree: &Tree) -> Self {
        let crates = crates(tree);
        let mut modules = Self {
            names: BTreeMap::new(),
            crates: crates.iter().map(|(name, _)| name.clone()).collect(),
        };
        for (name, folder) in crates {
            let source = format!("{folder}/src/");
            for (file, contents) in tree.product(&source) {
                let home = home(&name, file.strip_prefix(&source).unwrap_or(file));
                modules.add(&home, &contents.facts);
            }
        }
        modules
    }

    fn add(&mut self, home: &Module, facts: &Facts) {
        self.names.entry(home.clone()).or_default();
        for module in facts.modules.iter().filter(|module| module.is_inline && !module.is_test) {
            let own: Vec<String> = module.scope.iter().chain([&module.name]).cloned().collect();
            self.within(home, &own);
        }
        for item in &facts.items {
            let names = self.within(home, &item.scope);
            names.items.insert(item.name.clone(), item.kind);
        }
        for used in &facts.uses {
            let names = self.within(home, &used.scope);
            if used.name == "*" {
                names.globs.push(used.path.clone());
            } else {
                names.aliases.insert(used.name.clone(), used.path.clone());
            }
        }
    }

    fn within(&mut self, home: &Module, scope: &[String]) -> &mut Names {
        self.names.entry(home.iter().chain(scope).cloned().collect()).or_default()
    }

    fn imports_of(&self, home: &Module, file: &str, facts: &Facts) -> Vec<Import> {
        let uses = facts.uses.iter().map(|used| (&used.scope, &used.path, used.line));
        let mentions = facts.mentions.iter().map(|path| (&path.scope, &path.path, path.line));
        uses.chain(mentions)
            .filter_map(|(scope, path, line)| {
                let from: Module = home.iter().chain(scope).cloned().collect();
                let (to, item) = self.resolve(&from, path)?;
                let kind = item.as_ref().and_then(|item| self.kind(&to, item));
                let file = file.to_owned();
                (to != from).then_some(Import { from, to, item, kind, file, line })
            })
            .collect()
    }

    /// None for what a macro made.
    pub(crate) fn kind(&self, module: &Module, item: &str) -> Option<Kind> {
        self.names[module].items.get(item).copied()
    }

    /// Where the workspace defines what `path` names in `from`; none for what is not ours.
    pub(crate) fn resolve(&self, from: &Module, path: &[String]) -> Option<Defined> {
        self.follow(from, path, REEXPORTS)
    }

    fn follow(&self, from: &Module, path: &[String], depth: usize) -> Option<Defined> {
        let (start, rest) = self.start(from, path)?;
        let mut module = start;
        for (at, part) in rest.iter().enumerate() {
            let child: Module = module.iter().chain([part]).cloned().collect();
            if self.names.contains_key(&child) {
                module = child;
                continue;
            }
            // Nothing of ours where the first part is not known: a crate, or a name of the prelude.
            let is_local = at == 0 && rest.len() == path.len();
            let unknown = (!is_local).then(|| (module.clone(), Some(part.clone())));
            return self.named(&module, &rest[at..], depth).or(unknown);
        }
        Some((module, None))
    }

    /// What the first part of `path` is in the module `module`, if it is a name of its own.
    fn named(&self, module: &Module, path: &[String], depth: usize) -> Option<Defined> {
        let (first, rest) = path.split_first()?;
        let names = self.names.get(module)?;
        if names.items.contains_key(first) {
            return Some((module.clone(), Some(first.clone())));
        }
        let depth = depth.checked_sub(1)?;
        if let Some(alias) = names.aliases.get(first) {
            let whole: Vec<String> = alias.iter().chain(rest).cloned().collect();
            return (alias != path).then(|| self.follow(module, &whole, depth)).flatten();
        }
        names.globs.iter().find_map(|glob| {
            let (to, _) = self.follow(module, glob, depth)?;
            (to != *module).then(|| self.named(&to, path, depth)).flatten()
        })
    }

    /// Where `path` begins, and what is left of it.
    fn start<'a>(&self, from: &Module, path: &'a [String]) -> Option<(Module, &'a [String])> {
        let (first, rest) = path.split_first()?;
        let whole_crate = vec![from.first()?.clone()];
        match first.as_str() {
            "crate" => Some((whole_crate, rest)),
            "self" => Some((from.clone(), rest)),
            "super" => {
                let up = rest.iter().take_while(|part| *part == "super").count();
                let depth = from.len().checked_sub(up + 1)?;
                Some((from[..depth].to_vec(), &rest[up..]))
            }
            name if self.crates.contains(name) => Some((vec![name.to_owned()], rest)),
            _ => Some((from.clone(), path)),
        }
    }
}

/// A module as people write it.
pub(crate) fn shown(module: &[String]) -> String {
    module.join("::")
}
