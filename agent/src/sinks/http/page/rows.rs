//! Rows of a section, in bounded number and size, shared fairly between pods.

use std::collections::BTreeMap;

/// Room of one kind of rows.
#[derive(Clone, Copy, Debug)]
pub(super) struct Room {
    pub(super) rows: usize,
    pub(super) bytes: usize,
}

/// Writes rows while there is room. Returns how many.
pub(super) fn write<T>(
    out: &mut String,
    items: &[T],
    room: Room,
    mut row: impl FnMut(&mut String, &T),
) -> usize {
    let start = out.len();
    for (written, item) in items.iter().take(room.rows).enumerate() {
        let before = out.len();
        row(out, item);
        if out.len() - start > room.bytes {
            out.truncate(before);
            return written;
        }
    }
    items.len().min(room.rows)
}

/// The items in the order of their ranks, worst first. Of the same rank, the first of each pod come
/// before the second of any: a pod with hundreds does not hide those of the others. An item of no
/// pod counts as the first.
pub(super) fn fair<'a, T, Rank: Ord + Clone>(
    items: impl IntoIterator<Item = &'a T>,
    of: impl Fn(&'a T) -> (Rank, Option<&'a str>),
) -> Vec<&'a T> {
    let mut seen: BTreeMap<(Rank, &str), usize> = BTreeMap::new();
    let mut ranked: Vec<((Rank, usize), &T)> = Vec::new();
    for item in items {
        let (rank, pod) = of(item);
        let turn = pod.map_or(0, |pod| {
            let count = seen.entry((rank.clone(), pod)).or_default();
            std::mem::replace(count, *count + 1)
        });
        ranked.push(((rank, turn), item));
    }
    ranked.sort_by(|(a, _), (b, _)| a.cmp(b));
    ranked.into_iter().map(|(_, item)| item).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_end_where_the_room_does() {
        // (rows and bytes that there is room for, how many rows of 3 bytes are written)
        for (rows, bytes, expected) in [(9, 99, 5), (2, 99, 2), (9, 7, 2), (9, 2, 0), (0, 99, 0)] {
            let mut out = String::from("before");
            let written = write(&mut out, &[1, 2, 3, 4, 5], Room { rows, bytes }, |out, number| {
                out.extend(["<", &number.to_string(), ">"]);
            });
            assert_eq!((written, out.len()), (expected, 6 + 3 * expected), "{rows} {bytes}");
        }
    }

    #[test]
    fn no_pod_hides_another() {
        let items = ["1a", "1a", "1a", "1b", "2b", "1", "2a", "1"];
        let pod = |item: &'static str| item.get(1..).filter(|pod| !pod.is_empty());
        let sorted = fair(&items, |item| (&item[..1], pod(item)));
        let sorted: Vec<&str> = sorted.into_iter().copied().collect();
        assert_eq!(sorted, ["1a", "1b", "1", "1", "1a", "1a", "2b", "2a"]);
    }
}
