//! System calls that no library wraps: one thin function each, and the only `unsafe` of the
//! project.

use std::ffi::CStr;
use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, OwnedFd};

use nix::errno::Errno;
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

/// What adjtimex(2) says, in its own units.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timex {
    /// TIME_OK (0) to TIME_ERROR (5): the call's return value.
    pub state: i32,
    /// STA_* bits.
    pub status: i32,
    /// Bound on the error, microseconds.
    pub max_error: i64,
    /// Estimated error, microseconds.
    pub estimated_error: i64,
    /// How much faster the clock is made to run than its hardware, in 2^-16 parts per million.
    pub frequency: i64,
    /// Microseconds that the clock goes on by in a tick of USER_HZ.
    pub tick: i64,
}

/// A gzip encoder has some 300 kB, a buffer for a batch of spans more: from a fifth of that on,
/// memory is the kernel's again when it is free.
#[cfg(target_env = "gnu")]
const LARGE: libc::c_int = 64 << 10;

/// Reads the kernel's clock state and changes nothing (`modes` is zero), which needs no privilege.
#[allow(unsafe_code)]
#[allow(clippy::useless_conversion)] // c_long has 32 bits on some targets
pub fn adjtimex() -> io::Result<Timex> {
    // SAFETY: `timex` is plain old data of integers, for which all zeroes is a valid value.
    let mut timex: libc::timex = unsafe { std::mem::zeroed() };
    // SAFETY: the pointer is to a live, exclusively borrowed `timex` of the size the kernel
    // expects; with modes == 0 the call only writes into it.
    let state = unsafe { libc::adjtimex(&raw mut timex) };
    if state < 0 {
        return Err(io::Error::last_os_error());
    }
    Ok(Timex {
        state,
        status: timex.status,
        max_error: timex.maxerror.into(),
        estimated_error: timex.esterror.into(),
        frequency: timex.freq.into(),
        tick: timex.tick.into(),
    })
}

/// Has malloc keep all threads' memory in one place, and give large buffers back as soon as they
/// are freed. To be called before there is a second thread.
///
/// By default glibc gives each thread an arena of its own, and each keeps what its thread once
/// needed; and it raises the size from which a buffer is large to that of the largest one freed
/// (mallopt(3)). With threads that mostly wait, nobody waits for the one arena.
#[allow(unsafe_code)]
pub fn malloc_frugally() {
    // SAFETY: mallopt takes two integers, changes the allocator's own settings alone, and there is
    // no other thread yet that could read them. What it answers (whether the settings were
    // taken) changes nothing for the caller.
    #[cfg(target_env = "gnu")]
    unsafe {
        libc::mallopt(libc::M_ARENA_MAX, 1);
        libc::mallopt(libc::M_MMAP_THRESHOLD, LARGE);
        libc::mallopt(libc::M_TRIM_THRESHOLD, LARGE);
    }
}

/// Reads directory entries (getdents64(2), struct linux_dirent64) into a buffer that is used again
/// and again; how many bytes, 0 at the end. The C library's way allocates 32 kB and makes four more
/// calls for each directory.
#[allow(unsafe_code)]
pub fn getdents64(directory: BorrowedFd<'_>, buffer: &mut [u8]) -> nix::Result<usize> {
    // SAFETY: the descriptor is open as long as it is borrowed; the kernel writes at most `len`
    // bytes into the exclusively borrowed buffer.
    let filled = unsafe {
        libc::syscall(
            libc::SYS_getdents64,
            directory.as_raw_fd(),
            buffer.as_mut_ptr(),
            buffer.len(),
        )
    };
    usize::try_from(filled).map_err(|_| Errno::last())
}

/// Gives the kernel back what lies free between what is in use (malloc_trim(3)): after a batch of
/// spans that is some 0.4 MB. It takes well below a millisecond for a heap of a few megabytes.
#[allow(unsafe_code)]
pub fn give_memory_back() {
    // SAFETY: malloc_trim takes the allocator's own lock and moves nothing that is in use; whether
    // there was something to give back changes nothing here.
    #[cfg(target_env = "gnu")]
    unsafe {
        libc::malloc_trim(0);
    }
}

/// Reads a link (readlinkat(2)) into the buffer, cut where it ends. The wrapped call allocates 4 kB
/// for each, for which the allocator tidies up.
#[allow(unsafe_code)]
pub fn readlinkat<'a>(
    directory: BorrowedFd<'_>,
    name: &CStr,
    buffer: &'a mut [u8],
) -> nix::Result<&'a [u8]> {
    // SAFETY: the descriptor is open as long as it is borrowed, the name ends with a zero, and the
    // kernel writes at most `len` bytes into the exclusively borrowed buffer.
    let length = unsafe {
        libc::readlinkat(
            directory.as_raw_fd(),
            name.as_ptr(),
            buffer.as_mut_ptr().cast(),
            buffer.len(),
        )
    };
    let length = usize::try_from(length).map_err(|_| Errno::last())?;
    Ok(buffer.get(..length).unwrap_or_default())
}

/// Has the runtime watch a descriptor for something to read. Must be called within a tokio runtime.
pub fn readable(descriptor: OwnedFd) -> io::Result<AsyncFd<OwnedFd>> {
    watched(descriptor, Interest::READABLE)
}

/// Has the runtime watch a file of the proc file system for POLLPRI, by which it says that it
/// changed. Must be called within a tokio runtime.
pub fn changing(descriptor: OwnedFd) -> io::Result<AsyncFd<OwnedFd>> {
    watched(descriptor, Interest::PRIORITY)
}

#[allow(unsafe_code)]
fn watched(descriptor: OwnedFd, interest: Interest) -> io::Result<AsyncFd<OwnedFd>> {
    // SAFETY: an `OwnedFd` is open until it is dropped, always tells the same number, and nobody
    // else can close it; the `AsyncFd` owns it from here on.
    unsafe { AsyncFd::register_with_interest(descriptor, interest) }.map_err(io::Error::from)
}
