//! No arm that takes whatever is left of one of our own enums: a new variant must not compile until
//! somebody decided what it means. Enums of others may grow without us. `if let` and `matches!` ask
//! about one variant, and are free.

use crate::facts::{Facts, Kind, Match};
use crate::imports::{Module, Modules, crates, home};
use crate::tree::Tree;

pub(crate) fn no_wildcard_arm_on_our_own_enums(tree: &Tree) -> Vec<String> {
    let modules = tree.modules();
    let mut found = Vec::new();
    for (name, folder) in crates(tree) {
        let source = format!("{folder}/src/");
        for (file, contents) in tree.product(&source) {
            let home = home(&name, file.strip_prefix(&source).unwrap_or(file));
            found.extend(swallowed(modules, &home, file, &contents.facts));
        }
    }
    found
}

fn swallowed(modules: &Modules, home: &Module, file: &str, facts: &Facts) -> Vec<String> {
    facts.matches.iter().flat_map(|found| of_match(modules, home, file, found)).collect()
}

fn of_match(modules: &Modules, home: &Module, file: &str, found: &Match) -> Vec<String> {
    let scope: Module = home.iter().chain(&found.scope).cloned().collect();
    let is_ours = |(_, path): &&(String, Vec<String>)| is_our_variant(modules, &scope, path);
    let ours: Vec<_> = found.named.iter().filter(is_ours).collect();
    let named = |at: &str| ours.iter().find(|(place, _)| place.starts_with(at));
    let arms = found.catch_alls.iter().filter_map(|(at, line)| Some((line, named(at)?)));
    arms.map(|(line, (_, path))| format!("{file}:{line}: beside {}", path.join("::"))).collect()
}

/// A variant has a small letter in its name, a constant has none; and what is before it is an enum,
/// or made by a macro that we cannot look into.
fn is_our_variant(modules: &Modules, scope: &Module, path: &[String]) -> bool {
    let Some((variant, before)) = path.split_last() else { return false };
    if variant.len() > 1 && !variant.contains(char::is_lowercase) {
        return false;
    }
    let of = if before.is_empty() { path } else { before };
    if of == ["Self"] {
        return true;
    }
    let Some((module, Some(item))) = modules.resolve(scope, of) else { return false };
    match modules.kind(&module, &item) {
        Some(kind) => kind == Kind::Enum && item != *variant,
        None => true,
    }
}
