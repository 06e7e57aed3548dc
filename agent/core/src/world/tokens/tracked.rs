//! One token file: the generation in it, since when, and what is wrong with the file.

use super::file::{FileContent, FileSeen};
use super::signature;
use crate::base::time::{Delta, Reading, Wall};
use crate::world::tokens::{
    Claims, Deadlines, GenerationId, KubeletPolicy, Signature, SignatureResult, TokenKey,
    USUAL_LIFE,
};

/// Generations that are kept of each token, to recognise copies of them.
const EARLIER: usize = 4;

/// One generation of a token, while it is in the file.
#[derive(Clone, Debug, PartialEq)]
pub struct Generation {
    /// Its claims.
    pub claims: Claims,
    /// Its deadlines, derived from the claims.
    pub deadlines: Deadlines,
    /// When it appeared in the file, on the node's clock. Known only if the agent saw the previous
    /// generation.
    pub appeared_at: Option<Wall>,
    /// When the agent first saw it, on both clocks.
    pub seen: Reading,
    /// The previous generation, if the agent saw it.
    pub previous: Option<GenerationId>,
}

/// A token file that holds no valid token, or that cannot be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Trouble {
    /// True if it is malformed, false if it is unreadable.
    pub malformed: bool,
    /// What is wrong, for people.
    pub reason: String,
    /// Since when.
    pub since: Reading,
}

/// A token file that the agent tracks.
#[derive(Clone, Debug, PartialEq)]
pub struct Tracked {
    /// Its place on the node.
    pub key: TokenKey,
    /// The last generation that could be read.
    pub current: Option<Generation>,
    /// What is wrong with the file now.
    pub trouble: Option<Trouble>,
    /// What the last check of the token's signature showed; none if there was none.
    pub signature: Option<Signature>,
    /// The generations before the current one, the latest last: at most [`EARLIER`].
    earlier: Vec<Earlier>,
}

/// A generation that kubelet replaced, and when, on the node's clock.
#[derive(Clone, Debug, PartialEq)]
struct Earlier {
    generation: GenerationId,
    replaced_at: Wall,
}

/// When kubelet replaced a generation, on the node's clock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Replaced {
    /// At this time.
    At(Wall),
    /// At this time at the latest.
    Before(Wall),
}

/// What an observation of the file changed.
#[derive(Clone, Debug, PartialEq)]
pub enum Change {
    /// Nothing.
    None,
    /// It is the first generation that the agent sees in this file.
    First,
    /// A new generation replaced `old`.
    Rotated {
        /// The generation that was replaced.
        old: Box<Generation>,
        /// When, on the node's clock.
        at: Wall,
    },
    /// The file became malformed or unreadable, the reason changed, or the file is good again.
    Trouble,
}

impl Tracked {
    /// A file that was not read yet.
    pub fn new(key: TokenKey) -> Self {
        Self { key, current: None, trouble: None, signature: None, earlier: Vec::new() }
    }

    /// The memory that it takes, in bytes.
    pub(super) fn bytes(&self) -> usize {
        let TokenKey { pod_uid, volume, path } = &self.key;
        let claims = self.current.as_ref().map_or(0, |current| current.claims.bytes());
        let trouble = self.trouble.as_ref().map_or(0, |trouble| trouble.reason.len());
        let earlier: usize = self
            .earlier
            .iter()
            .map(|old| size_of::<Earlier>() + old.generation.as_str().len())
            .sum();
        size_of::<Self>() + pod_uid.len() + volume.len() + path.len() + claims + trouble + earlier
    }

    /// Whether a key of the cluster verifies its signature: its claims are true then.
    pub fn is_verified(&self) -> bool {
        self.signature.is_some_and(|seen| seen.result == SignatureResult::Verified)
    }

    /// How long somebody asked the token to live, if that is unusually long.
    pub fn long_life(&self) -> Option<Delta> {
        let life = self.current.as_ref()?.claims.requested_life();
        (life > USUAL_LIFE).then_some(life)
    }

