//! A stream of bytes as lines, none of which may be without end.

/// A pod is at most 1.5 MB (etcd's limit on a request); the event around it adds a few bytes.
pub(super) const LONGEST: usize = 4 << 20;
/// A buffer that one long line left behind is given back above this.
const KEPT: usize = 64 << 10;

/// What has come of the line that is not at its end yet.
#[derive(Debug, Default)]
pub(super) struct Lines {
    begun: Vec<u8>,
}

impl Lines {
    /// Takes what came next: each line that ended with it. A line that is too long is an error.
    pub(super) fn take(&mut self, chunk: &[u8]) -> Result<Vec<Vec<u8>>, String> {
        let mut ended = Vec::new();
        let mut rest = chunk;
        while let Some(end) = rest.iter().position(|byte| *byte == b'\n') {
            self.grow(&rest[..end])?;
            ended.push(std::mem::take(&mut self.begun));
            rest = &rest[end + 1..];
        }
        self.grow(rest)?;
        ended.retain(|line| !line.trim_ascii().is_empty());
        Ok(ended)
    }

    fn grow(&mut self, part: &[u8]) -> Result<(), String> {
        if self.begun.len() + part.len() > LONGEST {
            self.begun = Vec::new();
            return Err(format!("an event of more than {} MiB", LONGEST >> 20));
        }
        if self.begun.is_empty() && self.begun.capacity() > KEPT {
            self.begun = Vec::new();
        }
        self.begun.extend_from_slice(part);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_the_same_however_they_are_cut() {
        let text = b"one\n\ntwo\r\nthree";
        for cut in 1..=text.len() {
            let mut lines = Lines::default();
            let all: Vec<Vec<u8>> =
                text.chunks(cut).flat_map(|chunk| lines.take(chunk).unwrap()).collect();
            assert_eq!(all, [b"one".to_vec(), b"two\r".to_vec()], "cut at {cut}");
            assert_eq!(lines.begun, b"three");
        }
    }

    #[test]
    fn a_line_without_end_is_given_up() {
        let mut lines = Lines::default();
        let chunk = vec![b'x'; 1 << 20];
        assert!((0..4).all(|_| lines.take(&chunk).is_ok()));
        assert!(lines.take(&chunk).is_err());
        assert_eq!(lines.begun.capacity(), 0);
    }
}
