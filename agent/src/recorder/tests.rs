#![allow(clippy::unwrap_used)] // a test says what is wrong by panicking

use tokenwatch_core::base::time::{Delta, Monotonic, Wall};
use tokenwatch_core::replay::{Line, Reader};
use tokenwatch_core::world::observation::Observation;

use super::*;

/// Far more than a thread takes to write a few lines.
const PATIENCE: Duration = Duration::from_secs(20);

fn at(secs: i64) -> Reading {
    let start = Reading { wall: Wall::from_secs(1_800_000_000), monotonic: Monotonic::default() };
    start.after(Delta::from_secs(secs))
}

fn tick() -> Content {
    Content::Observation(Observation::Tick)
}

fn read(path: &Path) -> Vec<Content> {
    let file = std::fs::read(path).unwrap();
    let mut reader = Reader::new();
    let lines = file.strip_suffix(b"\n").unwrap().split(|byte| *byte == b'\n');
    let contents = lines.filter_map(|line| match reader.line(line, true).unwrap() {
        Line::Entry(entry) => Some(entry.content),
        Line::Header(_) | Line::CutOff => None,
    });
    contents.collect()
}

#[tokio::test]
async fn what_is_taken_is_in_the_file_in_order() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("incident.jsonl");
    let target = Target::create(&path, false).unwrap();
    let recorder = Recorder::start(target, &Config::default()).unwrap();
    recorder.take(at(0), Content::Restored(vec![]));
    recorder.take(at(1), tick());
    recorder.take(at(2), Content::Stopped);
    recorder.finish(PATIENCE).await;
    recorder.take(at(3), tick());
    assert_eq!(read(&path), [Content::Restored(vec![]), tick(), Content::Stopped]);
}

/// A recorder whose queue nobody empties, with room for `room` entries.
fn stuck(room: usize) -> (Recorder, std::sync::mpsc::Receiver<Entry>) {
    let (queue, entries) = sync_channel(room);
    let ended = watch::channel(true).1;
    (Recorder { queue: Mutex::new(Some(queue)), lost: Arc::default(), ended }, entries)
}

#[test]
fn what_finds_no_room_is_counted_where_it_is_missing() {
    let (recorder, entries) = stuck(2);
    for secs in 0..5 {
        recorder.take(at(secs), tick());
    }
    let queued: Vec<_> = entries.try_iter().map(|entry| entry.content).collect();
    assert_eq!(queued, [tick(), tick()]);
    recorder.take(at(5), tick());
    let queued: Vec<_> = entries.try_iter().map(|entry| entry.content).collect();
    assert_eq!(queued, [Content::Lost(3), tick()]);
}

#[test]
fn once_nobody_writes_nothing_is_queued() {
    let (recorder, entries) = stuck(2);
    drop(entries);
    recorder.take(at(0), tick());
    assert!(recorder.queue.lock().unwrap().is_none());
}

#[tokio::test]
async fn a_disk_that_is_full_ends_the_recording_and_nothing_else() {
    let full = std::fs::OpenOptions::new().write(true).open("/dev/full").unwrap();
    let file = NewFile { path: "/dev/full".into(), file: full };
    let target = Target { file, pseudonyms: None };
    let recorder = Recorder::start(target, &Config::default()).unwrap();
    recorder.take(at(0), tick());
    recorder.finish(PATIENCE).await;
}
