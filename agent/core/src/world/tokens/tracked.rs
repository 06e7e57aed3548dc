//! One volume's token, generation by generation: what is in the file now, since when, and how a
//! generation ends.

use super::file::{FileContent, FileSeen};
use crate::base::time::{Reading, Wall};
use crate::world::tokens::{Claims, Deadlines, GenerationId, KubeletPolicy, TokenKey};

/// One generation of a token, while it is in the file.
#[derive(Clone, Debug, PartialEq)]
pub struct Generation {
    /// What it says.
    pub claims: Claims,
    /// What follows from that.
    pub deadlines: Deadlines,
    /// When it appeared in the file; known only if the one before was seen there, or the volume
    /// was seen to be new.
    pub appeared_at: Option<Wall>,
    /// When the agent first saw it.
    pub seen: Reading,
    /// The generation before, if the agent saw that one.
    pub previous: Option<GenerationId>,
}

/// Why a token file cannot be judged.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Trouble {
    /// Malformed, else unreadable.
    pub malformed: bool,
    /// What is wrong.
    pub reason: String,
    /// Since when.
    pub since: Reading,
}

/// A token file that is watched.
#[derive(Clone, Debug, PartialEq)]
pub struct Tracked {
    /// Where.
    pub key: TokenKey,
    /// The last generation that could be read.
    pub current: Option<Generation>,
    /// What is wrong with the file now.
    pub trouble: Option<Trouble>,
}

/// What a look at the file brought.
#[derive(Clone, Debug, PartialEq)]
pub enum Change {
    /// Nothing new.
    None,
    /// The first generation the agent sees here.
    First,
    /// A new generation took the place of `old` at `at`.
    Rotated {
        /// The one that ended.
        old: Box<Generation>,
        /// When, on the node's clock.
        at: Wall,
    },
    /// The file is, or is no longer, in trouble.
    Trouble,
}

impl Tracked {
    /// Nothing known yet.
    pub fn new(key: TokenKey) -> Self {
        Self { key, current: None, trouble: None }
    }

    /// Takes what was found in the file. Only a new `jti`/`iat` is a rotation.
    pub fn see(&mut self, seen: FileSeen, now: &Reading, kubelet: KubeletPolicy) -> Change {
        match seen.content {
            FileContent::Token(claims) => self.see_token(*claims, seen.written_at, now, kubelet),
            FileContent::Malformed { reason } => self.see_trouble(true, reason, now),
            FileContent::Unreadable { reason } => self.see_trouble(false, reason, now),
        }
    }

    fn see_token(
        &mut self,
        claims: Claims,
        written_at: Option<Wall>,
        now: &Reading,
        kubelet: KubeletPolicy,
    ) -> Change {
        let recovered = self.trouble.take().is_some();
        if self
            .current
            .as_ref()
            .is_some_and(|current| current.claims.generation() == claims.generation())
        {
            return if recovered { Change::Trouble } else { Change::None };
        }
        let old = self.current.take();
        let at = appearance(written_at, old.as_ref(), now);
        let previous = old.as_ref().map(|old| old.claims.generation());
        let appeared_at = old.is_some().then_some(at);
        self.current = Some(Generation {
            deadlines: Deadlines::of(&claims, &kubelet),
            claims,
            appeared_at,
            seen: *now,
            previous,
        });
        old.map_or(Change::First, |old| Change::Rotated { old: Box::new(old), at })
    }

    fn see_trouble(&mut self, malformed: bool, reason: String, now: &Reading) -> Change {
        let since = self.trouble.as_ref().map_or(*now, |trouble| trouble.since);
        let trouble = Trouble { malformed, reason, since };
        if self.trouble.as_ref() == Some(&trouble) {
            return Change::None;
        }
        self.trouble = Some(trouble);
        Change::Trouble
    }
}

/// When the new generation appeared. The rename's own time is the better witness, as long as it
/// lies between the two looks.
fn appearance(written_at: Option<Wall>, old: Option<&Generation>, now: &Reading) -> Wall {
    let earliest = old.map_or(now.wall, |old| old.seen.wall);
    written_at.filter(|at| *at >= earliest && *at <= now.wall).unwrap_or(now.wall)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::time::Delta;
    use crate::base::time::Monotonic;
    use crate::world::tokens::claims_for_tests as claims;

    const IAT: i64 = 1_800_000_000;

    fn at(age: i64) -> Reading {
        Reading {
            wall: Wall::from_secs(IAT + age),
            monotonic: Monotonic::from_nanos(age * 1_000_000_000),
        }
    }

    fn key() -> TokenKey {
        TokenKey {
            pod_uid: "pod-uid".into(),
            volume: "kube-api-access-x".into(),
            path: "token".into(),
        }
    }

    fn file(content: FileContent, written_at: Option<i64>) -> FileSeen {
        FileSeen {
            key: key(),
            written_at: written_at.map(|age| Wall::from_secs(IAT + age)),
            content,
        }
    }

    fn see(tracked: &mut Tracked, iat_age: i64, written: Option<i64>, now: i64) -> Change {
        let content = FileContent::Token(Box::new(claims(IAT + iat_age, 600, None)));
        tracked.see(file(content, written), &at(now), KubeletPolicy::default())
    }

    #[test]
    fn the_same_generation_again_is_nothing_even_when_rewritten() {
        let mut tracked = Tracked::new(key());
        assert_eq!(see(&mut tracked, 0, Some(1), 5), Change::First);
        assert_eq!(see(&mut tracked, 0, Some(60), 61), Change::None);
    }

    #[test]
    fn a_rotation_is_timed_by_the_rename_when_that_can_be_believed() {
        for (written, now, expected) in
            [(Some(492), 500, 492), (Some(3), 500, 500), (Some(700), 500, 500), (None, 500, 500)]
        {
            let mut tracked = Tracked::new(key());
            let _ = see(&mut tracked, 0, Some(1), 5);
            match see(&mut tracked, 490, written, now) {
                Change::Rotated { at, old } => {
                    assert_eq!(at, Wall::from_secs(IAT + expected), "written {written:?}");
                    assert_eq!(at - old.deadlines.due, Delta::from_secs(expected - 480));
                }
                other => panic!("no rotation: {other:?}"),
            }
        }
    }

    #[test]
    fn trouble_keeps_its_beginning_and_the_generation() {
        let mut tracked = Tracked::new(key());
        let _ = see(&mut tracked, 0, None, 5);
        let bad = |reason: &str| file(FileContent::Malformed { reason: reason.into() }, None);
        assert_eq!(tracked.see(bad("cut off"), &at(10), KubeletPolicy::default()), Change::Trouble);
        assert_eq!(tracked.see(bad("cut off"), &at(20), KubeletPolicy::default()), Change::None);
        assert_eq!(tracked.see(bad("empty"), &at(30), KubeletPolicy::default()), Change::Trouble);
        assert_eq!(tracked.trouble.as_ref().unwrap().since, at(10));
        assert_eq!(see(&mut tracked, 0, None, 40), Change::Trouble);
        assert!(tracked.trouble.is_none() && tracked.current.is_some());
    }
}
