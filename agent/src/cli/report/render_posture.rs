//! The report on posture: a table for people, JSON for scripts, Markdown for an issue or a wiki.

use serde_json::{Value, json};
use tokenwatch_core::base::text::{count_of, shown};

use super::posture::{CONCERNS, Posture, Row};
use super::render::{NOTHING, plain};
use crate::cli::output::Layout;
use crate::cli::readers::{Found, origin};
use crate::reader_list::Concern;

/// Largest widths of the columns, with the gaps at most 120.
const LIMITS: [usize; 5] = [40, 18, 15, 5, 34];
const HEADINGS: [&str; 5] = ["WORKLOAD", "CONTAINER", "CONCERN", "PODS", "DETAIL"];
/// What the report is about.
const TITLE: &str = "These tokens work. They are worth more to a thief, or fail later, than they \
                     need to.";

/// What to do about a concern.
fn advice(concern: Concern) -> &'static str {
    match concern {
        Concern::Legacy => {
            "legacy: a Secret-based token never expires. Use a serviceAccountToken source in a \
             projected volume, then delete the Secret."
        }
        Concern::LongLived => {
            "long_lived: asked for more than two days. kubelet replaces a token after a day at \
             the latest: set a shorter expirationSeconds."
        }
        Concern::BySubpath => {
            "subpath: the container keeps the token of its start. Mount the whole volume."
        }
        Concern::DefaultAccount => {
            "default_account: every pod of the namespace without an account shares this one. Give \
             the workload its own, or set automountServiceAccountToken: false."
        }
        Concern::NeverUsed => {
            "never_used: nobody in the container has read the token since it started. Set \
             automountServiceAccountToken: false if it needs none."
        }
    }
}

/// For people.
pub(super) fn table(posture: &Posture, found: &Found, layout: Layout) -> String {
    let mut out = layout.wrap(TITLE, "") + &layout.wrap(&origin(found), "");
    if !posture.rows.is_empty() {
        let rows: Vec<Vec<String>> = posture.rows.iter().map(row).collect();
        out += "\n";
        out += &layout.table(&HEADINGS, &LIMITS, &rows, &|_, _, cell| cell);
        out += "\n";
    }
    out.extend(concerns(posture).map(|concern| layout.wrap(advice(concern), "")));
    out.extend(posture.problems.iter().map(|problem| format!("\nnot seen: {}\n", shown(problem))));
    format!("{out}\n{}", layout.wrap(&summary(posture), ""))
}

/// Those that were found.
fn concerns(posture: &Posture) -> impl Iterator<Item = Concern> {
    CONCERNS.into_iter().filter(|concern| posture.count(*concern) > 0)
}

fn row(row: &Row) -> Vec<String> {
    vec![
        shown(&row.name.shown()).into_owned(),
        container(row),
        shown(&row.concern).into_owned(),
        row.count.to_string(),
        shown(&row.example.detail).into_owned(),
    ]
}

fn container(row: &Row) -> String {
    row.container.as_deref().map_or_else(|| NOTHING.to_owned(), |it| shown(it).into_owned())
}

fn summary(posture: &Posture) -> String {
    let count = |concern: &Concern| format!("{} {}", posture.count(*concern), concern.name());
    let counts: Vec<String> = CONCERNS.iter().map(count).collect();
    format!("{}: {}", count_of(posture.rows.len(), "row"), counts.join(", "))
}

/// For scripts. Keys are only ever added.
pub(super) fn json(posture: &Posture, found: &Found) -> Value {
    let list = found.list();
    json!({
        "at": list.at,
        "node": list.node,
        "privilege": list.privilege,
        "source": found.source(),
        "rows": posture.rows.iter().map(of_row).collect::<Vec<_>>(),
        "problems": posture.problems,
    })
}

fn of_row(row: &Row) -> Value {
    json!({
        "workload": row.name.json(),
        "concern": row.concern,
        "container": row.container,
        "volume": row.example.volume,
        "path": row.example.path,
        "count": row.count,
        "pods": row.pods,
        "detail": row.example.detail,
    })
}

/// For an issue or a wiki.
pub(super) fn markdown(posture: &Posture, found: &Found) -> String {
    let list = found.list();
    format!(
        "# Posture of the tokens of node {}, {}\n\n{TITLE}\n\n{HEAD}{}\n{}\n{}\n{}",
        plain(&list.node),
        list.at.0.rfc3339(),
        posture.rows.iter().map(markdown_row).collect::<String>(),
        listed(concerns(posture).map(advice)),
        summary(posture),
        listed(posture.problems.iter().map(|problem| format!("not seen: {problem}"))),
    )
}

const HEAD: &str = "| workload | container | concern | pods | detail |\n|---|---|---|---|---|\n";

fn listed<T: AsRef<str>>(texts: impl Iterator<Item = T>) -> String {
    let lines: Vec<String> = texts.map(|text| format!("- {}\n", plain(text.as_ref()))).collect();
    lines.concat()
}

fn markdown_row(row: &Row) -> String {
    let detail = row.example.detail.clone();
    let count = row.count.to_string();
    let cells = [row.name.shown(), container(row), row.concern.clone(), count, detail];
    let cells: Vec<String> = cells.iter().map(|cell| plain(cell)).collect();
    format!("| {} |\n", cells.join(" | "))
}
