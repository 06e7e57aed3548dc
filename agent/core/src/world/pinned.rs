//! Tokens that a container mounts by `subPath`. kubelet binds the file of the current generation
//! into the container when it starts, and never again (pkg/volume/util/subpath).

use super::Facts;
use crate::base::time::Wall;
use crate::world::cluster::{Container, MountedPart, Pod, TokenMount};
use crate::world::readers::{MountKind, RunningContainer, SeenMount};
use crate::world::tokens::{CACHE, Generation, LEEWAY};

/// Characters of a container's id that people use.
const SHORT_ID: usize = 12;

/// A mount that keeps one generation of a token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pinned<'a> {
    /// The name of the container; the beginning of its id where the cluster does not name it.
    pub container: &'a str,
    /// When the container started, if that is known.
    pub started: Option<Wall>,
    /// Where the container has the mount.
    pub mount_path: &'a str,
    /// How much of the volume is mounted.
    pub part: MountedPart,
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
        self.part == MountedPart::File
    }

    /// From when on requests certainly fail, if that is known. The API server accepts a token for
    /// some time after `exp`.
    pub fn fails_at(&self) -> Option<Wall> {
        let end = self.end?;
        Some(if self.is_file() { end.at + LEEWAY + CACHE } else { end.at })
    }
}

impl<'a> Facts<'a> {
    /// The mounts of this token that keep one generation. None if the pod ends. The spec names
    /// them, or else what the kernel shows of the pod's processes.
    pub fn pinned(&self) -> Vec<Pinned<'a>> {
        match self.pod() {
            _ if self.stage.is_ending() => Vec::new(),
            Some(pod) => self.in_spec(pod),
            None => self.in_processes(),
        }
    }

    fn in_spec(&self, pod: &'a Pod) -> Vec<Pinned<'a>> {
        let pins = |mount: &TokenMount| mount.part != MountedPart::Whole;
        let mounts = pod.mounts(&self.tracked.key).filter(|(_, mount)| pins(mount));
        let pinned = |(container, mount): (&'a Container, &'a TokenMount)| Pinned {
            container: &container.name,
            started: container.started,
            mount_path: &mount.mount_path,
            part: mount.part,
            end: self.end(container.started, mount.part),
        };
        mounts.map(pinned).collect()
    }

    fn in_processes(&self) -> Vec<Pinned<'a>> {
        let containers = self.readers.pod.map(|pod| pod.containers.as_slice());
        let mounts = containers
            .unwrap_or_default()
            .iter()
            .flat_map(|container| container.mounts.iter().map(move |mount| (container, mount)));
        mounts.filter_map(|(container, mount)| self.seen(container, mount)).collect()
    }

    fn seen(&self, container: &'a RunningContainer, mount: &'a SeenMount) -> Option<Pinned<'a>> {
        let MountKind::Subpath { directory, path, .. } = &mount.kind else { return None };
        let key = &self.tracked.key;
        let part = part(path, &key.path).filter(|_| mount.volume == key.volume)?;
        Some(Pinned {
            container: container.id.get(..SHORT_ID).unwrap_or(&container.id),
            started: Some(container.started),
            mount_path: &mount.mount_path,
            part,
            end: self.expiry(directory, part).or_else(|| self.end(Some(container.started), part)),
        })
    }

    /// When the mounted file expires, if its generation is known by its directory.
    fn expiry(&self, directory: &str, part: MountedPart) -> Option<PinEnd> {
        let generations = &self.readers.token.filter(|_| part == MountedPart::File)?.generations;
        let mounted = generations.iter().find(|generation| generation.is_in(directory))?;
        Some(PinEnd { at: mounted.kept.dead_at - LEEWAY, exact: true })
    }

    fn end(&self, started: Option<Wall>, part: MountedPart) -> Option<PinEnd> {
        end(self.generation()?, started?, part)
    }
}

/// How a mount of `mounted` contains the token at `path`: both are paths in a generation.
fn part(mounted: &str, path: &str) -> Option<MountedPart> {
    match path.strip_prefix(mounted)? {
        "" => Some(MountedPart::File),
        rest if mounted.is_empty() || rest.starts_with('/') => Some(MountedPart::Directory),
        _ => None,
    }
}

/// The end, given the generation that is in the file now. kubelet writes a generation as soon as it
/// is issued: one that was issued before the container started is the one that it got.
fn end(now: &Generation, started: Wall, part: MountedPart) -> Option<PinEnd> {
    let issued = now.claims.issued_at;
    let exact = issued <= started;
    let at = match part {
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
            let started: Option<i64> = started;
            let end =
                started.and_then(|age| end(&generation(issued), Wall::from_secs(IAT + age), part));
            let end = end.map(|end| ((end.at - Wall::from_secs(IAT)).as_secs(), end.exact));
            assert_eq!(end, expected, "{part:?}, issued {issued}, started {started:?}");
        }
    }

    #[test]
    fn a_file_fails_after_the_leeway_and_a_directory_at_once() {
        let end = Some(PinEnd { at: Wall::from_secs(IAT), exact: true });
        for (part, after) in [(MountedPart::File, 70), (MountedPart::Directory, 0)] {
            let pinned = Pinned { container: "app", started: None, mount_path: "/t", part, end };
            assert_eq!(pinned.fails_at(), Some(Wall::from_secs(IAT) + Delta::from_secs(after)));
        }
    }

    #[test]
    fn a_mounted_path_contains_the_token_or_not() {
        use MountedPart::{Directory, File};
        let table = [
            ("token", "token", Some(File)),
            ("", "token", Some(Directory)),
            ("vault", "vault/token", Some(Directory)),
            ("vault/token", "vault/token", Some(File)),
            ("vau", "vault/token", None),
            ("ca.crt", "token", None),
        ];
        for (mounted, path, expected) in table {
            assert_eq!(part(mounted, path), expected, "{path} by {mounted:?}");
        }
    }
}
