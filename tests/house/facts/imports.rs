//! What a file takes from other modules: `use` trees, and paths in the code.

use proc_macro2::{TokenStream, TokenTree};
use syn::spanned::Spanned;

use super::Scope;

/// One leaf of a `use` tree.
pub(crate) struct Use {
    pub scope: Scope,
    pub path: Vec<String>,
    /// What it is called here; `*` for all of a module.
    pub name: String,
    pub line: usize,
}

/// A path of at least two parts in the code.
pub(crate) struct Mention {
    pub scope: Scope,
    pub path: Vec<String>,
    pub line: usize,
}

pub(super) fn uses(tree: &syn::UseTree, scope: &Scope, found: &mut Vec<Use>) {
    leaves(tree, &[], &mut |path, name, line| {
        found.push(Use { scope: scope.clone(), path, name, line });
    });
}

fn leaves(
    tree: &syn::UseTree,
    before: &[String],
    found: &mut impl FnMut(Vec<String>, String, usize),
) {
    let and = |name: &syn::Ident| {
        let is_self = name == "self" && !before.is_empty();
        let own = (!is_self).then(|| name.to_string());
        before.iter().cloned().chain(own).collect::<Vec<_>>()
    };
    let line = tree.span().start().line;
    match tree {
        syn::UseTree::Path(path) => leaves(&path.tree, &and(&path.ident), found),
        syn::UseTree::Group(group) => {
            group.items.iter().for_each(|item| leaves(item, before, found));
        }
        syn::UseTree::Name(name) => {
            let path = and(&name.ident);
            let called = path.last().cloned().unwrap_or_default();
            found(path, called, line);
        }
        syn::UseTree::Rename(name) => found(and(&name.ident), name.rename.to_string(), line),
        syn::UseTree::Glob(_) => found(before.to_vec(), "*".to_owned(), line),
    }
}

pub(super) fn mention(path: &syn::Path, scope: &Scope) -> Option<Mention> {
    let line = path.span().start().line;
    let path: Vec<String> = path.segments.iter().map(|part| part.ident.to_string()).collect();
    (path.len() > 1).then(|| Mention { scope: scope.clone(), path, line })
}

/// Every `a::b` among tokens that were not parsed, groups left to the caller.
pub(super) fn mentions(tokens: &TokenStream, scope: &Scope, found: &mut Vec<Mention>) {
    let mut path: Vec<String> = Vec::new();
    let mut colons = 0;
    let mut line = 0;
    let mut end = |path: &mut Vec<String>, line| {
        let path = std::mem::take(path);
        if path.len() > 1 {
            found.push(Mention { scope: scope.clone(), path, line });
        }
    };
    for tree in tokens.clone() {
        match &tree {
            TokenTree::Ident(name) => {
                if colons != 2 {
                    end(&mut path, line);
                    line = tree.span().start().line;
                }
                path.push(name.to_string());
                colons = 0;
            }
            TokenTree::Punct(punct) if punct.as_char() == ':' && !path.is_empty() => colons += 1,
            _ => {
                end(&mut path, line);
                colons = 0;
            }
        }
    }
    end(&mut path, line);
}
