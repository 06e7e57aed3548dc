//! What should not be relied on, by workload.

use std::collections::{BTreeMap, BTreeSet};

use super::workload::WorkloadName;
use crate::reader_list::{Concern, PostureRow, ReaderList};

/// Most pods that are named for one row. The count beside them is complete.
const MAX_NAMED: usize = 10;

/// The report.
#[derive(Debug)]
pub(super) struct Posture {
    /// The gravest concern first, as the list has them.
    pub(super) rows: Vec<Row>,
    /// What could not be seen.
    pub(super) problems: Vec<String>,
}

/// One concern about the tokens of one workload.
#[derive(Debug)]
pub(super) struct Row {
    pub(super) concern: String,
    pub(super) name: WorkloadName,
    pub(super) container: Option<String>,
    pub(super) count: usize,
    pub(super) pods: Vec<String>,
    /// Of the first pod.
    pub(super) example: PostureRow,
}

/// The agent that answered has no such list.
#[derive(Debug)]
pub(super) struct TooOld;

impl std::fmt::Display for TooOld {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("the agent on this node is older than this command and has no such report")
    }
}

impl Posture {
    /// Of the rows in the list.
    pub(super) fn of(list: &ReaderList) -> Result<Self, TooOld> {
        let rows = list.posture.as_deref().ok_or(TooOld)?;
        let mut groups: BTreeMap<_, Vec<&PostureRow>> = BTreeMap::new();
        for row in rows {
            let workload = WorkloadName::of(&row.pod);
            let group = (rank(&row.concern), workload, &row.container, &row.detail);
            groups.entry(group).or_default().push(row);
        }
        let rows = groups.into_iter().filter_map(|((_, name, ..), all)| of_group(name, &all));
        let left_out = (list.posture_left_out > 0).then(|| {
            format!("{} more rows, for which the list has no room", list.posture_left_out)
        });
        let problems = list.problems.iter().cloned().chain(left_out).collect();
        Ok(Self { rows: rows.collect(), problems })
    }

    /// How many rows have this concern.
    pub(super) fn count(&self, concern: Concern) -> usize {
        self.rows.iter().filter(|row| row.concern == concern.name()).count()
    }

    /// 0 nothing; 1 something; 2 something could not be seen, and nothing was found in the rest.
    pub(super) fn exit_code(&self) -> u8 {
        match (self.rows.as_slice(), self.problems.as_slice()) {
            ([_, ..], _) => 1,
            ([], [_, ..]) => super::UNSEEN,
            ([], []) => 0,
        }
    }
}

/// The concerns of this command, in their order.
pub(super) const CONCERNS: [Concern; 5] = [
    Concern::Legacy,
    Concern::LongLived,
    Concern::BySubpath,
    Concern::DefaultAccount,
    Concern::NeverUsed,
];

/// A concern of a newer agent comes last.
fn rank(concern: &str) -> usize {
    CONCERNS.iter().position(|one| one.name() == concern).unwrap_or(CONCERNS.len())
}

fn of_group(name: WorkloadName, all: &[&PostureRow]) -> Option<Row> {
    let example = *all.first()?;
    let pods: BTreeSet<String> = all.iter().map(|row| row.pod.shown()).collect();
    Some(Row {
        concern: example.concern.clone(),
        name,
        container: example.container.clone(),
        count: pods.len(),
        pods: pods.into_iter().take(MAX_NAMED).collect(),
        example: example.clone(),
    })
}
