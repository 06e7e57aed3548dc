//! Each rule is broken on purpose in a copy of the tree, once in each way that matters: that rule
//! has to report it, and no other.

use std::collections::BTreeSet;
use std::thread;

use crate::tree::Tree;
use crate::{RULES, Rule};

/// What makes a tree break one rule.
struct Mutation {
    rule: &'static str,
    edits: Vec<Edit>,
}

/// The file, and what becomes of its text.
struct Edit {
    file: &'static str,
    change: Change,
}

enum Change {
    /// At the end; a file that is not there is made.
    Append(String),
    Replace(&'static str, &'static str),
}

fn append(rule: &'static str, file: &'static str, text: impl Into<String>) -> Mutation {
    Mutation { rule, edits: vec![Edit { file, change: Change::Append(text.into()) }] }
}

fn replace(
    rule: &'static str,
    file: &'static str,
    from: &'static str,
    to: &'static str,
) -> Mutation {
    Mutation { rule, edits: vec![Edit { file, change: Change::Replace(from, to) }] }
}

fn append_two(
    rule: &'static str,
    first: (&'static str, &'static str),
    second: (&'static str, &'static str),
) -> Mutation {
    let edit =
        |(file, text): (&'static str, &str)| Edit { file, change: Change::Append(text.to_owned()) };
    Mutation { rule, edits: vec![edit(first), edit(second)] }
}

fn mutations() -> Vec<Mutation> {
    let all =
        [arrows(), circles(), errors(), links(), lints(), matches(), rooms(), sizes(), words()];
    all.into_iter().flatten().collect()
}

fn arrows() -> Vec<Mutation> {
    let one_way = "data_goes_one_way";
    vec![
        append(one_way, "agent/src/sinks/mod.rs", "use crate::{clocks, sources};"),
        append(one_way, "agent/src/sinks/mod.rs", "fn stray() { super::sources::stray() }"),
        append(one_way, "agent/src/sinks/mod.rs", "fn stray() { wild!(x => crate::sources::Y) }"),
        append(one_way, "agent/core/src/diagnosis/mod.rs", "use crate::traces::Span;"),
        append(one_way, "agent/lab/src/signer.rs", "use tokenwatch_otlp::spans;"),
        append(
            "the_lab_stays_in_the_demo",
            "agent/src/sinks/mod.rs",
            "use tokenwatch_lab::signer;",
        ),
        replace(
            "without_the_demo_there_is_no_laboratory",
            "agent/Cargo.toml",
            ", optional = true }",
            " }",
        ),
        append("every_room_has_its_arrows", "agent/src/attic.rs", "//! Whatever.\n"),
        append(
            "what_observes_does_not_judge",
            "agent/src/sources/mod.rs",
            "use tokenwatch_core::findings::Severity;",
        ),
    ]
}

fn circles() -> Vec<Mutation> {
    let circle = "no_import_circle";
    vec![
        append_two(
            circle,
            ("agent/core/src/base/ids.rs", "use super::text::Stray;"),
            ("agent/core/src/base/text.rs", "fn stray() { crate::base::ids::stray() }"),
        ),
        // By a re-export of the parent.
        append_two(
            circle,
            ("agent/core/src/base/ids.rs", "use super::value::Value;"),
            ("agent/core/src/base/value.rs", "use super::Again;"),
        )
        .and("agent/core/src/base/mod.rs", "use ids::stray as Again;"),
        // By way of a third.
        append_two(
            circle,
            ("agent/core/src/base/ids.rs", "use super::text::Stray;"),
            ("agent/core/src/base/text.rs", "use crate::base::value::Value;"),
        )
        .and("agent/core/src/base/value.rs", "use super::ids::Stray;"),
        append_two(
            "no_child_calls_its_parent",
            ("agent/core/src/base/mod.rs", "pub fn stray() {}"),
            ("agent/core/src/base/ids.rs", "use super::stray;"),
        ),
    ]
}

fn errors() -> Vec<Mutation> {
    let file = "agent/src/sinks/mod.rs";
    let ways = [
        "pub(crate) fn stray() -> Result<(), String> { Ok(()) }",
        "pub(super) fn stray() -> Option<std::result::Result<u8, &'static str>> { None }",
        "pub async fn stray() -> Result<(), Box<dyn std::error::Error + Send>> { Ok(()) }",
        "pub type Stray = Result<(), String>;",
        "pub struct Stray { pub stray: Result<(), String> }",
        "pub enum Stray { Stray(Result<(), String>) }",
        "trait Stray { fn stray(&self) -> Result<(), String>; }",
        "impl Stray { pub(in crate::sinks) fn stray() -> Result<(), String> { Ok(()) } }",
        "impl FromStr for Stray { type Err = String; }",
        "pub fn stray(of: impl Fn() -> Result<(), std::borrow::Cow<'static, str>>) {}",
    ];
    ways.map(|way| append("errors_have_a_type", file, way)).into()
}

fn links() -> Vec<Mutation> {
    let ways = [
        "[stray](docs/attic.md)\n",
        "[stray](docs/design.md#stray)\n",
        "[stray](#stray)\n",
        "[stray](../README.md)\n",
    ];
    ways.map(|way| append("links_lead_somewhere", "README.md", way)).into()
}

fn lints() -> Vec<Mutation> {
    let fires = "every_configured_lint_fires";
    vec![
        replace(fires, "Cargo.toml", "expect_used = \"warn\"", "expect_used = \"allow\""),
        replace(fires, "Cargo.toml", "\nexit = \"warn\"", "\nexit = \"warn\"\ntodo = \"warn\""),
        replace(fires, "Cargo.toml", "\nmissing_docs = \"warn\"", ""),
        replace(fires, "clippy.toml", "std::env::temp_dir", "std::env::no_dir"),
        replace(
            fires,
            "clippy.toml",
            "disallowed-methods = [",
            "disallowed-methods = [\n    { path = \"std::env::args\", reason = \"none\" },",
        ),
        replace(fires, "agent/core/src/lib.rs", "deny(clippy::wildcard", "warn(clippy::wildcard"),
        replace("every_crate_takes_the_lints", "agent/Cargo.toml", "[lints]\n", "[lint]\n"),
    ]
}

fn matches() -> Vec<Mutation> {
    let ways = [
        "fn stray(s: Severity) -> u8 { match s { Severity::Info => 0, _ => 1 } }",
        "fn stray(s: Severity) -> u8 { match s { Severity::Info => 0, other => 1 } }",
        "fn stray(s: &S) -> u8 { match s { S::Info | S::Warning => 0, rest @ _ => 1 } }\n\
         use tokenwatch_core::findings::Severity as S;",
        "fn stray(s: Option<S>) -> u8 { match s { Some(S::Info) => 0, Some(_) => 1, None => 2 } }\n\
         use tokenwatch_core::findings::Severity as S;",
        "fn stray(s: (S, S)) -> u8 { match s { (S::Info, _) => 0, (_, S::Info) => 1, _ => 2 } }\n\
         use tokenwatch_core::findings::Severity as S;",
        "use tokenwatch_core::findings::Severity::Info;\n\
         fn stray(s: Severity) -> u8 { match s { Info => 0, _ => 1 } }",
        "enum Stray { First, Second }\nimpl Stray {\n\
         fn stray(self) -> u8 { match self { Self::First => 0, _ => 1 } } }",
        "fn stray(c: Code) -> String { format!(\"{}\", match c { Code::Expired => 0, _ => 1 }) }\n\
         use tokenwatch_core::findings::Code;",
    ];
    let file = "agent/src/sinks/metrics/stray.rs";
    let whole = |way: &str| format!("{way}\nuse tokenwatch_core::findings::Severity;");
    ways.map(|way| append("no_wildcard_arm_on_our_own_enums", file, whole(way))).into()
}

fn rooms() -> Vec<Mutation> {
    let pure = "the_core_is_pure";
    vec![
        append(
            pure,
            "agent/core/src/world/readers/libraries.rs",
            "const S: &str = include_str!(\"../mod.rs\");",
        ),
        append(
            "nobody_asks_for_secrets",
            "agent/src/sources/mod.rs",
            "const S: &str = \"/api/v1/secrets\";",
        ),
        append(
            "nobody_asks_for_secrets",
            "agent/src/sources/pods/watch.rs",
            "const S: &str = \"/api/v1/secrets\";",
        ),
        append("nobody_asks_for_secrets", "agent/src/sinks/mod.rs", "use kube::Client;"),
        append("nobody_sets_a_clock", "agent/src/sys.rs", "fn stray() { libc::clock_settime(); }"),
        append(
            "nothing_in_the_repository_is_about_one_machine",
            "README.md",
            ["see /ho", "me/one"].concat(),
        ),
        append(
            "one_file_opens_tokens",
            "agent/src/cli/check.rs",
            "fn stray() { tokens::decode(); }",
        ),
        append(
            "one_file_opens_tokens",
            "agent/src/sources/volumes/stray.rs",
            "fn stray() { unistd::read(0); }",
        ),
        append(
            "an_open_by_path_waits_for_nobody",
            "agent/src/sinks/mod.rs",
            "fn stray() { std::fs::File::open(0); }",
        ),
        append("one_file_reads_clocks", "agent/src/sinks/mod.rs", "fn stray() { Instant::now(); }"),
        append(
            "one_file_reads_the_environment",
            "agent/src/cli/mod.rs",
            "fn stray() { std::env::var(0); }",
        ),
        append(
            "one_file_writes_to_the_terminal",
            "agent/src/sinks/mod.rs",
            "fn stray() { println!(\"x\"); }",
        ),
        append(
            "one_file_writes_to_the_terminal",
            "agent/src/cli/check.rs",
            "fn stray() { std::io::stderr(); }",
        ),
        replace(
            "reserved_codes_are_those_that_nothing_looks_for",
            "agent/core/src/findings/wording/controller.rs",
            "Code::TokenControllerDown",
            "Code::Expired",
        ),
        replace(
            "the_core_depends_on_nothing_that_acts",
            "agent/core/Cargo.toml",
            "\nserde.",
            "\nrand = \"1\"\nserde.",
        ),
        append(
            "the_core_depends_on_nothing_that_acts",
            "agent/core/Cargo.toml",
            "\n[build-dependencies]\n",
        ),
        replace(
            "the_core_depends_on_nothing_that_acts",
            "Cargo.toml",
            "features = [\"alloc\"]",
            "features = [\"clock\"]",
        ),
        append(pure, "agent/core/src/base/time.rs", "fn stray() { std::fs::read(0); }"),
        append(pure, "agent/core/src/base/time.rs", "async fn stray() {}"),
        append("one_room_reads_proc", "agent/src/sinks/mod.rs", "use procfs::process;"),
        append(
            "the_encoders_are_pure",
            "agent/otlp/src/lib.rs",
            "fn stray() { std::fs::read(0); }",
        ),
        append(
            "the_laboratory_is_given_the_time",
            "agent/lab/src/signer.rs",
            "fn stray() { SystemTime::now(); }",
        ),
        append(
            "the_prefix_of_settings_is_for_settings",
            "tests/all",
            ["export TOKEN", "WATCH_STRAY=1"].concat(),
        ),
        append("unsafe_lives_in_one_file", "agent/src/sinks/mod.rs", "fn stray() { unsafe { } }"),
    ]
}

fn sizes() -> Vec<Mutation> {
    let many = |count, line: &str| line.repeat(count);
    let long = format!("fn stray() {{\n{}}}\n", many(13, "    // A line.\n"));
    let fields: String = ('a'..='k')
        .flat_map(|name| ["    ".into(), String::from(name), ": u8,\n".into()])
        .collect();
    let structure = format!("struct Stray {{\n{fields}}}\n");
    let core = "agent/core/src/base/ids.rs";
    let ten = "no_struct_of_the_core_has_more_than_ten_fields";
    vec![
        append("files_of_the_core_are_shorter", core, many(350, "// A line.\n")),
        append(
            "files_stay_short_enough_to_read",
            "tests/figures/main.rs",
            many(601, "const A: u8 = 0;\n"),
        ),
        append("functions_stay_short", "agent/src/sinks/metrics/stray.rs", many(250, &long)),
        append(
            "lines_fit_in_100_columns",
            "tests/figures/main.rs",
            format!("// {}", many(98, "a")),
        ),
        append("lines_fit_in_100_columns", "tests/all", format!("# {}", many(99, "a"))),
        append(ten, core, structure.clone()),
        append(ten, core, format!("enum Stray {{ Stray {{\n{fields}}} }}")),
        append(ten, core, format!("macro_rules! stray {{ () => {{ {structure} }} }}")),
        append("the_readme_stays_short", "README.md", many(150, "One.\n")),
        append(
            "the_engine_stays_small",
            "agent/core/src/engine/stray.rs",
            many(340, "// A line.\n"),
        ),
    ]
}

fn words() -> Vec<Mutation> {
    let banned = "no_banned_words";
    let names = "fn stray() { let ending = 1; }";
    vec![
        append(banned, "README.md", "All of it is in the diary.\n"),
        append(banned, "docs/deployment.md", "There is no way\nto the API server.\n"),
        append(banned, "deploy/chart/values.yaml", "# It is made\n# anew.\n"),
        append(banned, "tests/figures/main.rs", "fn a_thing_that_was_told() {}"),
        append(banned, "tests/figures/main.rs", "struct TokenSight;"),
        append(banned, "tests/figures/main.rs", names),
        append(banned, "tests/golden/help.txt", "what the agent says\n"),
    ]
}

impl Mutation {
    fn and(mut self, file: &'static str, text: &str) -> Self {
        self.edits.push(Edit { file, change: Change::Append(text.to_owned()) });
        self
    }

    fn applied(&self, tree: &Tree) -> Tree {
        let changed = self.edits.iter().map(|edit| (edit.file.to_owned(), edit.applied(tree)));
        tree.with(changed)
    }

    fn shown(&self) -> String {
        let edits = self.edits.iter().map(|edit| format!("{}: {}", edit.file, edit.change.shown()));
        edits.collect::<Vec<_>>().join("; ")
    }
}

impl Edit {
    fn applied(&self, tree: &Tree) -> String {
        match &self.change {
            Change::Append(text) if tree.has(self.file) => {
                format!("{}\n{text}\n", tree.text(self.file))
            }
            Change::Append(text) => text.clone(),
            Change::Replace(from, to) => {
                let text = tree.text(self.file);
                assert!(text.contains(from), "{} does not contain {from}", self.file);
                text.replacen(from, to, 1)
            }
        }
    }
}

impl Change {
    fn shown(&self) -> &str {
        match self {
            Self::Append(text) => text.lines().next().unwrap_or_default(),
            Self::Replace(_, to) => to,
        }
    }
}

/// The rules that report more than they do of the tree itself. What a tree breaks already says
/// nothing but for the rule that is meant.
fn caught(mutation: &Mutation, tree: &Tree, before: &[BTreeSet<String>]) -> BTreeSet<&'static str> {
    let mutated = mutation.applied(tree);
    let rules = RULES.iter().zip(before);
    rules
        .filter(|(rule, before)| {
            let is_fair = before.is_empty() || rule.name == mutation.rule;
            is_fair && (rule.broken)(&mutated).iter().any(|place| !before.contains(place))
        })
        .map(|(rule, _)| rule.name)
        .collect()
}

