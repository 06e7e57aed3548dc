//! Changes of the mounts as events: a volume's tmpfs is mounted over an existing directory, which
//! causes no inotify event.

use std::time::Duration;

use super::events::{EventQueue, FileEvent};
use crate::proc::MountWatch;

/// Shortest time between two events. Each one costs a look at every volume, and a node on which
/// mounts leak changes them a hundred times a second. A new volume is also found by its directory,
/// so this delays only a volume that is mounted again.
const SPACING: Duration = Duration::from_millis(250);

/// Sends an event for each change of the mounts, or for several that are close together. Returns
/// only on failure; then rescans find new mounts.
pub(super) async fn follow(events: &EventQueue) {
    let Ok(mounts) = MountWatch::open() else { return };
    let pause = || tokio::time::sleep(SPACING);
    in_batches(|| mounts.changed(), pause, || events.push(FileEvent::Mounts)).await;
}

/// Calls `look` at the first change and then once after each pause with changes, until `changed`
/// fails. The last change is always followed by a look.
async fn in_batches<C, P, E>(changed: impl Fn() -> C, pause: impl Fn() -> P, mut look: impl FnMut())
where
    C: Future<Output = Result<(), E>>,
    P: Future<Output = ()>,
{
    while changed().await.is_ok() {
        look();
        pause().await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::cell::RefCell;
    use std::collections::VecDeque;
    use std::future::ready;

    /// A clock that moves on when somebody waits, and the changes that are still to come.
    struct Timeline {
        now: Duration,
        changes: VecDeque<Duration>,
    }

    impl Timeline {
        /// Waits for a change, unless there was one since the last call.
        fn changed(&mut self) -> Result<(), ()> {
            let next = self.changes.pop_front().ok_or(())?;
            self.now = self.now.max(next);
            while self.changes.front().is_some_and(|change| *change <= self.now) {
                self.changes.pop_front();
            }
            Ok(())
        }
    }

    /// When changes at these times are looked at.
    async fn looks(changes: impl IntoIterator<Item = Duration>) -> Vec<Duration> {
        let changes = changes.into_iter().collect();
        let timeline = RefCell::new(Timeline { now: Duration::ZERO, changes });
        let mut looks = Vec::new();
        in_batches(
            || ready(timeline.borrow_mut().changed()),
            || {
                timeline.borrow_mut().now += SPACING;
                ready(())
            },
            || looks.push(timeline.borrow().now),
        )
        .await;
        looks
    }

    #[tokio::test]
    async fn a_change_after_a_quiet_time_is_looked_at_at_once() {
        let times = [0, 1_000, 5_000].map(Duration::from_millis);
        assert_eq!(looks(times).await, times);
    }

    #[tokio::test]
    async fn eighty_changes_a_second_are_four_looks_a_second() {
        let spacing = Duration::from_secs(1) / 80;
        let changes: Vec<Duration> = (0..800).map(|nth| spacing * nth).collect();
        let looks = looks(changes.clone()).await;
        assert!((38..=42).contains(&looks.len()), "{} looks in 10 s", looks.len());
        for change in changes {
            let after = looks.iter().find(|look| **look >= change).expect("a look after it");
            assert!(*after <= change + SPACING, "{change:?} is looked at at {after:?}");
        }
    }
}
