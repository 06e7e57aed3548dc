//! The house rules that a compiler does not know: one file for each kind. A rule is a function from
//! a tree to the places that break it; `mutations` shows that each can fail.
//!
//! The environment variable `HOUSE_ROOT` names another tree to judge, such as one that
//! does not compile yet.

#![allow(clippy::unwrap_used, clippy::panic)] // a test says what is wrong by panicking
#![allow(clippy::disallowed_methods)] // a test starts programs, measures time and makes folders

mod arrows;
mod circles;
mod errors;
mod facts;
mod imports;
mod links;
mod lints;
mod matches;
mod mutations;
mod rooms;
mod sizes;
mod text;
mod tree;
mod variables;
mod words;

use crate::tree::Tree;

/// A rule by its name, and the places where a tree breaks it.
struct Rule {
    name: &'static str,
    broken: fn(&Tree) -> Vec<String>,
}

macro_rules! rules {
    ($($room:ident::$rule:ident,)*) => {
        const RULES: &[Rule] = &[$(Rule { name: stringify!($rule), broken: $room::$rule },)*];

        $(#[test]
        fn $rule() {
            let broken = $room::$rule(Tree::get());
            assert!(broken.is_empty(), "{} places:\n{}", broken.len(), broken.join("\n"));
        })*
    };
}

rules! {
    arrows::data_goes_one_way,
    arrows::every_room_has_its_arrows,
    arrows::the_lab_stays_in_the_demo,
    arrows::what_observes_does_not_judge,
    circles::no_child_calls_its_parent,
    circles::no_import_circle,
    errors::errors_have_a_type,
    links::links_lead_somewhere,
    lints::every_configured_lint_fires,
    lints::every_crate_takes_the_lints,
    matches::no_wildcard_arm_on_our_own_enums,
    rooms::nobody_asks_for_secrets,
    rooms::nobody_sets_a_clock,
    rooms::nothing_in_the_repository_is_about_one_machine,
    rooms::one_file_opens_tokens,
    rooms::one_file_reads_clocks,
    rooms::an_open_by_path_waits_for_nobody,
    rooms::one_file_reads_the_environment,
    rooms::one_file_writes_to_the_terminal,
    rooms::one_room_reads_proc,
    rooms::reserved_codes_are_those_that_nothing_looks_for,
    rooms::the_core_depends_on_nothing_that_acts,
    rooms::the_core_is_pure,
    rooms::the_encoders_are_pure,
    rooms::the_laboratory_is_given_the_time,
    rooms::unsafe_lives_in_one_file,
    rooms::without_the_demo_there_is_no_laboratory,
    sizes::files_of_the_core_are_shorter,
    sizes::files_stay_short_enough_to_read,
    sizes::functions_stay_short,
    sizes::lines_fit_in_100_columns,
    sizes::no_struct_of_the_core_has_more_than_ten_fields,
    sizes::the_engine_stays_small,
    sizes::the_readme_stays_short,
    variables::the_prefix_of_settings_is_for_settings,
    words::no_banned_words,
}
