//! Links between the pages: each leads to a file that exists, and to a heading that it has.

use std::collections::BTreeSet;
use std::path::{Component, Path, PathBuf};

use crate::tree::{self, Tree};

pub(crate) fn links_lead_somewhere(tree: &Tree) -> Vec<String> {
    let pages = tree.files().filter(|(name, _)| tree::has_extension(name, "md"));
    pages
        .flat_map(|(name, page)| {
            targets(&page.text).filter_map(move |(line, target)| {
                let wrong = broken(tree, name, target)?;
                Some(format!("{name}:{line}: {target}: {wrong}"))
            })
        })
        .collect()
}

/// What is in the parentheses of each link, with its line; nothing in code.
fn targets(text: &str) -> impl Iterator<Item = (usize, &str)> {
    lines(text).flat_map(|(at, line)| {
        let links = line.split("](").skip(1).filter_map(|rest| rest.split(')').next());
        links.map(move |target| (at, target))
    })
}

/// The numbered lines outside of blocks of code.
fn lines(text: &str) -> impl Iterator<Item = (usize, &str)> {
    let mut in_block = false;
    text.lines().enumerate().filter_map(move |(at, line)| {
        let fence = line.trim_start().starts_with("```");
        in_block ^= fence;
        (!in_block && !fence && !line.starts_with("    ")).then_some((at + 1, line))
    })
}

/// Why a link leads nowhere. Nobody asks the network here.
fn broken(tree: &Tree, from: &str, target: &str) -> Option<&'static str> {
    if target.contains("://") {
        return None;
    }
    let (file, heading) = target.split_once('#').unwrap_or((target, ""));
    let Some(path) = joined(from, file) else { return Some("outside of the repository") };
    if !tree.has(&path) && !tree::root().join(&path).exists() {
        return Some("no such file");
    }
    let lost = !heading.is_empty() && !headings(tree.text(&path)).contains(heading);
    lost.then_some("no such heading")
}

/// The path that a link in the file `from` means.
fn joined(from: &str, file: &str) -> Option<String> {
    if file.is_empty() {
        return Some(from.to_owned());
    }
    let mut path = Path::new(from).parent()?.to_owned();
    for part in Path::new(file).components() {
        match part {
            Component::ParentDir => path = path.parent().map(PathBuf::from)?,
            Component::Normal(name) => path.push(name),
            Component::CurDir => {}
            Component::RootDir | Component::Prefix(_) => return None,
        }
    }
    Some(path.to_string_lossy().into_owned())
}

/// The anchors that GitHub gives to the headings of a page.
fn headings(text: &str) -> BTreeSet<String> {
    let titles = lines(text).filter(|(_, line)| line.starts_with('#'));
    titles.map(|(_, line)| anchor(line.trim_start_matches('#').trim())).collect()
}

fn anchor(title: &str) -> String {
    let kept = |c: &char| c.is_alphanumeric() || matches!(c, ' ' | '-' | '_');
    title.to_lowercase().chars().filter(kept).map(|c| if c == ' ' { '-' } else { c }).collect()
}

#[test]
fn links_and_anchors() {
    let found: Vec<_> =
        targets("a [b](c.md#d) and ![e](f.png)\n```\n[g](h)\n```\n[i](#j)").collect();
    assert_eq!(found, [(1, "c.md#d"), (1, "f.png"), (5, "#j")]);
    assert_eq!(joined("docs/a.md", "../b/c.md").as_deref(), Some("b/c.md"));
    assert_eq!(joined("README.md", "../b.md"), None);
    assert_eq!(anchor("What it *can* see: `/readers`, and why"), "what-it-can-see-readers-and-why");
}
