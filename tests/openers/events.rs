//! What the source reports.

use std::path::Path;
use std::time::Duration;

use tokenwatch::sources::readers::fanotify::{Group, Openers, VolumeId, run};
use tokenwatch::sources::watchdog::Watchdog;
use tokenwatch_core::base::time::{Delta, Monotonic};
use tokenwatch_core::world::observation::Observation;
use tokenwatch_core::world::readers::{Opener, ReaderEvent, ReadersSeen};
use tokio::sync::mpsc::{Receiver, channel};

use crate::bed::{Container, Volume, can_run};

/// Far longer than anything here takes.
const PATIENCE: Duration = Duration::from_secs(20);
/// Longer than the source waits before it looks at its queue, or reports the same again.
const QUIET: Duration = Duration::from_millis(1_300);

/// The source, following one volume.
struct Following {
    observations: Receiver<Observation>,
    openers: Openers,
    id: VolumeId,
}

impl Following {
    fn start(volume: &Path, pod_uid: &str) -> Self {
        Self::with_room(512, volume, pod_uid)
    }

    /// With room for so many reports that nobody has taken.
    fn with_room(reports: usize, volume: &Path, pod_uid: &str) -> Self {
        let openers = Openers::new(Group::open().unwrap());
        let id = VolumeId { pod_uid: pod_uid.to_owned(), volume: "kube-api-access".to_owned() };
        openers.follow(&id, volume);
        let (sender, observations) = channel(reports);
        tokio::spawn(run(openers.clone(), Watchdog::default(), sender));
        Self { observations, openers, id }
    }

    /// A report about the volume.
    fn observation(&self, what: ReaderEvent) -> Observation {
        let VolumeId { pod_uid, volume } = self.id.clone();
        Observation::Readers(ReadersSeen { pod_uid, volume, what })
    }

    /// The next report about the volume.
    async fn next(&mut self) -> ReaderEvent {
        tokio::time::timeout(PATIENCE, self.find()).await.expect("a report")
    }

    async fn find(&mut self) -> ReaderEvent {
        loop {
            if let Observation::Readers(seen) = self.observations.recv().await.expect("the source")
            {
                assert_eq!((&seen.pod_uid, &seen.volume), (&self.id.pod_uid, &self.id.volume));
                return seen.what;
            }
        }
    }

    /// Everything that is reported until nothing is for a while.
    async fn all(&mut self) -> Vec<ReaderEvent> {
        let mut found = Vec::new();
        while let Ok(event) = tokio::time::timeout(QUIET, self.find()).await {
            found.push(event);
        }
        found
    }
}

/// Directory, path, container and program of an open.
fn opened(event: &ReaderEvent) -> (&str, &str, Option<&str>, Option<&str>) {
    let ReaderEvent::Opened { directory, path, by, .. } = event else { panic!("{event:?}") };
    let by = by.as_ref();
    let container = by.and_then(|by| by.container_id.as_deref());
    (directory, path, container, by.and_then(|by| by.program.as_deref()))
}

const POD: &str = "0b9c2d84-6a9b-4c7e-8f21-3f5a6b7c8d01";

