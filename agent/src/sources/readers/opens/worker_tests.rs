use super::*;
use crate::sources::token_volumes::ProjectedFile;

/// A volume that wants so many watches that ten of its kind are too many.
fn large(nth: usize) -> TokenVolume {
    let file = |nth| ProjectedFile { path: format!("d{nth}/token").into(), is_token: true };
    let (pod_uid, volume) = ("hog".to_owned(), format!("v{nth}"));
    TokenVolume { pod_uid, volume, files: (0..409).map(file).collect(), is_whole: true }
}

/// What the source has reported of itself since the last call.
fn health(worker: &mut Worker) -> Vec<Option<String>> {
    let found = std::mem::take(&mut worker.out.waiting).into_iter();
    let health = found.filter_map(|found| {
        let Observation::Source(health) = found.observation else { return None };
        Some(health.degraded)
    });
    health.collect()
}

#[test]
fn nothing_is_lacking_once_the_last_volume_without_watches_is_gone() {
    let folder = tempfile::tempdir().unwrap();
    let at = |nth: usize| folder.path().join(nth.to_string());
    let volumes = TokenVolumes::followed().unwrap();
    let (out, _kept) = tokio::sync::mpsc::channel(1);
    let mut worker = Worker::new(volumes.clone(), None, out);
    for nth in 0..10 {
        std::fs::create_dir(at(nth)).unwrap();
        volumes.set(at(nth), Some(large(nth)));
    }
    worker.take_changes();
    worker.report_watches();
    let found = health(&mut worker);
    assert!(matches!(found.as_slice(), [Some(why)] if why.contains("1 volume not")), "{found:?}");

    // All are removed at once, and the changes come one by one.
    (0..10).for_each(|nth| std::fs::remove_dir(at(nth)).unwrap());
    for nth in 0..10 {
        volumes.set(at(nth), None);
        worker.take_changes();
        let expected = if nth < 9 { vec![] } else { vec![None] };
        assert_eq!(health(&mut worker), expected, "{nth}");
    }
}
