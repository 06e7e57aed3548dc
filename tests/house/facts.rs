//! What the rules want to know of one Rust file, read from its syntax.

mod imports;
mod matches;
mod signatures;

use proc_macro2::{TokenStream, TokenTree};
use syn::spanned::Spanned;
use syn::visit::{self, Visit};

pub(crate) use self::imports::{Mention, Use};
pub(crate) use self::matches::Match;

/// Lines count from 1. Nothing under `#[cfg(test)]` is in here.
#[derive(Default)]
pub(crate) struct Facts {
    /// `mod name;` and `mod name { … }`.
    pub modules: Vec<Module>,
    pub items: Vec<Item>,
    pub uses: Vec<Use>,
    pub mentions: Vec<Mention>,
    pub matches: Vec<Match>,
    /// Errors without a type in a signature that others see.
    pub untyped: Vec<Place>,
    pub structs: Vec<Struct>,
    pub functions: Vec<Function>,
    /// The first and the last line of what only tests compile.
    pub tests: Vec<(usize, usize)>,
}

/// Modules that hold something, below the file's own.
pub(crate) type Scope = Vec<String>;

pub(crate) struct Module {
    pub scope: Scope,
    pub name: String,
    /// `#[path = "…"]`
    pub path: Option<String>,
    pub is_test: bool,
    pub is_inline: bool,
}

/// Something with a name, defined in a module.
pub(crate) struct Item {
    pub scope: Scope,
    pub name: String,
    pub kind: Kind,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Kind {
    Enum,
    Function,
    /// A struct, trait, alias, constant, macro.
    Other,
}

pub(crate) struct Place {
    pub line: usize,
    pub what: String,
}

pub(crate) struct Struct {
    pub line: usize,
    pub name: String,
    pub fields: usize,
}

pub(crate) struct Function {
    pub line: usize,
    pub name: String,
    /// From `fn` to the closing brace.
    pub lines: usize,
}

impl Module {
    /// The file that holds it where the module is in `parent`, and the folder of its children.
    pub(crate) fn places(&self, parent: &str) -> (String, String) {
        let (folder, file) = parent.rsplit_once('/').unwrap_or(("", parent));
        if let Some(path) = &self.path {
            let file = format!("{folder}/{path}");
            return (
                file.clone(),
                file.trim_end_matches("mod.rs").trim_end_matches(".rs").to_owned() + "/",
            );
        }
        let stem = file.trim_end_matches(".rs");
        let own =
            if ["mod", "lib", "main"].contains(&stem) { String::new() } else { format!("/{stem}") };
        let place = format!("{folder}{own}/{}", self.name);
        (format!("{place}.rs"), format!("{place}/"))
    }
}

impl Facts {
    /// Of the file `name`.
    pub(crate) fn of(name: &str, text: &str) -> Self {
        let file = syn::parse_file(text).unwrap_or_else(|error| panic!("{name}: {error}"));
        let mut reader = Reader::default();
        reader.visit_file(&file);
        reader.facts
    }
}

#[derive(Default)]
struct Reader {
    facts: Facts,
    scope: Scope,
}

impl Visit<'_> for Reader {
    fn visit_item(&mut self, item: &syn::Item) {
        if is_for_tests(attributes(item)) {
            self.leave_out(item);
            if let syn::Item::Mod(module) = item {
                self.module(module, true);
            }
            return;
        }
        self.define(item);
        signatures::of_item(item, &mut self.facts.untyped);
        visit::visit_item(self, item);
    }

    fn visit_item_mod(&mut self, module: &syn::ItemMod) {
        self.module(module, false);
        self.scope.push(module.ident.to_string());
        visit::visit_item_mod(self, module);
        self.scope.pop();
    }

    fn visit_item_fn(&mut self, item: &syn::ItemFn) {
        self.function(&item.sig, Some(&item.block));
        visit::visit_item_fn(self, item);
    }

    fn visit_impl_item_fn(&mut self, item: &syn::ImplItemFn) {
        if is_for_tests(&item.attrs) {
            return self.leave_out(item);
        }
        self.function(&item.sig, Some(&item.block));
        visit::visit_impl_item_fn(self, item);
    }

    fn visit_trait_item_fn(&mut self, item: &syn::TraitItemFn) {
        self.function(&item.sig, item.default.as_ref());
        visit::visit_trait_item_fn(self, item);
    }

    fn visit_item_struct(&mut self, item: &syn::ItemStruct) {
        self.fields(&item.ident, item.ident.to_string(), item.fields.len());
        visit::visit_item_struct(self, item);
    }

    fn visit_item_enum(&mut self, item: &syn::ItemEnum) {
        for variant in &item.variants {
            let name = format!("{}::{}", item.ident, variant.ident);
            self.fields(&variant.ident, name, variant.fields.len());
        }
        visit::visit_item_enum(self, item);
    }

    fn visit_item_use(&mut self, item: &syn::ItemUse) {
        imports::uses(&item.tree, &self.scope, &mut self.facts.uses);
    }

    fn visit_path(&mut self, path: &syn::Path) {
        self.facts.mentions.extend(imports::mention(path, &self.scope));
        visit::visit_path(self, path);
    }

    fn visit_expr_match(&mut self, expression: &syn::ExprMatch) {
        self.facts.matches.push(matches::read(expression, &self.scope));
        visit::visit_expr_match(self, expression);
    }

    fn visit_macro(&mut self, called: &syn::Macro) {
        let arguments = syn::punctuated::Punctuated::<syn::Expr, syn::Token![,]>::parse_terminated;
        match called.parse_body_with(arguments) {
            Ok(arguments) => arguments.iter().for_each(|argument| self.visit_expr(argument)),
            Err(_) => self.tokens(&called.tokens),
        }
    }

