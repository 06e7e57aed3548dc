//! Findings about files with copies of tokens, over time.

use super::{Alert, Judgement, Ledger, Missing, Scope};
use crate::base::time::{Monotonic, Reading};
use crate::base::value::Value;
use crate::diagnosis::{self, CopyDiagnosis};
use crate::findings::Finding;
use crate::findings::wording::COPY_GENERATION;
use crate::world::{Config, World};

impl Ledger {
    /// Judges every file with copies of tokens, and those that had some. Also returns when to judge
    /// them again.
    pub fn judge_copies(
        &mut self,
        now: &Reading,
        world: &World,
        config: &Config,
    ) -> (Vec<Alert>, Option<Monotonic>) {
        let mut alerts = Vec::new();
        let known = world.visibility.copies_known_at(now);
        let diagnoses = diagnosis::copies(world, config, &known);
        let lost = self.files().filter(|path| world.copies.get(path).is_none());
        for path in lost.collect::<Vec<_>>() {
            alerts.extend(self.judge_lost(now, world, path));
        }
        alerts.extend(diagnoses.into_iter().flat_map(|one| self.judge_copy(now, one)));
        let wakes = self.files().filter_map(|path| self.next_wake(&Scope::File(path)));
        let wakes = wakes.filter(|at| *at > now.monotonic);
        // Once they are read again, the source reports that.
        let next = diagnosis::next_of_copies(world, &known).filter(|at| *at > now.monotonic);
        let next = wakes.chain(next.filter(|_| known == *now)).min();
        (alerts, next)
    }

    /// The files with findings.
    fn files(&self) -> impl Iterator<Item = String> {
        self.entries.keys().filter_map(Scope::file).map(ToOwned::to_owned)
    }

    /// Judges a file without copies. A restored finding about it is held while the source may only
    /// not have read the file yet; after that, nobody looks for copies any more.
    fn judge_lost(&mut self, now: &Reading, world: &World, path: String) -> Vec<Alert> {
        let is_gone = world.copies.is_complete();
        let missing = if is_gone { Missing::Gone } else { Missing::Recovered };
        self.judge(now, &Scope::File(path), Judgement { findings: Vec::new(), missing })
    }

    fn judge_copy(&mut self, now: &Reading, diagnosis: CopyDiagnosis) -> Vec<Alert> {
        let CopyDiagnosis { path, finding, generations } = diagnosis;
        let scope = Scope::File(path);
        let old = self.entries.get(&scope).into_iter().flatten();
        let is_rewritten = old.into_iter().any(|entry| lacks(&generations, &entry.finding));
        let missing = if is_rewritten { Missing::Rewritten } else { Missing::Recovered };
        self.judge(now, &scope, Judgement { findings: finding.into_iter().collect(), missing })
    }
}

/// Whether the generation that a finding is about is not among these.
fn lacks(generations: &[String], finding: &Finding) -> bool {
    match finding.evidence.get(COPY_GENERATION) {
        Some(Value::Text(old)) => !generations.contains(old),
        Some(Value::List(_) | Value::Bool(_) | Value::Int(_) | Value::Float(_)) | None => false,
    }
}
