//! The lines of a body that arrives in parts, without what is too long.

/// Bytes of a line. The longest of Kubernetes 1.34.4 has 587; a longer one than this is dropped.
const MAX_LINE: usize = 8 << 10;

/// The line that is not complete yet.
#[derive(Debug, Default)]
pub(super) struct Lines {
    partial: Vec<u8>,
    is_too_long: bool,
}

impl Lines {
    /// Passes each line that these bytes complete.
    pub(super) fn push(&mut self, chunk: &[u8], mut line: impl FnMut(&[u8])) {
        let mut parts = chunk.split(|byte| *byte == b'\n').peekable();
        while let Some(part) = parts.next() {
            self.append(part);
            if parts.peek().is_some() {
                self.end(&mut line);
            }
        }
    }

    /// Passes the last line, which may have no end.
    pub(super) fn finish(mut self, mut line: impl FnMut(&[u8])) {
        self.end(&mut line);
    }

    fn append(&mut self, part: &[u8]) {
        self.is_too_long |= self.partial.len() + part.len() > MAX_LINE;
        if !self.is_too_long {
            self.partial.extend_from_slice(part);
        }
    }

    fn end(&mut self, line: &mut impl FnMut(&[u8])) {
        if !std::mem::take(&mut self.is_too_long) {
            line(&self.partial);
        }
        self.partial.clear();
    }
}