    /// Whether the file holds this generation, or held it lately.
    pub fn had(&self, generation: &GenerationId) -> bool {
        let is_current =
            self.current.as_ref().is_some_and(|now| now.claims.generation() == *generation);
        is_current || self.earlier.iter().any(|earlier| earlier.generation == *generation)
    }

    /// When kubelet replaced the token with these claims, if the one in the file is a later one.
    /// Where the agent did not see that, the current one may be its successor, unless kubelet
    /// issued it much later than that was due.
    pub fn replaced(&self, claims: &Claims, kubelet: KubeletPolicy) -> Option<Replaced> {
        let current = self.current.as_ref()?;
        let generation = claims.generation();
        let issued = current.claims.issued_at;
        if issued <= claims.issued_at || current.claims.generation() == generation {
            return None;
        }
        let known = self.earlier.iter().find(|earlier| earlier.generation == generation);
        let is_next = issued <= Deadlines::of(claims, &kubelet).stalled;
        Some(match (known, self.earlier.first()) {
            (Some(known), _) => Replaced::At(known.replaced_at),
            (None, Some(first)) => Replaced::Before(first.replaced_at),
            (None, None) if is_next => Replaced::At(issued),
            (None, None) => Replaced::Before(issued),
        })
    }

    /// Takes the observed content of the file. Only a new `jti` or `iat` is a rotation.
    pub fn see(&mut self, seen: FileSeen, now: &Reading, kubelet: KubeletPolicy) -> Change {
        self.signature = seen.signature;
        match seen.content {
            FileContent::Token(claims) => self.see_token(*claims, seen.written_at, now, kubelet),
            FileContent::Malformed { reason } => self.see_trouble(true, reason, now),
            FileContent::Unreadable { reason } => self.see_trouble(false, reason, now),
            FileContent::Missing(_) => Change::None, // the world keeps absent tokens elsewhere
        }
    }

    fn see_token(
        &mut self,
        claims: Claims,
        written_at: Option<Wall>,
        now: &Reading,
        kubelet: KubeletPolicy,
    ) -> Change {
        let is_other_trouble = self.check_signature(now);
        let current = self.current.as_ref().map(|current| current.claims.generation());
        if current == Some(claims.generation()) {
            return if is_other_trouble { Change::Trouble } else { Change::None };
        }
        let at = appearance(written_at, self.current.as_ref(), now);
        self.keep(current.as_ref(), at);
        let next = Generation {
            deadlines: Deadlines::of(&claims, &kubelet),
            claims,
            appeared_at: current.is_some().then_some(at),
            seen: *now,
            previous: current,
        };
        let old = self.current.replace(next);
        old.map_or(Change::First, |old| Change::Rotated { old: Box::new(old), at })
    }

    /// Keeps the id of a generation that is replaced.
    fn keep(&mut self, replaced: Option<&GenerationId>, replaced_at: Wall) {
        let full = replaced.is_some() && self.earlier.len() == EARLIER;
        if full {
            self.earlier.remove(0);
        }
        let earlier =
            |generation: &GenerationId| Earlier { generation: generation.clone(), replaced_at };
        self.earlier.extend(replaced.map(earlier));
    }

