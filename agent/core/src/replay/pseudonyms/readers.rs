//! Observations of readers, without names.

use super::Pseudonyms;
use super::names::Kind;
use crate::world::kubelet::{SyncsSeen, VolumeSync};
use crate::world::readers::{
    ContainersSeen, HabitKey, KnownHabit, MountKind, Opener, ReaderEvent, ReadersSeen,
    RunningContainer, SeenMount,
};

impl Pseudonyms {
    pub(super) fn readers(&self, seen: ReadersSeen) -> ReadersSeen {
        let ReadersSeen { pod_uid, volume, what } = seen;
        ReadersSeen {
            pod_uid: self.name(Kind::Uid, &pod_uid),
            volume: self.name(Kind::Volume, &volume),
            what: self.reader_event(what),
        }
    }

    pub(super) fn syncs(&self, seen: SyncsSeen) -> SyncsSeen {
        let SyncsSeen { until, volumes } = seen;
        SyncsSeen { until, volumes: volumes.into_iter().map(|one| self.sync(one)).collect() }
    }

    fn sync(&self, sync: VolumeSync) -> VolumeSync {
        let VolumeSync { pod_uid, volume, at, is_certain } = sync;
        VolumeSync {
            pod_uid: self.name(Kind::Uid, &pod_uid),
            volume: self.name(Kind::Volume, &volume),
            at,
            is_certain,
        }
    }

    fn reader_event(&self, event: ReaderEvent) -> ReaderEvent {
        match event {
            ReaderEvent::Watching { directory, complete, moment } => {
                let directory = self.generation_directory(&directory);
                ReaderEvent::Watching { directory, complete, moment }
            }
            ReaderEvent::Opened { directory, path, by, within } => ReaderEvent::Opened {
                directory: self.generation_directory(&directory),
                path: self.path(&path),
                by: by.map(|by| self.opener(by)),
                within,
            },
            ReaderEvent::ReadAgain { directory, path, by, within } => ReaderEvent::ReadAgain {
                directory: self.generation_directory(&directory),
                path: path.map(|path| self.path(&path)),
                by: by.map(|by| self.opener(by)),
                within,
            },
            ReaderEvent::Held { generations } => ReaderEvent::Held { generations },
            ReaderEvent::Missed { span, why } => ReaderEvent::Missed { span, why: self.text(&why) },
            ReaderEvent::Unseen { why } => ReaderEvent::Unseen { why: self.text(&why) },
        }
    }

    fn opener(&self, opener: Opener) -> Opener {
        let Opener { container_id, pid, program, session } = opener;
        Opener {
            container_id: container_id.map(|id| self.name(Kind::ContainerId, &id)),
            pid,
            program: program.map(|program| self.name(Kind::Program, &program)),
            session,
        }
    }

    pub(super) fn containers(&self, seen: ContainersSeen) -> ContainersSeen {
        let ContainersSeen { pod_uid, containers, partial, connected } = seen;
        ContainersSeen {
            pod_uid: self.name(Kind::Uid, &pod_uid),
            containers: containers.into_iter().map(|one| self.running(one)).collect(),
            partial,
            connected,
        }
    }

    fn running(&self, container: RunningContainer) -> RunningContainer {
        let RunningContainer { id, started, program, mounts, library } = container;
        RunningContainer {
            id: self.name(Kind::ContainerId, &id),
            started,
            program: self.name(Kind::Program, &program),
            mounts: mounts.into_iter().map(|mount| self.seen_mount(mount)).collect(),
            library: library.map(|library| self.name(Kind::Program, &library)),
        }
    }

    fn seen_mount(&self, mount: SeenMount) -> SeenMount {
        let SeenMount { volume, mount_path, kind } = mount;
        let kind = match kind {
            MountKind::Subpath { directory, path, deleted } => MountKind::Subpath {
                directory: self.generation_directory(&directory),
                path: self.path(&path),
                deleted,
            },
            plain @ (MountKind::Current | MountKind::Frozen) => plain,
        };
        SeenMount {
            volume: self.name(Kind::Volume, &volume),
            mount_path: self.name(Kind::Path, &mount_path),
            kind,
        }
    }

    pub(super) fn known_habit(&self, habit: KnownHabit) -> KnownHabit {
        let KnownHabit { key, habit, generations, is_confirmed, since, at } = habit;
        let HabitKey { namespace, workload, container, image, volume, path } = key;
        let key = HabitKey {
            namespace: self.name(Kind::Namespace, &namespace),
            workload: self.name(Kind::Owner, &workload),
            container: self.name(Kind::Container, &container),
            image: self.name(Kind::Image, &image),
            volume: self.name(Kind::Volume, &volume),
            path: self.path(&path),
        };
        KnownHabit { key, habit, generations, is_confirmed, since, at }
    }

    pub(super) fn generation_directory(&self, directory: &str) -> String {
        self.name(Kind::Directory, directory)
    }
}