    fn visit_attribute(&mut self, _: &syn::Attribute) {}
}

impl Reader {
    fn leave_out(&mut self, item: &impl Spanned) {
        let span = item.span();
        self.facts.tests.push((span.start().line, span.end().line));
    }

    fn module(&mut self, module: &syn::ItemMod, is_test: bool) {
        self.facts.modules.push(Module {
            scope: self.scope.clone(),
            name: module.ident.to_string(),
            path: module.attrs.iter().find_map(path_attribute),
            is_test,
            is_inline: module.content.is_some(),
        });
    }

    fn define(&mut self, item: &syn::Item) {
        let Some(name) = name_of(item) else { return };
        let kind = match item {
            syn::Item::Enum(_) => Kind::Enum,
            syn::Item::Fn(_) => Kind::Function,
            _ => Kind::Other,
        };
        let item = Item { scope: self.scope.clone(), name: name.to_string(), kind };
        self.facts.items.push(item);
    }

    fn function(&mut self, signature: &syn::Signature, body: Option<&syn::Block>) {
        let Some(body) = body else { return };
        let first = signature.span().start().line;
        let lines = body.span().end().line - first + 1;
        let name = signature.ident.to_string();
        self.facts.functions.push(Function { line: first, name, lines });
    }

    fn fields(&mut self, at: &impl Spanned, name: String, fields: usize) {
        self.facts.structs.push(Struct { line: at.span().start().line, name, fields });
    }

    /// What can be seen of a macro's rules or of its arguments.
    fn tokens(&mut self, tokens: &TokenStream) {
        imports::mentions(tokens, &self.scope, &mut self.facts.mentions);
        let trees: Vec<TokenTree> = tokens.clone().into_iter().collect();
        for window in trees.windows(3) {
            self.declaration(window);
        }
        for tree in &trees {
            if let TokenTree::Group(group) = tree {
                self.tokens(&group.stream());
            }
        }
    }

    /// `struct Name { … }` and `enum Name { … }`.
    fn declaration(&mut self, window: &[TokenTree]) {
        if let [TokenTree::Ident(kind), TokenTree::Ident(name), TokenTree::Group(body)] = window {
            if kind == "struct" {
                self.fields(name, name.to_string(), fields_of(&body.stream()));
            } else if kind == "enum" {
                let item =
                    Item { scope: self.scope.clone(), name: name.to_string(), kind: Kind::Enum };
                self.facts.items.push(item);
            }
        }
    }
}

/// Colons that stand alone: one for each named field.
fn fields_of(body: &TokenStream) -> usize {
    let trees: Vec<TokenTree> = body.clone().into_iter().collect();
    let is_colon =
        |tree: &TokenTree| matches!(tree, TokenTree::Punct(punct) if punct.as_char() == ':');
    let alone = |at: usize| {
        let beside = |at: usize| trees.get(at).is_some_and(is_colon);
        is_colon(&trees[at]) && !beside(at + 1) && !(at > 0 && beside(at - 1))
    };
    (0..trees.len()).filter(|at| alone(*at)).count()
}

/// `#[cfg(test)]`, `#[cfg(all(test, …))]`, `#[cfg(any(test, fuzzing))]` (entry points of the fuzz
/// targets), `#[test]`.
fn is_for_tests(attributes: &[syn::Attribute]) -> bool {
    attributes.iter().any(|attribute| {
        let condition = |list: &syn::MetaList| list.tokens.to_string().replace(' ', "");
        match &attribute.meta {
            syn::Meta::List(list) if list.path.is_ident("cfg") => {
                let condition = condition(list);
                condition == "test"
                    || condition.starts_with("all(test,")
                    || condition == "any(test,fuzzing)"
            }
            syn::Meta::Path(path) => path.is_ident("test"),
            _ => false,
        }
    })
}

fn path_attribute(attribute: &syn::Attribute) -> Option<String> {
    let syn::Meta::NameValue(pair) = &attribute.meta else { return None };
    match &pair.value {
        syn::Expr::Lit(syn::ExprLit { lit: syn::Lit::Str(path), .. })
            if pair.path.is_ident("path") =>
        {
            Some(path.value())
        }
        _ => None,
    }
}

fn attributes(item: &syn::Item) -> &[syn::Attribute] {
    match item {
        syn::Item::Const(item) => &item.attrs,
        syn::Item::Enum(item) => &item.attrs,
        syn::Item::Fn(item) => &item.attrs,
        syn::Item::Impl(item) => &item.attrs,
        syn::Item::Macro(item) => &item.attrs,
        syn::Item::Mod(item) => &item.attrs,
        syn::Item::Static(item) => &item.attrs,
        syn::Item::Struct(item) => &item.attrs,
        syn::Item::Trait(item) => &item.attrs,
        syn::Item::Type(item) => &item.attrs,
        syn::Item::Use(item) => &item.attrs,
        _ => &[],
    }
}

fn name_of(item: &syn::Item) -> Option<&syn::Ident> {
    match item {
        syn::Item::Const(item) => Some(&item.ident),
        syn::Item::Enum(item) => Some(&item.ident),
        syn::Item::Fn(item) => Some(&item.sig.ident),
        syn::Item::Macro(item) => item.ident.as_ref(),
        syn::Item::Static(item) => Some(&item.ident),
        syn::Item::Struct(item) => Some(&item.ident),
        syn::Item::Trait(item) => Some(&item.ident),
        syn::Item::Type(item) => Some(&item.ident),
        _ => None,
    }
}