#[tokio::test(flavor = "multi_thread")]
async fn each_open_is_attributed_to_its_container_also_in_a_new_generation() {
    if !can_run() {
        return;
    }
    let volume = Volume::new();
    let first = volume.rotate(1, "token");
    let ((mut one, at_one), (mut two, at_two)) =
        (Container::start(POD, 1, &volume.path), Container::start(POD, 2, &volume.path));
    let mut following = Following::start(&volume.path, POD);
    one.run(&format!("read -r it < {}/token", at_one.display()));
    let event = following.next().await;
    assert_eq!(opened(&event), (first.as_str(), "token", Some(one.id.as_str()), Some("sh")));
    let ReaderEvent::Opened { by: Some(Opener { pid, .. }), .. } = event else { panic!() };
    assert_eq!(pid, one.pid());
    let second = volume.rotate(2, "token");
    two.run(&format!("read -r it < {}/token", at_two.display()));
    let events = following.all().await;
    let by_two = (second.as_str(), "token", Some(two.id.as_str()), Some("sh"));
    assert_eq!(
        events.iter().map(opened).filter(|event| event.2.is_some()).collect::<Vec<_>>(),
        [by_two]
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_in_a_directory_of_the_volume_is_followed_too() {
    if !can_run() {
        return;
    }
    let pod = "0b9c2d84-6a9b-4c7e-8f21-3f5a6b7c8d02";
    let volume = Volume::new();
    volume.rotate(1, "a/b/token");
    let (mut container, at) = Container::start(pod, 3, &volume.path);
    let mut following = Following::start(&volume.path, pod);
    for generation in 2..5 {
        container.run(&format!("read -r it < {}/a/b/token", at.display()));
        let event = following.next().await;
        let name = format!("..2026_11_28_10_00_00.{}", generation - 1);
        let expected = (name.as_str(), "a/b/token", Some(container.id.as_str()), Some("sh"));
        assert_eq!(opened(&event), expected);
        volume.rotate(generation, "a/b/token");
        following.all().await; // of the writer
    }
}

/// Many of them have ended before anybody can look. Then the open is reported without its process.
#[tokio::test(flavor = "multi_thread")]
async fn processes_that_end_at_once_are_mostly_attributed_and_never_to_another_container() {
    if !can_run() {
        return;
    }
    let pod = "0b9c2d84-6a9b-4c7e-8f21-3f5a6b7c8d03";
    let volume = Volume::new();
    volume.rotate(1, "token");
    let ((mut one, at_one), (mut two, at_two)) =
        (Container::start(pod, 4, &volume.path), Container::start(pod, 5, &volume.path));
    let mut following = Following::start(&volume.path, pod);
    let (rounds, mut events) = (60, Vec::new());
    for _ in 0..rounds {
        one.run(&format!("cat {}/token > /dev/null", at_one.display()));
        events.push(following.next().await);
        two.run(&format!("head -c 9 {}/token > /dev/null", at_two.display()));
        events.push(following.next().await);
    }
    let mut attributed = 0;
    for pair in events.chunks(2) {
        for (event, container) in pair.iter().zip([&one, &two]) {
            if let Some(id) = opened(event).2 {
                assert_eq!(id, container.id);
                attributed += 1;
            }
        }
    }
    println!("{attributed} of {} processes that ended at once were attributed", 2 * rounds);
    // With a pause before each look it would be none of them.
    assert!(attributed > rounds / 3, "{attributed} of {}", 2 * rounds);
}

#[tokio::test(flavor = "multi_thread")]
async fn reads_of_a_replaced_generation_are_attributed() {
    if !can_run() {
        return;
    }
    let pod = "0b9c2d84-6a9b-4c7e-8f21-3f5a6b7c8d04";
    let volume = Volume::new();
    let old = volume.rotate(1, "token");
    let (mut keeper, at) = Container::start(pod, 6, &volume.path);
    let (mut subpath, _) = Container::start(pod, 7, &volume.path);
    let file = volume.path.with_file_name("file");
    std::fs::write(&file, "").unwrap();
    let token = volume.path.join(&old).join("token");
    subpath.run(&format!("mount --bind {} {}", token.display(), file.display()));
    let mut following = Following::start(&volume.path, pod);
    keeper.run(&format!("exec 5< {}/token", at.display()));
    assert_eq!(opened(&following.next().await).2, Some(keeper.id.as_str()));
    volume.rotate_at_once(2, "token");
    following.all().await; // of the writer
    keeper.run("head -c 2 <&5 > /dev/null; read -r it <&5");
    let mut again = following.all().await;
    again.retain(|event| match event {
        ReaderEvent::ReadAgain { by, .. } => by.is_some(),
        _ => panic!("{event:?}"),
    });
    let [ReaderEvent::ReadAgain { directory, path, by, .. }, ..] = &again[..] else {
        panic!("{again:?}")
    };
    assert_eq!((directory, path.as_deref()), (&old, Some("token")));
    assert_eq!(by.as_ref().unwrap().container_id.as_ref(), Some(&keeper.id));
    subpath.run(&format!("read -r it < {}", file.display()));
    let event = following.next().await;
    assert_eq!(opened(&event), (old.as_str(), "token", Some(subpath.id.as_str()), Some("sh")));
}

/// An open by the agent itself is not one by a reader, nor is one by kubelet.
#[tokio::test(flavor = "multi_thread")]
async fn the_agent_and_kubelet_are_no_readers() {
    if !can_run() {
        return;
    }
    let pod = "0b9c2d84-6a9b-4c7e-8f21-3f5a6b7c8d05";
    let volume = Volume::new();
    volume.rotate(1, "token");
    let (mut container, at) = Container::start(pod, 8, &volume.path);
    let mut following = Following::start(&volume.path, pod);
    std::fs::read(volume.path.join("token")).unwrap();
    let kubelet = volume.path.with_file_name("kubelet");
    std::fs::copy("/bin/sh", &kubelet).unwrap();
    let script = format!(": < {}/token; sleep 0.3; :", volume.path.display());
    let reads = |program: &Path| {
        let status = std::process::Command::new(program).args(["-c", &script]).status().unwrap();
        assert!(status.success());
    };
    reads(&kubelet);
    assert_eq!(following.all().await, []);
    reads(Path::new("/bin/sh"));
    let event = following.next().await;
    assert_eq!((opened(&event).1, opened(&event).2), ("token", None), "on the node");
    container.run(&format!("{} -c ': < {}/token; sleep 0.1; :'", kubelet.display(), at.display()));
    assert!(!following.all().await.is_empty(), "in a container the name proves nothing");
}

/// What inotify saw without a process is left to fanotify, if that certainly saw it.
#[tokio::test(flavor = "multi_thread")]
async fn only_what_is_certainly_seen_needs_no_other_report() {
    if !can_run() {
        return;
    }
    let volume = Volume::new();
    let first = volume.rotate(1, "token");
    let following = Following::start(&volume.path, "p");
    let now = || tokenwatch::clocks::now().monotonic;
    let (openers, later) = (&following.openers, now() + Delta::from_secs(6));
    let open = |directory: &str, path: &str| {
        let (directory, path) = (directory.to_owned(), path.to_owned());
        following.observation(ReaderEvent::Opened {
            directory,
            path,
            by: None,
            within: Delta::ZERO,
        })
    };
    let read_again = |directory: &str| {
        let (directory, path) = (directory.to_owned(), Some("token".to_owned()));
        following.observation(ReaderEvent::ReadAgain {
            directory,
            path,
            by: None,
            within: Delta::ZERO,
        })
    };
    let start = Monotonic::from_nanos(0);
    // While the thread is at work, it looks as if it hung six seconds later.
    let sees = |event: &Observation, since, at| {
        (0..200).any(|_| {
            let is_seen = openers.sees(event, since, at);
            if !is_seen {
                std::thread::sleep(Duration::from_millis(10));
            }
            is_seen
        })
    };
    assert!(!openers.sees(&open(&first, "token"), start, now()), "somebody opened it before");
    assert!(sees(&open(&first, "token"), start, later), "that was reported long ago");
    assert!(sees(&open(&first, "token"), now(), now()), "it was opened since");
    assert!(!openers.sees(&open(&first, "b/token"), start, later), "another directory");
    let second = volume.rotate(2, "token");
    assert!(sees(&open(&second, "token"), start, now()), "from the beginning");
    assert!(sees(&read_again(&first), start, later), "reads of a replaced one are seen");
    volume.rotate_at_once(3, "token");
    assert!(sees(&read_again(&second), start, now()), "also where kubelet removed it at once");
    openers.forget(&following.id);
    assert!(!openers.sees(&open(&second, "token"), start, later), "forgotten");
}

/// The queue is full while nobody takes the reports.
#[tokio::test(flavor = "multi_thread")]
async fn lost_events_are_reported_and_what_follows_is_seen_again() {
    if !can_run() {
        return;
    }
    let pod = "0b9c2d84-6a9b-4c7e-8f21-3f5a6b7c8d07";
    let volume = Volume::new();
    let directory = volume.rotate(1, "token");
    let (mut container, at) = Container::start(pod, 10, &volume.path);
    let mut following = Following::with_room(1, &volume.path, pod);
    for _ in 0..5 {
        container.run(&format!("cat {}/token > /dev/null", at.display()));
    }
    tokio::time::sleep(Duration::from_millis(500)).await; // the thread waits by now
    overflow(&volume.path.join(&directory));
    let second = volume.rotate(2, "token"); // its creation is among the lost events
    let is_missed = |event: &ReaderEvent| {
        matches!(event, ReaderEvent::Missed { span, why }
            if *span > Delta::ZERO && why.contains("queue of fanotify events was full"))
    };
    let events = following.all().await;
    assert!(events.iter().any(is_missed), "{events:?}");
    container.run(&format!("read -r it < {}/token", at.display()));
    let events = following.all().await;
    let by_container = (second.as_str(), "token", Some(container.id.as_str()), Some("sh"));
    assert!(events.iter().map(opened).any(|event| event == by_container), "{events:?}");
}

/// Makes more events than the queue holds: each of another file, so that the kernel merges none.
fn overflow(generation: &Path) {
    let limit = std::fs::read_to_string("/proc/sys/fs/fanotify/max_queued_events").unwrap();
    for number in 0..limit.trim().parse::<u32>().unwrap() + 1_000 {
        std::fs::write(generation.join(format!("f{number}")), "").unwrap();
    }
}
