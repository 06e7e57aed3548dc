//! What the agent concludes about each reader of a token.

mod case;
mod conclusions;
mod evidence;
mod judge;
mod stale;
mod uses;

pub use conclusions::Conclusions;
pub use judge::Judged;

use super::Facts;
use crate::base::time::Reading;
use crate::world::cluster::Container;
use crate::world::readers::{HeldGeneration, ReaderView, Who, libraries};
use case::Case;

impl<'a> Facts<'a> {
    /// Every reader of this token, and what the agent concludes about it at `now`.
    pub fn judged(&self, now: &Reading) -> Vec<Judged<'a>> {
        Case::all(self, now).iter().map(Case::judge).collect()
    }

    /// Every reader of this token, for people.
    pub fn reader_views(&self, now: &Reading) -> Vec<ReaderView> {
        self.judged(now).into_iter().map(|judged| self.view(judged)).collect()
    }

    fn view(&self, judged: Judged<'a>) -> ReaderView {
        let held = judged.kept();
        let is_current = held.is_some_and(|held| held.id == judged.current.kept.id);
        let Judged { who, reader, habit, verdict, evidence, why, .. } = judged;
        ReaderView {
            key: self.tracked.key.clone(),
            pod: self.pod_ref(),
            who: self.with_library(who),
            held: held.map(|kept| HeldGeneration::of(kept, is_current)),
            reads: reader.map(|reader| reader.reads.iter().copied().collect()).unwrap_or_default(),
            habit,
            verdict,
            evidence,
            deadline: held.filter(|_| !is_current).map(|kept| kept.dead_at),
            why,
        }
    }

    /// The same with the library, as far as the image and the program show it. The table is read
    /// only for what people see.
    fn with_library(&self, who: Who) -> Who {
        let image = who.container.as_deref().and_then(|name| self.container(name));
        let image = image.map_or("", |container| &container.image);
        let library = who.library.or_else(|| libraries::hint(image, who.program.as_deref()));
        Who { library, ..who }
    }

    fn container(&self, name: &str) -> Option<&'a Container> {
        self.pod()?.containers.iter().find(|container| container.name == name)
    }
}

#[cfg(test)]
mod tests;
