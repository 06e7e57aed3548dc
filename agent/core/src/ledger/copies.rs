//! Findings about files with copies of tokens, over time.

use super::{Alert, Judgement, Ledger, Missing, Scope};
use crate::base::time::{Monotonic, Reading};
use crate::base::value::Value;
use crate::diagnosis::{self, CopyDiagnosis};
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
        let diagnoses = diagnosis::copies(world, config, now);
        for path in self.files().filter(|path| world.copies.get(path).is_none()).collect::<Vec<_>>()
        {
            alerts.extend(self.judge_lost(now, world, config, path));
        }
        for diagnosis in diagnoses {
            alerts.extend(self.judge_copy(now, diagnosis));
        }
        let wakes = self.files().filter_map(|path| self.next_wake(&Scope::File(path)));
        let wakes = wakes.filter(|at| *at > now.monotonic);
        let next = wakes.chain(diagnosis::next_of_copies(world, now)).min();
        (alerts, next)
    }

    /// The files with findings.
    fn files(&self) -> impl Iterator<Item = String> {
        self.entries.keys().filter_map(Scope::file).map(ToOwned::to_owned)
    }

    /// Judges a file without copies. It may only not be read yet, or not any more.
    fn judge_lost(
        &mut self,
        now: &Reading,
        world: &World,
        config: &Config,
        path: String,
    ) -> Vec<Alert> {
        let missing = match (config.copies_watched, world.copies.is_complete()) {
            (true, false) => return Vec::new(),
            (true, true) => Missing::Gone,
            (false, _) => Missing::Recovered,
        };
        self.judge(now, &Scope::File(path), Judgement { findings: Vec::new(), missing })
    }

    fn judge_copy(&mut self, now: &Reading, diagnosis: CopyDiagnosis) -> Vec<Alert> {
        let CopyDiagnosis { path, finding, generations } = diagnosis;
        let scope = Scope::File(path);
        let is_rewritten = self.entries.get(&scope).is_some_and(|entries| {
            entries.iter().any(|entry| match entry.finding.evidence.get(COPY_GENERATION) {
                Some(Value::Text(old)) => !generations.contains(old),
                Some(Value::List(_) | Value::Bool(_) | Value::Int(_) | Value::Float(_)) | None => {
                    false
                }
            })
        });
        let missing = if is_rewritten { Missing::Rewritten } else { Missing::Recovered };
        self.judge(now, &scope, Judgement { findings: finding.into_iter().collect(), missing })
    }
}
