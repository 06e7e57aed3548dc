//! The events of a watch: the body of its response, split into lines of bounded length.

use std::fmt;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::BodyExt as _;
use kube::client::Body;
use tokio::time::timeout;

/// Bytes of a line. A pod has at most 1.5 MB (etcd's limit on a request); the event around it adds
/// a few bytes.
const MAX_LINE: usize = 4 << 20;
/// A buffer larger than this is freed once its line is complete.
const MAX_IDLE_BUFFER: usize = 64 << 10;

/// A line is longer than the agent accepts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LineTooLong;

impl fmt::Display for LineTooLong {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "an event of more than {} MiB", MAX_LINE >> 20)
    }
}

/// The line that is not complete yet.
#[derive(Debug, Default)]
pub struct Lines {
    partial: Vec<u8>,
}

impl Lines {
    /// Adds bytes. Returns each line that they complete, blank ones left out.
    pub fn push(&mut self, chunk: &[u8]) -> Result<Vec<Vec<u8>>, LineTooLong> {
        let mut complete = Vec::new();
        let mut rest = chunk;
        while let Some(end) = rest.iter().position(|byte| *byte == b'\n') {
            self.append(&rest[..end])?;
            complete.push(std::mem::take(&mut self.partial));
            rest = &rest[end + 1..];
        }
        self.append(rest)?;
        complete.retain(|line| !line.trim_ascii().is_empty());
        Ok(complete)
    }

    fn append(&mut self, part: &[u8]) -> Result<(), LineTooLong> {
        if self.partial.len() + part.len() > MAX_LINE {
            self.partial = Vec::new();
            return Err(LineTooLong);
        }
        if self.partial.is_empty() && self.partial.capacity() > MAX_IDLE_BUFFER {
            self.partial = Vec::new();
        }
        self.partial.extend_from_slice(part);
        Ok(())
    }
}

/// The next part of the body; none at its end. A connection that is cut or silent counts as ended:
/// it is an error only if the next request fails.
pub async fn next_chunk(body: &mut Body, silence: Duration) -> Option<Bytes> {
    loop {
        let frame = timeout(silence, body.frame()).await.ok()??.ok()?;
        if let Ok(data) = frame.into_data() {
            return Some(data);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_the_same_however_the_stream_is_cut() {
        let text = b"one\n\ntwo\r\nthree";
        for cut in 1..=text.len() {
            let mut lines = Lines::default();
            let all: Vec<Vec<u8>> =
                text.chunks(cut).flat_map(|chunk| lines.push(chunk).unwrap()).collect();
            assert_eq!(all, [b"one".to_vec(), b"two\r".to_vec()], "cut at {cut}");
            assert_eq!(lines.partial, b"three");
        }
    }

    #[test]
    fn a_line_without_end_is_an_error_and_frees_its_buffer() {
        let mut lines = Lines::default();
        let chunk = vec![b'x'; 1 << 20];
        assert!((0..4).all(|_| lines.push(&chunk).is_ok()));
        assert_eq!(lines.push(&chunk), Err(LineTooLong));
        assert_eq!(lines.partial.capacity(), 0);
    }
}