    /// A file that holds a token is in trouble only if its signature is wrong. Returns whether that
    /// is another trouble than before, or none any more.
    fn check_signature(&mut self, now: &Reading) -> bool {
        match signature::trouble(self.signature) {
            Some(reason) => self.see_trouble(true, reason.to_owned(), now) == Change::Trouble,
            None => self.trouble.take().is_some(),
        }
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

/// When the new generation appeared, on the node's clock: the time of the rename if it lies between
/// the two observations, else the time of this observation.
fn appearance(written_at: Option<Wall>, old: Option<&Generation>, now: &Reading) -> Wall {
    let earliest = old.map_or(now.wall, |old| old.seen.wall);
    written_at.filter(|at| *at >= earliest && *at <= now.wall).unwrap_or(now.wall)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::time::Delta;
    use crate::world::tokens::testing::{IAT, at, file, key, see};

    #[test]
    fn a_rewrite_of_the_same_generation_changes_nothing() {
        let mut tracked = Tracked::new(key());
        assert_eq!(see(&mut tracked, 0, Some(1), 5), Change::First);
        assert_eq!(see(&mut tracked, 0, Some(60), 61), Change::None);
    }

    #[test]
    fn a_rotation_has_the_time_of_the_rename_if_that_is_plausible() {
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
    fn each_generation_is_replaced_at_its_own_time() {
        let of = |age| crate::world::tokens::claims_for_tests(IAT + age, 600, None);
        let wall = |age| Wall::from_secs(IAT + age);
        let replaced =
            |tracked: &Tracked, age| tracked.replaced(&of(age), KubeletPolicy::default());
        let mut tracked = Tracked::new(key());
        let _ = see(&mut tracked, 3_000, None, 3_005);
        let next = Some(Replaced::At(wall(3_000)));
        assert_eq!(replaced(&tracked, 2_500), next, "not seen, and due at 2980");
        let before = |age| Some(Replaced::Before(wall(age)));
        assert_eq!(replaced(&tracked, 2_000), before(3_000), "due long before the current one");
        assert_eq!(replaced(&tracked, 3_000), None, "the current one");
        assert_eq!(replaced(&tracked, 3_100), None, "a newer one");
        for age in [3_490, 3_980, 4_470] {
            let _ = see(&mut tracked, age, None, age + 5);
        }
        assert_eq!(replaced(&tracked, 3_000), Some(Replaced::At(wall(3_495))));
        assert_eq!(replaced(&tracked, 3_490), Some(Replaced::At(wall(3_985))));
        assert_eq!(replaced(&tracked, 2_500), before(3_495), "before the agent started");
    }

    #[test]
    fn a_malformed_file_keeps_its_start_time_and_its_generation() {
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

    #[test]
    fn only_a_signature_that_is_proven_wrong_is_trouble() {
        use crate::world::tokens::{Signature, SignatureResult as Result, Unsupported};
        let seen = |result: Option<Result>| {
            let signature = result.map(|result| Signature { result, keys_at: at(0).wall });
            let claims = crate::world::tokens::claims_for_tests(IAT, 600, None);
            FileSeen { signature, ..file(FileContent::Token(Box::new(claims)), None) }
        };
        let policy = KubeletPolicy::default();
        let table = [
            (None, false),
            (Some(Result::Verified), false),
            (Some(Result::NoSuchKey), false), // the keys themselves show what that means
            (Some(Result::OtherKey), false),
            (Some(Result::Unsupported(Unsupported::Es512)), false),
            (Some(Result::Unsupported(Unsupported::Key)), false),
            (Some(Result::Damaged), true),
        ];
        for (result, is_trouble) in table {
            let mut tracked = Tracked::new(key());
            // The keys come after the token, and a good token after a damaged one.
            assert_eq!(tracked.see(seen(None), &at(5), policy), Change::First);
            let expected = if is_trouble { Change::Trouble } else { Change::None };
            assert_eq!(tracked.see(seen(result), &at(10), policy), expected, "{result:?}");
            assert_eq!(tracked.see(seen(result), &at(20), policy), Change::None, "{result:?}");
            let since = tracked.trouble.as_ref().map(|trouble| (trouble.malformed, trouble.since));
            assert_eq!(since, is_trouble.then_some((true, at(10))), "{result:?}");
            assert!(tracked.current.is_some(), "its claims stay");
            let _ = tracked.see(seen(Some(Result::Verified)), &at(30), policy);
            assert_eq!(tracked.trouble, None);
        }
    }
}
