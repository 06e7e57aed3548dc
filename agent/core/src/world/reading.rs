//! What the agent concludes about each reader of a token.

use super::Facts;
use crate::base::time::Reading;
use crate::world::readers::{
    Habit, HeldGeneration, InFile, Kept, Reader, ReaderVerdict, ReaderView, Who,
};

impl Facts<'_> {
    /// Every reader of this token at `now`.
    pub fn reader_views(&self, _now: &Reading) -> Vec<ReaderView> {
        let Some((readers, current)) =
            self.readers.token.and_then(|token| Some((token, token.current()?)))
        else {
            return Vec::new();
        };
        readers.readers.iter().map(|reader| self.view(reader, current)).collect()
    }

    fn view(&self, reader: &Reader, current: &InFile) -> ReaderView {
        let last = reader.last().map(|visit| &visit.kept);
        let is_current = last.is_some_and(|kept| kept.id == current.kept.id);
        ReaderView {
            key: self.tracked.key.clone(),
            pod: self.pod_ref(),
            who: Who {
                container: None,
                container_id: reader.container_id.clone(),
                program: reader.program.clone(),
                library: None,
            },
            held: last.map(|kept| held(kept, is_current)),
            reads: reader.reads.iter().copied().collect(),
            habit: Habit::Unknown,
            verdict: if is_current { ReaderVerdict::Current } else { ReaderVerdict::Unknown },
            evidence: Vec::new(),
            deadline: last.filter(|_| !is_current).map(|kept| kept.dead_at),
            why: None,
        }
    }
}

fn held(kept: &Kept, is_current: bool) -> HeldGeneration {
    HeldGeneration {
        id: kept.id.as_str().to_owned(),
        issued_at: kept.issued_at,
        dead_at: kept.dead_at,
        dead_without_extension: kept.dead_without_extension,
        is_current,
    }
}
