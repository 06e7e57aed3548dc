//! Errors without a type where others see them: in signatures, fields, aliases and the `Err` of a
//! trait.

use syn::spanned::Spanned;
use syn::visit::{self, Visit};

use super::{Place, is_for_tests};

pub(super) fn of_item(item: &syn::Item, found: &mut Vec<Place>) {
    match item {
        syn::Item::Fn(item) if is_seen(&item.vis) => signature(&item.sig, found),
        syn::Item::Impl(item) => implementation(item, found),
        syn::Item::Trait(item) => item.items.iter().for_each(|item| trait_item(item, found)),
        syn::Item::Type(item) if is_seen(&item.vis) => {
            look(&item.ident, |finder| finder.visit_type(&item.ty), found);
        }
        syn::Item::Struct(item) => {
            let seen = item.fields.iter().filter(|field| is_seen(&field.vis));
            seen.for_each(|field| look(&item.ident, |finder| finder.visit_field(field), found));
        }
        syn::Item::Enum(item) if is_seen(&item.vis) => {
            let fields = item.variants.iter().flat_map(|variant| &variant.fields);
            for field in fields {
                look(&item.ident, |finder| finder.visit_field(field), found);
            }
        }
        _ => {}
    }
}

fn is_seen(visibility: &syn::Visibility) -> bool {
    !matches!(visibility, syn::Visibility::Inherited)
}

fn signature(signature: &syn::Signature, found: &mut Vec<Place>) {
    look(&signature.ident, |finder| finder.visit_signature(signature), found);
}

fn trait_item(item: &syn::TraitItem, found: &mut Vec<Place>) {
    if let syn::TraitItem::Fn(item) = item {
        signature(&item.sig, found);
    }
}

fn implementation(item: &syn::ItemImpl, found: &mut Vec<Place>) {
    for member in &item.items {
        match member {
            syn::ImplItem::Fn(member) if is_seen(&member.vis) && !is_for_tests(&member.attrs) => {
                signature(&member.sig, found);
            }
            syn::ImplItem::Type(member)
                if ["Err", "Error"].iter().any(|name| member.ident == name)
                    && is_untyped(&member.ty) =>
            {
                found.push(Place {
                    line: member.span().start().line,
                    what: format!("type {} = {}", member.ident, name_of(&member.ty)),
                });
            }
            _ => {}
        }
    }
}

fn look(name: &syn::Ident, visit: impl FnOnce(&mut Finder), found: &mut Vec<Place>) {
    let mut finder = Finder::default();
    visit(&mut finder);
    let line = name.span().start().line;
    found.extend(
        finder.found.into_iter().map(|what| Place { line, what: format!("{name}: {what}") }),
    );
}

#[derive(Default)]
struct Finder {
    found: Vec<String>,
}

impl Visit<'_> for Finder {
    fn visit_path_segment(&mut self, segment: &syn::PathSegment) {
        let types = arguments(segment);
        if segment.ident == "Result" && types.get(1).is_some_and(|error| is_untyped(error)) {
            self.found.push(format!("Result<_, {}>", name_of(types[1])));
        }
        if segment.ident == "Box" && types.first().is_some_and(|inner| is_any_error(inner)) {
            self.found.push("Box<dyn Error>".to_owned());
        }
        visit::visit_path_segment(self, segment);
    }

    fn visit_block(&mut self, _: &syn::Block) {}
}

fn arguments<'a>(segment: &'a syn::PathSegment) -> Vec<&'a syn::Type> {
    let syn::PathArguments::AngleBracketed(list) = &segment.arguments else { return Vec::new() };
    let is_type = |argument: &'a _| match argument {
        syn::GenericArgument::Type(inner) => Some(inner),
        _ => None,
    };
    list.args.iter().filter_map(is_type).collect()
}

/// `String`, `&str`, `Cow<str>`, `Box<str>`, `Vec<String>`, `()`.
fn is_untyped(error: &syn::Type) -> bool {
    let name = name_of(error);
    ["String", "str", "Cow", "Box<str>"].contains(&name.as_str())
}

fn is_any_error(inner: &syn::Type) -> bool {
    let syn::Type::TraitObject(object) = inner else { return false };
    object.bounds.iter().any(|bound| match bound {
        syn::TypeParamBound::Trait(bound) => {
            bound.path.segments.last().is_some_and(|part| part.ident == "Error")
        }
        _ => false,
    })
}

fn name_of(kind: &syn::Type) -> String {
    match kind {
        syn::Type::Reference(inner) => name_of(&inner.elem),
        syn::Type::Path(path) => {
            let Some(last) = path.path.segments.last() else { return String::new() };
            match arguments(last).first() {
                Some(inner) if last.ident == "Box" => format!("Box<{}>", name_of(inner)),
                _ => last.ident.to_string(),
            }
        }
        _ => String::new(),
    }
}
