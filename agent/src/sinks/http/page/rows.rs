//! Rows of a section, in bounded number and size.

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
}
