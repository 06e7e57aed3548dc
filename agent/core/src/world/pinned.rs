//! Tokens that a container mounts by `subPath`. kubelet binds the file of the current generation
//! into the container when it starts, and never again (pkg/volume/util/subpath).

use super::Facts;
use crate::base::time::Wall;
use crate::world::cluster::{Container, MountedPart, TokenMount};
use crate::world::tokens::{CACHE, Generation, LEEWAY};

/// A mount that keeps one generation of a token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pinned<'a> {
    /// The container.
    pub container: &'a Container,
    /// The mount.
    pub mount: &'a TokenMount,
    /// When it stops working, if that is known.
    pub end: Option<PinEnd>,
}

/// When a mount of one generation stops working.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PinEnd {
    /// For a file, `exp` of its generation. For a directory, when kubelet deletes the files in it.
    pub at: Wall,
    /// Whether the generation is known. If not, it ends at this time at the latest.
    pub exact: bool,
}

impl Pinned<'_> {
    /// Whether a file is mounted, and not a directory.
    pub fn is_file(&self) -> bool {
        self.mount.part == MountedPart::File
    }

    /// From when on requests certainly fail, if that is known. The API server accepts a token for
    /// some time after `exp`.
    pub fn fails_at(&self) -> Option<Wall> {
        let end = self.end?;
        Some(if self.is_file() { end.at + LEEWAY + CACHE } else { end.at })
    }
}

impl<'a> Facts<'a> {
    /// The mounts of this token that keep one generation. None if the pod ends.
    pub fn pinned(&self) -> Vec<Pinned<'a>> {
        let Some(pod) = self.pod().filter(|_| !self.stage.is_ending()) else { return Vec::new() };
        let pins = |mount: &TokenMount| mount.part != MountedPart::Whole;
        let mounts = pod.mounts(&self.tracked.key).filter(|(_, mount)| pins(mount));
        let generation = self.generation();
        let pinned = |(container, mount): (&'a Container, &'a TokenMount)| {
            let end = generation.and_then(|generation| end(generation, container, mount));
            Pinned { container, mount, end }
        };
        mounts.map(pinned).collect()
    }
}

/// The end, given the generation that is in the file now. kubelet writes a generation as soon as it
/// is issued: one that was issued before the container started is the one that it got.
fn end(now: &Generation, container: &Container, mount: &TokenMount) -> Option<PinEnd> {
    let (started, issued) = (container.started?, now.claims.issued_at);
    let exact = issued <= started;
    let at = match mount.part {
        MountedPart::Whole => return None,
        MountedPart::File if exact => now.claims.expires_at,
        // Every generation of a volume has the same lifetime.
        MountedPart::File => started + (now.claims.expires_at - issued),
        MountedPart::Directory if exact => now.deadlines.due,
        MountedPart::Directory => issued,
    };
    Some(PinEnd { at, exact })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::time::{Delta, Monotonic, Reading};
    use crate::world::tokens::{Deadlines, KubeletPolicy, claims_for_tests};

    const IAT: i64 = 1_800_000_000;

    fn generation(age: i64) -> Generation {
        let claims = claims_for_tests(IAT + age, 3_600, None);
        let now = Reading { wall: Wall::from_secs(IAT), monotonic: Monotonic::default() };
        let deadlines = Deadlines::of(&claims, &KubeletPolicy::default());
        Generation { claims, deadlines, appeared_at: None, seen: now, previous: None }
    }

    #[test]
    fn a_container_keeps_the_generation_of_its_start() {
        use MountedPart::{Directory, File, Whole};
        // (part, when the generation in the file was issued, start of the container,
        //  (end, whether it is exact))
        let table = [
            (File, 0, Some(5), Some((3_600, true))),
            (File, 0, Some(0), Some((3_600, true))),
            (File, 2_880, Some(5), Some((3_605, false))),
            (File, 2_880, Some(3_000), Some((6_480, true))),
            (File, 0, None, None),
            (Directory, 0, Some(5), Some((2_880, true))),
            (Directory, 2_880, Some(5), Some((2_880, false))),
            (Whole, 0, Some(5), None),
        ];
        for (part, issued, started, expected) in table {
            let started = started.map(|age| Wall::from_secs(IAT + age));
            let container = Container { started, ..Container::default() };
            let mount = TokenMount {
                volume: "v".into(),
                path: "token".into(),
                mount_path: "/t".into(),
                part,
            };
            let end = end(&generation(issued), &container, &mount)
                .map(|end| ((end.at - Wall::from_secs(IAT)).as_secs(), end.exact));
            assert_eq!(end, expected, "{part:?}, issued {issued}, started {started:?}");
        }
    }

    #[test]
    fn a_file_fails_after_the_leeway_and_a_directory_at_once() {
        let container = Container::default();
        let end = Some(PinEnd { at: Wall::from_secs(IAT), exact: true });
        for (part, after) in [(MountedPart::File, 70), (MountedPart::Directory, 0)] {
            let mount = TokenMount {
                volume: "v".into(),
                path: "token".into(),
                mount_path: "/t".into(),
                part,
            };
            let pinned = Pinned { container: &container, mount: &mount, end };
            assert_eq!(pinned.fails_at(), Some(Wall::from_secs(IAT) + Delta::from_secs(after)));
        }
    }
}
