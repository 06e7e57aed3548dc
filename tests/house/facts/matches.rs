//! What the arms of a `match` name, and which of them take all that is left.

use syn::spanned::Spanned;

use super::Scope;

/// A position says where in the pattern something is: "" for the whole, then the wrappers, as in
/// `/Some`.
#[derive(Default)]
pub(crate) struct Match {
    pub scope: Scope,
    /// Variants and constants by their paths.
    pub named: Vec<(String, Vec<String>)>,
    /// `_` and names that bind anything, with their lines. Arms with a guard are none: another arm
    /// follows them.
    pub catch_alls: Vec<(String, usize)>,
}

pub(super) fn read(expression: &syn::ExprMatch, scope: &Scope) -> Match {
    let mut found = Match { scope: scope.clone(), ..Match::default() };
    for arm in &expression.arms {
        found.pattern(&arm.pat, "", arm.guard.is_some());
    }
    found
}

impl Match {
    fn pattern(&mut self, pattern: &syn::Pat, at: &str, guarded: bool) {
        match pattern {
            syn::Pat::Or(or) => or.cases.iter().for_each(|case| self.pattern(case, at, guarded)),
            syn::Pat::Paren(inner) => self.pattern(&inner.pat, at, guarded),
            syn::Pat::Reference(inner) => self.pattern(&inner.pat, at, guarded),
            syn::Pat::Path(path) => self.name(&path.path, at),
            syn::Pat::Ident(name) => self.binding(name, at, guarded),
            syn::Pat::TupleStruct(tuple) => self.wrapper(tuple, at, guarded),
            syn::Pat::Struct(fields) => self.structure(fields, at),
            syn::Pat::Tuple(tuple) => self.tuple(tuple, at, guarded),
            syn::Pat::Wild(wild) => self.rest(wild, at, guarded),
            _ => {}
        }
    }

    fn name(&mut self, path: &syn::Path, at: &str) {
        let path = path.segments.iter().map(|part| part.ident.to_string()).collect();
        self.named.push((at.to_owned(), path));
    }

    fn rest(&mut self, pattern: &impl Spanned, at: &str, guarded: bool) {
        if !guarded {
            self.catch_alls.push((at.to_owned(), pattern.span().start().line));
        }
    }

    /// A name that begins with a capital is a variant that was imported.
    fn binding(&mut self, name: &syn::PatIdent, at: &str, guarded: bool) {
        match &name.subpat {
            Some((_, inner)) => self.pattern(inner, at, guarded),
            None if name.ident.to_string().starts_with(char::is_uppercase) => {
                self.named.push((at.to_owned(), vec![name.ident.to_string()]));
            }
            None => self.rest(name, at, guarded),
        }
    }

    /// `Some(…)`: what is in it is looked at, where it is one thing.
    fn wrapper(&mut self, tuple: &syn::PatTupleStruct, at: &str, guarded: bool) {
        self.name(&tuple.path, at);
        let last = tuple.path.segments.last().map(|part| part.ident.to_string());
        let at = format!("{at}/{}", last.unwrap_or_default());
        match tuple.elems.iter().collect::<Vec<_>>()[..] {
            [only] => self.pattern(only, &at, guarded),
            // One of several: that another is anything is a decision about this one.
            ref several => {
                for (index, element) in several.iter().enumerate() {
                    self.pattern(element, &format!("{at}/{index}"), true);
                }
            }
        }
    }

    fn structure(&mut self, pattern: &syn::PatStruct, at: &str) {
        self.name(&pattern.path, at);
        for field in &pattern.fields {
            self.pattern(&field.pat, &format!("{at}/field"), true);
        }
    }

    /// `(_, _)` takes all; `(Known, _)` is a decision about `Known`.
    fn tuple(&mut self, tuple: &syn::PatTuple, at: &str, guarded: bool) {
        let is_any = |pattern: &syn::Pat| match pattern {
            syn::Pat::Wild(_) | syn::Pat::Rest(_) => true,
            syn::Pat::Ident(name) => {
                name.subpat.is_none() && !name.ident.to_string().starts_with(char::is_uppercase)
            }
            _ => false,
        };
        if tuple.elems.iter().all(is_any) {
            return self.rest(tuple, at, guarded);
        }
        for (index, element) in tuple.elems.iter().enumerate() {
            self.pattern(element, &format!("{at}/{index}"), true);
        }
    }
}
