//! The files that the rules judge: every text of the repository, and what of the Rust files is
//! code of the product.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};
use std::{env, fs, thread};

use crate::facts::Facts;
use crate::imports::{self, Import, Modules};
use crate::text;

/// Names another tree to judge than the one that this test was built from.
const ROOT: &str = "HOUSE_ROOT";

/// The repository, by names relative to its root with `/` between the folders.
#[derive(Default)]
pub(crate) struct Tree {
    files: BTreeMap<String, Arc<File>>,
    /// Files that are compiled for tests only.
    tests: BTreeSet<String>,
    modules: OnceLock<Modules>,
    imports: OnceLock<Vec<Import>>,
}

/// One text file.
#[derive(Default)]
pub(crate) struct File {
    pub text: String,
    /// What of a Rust file of the product is code: no comments, nothing under `#[cfg(test)]`. Lines
    /// keep their numbers.
    pub code: String,
    /// How many lines are not under `#[cfg(test)]`.
    pub lines: usize,
    pub facts: Facts,
    /// What is banned of its words, once it was looked for.
    pub banned: OnceLock<Vec<String>>,
}

impl Tree {
    /// The tree that is judged, read once.
    pub(crate) fn get() -> &'static Self {
        static TREE: OnceLock<Tree> = OnceLock::new();
        TREE.get_or_init(|| Self::read(&root()))
    }

    fn read(root: &Path) -> Self {
        let mut texts = Vec::new();
        collect(root, root, &mut texts);
        let mut tree = Self { files: parse(texts).into_iter().collect(), ..Self::default() };
        tree.tests = tree.files_for_tests();
        assert!(tree.files.contains_key("README.md"), "{} is no repository", root.display());
        tree
    }

    /// A copy of which some files have another text, as a mutation has.
    pub(crate) fn with(&self, changed: impl IntoIterator<Item = (String, String)>) -> Self {
        let files = self.files.clone();
        let mut tree = Self { files, ..Self::default() };
        for (name, text) in changed {
            tree.files.insert(name.clone(), Arc::new(File::new(&name, text)));
        }
        tree.tests = tree.files_for_tests();
        tree
    }

    pub(crate) fn modules(&self) -> &Modules {
        self.modules.get_or_init(|| Modules::of(self))
    }

    /// Every import between modules of the workspace.
    pub(crate) fn imports(&self) -> &[Import] {
        self.imports.get_or_init(|| imports::imports(self))
    }

    /// The text of a file that has to be there.
    pub(crate) fn text(&self, name: &str) -> &str {
        &self.files.get(name).unwrap_or_else(|| panic!("{name} is missing")).text
    }

    pub(crate) fn has(&self, name: &str) -> bool {
        self.files.contains_key(name)
    }

    /// Every text file.
    pub(crate) fn files(&self) -> impl Iterator<Item = (&str, &File)> {
        self.files.iter().map(|(name, file)| (name.as_str(), &**file))
    }

    /// Every Rust file, tests and build scripts included.
    pub(crate) fn rust(&self) -> impl Iterator<Item = (&str, &File)> {
        self.files().filter(|(name, _)| has_extension(name, "rs"))
    }

    /// Every Rust file under `folder` that is compiled into the product.
    pub(crate) fn product<'a>(
        &'a self,
        folder: &'a str,
    ) -> impl Iterator<Item = (&'a str, &'a File)> {
        self.rust().filter(move |(name, _)| name.starts_with(folder) && !self.tests.contains(*name))
    }

    /// Files behind `#[cfg(test)] mod name;`, and what they bring in in their turn.
    fn files_for_tests(&self) -> BTreeSet<String> {
        let mut found = BTreeSet::new();
        for (name, file) in &self.files {
            for module in file.facts.modules.iter().filter(|module| module.is_test) {
                let (file, folder) = module.places(name);
                let inside = |name: &&String| **name == file || name.starts_with(&folder);
                found.extend(self.files.keys().filter(inside).cloned());
            }
        }
        found
    }
}

impl File {
    fn new(name: &str, text: String) -> Self {
        if !(has_extension(name, "rs") && name.starts_with("agent/")) {
            return Self { text, ..Self::default() };
        }
        let facts = Facts::of(name, &text);
        let code = text::without_lines(&text::without_comments(&text), &facts.tests);
        let tested: usize = facts.tests.iter().map(|(first, last)| last - first + 1).sum();
        let lines = text.lines().count() - tested;
        Self { lines, code, text, facts, banned: OnceLock::new() }
    }
}

/// Parses the files, on as many threads as there are processors.
fn parse(texts: Vec<(String, String)>) -> Vec<(String, Arc<File>)> {
    let threads = thread::available_parallelism().map_or(1, usize::from);
    let mut shares: Vec<Vec<(String, String)>> = vec![Vec::new(); threads];
    for (at, file) in texts.into_iter().enumerate() {
        shares[at % threads].push(file);
    }
    thread::scope(|scope| {
        let threads: Vec<_> =
            shares.into_iter().map(|share| scope.spawn(move || parse_share(share))).collect();
        threads.into_iter().flat_map(|thread| thread.join().unwrap()).collect()
    })
}

fn parse_share(share: Vec<(String, String)>) -> Vec<(String, Arc<File>)> {
    share
        .into_iter()
        .map(|(name, text)| {
            let file = Arc::new(File::new(&name, text));
            (name, file)
        })
        .collect()
}

/// Folders that are no part of the repository (`.gitignore`).
const SKIPPED: [&str; 5] =
    [".git", "target", "agent/fuzz/target", "agent/fuzz/corpus", "agent/fuzz/artifacts"];

/// Every text file under `folder`, build products and the repository's own books left out.
fn collect(root: &Path, folder: &Path, found: &mut Vec<(String, String)>) {
    for path in fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()) {
        let name = path.strip_prefix(root).unwrap().display().to_string();
        if path.is_dir() && !SKIPPED.contains(&name.as_str()) {
            collect(root, &path, found);
        } else if let Ok(text) = fs::read_to_string(&path)
            && name != ".git"
        {
            found.push((name, text));
        }
    }
}

pub(crate) fn has_extension(name: &str, extension: &str) -> bool {
    Path::new(name).extension().is_some_and(|known| known == extension)
}

pub(crate) fn root() -> PathBuf {
    env::var_os(ROOT)
        .map_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join(".."), PathBuf::from)
}
