//! Errors have a type where they cross a border: no text, and no error of any kind, in a signature
//! that others see. Inside a file a function may fail with text.

use crate::tree::Tree;

pub(crate) fn errors_have_a_type(tree: &Tree) -> Vec<String> {
    let untyped = tree
        .product("agent/")
        .flat_map(|(name, file)| file.facts.untyped.iter().map(move |place| (name, place)));
    untyped.map(|(name, place)| format!("{name}:{}: {}", place.line, place.what)).collect()
}