#[test]
fn every_mutation_is_caught_by_its_own_rule_and_no_other() {
    let tree = Tree::get();
    let broken = |rule: &Rule| (rule.broken)(tree).into_iter().collect();
    let before: Vec<BTreeSet<String>> = RULES.iter().map(broken).collect();
    let mutations = mutations();
    let wrong = |mutations: &[Mutation]| -> Vec<String> {
        mutations.iter().filter_map(|mutation| missed(mutation, tree, &before)).collect()
    };
    let share = mutations.len().div_ceil(thread::available_parallelism().map_or(1, usize::from));
    let wrong: Vec<String> = thread::scope(|scope| {
        let shares = mutations.chunks(share).map(|share| scope.spawn(move || wrong(share)));
        let threads: Vec<_> = shares.collect();
        threads.into_iter().flat_map(|thread| thread.join().unwrap()).collect()
    });
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// What is wrong with how a mutation was caught.
fn missed(mutation: &Mutation, tree: &Tree, before: &[BTreeSet<String>]) -> Option<String> {
    let caught = caught(mutation, tree, before);
    println!("{}: {}: caught by {caught:?}", mutation.rule, mutation.shown());
    (caught != BTreeSet::from([mutation.rule]))
        .then(|| format!("{}: {}: caught by {caught:?}", mutation.rule, mutation.shown()))
}

#[test]
fn every_rule_has_a_mutation() {
    let broken: BTreeSet<&str> = mutations().iter().map(|mutation| mutation.rule).collect();
    let rules = RULES.iter().map(|rule| rule.name);
    assert_eq!(rules.filter(|rule| !broken.contains(rule)).collect::<Vec<_>>(), [""; 0]);
}
