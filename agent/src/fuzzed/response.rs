//! A response to the agent, from the bytes of an input.

use http::response::Parts;

use super::Numbers;

/// The status in two bytes, then the headers, each in a line, an empty line, and the body.
#[derive(Debug)]
pub(crate) struct Response<'a> {
    pub(crate) status: u16,
    pub(crate) head: &'a [u8],
    pub(crate) body: &'a [u8],
}

impl<'a> Response<'a> {
    pub(crate) fn of(bytes: &'a [u8]) -> Self {
        let status = u16::from_le_bytes(Numbers::of(bytes).bytes());
        let rest = bytes.get(2..).unwrap_or_default();
        let (head, body) = match rest.windows(2).position(|pair| pair == b"\n\n") {
            Some(at) => (&rest[..at], &rest[at + 2..]),
            None => (&b""[..], rest),
        };
        Self { status, head, body }
    }

    /// The head, as hyper gives it; none if it would refuse it.
    pub(crate) fn parts(&self) -> Option<Parts> {
        let mut response = http::Response::builder().status(self.status);
        let lines = self.head.split(|byte| *byte == b'\n').filter(|line| !line.is_empty());
        for line in lines {
            let at = line.iter().position(|byte| *byte == b':')?;
            response = response.header(&line[..at], line[at + 1..].trim_ascii());
        }
        response.body(()).ok().map(|response| response.into_parts().0)
    }
}
