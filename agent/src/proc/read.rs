//! Reads a file of the proc file system as a whole, up to a limit.

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

/// The file's content. More than `limit` is an error: half of a list would look like all of it.
pub(super) fn read(path: &Path, limit: u64) -> io::Result<Vec<u8>> {
    let mut content = Vec::new();
    File::open(path)?.take(limit + 1).read_to_end(&mut content)?;
    if content.len() as u64 > limit {
        return Err(too_long(limit));
    }
    Ok(content)
}

/// Calls `each` with each line of the file. Memory is bounded by `buffer`; a longer line is left
/// out. More than `limit` bytes are an error, once the lines before that were handed over.
pub(super) fn lines(
    path: &Path,
    limit: u64,
    buffer: &mut [u8],
    mut each: impl FnMut(&[u8]),
) -> io::Result<()> {
    let (mut file, mut filled) = (File::open(path)?.take(limit + 1), 0);
    loop {
        let read = file.read(&mut buffer[filled..])?;
        if file.limit() == 0 {
            return Err(too_long(limit));
        }
        if read == 0 {
            each(&buffer[..filled]);
            return Ok(());
        }
        filled = keep_rest(buffer, filled + read, &mut each);
    }
}

fn too_long(limit: u64) -> io::Error {
    io::Error::other(format!("it has more than {limit} bytes"))
}

/// Hands over the complete lines and moves the rest to the front. Returns its length.
fn keep_rest(buffer: &mut [u8], filled: usize, each: &mut impl FnMut(&[u8])) -> usize {
    let Some(end) = buffer[..filled].iter().rposition(|byte| *byte == b'\n') else {
        return if filled == buffer.len() { 0 } else { filled };
    };
    buffer[..end].split(|byte| *byte == b'\n').for_each(each);
    buffer.copy_within(end + 1..filled, 0);
    filled - end - 1
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(content: &[u8]) -> tempfile::NamedTempFile {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), content).unwrap();
        file
    }

    fn lines_of(content: &[u8], limit: u64) -> io::Result<Vec<String>> {
        let (file, mut found) = (file(content), Vec::new());
        let mut buffer = [0; 8];
        let each = |line: &[u8]| found.push(String::from_utf8_lossy(line).into_owned());
        lines(file.path(), limit, &mut buffer, each).map(|()| found)
    }

    #[test]
    fn a_file_is_read_as_a_whole_or_not_at_all() {
        let file = file(b"12345");
        assert_eq!(read(file.path(), 5).unwrap(), b"12345");
        assert!(read(file.path(), 4).unwrap_err().to_string().contains("more than 4 bytes"));
    }

    #[test]
    fn lines_are_read_with_a_small_buffer() {
        let table: [(&[u8], &[&str]); 3] = [
            (b"a\nbcd\nefghi\n", &["a", "bcd", "efghi", ""]),
            (b"a\nend", &["a", "end"]),
            (b"", &[""]),
        ];
        for (content, expected) in table {
            assert_eq!(lines_of(content, 100).unwrap(), expected);
            assert_eq!(lines_of(content, content.len() as u64).unwrap(), expected);
        }
    }

    #[test]
    fn a_part_of_a_list_is_not_taken_for_all_of_it() {
        for limit in [0, 4, 5] {
            let error = lines_of(b"a\nb\nc\n", limit).unwrap_err().to_string();
            assert_eq!(error, format!("it has more than {limit} bytes"));
        }
    }

    #[test]
    fn a_line_that_does_not_fit_is_left_out() {
        let found = lines_of(b"a\n0123456789abcdefghijklmno\nb\n", 100).unwrap();
        assert!(found.contains(&"b".to_owned()) && found.iter().all(|line| line.len() < 8));
    }
}
