//! The one file that writes to standard output and standard error. Nothing that looks like a token
//! passes it, whatever the text is made of.

mod waiting;

use std::io::{self, IsTerminal, Write};
use std::os::fd::AsFd;
use std::panic::PanicHookInfo;
use std::time::Duration;

use nix::sys::stat::{FileStat, SFlag, fstat};
use tokenwatch_core::base::secrecy::{redacted, redacted_input};
use waiting::Waiting;

/// What waits for standard error.
static STDERR: Waiting = Waiting::new();
/// Time for the last lines when the process ends.
const PATIENCE: Duration = Duration::from_secs(1);
/// Most bytes without a line end that are held back.
const LONGEST_HELD: usize = 64 * 1024;

/// Standard output.
pub fn out() -> Screened<io::Stdout> {
    Screened::new(io::stdout())
}

/// Standard error.
pub fn err() -> Screened<Log> {
    Screened::new(Log)
}

/// From now on, what is written to standard error waits for [`write_stderr_apart`], and blocks
/// nobody. A file needs no reader, and so no thread: it gets each line at once.
pub fn hold_stderr() {
    if !is_file(&io::stderr()) {
        STDERR.hold();
    }
}

fn is_file(output: &io::Stderr) -> bool {
    let kind = |stat: FileStat| SFlag::from_bits_truncate(stat.st_mode & SFlag::S_IFMT.bits());
    fstat(output).is_ok_and(|stat| kind(stat) == SFlag::S_IFREG)
}

/// From now on, a thread of its own writes what waits for standard error. Fails if the operating
/// system gives none. A thread has the rights of the one that starts it.
pub fn write_stderr_apart() -> io::Result<()> {
    if STDERR.is_held() { STDERR.start(io::stderr) } else { Ok(()) }
}

/// Waits until standard error has what was written, but no longer than a second: it may be stuck.
pub fn finish() {
    if write_stderr_apart().is_ok() {
        STDERR.finish(PATIENCE);
    }
}

/// Standard output, to ask about it: whether it is a terminal, how wide, whether it is closed.
pub fn stdout() -> impl IsTerminal + AsFd {
    io::stdout()
}

/// Standard error, to ask about it.
pub fn stderr() -> impl IsTerminal + AsFd {
    io::stderr()
}

/// Writes an error to standard error. If that is closed, there is nothing left to do. An error
/// repeats what was typed: here, long words of random letters do not pass either.
pub fn complain(text: &str) {
    let text = redacted_input(text.trim_end());
    let _ = Log.write_all(format!("tokenwatch: {text}\n").as_bytes());
}

/// Reports a panic like an error: its message may quote a text.
pub fn complain_of_panic(panic: &PanicHookInfo<'_>) {
    complain(&panic.to_string());
    finish(); // the process may end at once
}

/// Standard error, or what waits for it.
#[derive(Clone, Copy, Debug)]
pub struct Log;

impl Write for Log {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if STDERR.take(bytes) { Ok(bytes.len()) } else { io::stderr().lock().write(bytes) }
    }

    fn write_all(&mut self, bytes: &[u8]) -> io::Result<()> {
        if STDERR.take(bytes) { Ok(()) } else { io::stderr().lock().write_all(bytes) }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(()) // standard error has no buffer of its own
    }
}

/// A writer without tokens. It holds back a line until it is complete or flushed.
#[derive(Debug)]
pub struct Screened<W: Write> {
    to: W,
    held: Vec<u8>,
}

impl<W: Write> Screened<W> {
    /// In front of `to`.
    pub fn new(to: W) -> Self {
        Self { to, held: Vec::new() }
    }

    /// Writes the first bytes that are held.
    fn pass(&mut self, length: usize) -> io::Result<()> {
        let rest = self.held.split_off(length);
        let ready = std::mem::replace(&mut self.held, rest);
        let text = String::from_utf8_lossy(&ready);
        self.to.write_all(redacted(&text).as_bytes())
    }
}

impl<W: Write> Write for Screened<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.held.extend_from_slice(bytes);
        let lines = self.held.iter().rposition(|byte| *byte == b'\n').map(|end| end + 1);
        let full = (self.held.len() > LONGEST_HELD).then_some(self.held.len());
        lines.or(full).map_or(Ok(()), |length| self.pass(length))?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.pass(self.held.len())?;
        self.to.flush()
    }
}

impl<W: Write> Drop for Screened<W> {
    fn drop(&mut self) {
        let _ = self.flush(); // there is nobody left to report it to
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TOKEN: &str = "eyJhbGciOiJSUzI1NiJ9.eyJzdWIiOiJ4In0.c2lnbmF0dXJl";

    fn written(pieces: &[&str]) -> String {
        let mut out = Vec::new();
        let mut screened = Screened::new(&mut out);
        for piece in pieces {
            screened.write_all(piece.as_bytes()).unwrap();
        }
        drop(screened);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn a_token_does_not_pass_in_one_piece_or_in_several() {
        let all = format!("a {TOKEN} b\nc\nd");
        let seen = "a [redacted: looks like a token] b\nc\nd";
        assert_eq!(written(&[&all]), seen);
        for at in 0..all.len() {
            assert_eq!(written(&[&all[..at], &all[at..]]), seen, "{at}");
        }
    }

    #[test]
    fn what_is_flushed_is_not_held_back() {
        let mut out = Vec::new();
        let mut screened = Screened::new(&mut out);
        screened.write_all(b"\r 20 s").unwrap();
        screened.flush().unwrap();
        screened.write_all(&vec![b'x'; LONGEST_HELD + 1]).unwrap();
        assert!(screened.held.is_empty());
        drop(screened);
        assert_eq!(out.len(), "\r 20 s".len() + LONGEST_HELD + 1);
    }
}
