//! Sizes that a reader can take: of lines, functions, files, structs.

use unicode_width::UnicodeWidthStr;

use crate::facts::Function;
use crate::tree::{File, Tree, has_extension};

const COLUMNS: usize = 100;
const FIELDS: usize = 10;
/// Of files, in lines of code: no comments, nothing under `#[cfg(test)]`.
const FILE: usize = 600;
/// Of files of the core and of the engine's folder, comments included.
const CORE_FILE: usize = 350;
const ENGINE: usize = 400;
/// Of the README: what somebody reads who has to decide. Mechanism and reference are in `docs`.
const README: usize = 150;
/// Of functions, from `fn` to the closing brace.
const MEDIAN: usize = 6;
const NINE_OF_TEN: usize = 14;

pub(crate) fn lines_fit_in_100_columns(tree: &Tree) -> Vec<String> {
    let is_script = |file: &File| file.text.starts_with("#!");
    let read = tree.files().filter(|(name, file)| has_extension(name, "rs") || is_script(file));
    let lines = read.flat_map(|(name, file)| {
        // Bytes first: they are at hand, and no fewer than columns.
        let long = file.text.lines().enumerate().filter(|(_, line)| line.len() > COLUMNS);
        long.map(move |(at, line)| (name, at + 1, line.width()))
    });
    lines
        .filter(|(_, _, width)| *width > COLUMNS)
        .map(|(name, at, width)| format!("{name}:{at}: {width} columns"))
        .collect()
}

pub(crate) fn no_struct_of_the_core_has_more_than_ten_fields(tree: &Tree) -> Vec<String> {
    let structs = tree
        .product("agent/core/")
        .flat_map(|(name, file)| file.facts.structs.iter().map(move |found| (name, found)));
    structs
        .filter(|(_, found)| found.fields > FIELDS)
        .map(|(name, found)| format!("{name}:{}: {} has {}", found.line, found.name, found.fields))
        .collect()
}

pub(crate) fn files_stay_short_enough_to_read(tree: &Tree) -> Vec<String> {
    let code = |text: &str| text.lines().filter(|line| !line.trim().starts_with("//")).count();
    let all = tree.rust().map(|(name, file)| {
        (name, code(file.text.split("#[cfg(test)]\nmod tests {").next().unwrap_or_default()))
    });
    let long = all.filter(|(_, lines)| *lines > FILE);
    long.map(|(name, lines)| format!("{name} has {lines} lines of at most {FILE}")).collect()
}

pub(crate) fn files_of_the_core_are_shorter(tree: &Tree) -> Vec<String> {
    let core = tree.product("agent/core/");
    core.filter(|(_, file)| file.lines > CORE_FILE)
        .map(|(name, file)| format!("{name} has {} lines of at most {CORE_FILE}", file.lines))
        .collect()
}

pub(crate) fn the_engine_stays_small(tree: &Tree) -> Vec<String> {
    let files: Vec<(&str, usize)> =
        tree.product("agent/core/src/engine").map(|(name, file)| (name, file.lines)).collect();
    let lines: usize = files.iter().map(|(_, lines)| lines).sum();
    let shown = || format!("engine/ has {lines} lines of at most {ENGINE}: {files:?}");
    (lines > ENGINE).then(shown).into_iter().collect()
}

pub(crate) fn the_readme_stays_short(tree: &Tree) -> Vec<String> {
    let lines = tree.text("README.md").lines().count();
    let shown = || format!("README.md has {lines} lines of at most {README}");
    (lines > README).then(shown).into_iter().collect()
}

pub(crate) fn functions_stay_short(tree: &Tree) -> Vec<String> {
    let mut found: Vec<(&str, &Function)> = tree
        .product("agent/")
        .flat_map(|(name, file)| file.facts.functions.iter().map(move |function| (name, function)))
        .collect();
    found.sort_by_key(|(_, function)| function.lines);
    let at = |tenths: usize| {
        let (_, function) = found[found.len() * tenths / 10];
        function.lines
    };
    let (median, tenth) = (at(5), at(9));
    let long = found.iter().rev().take_while(|(_, function)| function.lines > NINE_OF_TEN);
    let longest: Vec<String> = long
        .map(|(name, function)| {
            format!("    {name}:{}: {} has {}", function.line, function.name, function.lines)
        })
        .collect();
    let shown = || {
        format!(
            "of {} functions the median has {median} lines (at most {MEDIAN}), nine of ten at most \
             {tenth} ({NINE_OF_TEN}); {} have more:\n{}",
            found.len(),
            longest.len(),
            longest.join("\n")
        )
    };
    (median > MEDIAN || tenth > NINE_OF_TEN).then(shown).into_iter().collect()
}
