//! Readers that keep a token which was replaced, and mounts that do.

use super::judge::Judged;
use crate::base::time::{Reading, Wall};
use crate::world::Facts;
use crate::world::readers::{
    FrozenMount, HeldGeneration, InFile, MountKind, ReaderVerdict, RunningContainer, SeenMount,
    StaleReader,
};

impl Facts<'_> {
    /// The reader that keeps an earlier generation: of several, the one with the strongest
    /// evidence, and of those the one that fails first.
    pub(super) fn stale_of<'b>(
        &self,
        judged: impl Iterator<Item = &'b Judged<'b>>,
        now: &Reading,
    ) -> Option<StaleReader> {
        if self.frozen_mount().is_some() {
            return None; // explains it
        }
        let is_stale = |judged: &&Judged<'_>| judged.verdict == ReaderVerdict::Stale;
        let mut stale: Vec<&Judged<'_>> = judged.filter(is_stale).collect();
        // A suspicion is no reason to say more of the others.
        let is_confirmed = stale.iter().any(|judged| judged.is_confirmed());
        stale.retain(|judged| judged.is_confirmed() == is_confirmed);
        let worst = stale.iter().copied().min_by_key(|judged| first_failure(judged))?;
        Some(self.named(worst, stale.len() - 1, now))
    }

    fn named(&self, judged: &Judged<'_>, others: usize, now: &Reading) -> StaleReader {
        let old = judged.kept().filter(|kept| kept.id != judged.current.kept.id);
        let last = judged.reader.and_then(|reader| reader.last());
        StaleReader {
            others,
            held: old.map_or_else(|| self.earlier(judged), |kept| HeldGeneration::of(kept, false)),
            since: last.map_or(now.wall, |last| last.last.wall),
            rotated_at: judged.replaced_at,
            habit: judged.habit,
            who: self.with_library(judged.who.clone()),
            evidence: judged.evidence.clone(),
        }
    }

    /// What a reader holds that was not seen to read: the generation before the current one. Where
    /// the agent does not know that, it ends before the current one.
    fn earlier(&self, judged: &Judged<'_>) -> HeldGeneration {
        let generations = self.readers.token.map(|token| &token.generations);
        let before = generations.and_then(|all| all.iter().rev().nth(1)).map(|one| &one.kept);
        HeldGeneration::of(before.unwrap_or(&judged.current.kept), false)
    }

    /// The container that has an old file system mounted where the node has a new one.
    pub fn frozen_mount(&self) -> Option<FrozenMount> {
        let pod = self.readers.pod.filter(|_| !self.stage.is_ending())?;
        let since = pod.frozen_since?;
        let mut frozen = pod.containers.iter().filter_map(|one| Some((one, self.frozen_in(one)?)));
        let (first, mount) = frozen.next()?;
        Some(FrozenMount {
            container: self.container_name(&first.id),
            mount_path: mount.mount_path.clone(),
            others: frozen.count(),
            held: HeldGeneration::of(&self.when_frozen(since)?.kept, false),
            since: since.wall,
        })
    }

    fn frozen_in<'b>(&self, container: &'b RunningContainer) -> Option<&'b SeenMount> {
        let volume = &self.tracked.key.volume;
        let is_frozen =
            |mount: &&SeenMount| mount.volume == *volume && mount.kind == MountKind::Frozen;
        container.mounts.iter().find(is_frozen)
    }

    fn container_name(&self, id: &str) -> Option<String> {
        let containers = &self.pod()?.containers;
        let found = containers.iter().find(|container| container.id.as_deref() == Some(id));
        found.map(|container| container.name.clone())
    }

    /// The generation that was current when the mount was found to be old: what is in it is no
    /// newer.
    fn when_frozen(&self, since: Reading) -> Option<&InFile> {
        let generations = &self.readers.token?.generations;
        let then = generations.iter().rev().find(|one| one.appeared <= since.wall);
        then.or(generations.front())
    }
}

/// When what it holds is refused; last, if the agent does not know that.
fn first_failure(judged: &Judged<'_>) -> (bool, Option<Wall>) {
    let dead_at = judged.held.map(|kept| kept.dead_at);
    (dead_at.is_none(), dead_at)
}
