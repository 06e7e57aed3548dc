use super::*;
use std::sync::mpsc;
use std::time::Duration;

use notify::event::{CreateKind, ModifyKind, RemoveKind, RenameMode};
use notify::{Event, EventKind, RecursiveMode, Watcher};
use tokenwatch_core::base::time::Delta;

const NOW: Wall = Wall::from_secs(1_800_000_000);

fn payload(files: &[(&str, &str)]) -> Payload {
    files.iter().map(|(path, content)| (PathBuf::from(path), content.as_bytes().to_vec())).collect()
}

fn volume(root: &Path) -> Volume {
    Volume::new(root, "0d8b", "kube-api-access-x")
}

fn names(directory: &Path) -> Vec<String> {
    let mut names: Vec<_> = fs::read_dir(directory)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}

#[test]
fn a_volume_is_where_kubelet_puts_it() {
    let root = tempfile::tempdir().unwrap();
    let volume = volume(root.path());
    volume.write(&payload(&[("token", "one"), ("deep/er/vault", "two")]), NOW).unwrap();
    assert!(
        volume.directory().ends_with("pods/0d8b/volumes/kubernetes.io~projected/kube-api-access-x")
    );
    assert!(
        root.path()
            .join("pods/0d8b/plugins/kubernetes.io~empty-dir/wrapped_kube-api-access-x/ready")
            .exists()
    );
    assert_eq!(names(volume.directory()), ["..2027_01_15_08_00_00.0", "..data", "deep", "token"]);
    assert_eq!(fs::read_link(volume.directory().join("token")).unwrap(), Path::new("..data/token"));
    assert_eq!(fs::read(volume.directory().join("deep/er/vault")).unwrap(), b"two");
    assert_eq!(
        fs::metadata(volume.directory().join("token")).unwrap().permissions().mode() & 0o777,
        0o644
    );
}

#[test]
fn equal_bytes_touch_nothing_and_other_bytes_replace_every_file() {
    let root = tempfile::tempdir().unwrap();
    let volume = volume(root.path());
    let first = payload(&[("token", "one"), ("ca.crt", "ca")]);
    assert_eq!(volume.write(&first, NOW).unwrap(), Written::Swapped);
    let before = fs::read_link(volume.directory().join("..data")).unwrap();
    assert_eq!(volume.write(&first, NOW).unwrap(), Written::Unchanged);
    assert_eq!(fs::read_link(volume.directory().join("..data")).unwrap(), before);
    // The name of this nanosecond is taken: the next number is used.
    assert_eq!(volume.write(&payload(&[("token", "two")]), NOW).unwrap(), Written::Swapped);
    assert_eq!(names(volume.directory()), ["..2027_01_15_08_00_00.1", "..data", "token"]);
    assert_eq!(fs::read(volume.directory().join("token")).unwrap(), b"two");
}

#[test]
fn a_left_over_link_blocks_the_write_as_it_blocks_kubelet() {
    let root = tempfile::tempdir().unwrap();
    let volume = volume(root.path());
    volume.write(&payload(&[("token", "one")]), NOW).unwrap();
    symlink("nowhere", volume.directory().join("..data_tmp")).unwrap();
    let error = volume.write(&payload(&[("token", "two")]), NOW).unwrap_err();
    assert_eq!(error.io().unwrap().kind(), ErrorKind::AlreadyExists);
    assert!(error.to_string().contains("kube-api-access-x"), "{error}");
    assert_eq!(fs::read(volume.directory().join("token")).unwrap(), b"one");
    assert_eq!(
        names(volume.directory()).len(),
        4,
        "the directory that never became current is removed"
    );
}

#[test]
fn removing_a_pod_removes_its_volumes() {
    let root = tempfile::tempdir().unwrap();
    volume(root.path()).write(&payload(&[("token", "one")]), NOW).unwrap();
    remove_pod(root.path(), "0d8b").unwrap();
    assert!(names(&root.path().join("pods")).is_empty());
}

#[test]
fn a_staged_generation_is_invisible_until_the_swap() {
    let root = tempfile::tempdir().unwrap();
    let volume = volume(root.path());
    volume.write(&payload(&[("token", "one")]), NOW).unwrap();
    let token = || fs::read(volume.directory().join("token")).unwrap();
    let next = payload(&[("token", "two")]);
    let staged = volume.stage(&next, NOW + Delta::from_secs(1)).unwrap().unwrap();
    assert_eq!(token(), b"one");
    staged.swap().unwrap();
    assert_eq!(token(), b"two");
    staged.finish().unwrap();
    assert_eq!(names(volume.directory()), ["..2027_01_15_08_00_01.0", "..data", "token"]);
}

/// An event of a watch on the volume's directory as text; the watch does not cover what is below.
fn described(event: &Event) -> Option<String> {
    let verb = match event.kind {
        EventKind::Create(CreateKind::Folder) => "mkdir",
        EventKind::Create(_) => "create",
        EventKind::Modify(ModifyKind::Name(RenameMode::From)) => "from",
        EventKind::Modify(ModifyKind::Name(RenameMode::To)) => "to",
        EventKind::Remove(RemoveKind::Folder) => "rmdir",
        EventKind::Remove(_) => "remove",
        _ => return None,
    };
    Some(format!("{verb} {}", event.paths.first()?.file_name()?.to_str()?))
}

#[test]
fn watchers_see_the_events_of_kubelet_in_the_same_order() {
    let root = tempfile::tempdir().unwrap();
    let volume = volume(root.path());
    volume.write(&payload(&[("token", "one")]), NOW).unwrap();
    let (sender, events) = mpsc::channel();
    let mut watcher = notify::recommended_watcher(move |event: notify::Result<Event>| {
        let _ = sender.send(event.unwrap());
    })
    .unwrap();
    watcher.watch(volume.directory(), RecursiveMode::NonRecursive).unwrap();
    volume.write(&payload(&[("token", "two")]), NOW + Delta::from_secs(480)).unwrap();
    let (old, new) = ("..2027_01_15_08_00_00.0", "..2027_01_15_08_08_00.0");
    let last = format!("rmdir {old}");
    let mut seen = Vec::new();
    while seen.last() != Some(&last) {
        seen.extend(described(&events.recv_timeout(Duration::from_secs(5)).unwrap()));
    }
    assert_eq!(
        seen,
        [
            format!("mkdir {new}"),
            "create ..data_tmp".into(),
            "from ..data_tmp".into(),
            "to ..data".into(),
            last
        ]
    );
}
