//! No import circle.
//!
//! Two modules of one folder never import each other, neither directly nor by way of others, at any
//! depth: rooms of a crate, and modules of a room. What a module takes counts for every folder that
//! it is in; a re-export counts as what it re-exports.
//!
//! A parent and its children are one thing to the outside, so two things are no circle: a parent
//! that uses its children, and a child that uses the types, traits and constants that its parent's
//! own file defines. A function of the parent's file is another matter: it can call the children,
//! and close a circle that no import shows. It belongs in a module beside them.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use crate::facts::Kind;
use crate::imports::{Import, Module, shown};
use crate::tree::Tree;

/// For each module of a folder, those beside it that it takes from, with one import as evidence.
type Beside<'a> = BTreeMap<String, BTreeMap<String, &'a Import>>;

pub(crate) fn no_import_circle(tree: &Tree) -> Vec<String> {
    folders(tree.imports()).iter().flat_map(|(parent, beside)| circles(parent, beside)).collect()
}

pub(crate) fn no_child_calls_its_parent(tree: &Tree) -> Vec<String> {
    let upwards = tree.imports().iter().filter(|import| {
        import.kind == Some(Kind::Function)
            && import.from.starts_with(&import.to)
            && import.from != import.to
    });
    upwards.map(|import| format!("{} calls {}", place(import), what(import))).collect()
}

fn folders(imports: &[Import]) -> BTreeMap<Module, Beside<'_>> {
    let mut found: BTreeMap<Module, Beside<'_>> = BTreeMap::new();
    for import in imports {
        let common = import.from.iter().zip(&import.to).take_while(|(from, to)| from == to).count();
        if let (Some(from), Some(to)) = (import.from.get(common), import.to.get(common))
            && common > 0
        {
            let beside = found.entry(import.from[..common].to_vec()).or_default();
            beside.entry(from.clone()).or_default().entry(to.clone()).or_insert(import);
        }
    }
    found
}

/// The shortest circle through each module, one for each set of modules.
fn circles(parent: &Module, beside: &Beside<'_>) -> Vec<String> {
    let mut seen = BTreeSet::new();
    let mut found = Vec::new();
    for start in beside.keys() {
        let Some(circle) = circle(start, beside) else { continue };
        if seen.insert(circle.iter().cloned().collect::<BTreeSet<String>>()) {
            found.push(shown_circle(parent, &circle, beside));
        }
    }
    found
}

fn circle(start: &String, beside: &Beside<'_>) -> Option<Vec<String>> {
    let mut queue = VecDeque::from([vec![start.clone()]]);
    let mut seen = BTreeSet::new();
    while let Some(path) = queue.pop_front() {
        for next in beside.get(path.last()?).into_iter().flat_map(BTreeMap::keys) {
            if next == start {
                return Some(path);
            }
            if seen.insert(next) {
                queue.push_back(path.iter().chain([next]).cloned().collect());
            }
        }
    }
    None
}

/// The path of a circle, with a place for each step.
fn shown_circle(parent: &Module, circle: &[String], beside: &Beside<'_>) -> String {
    let next = circle.iter().cycle().skip(1);
    let steps = circle.iter().zip(next).map(|(from, to)| {
        let import = beside[from][to];
        format!("\n    {from} -> {to}: {} takes {}", place(import), what(import))
    });
    format!(
        "in {}: {} -> {}{}",
        shown(parent),
        circle.join(" -> "),
        circle[0],
        steps.collect::<String>()
    )
}

fn place(import: &Import) -> String {
    format!("{}:{}", import.file, import.line)
}

fn what(import: &Import) -> String {
    let item = import.item.as_ref().map(|item| format!("::{item}")).unwrap_or_default();
    shown(&import.to) + &item
}
