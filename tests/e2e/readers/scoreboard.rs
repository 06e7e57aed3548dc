//! docs/readers-scoreboard.md: what each level tells about each client.

use super::clients::{CLIENTS, Client, Named};
use crate::bed::repository;
use tokenwatch_core::world::privileges::Level;

const PAGE: &str = "docs/readers-scoreboard.md";
const INTRODUCTION: &str = "\
# Scoreboard: real clients, and who names them

`tests/e2e/readers` runs these clients on a real cluster, with tokens of 600 s, two rotations, and
an agent at each privilege level. This is what they expect. A level that cannot tell says nothing,
or has a suspicion (info). Where the agent missed the first moment of a generation because the
machine was busy, it says so and has a suspicion in place of a report. Where another container of
the pod may have been the one that read the new token, or a client read its token so late that it
may only have watched until the refusal, a level may say nothing in place of a suspicion.
`tests/clients` compares the agent with this page, and writes what it measured to
[the last run](readers-last-run.md). It takes 25 minutes and is no part of `tests/all`.

- **refused**: the API server answers 401 in the end
- **suspected**: reported as info; **reported**: as warning or critical. Both before the first 401

| client | habit | refused | files | hostPID | fanotify |
|---|---|---|---|---|---|
";

/// The page must state what the test expects. UPDATE_GOLDEN=1 writes it.
pub fn page_is_up_to_date() {
    let page = format!("{INTRODUCTION}{}", CLIENTS.iter().map(row).collect::<String>());
    let file = repository().join(PAGE);
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        std::fs::write(&file, &page).unwrap();
    }
    assert_eq!(std::fs::read_to_string(&file).unwrap_or_default(), page, "{PAGE}");
}

fn row(client: &Client) -> String {
    let refused = if client.is_refused { "yes" } else { "no" };
    let named = Level::ALL.map(|level| text(client.named.at(level))).join(" | ");
    let habit = client.habit.at(Level::Fanotify);
    format!("| {} | {} | {refused} | {named} |\n", client.what, habit.replace('_', " "))
}

fn text(named: Named) -> String {
    match named {
        Named::Not => "-".to_owned(),
        Named::Suspected(code) => format!("suspected: `{code}`"),
        Named::Reported(code) => format!("reported: `{code}`"),
    }
}
