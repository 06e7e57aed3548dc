//! System calls that no library wraps, one thin function each. The only `unsafe` code of the
//! project.

use std::ffi::{CStr, CString};
use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;

use nix::errno::Errno;
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

/// A multiple of the page size of every architecture that the agent runs on: arm64 has up to 64 kB.
const PAGE: usize = 64 << 10;

/// What adjtimex(2) returns, in its units.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timex {
    /// TIME_OK (0) to TIME_ERROR (5): the call's return value.
    pub state: i32,
    /// The STA_* bits.
    pub status: i32,
    /// Bound on the error, microseconds.
    pub max_error: i64,
    /// Estimated error, microseconds.
    pub estimated_error: i64,
    /// How much faster than its hardware the clock runs, in 2^-16 parts per million.
    pub frequency: i64,
    /// Microseconds by which the clock advances in a tick of USER_HZ.
    pub tick: i64,
}

/// Bytes from which on a buffer is returned to the kernel when it is freed. A gzip encoder has some
/// 300 kB, the buffer of a batch of spans more.
#[cfg(target_env = "gnu")]
const LARGE: libc::c_int = 64 << 10;

/// Longest file handle (MAX_HANDLE_SZ of name_to_handle_at(2)). One of a tmpfs has 12 bytes.
const MAX_HANDLE: usize = 128;

/// struct file_handle, with room for any handle.
#[repr(C)]
struct FileHandle {
    length: u32,
    kind: i32,
    bytes: [u8; MAX_HANDLE],
}

/// Version of the capability calls with 64 bits (_LINUX_CAPABILITY_VERSION_3 of capget(2)).
const CAPABILITY_VERSION: u32 = 0x2008_0522;
/// The bit of CAP_SYS_ADMIN in the first half of a set.
const SYS_ADMIN: u32 = 1 << 21;

/// Nanoseconds for which a thread runs that must run soon: the shortest that the kernel grants
/// (__setparam_fair in kernel/sched/syscalls.c).
const SHORT_SLICE: u64 = 100_000;

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

/// Makes malloc use one arena for all threads and return large buffers to the kernel as soon as
/// they are freed. Must be called before a second thread is started.
///
/// By default glibc gives each thread its own arena, which keeps what the thread once needed, and
/// raises the size of a large buffer to that of the largest one freed (mallopt(3)). The agent's
/// threads mostly wait, so they do not contend for the arena.
#[allow(unsafe_code)]
pub fn malloc_frugally() {
    // SAFETY: mallopt takes two integers, changes the allocator's own settings alone, and there is
    // no other thread yet that could read them. Its result (whether the settings were
    // applied) does not matter to the caller.
    #[cfg(target_env = "gnu")]
    unsafe {
        libc::mallopt(libc::M_ARENA_MAX, 1);
        libc::mallopt(libc::M_MMAP_THRESHOLD, LARGE);
        libc::mallopt(libc::M_TRIM_THRESHOLD, LARGE);
    }
}

/// A copy of a descriptor that this process was started with, by its number.
#[allow(unsafe_code)]
pub fn copy_of_descriptor(number: i32) -> io::Result<OwnedFd> {
    // SAFETY: fcntl with F_DUPFD_CLOEXEC takes two integers and touches no memory; a number that is
    // not open is EBADF.
    let copy = unsafe { libc::fcntl(number, libc::F_DUPFD_CLOEXEC, 0) };
    if copy < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the kernel has just made this descriptor, and nobody else has its number.
    Ok(unsafe { std::os::fd::FromRawFd::from_raw_fd(copy) })
}

/// Reads directory entries (getdents64(2), struct linux_dirent64) into the caller's buffer. Returns
/// the number of bytes, 0 at the end. opendir(3) and readdir(3) allocate 32 kB and need four more
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

/// Returns free memory between allocations to the kernel (malloc_trim(3)): some 0.4 MB after a
/// batch of spans. Takes well below a millisecond for a heap of a few megabytes.
#[allow(unsafe_code)]
pub fn give_memory_back() {
    // SAFETY: malloc_trim takes the allocator's own lock and moves nothing that is in use; whether
    // it returned anything does not matter here.
    #[cfg(target_env = "gnu")]
    unsafe {
        libc::malloc_trim(0);
    }
}

/// Takes the program's code and constants out of this process's memory (madvise(2)). What is used
/// again, the kernel maps again from the page cache or from the program's file.
pub fn give_code_back() -> nix::Result<()> {
    own_code().into_iter().filter(|(_, bytes)| *bytes > 0).try_for_each(give_back)
}

fn give_back((start, bytes): (usize, usize)) -> nix::Result<()> {
    // Pages that are taken out count as used again, also those that the kernel mapped beside a
    // used one (zap_present_folio_ptes in mm/memory.c). After the second time they belong to the
    // working set of the container, unless they are cold. A kernel before 5.4 has no such hint.
    let _ = advise(start, bytes, libc::MADV_COLD);
    advise(start, bytes, libc::MADV_DONTNEED)
}

#[allow(unsafe_code)]
fn advise(start: usize, bytes: usize, advice: i32) -> nix::Result<()> {
    // SAFETY: the range is one of `own_code`, a private mapping of the program's file that nothing
    // writes to. So each page has the content of the file, and an access to a page that was taken
    // out maps that again, as it does for a page that was not used before, or that the kernel has
    // taken out itself when memory was short.
    let given = unsafe { libc::madvise(std::ptr::without_provenance_mut(start), bytes, advice) };
    Errno::result(given).map(drop)
}

/// Where a program has its code and its constants: two segments, four with some linkers.
type Code = [(usize, usize); 4];

/// Where the program's own code and constants are, in whole pages: its segments that cannot be
/// written (dl_iterate_phdr(3)), each with its start and its length. Those without bytes are none.
#[allow(unsafe_code)]
fn own_code() -> Code {
    let mut found = Code::default();
    // SAFETY: the callback has the type that is asked for, and `found` outlives the call.
    unsafe { libc::dl_iterate_phdr(Some(first_code), (&raw mut found).cast()) };
    found.map(|(start, bytes)| {
        let whole = start.next_multiple_of(PAGE);
        (whole, (start + bytes).saturating_sub(whole) / PAGE * PAGE)
    })
}

/// Notes the code of the first object, which is the program itself, and ends the iteration.
#[allow(unsafe_code)]
unsafe extern "C" fn first_code(
    object: *mut libc::dl_phdr_info,
    _size: usize,
    found: *mut libc::c_void,
) -> i32 {
    // SAFETY: dl_iterate_phdr passes an object that is valid during the call, with as many segments
    // as it says, and passes on the pointer of `own_code` to an array that nobody else uses.
    let (object, found) = unsafe { (&*object, &mut *found.cast::<Code>()) };
    // SAFETY: the same.
    let segments =
        unsafe { std::slice::from_raw_parts(object.dlpi_phdr, object.dlpi_phnum.into()) };
    let is_code = |segment: &&libc::Elf64_Phdr| {
        segment.p_type == libc::PT_LOAD && segment.p_flags & libc::PF_W == 0
    };
    let place = |number: u64| usize::try_from(number).unwrap_or_default();
    for (found, code) in found.iter_mut().zip(segments.iter().filter(is_code)) {
        *found = (place(object.dlpi_addr + code.p_vaddr), place(code.p_filesz));
    }
    1
}

/// Gives up CAP_SYS_ADMIN (capset(2)): this thread, and those that it starts, do not get it back as
/// long as they run no program. Does nothing in a process that does not have it.
#[allow(unsafe_code)]
pub fn give_up_administration() -> nix::Result<()> {
    // The two structures of capget(2): version and thread (0: this one); then effective, permitted
    // and inheritable for the lower and for the upper 32 capabilities.
    let (mut header, mut sets) = ([CAPABILITY_VERSION, 0_u32], [0_u32; 6]);
    // SAFETY: the pointers are to live, exclusively borrowed arrays with the size and alignment of
    // the structures of this version.
    let read = unsafe { libc::syscall(libc::SYS_capget, header.as_mut_ptr(), sets.as_mut_ptr()) };
    Errno::result(read)?;
    if sets[..3].iter().all(|set| set & SYS_ADMIN == 0) {
        return Ok(());
    }
    sets[..3].iter_mut().for_each(|set| *set &= !SYS_ADMIN);
    // SAFETY: the same; the kernel only reads the sets.
    let written = unsafe { libc::syscall(libc::SYS_capset, header.as_mut_ptr(), sets.as_ptr()) };
    Errno::result(written).map(drop)
}

/// Asks the scheduler to run this thread soon after it is woken, and then for a short time
/// (sched_setattr(2) with a slice of its own; Linux 6.12 and later, earlier ones ignore it). Needs
/// no privilege, and changes neither priority nor share of the processor.
#[allow(unsafe_code)]
pub fn ask_for_short_slices() -> nix::Result<()> {
    // SAFETY: `sched_attr` is plain old data of integers, for which all zeroes is a valid value.
    let mut attributes: libc::sched_attr = unsafe { std::mem::zeroed() };
    let size = std::mem::size_of_val(&attributes);
    // SAFETY: the pointer is to a live, exclusively borrowed `sched_attr`, and the kernel writes no
    // more than the size says.
    Errno::result(unsafe {
        libc::syscall(libc::SYS_sched_getattr, 0, &raw mut attributes, size, 0)
    })?;
    attributes.sched_runtime = SHORT_SLICE;
    // SAFETY: the same; the kernel only reads it.
    Errno::result(unsafe { libc::syscall(libc::SYS_sched_setattr, 0, &raw const attributes, 0) })
        .map(drop)
}

/// What identifies a directory in the events of fanotify(7): the id of its file system (statfs(2)),
/// and its handle with length and kind (name_to_handle_at(2)). Follows no link at the end. Opens
/// nothing, so that it keeps no mount busy.
#[allow(unsafe_code)]
pub fn file_id(path: &Path) -> nix::Result<Vec<u8>> {
    let path = CString::new(path.as_os_str().as_bytes()).map_err(|_| Errno::EINVAL)?;
    // SAFETY: `found` is plain old data of integers, for which all zeroes is a valid value.
    let mut found: libc::statfs = unsafe { std::mem::zeroed() };
    // SAFETY: the path ends with a zero, and the kernel writes one `statfs` to a live, exclusively
    // borrowed one.
    Errno::result(unsafe { libc::statfs(path.as_ptr(), &raw mut found) })?;
    // SAFETY: the id is two integers of 32 bits, which the libc crate does not make public.
    let system: [u8; 8] = unsafe { std::mem::transmute(found.f_fsid) };
    let mut handle = FileHandle { length: 128, kind: 0, bytes: [0; MAX_HANDLE] };
    let mut mount = 0;
    // SAFETY: the path ends with a zero; `handle` is laid out like struct file_handle, and has room
    // for as many bytes as it says.
    Errno::result(unsafe {
        libc::name_to_handle_at(
            libc::AT_FDCWD,
            path.as_ptr(),
            (&raw mut handle).cast(),
            &raw mut mount,
            0,
        )
    })?;
    let length = usize::try_from(handle.length).unwrap_or(MAX_HANDLE).min(MAX_HANDLE);
    let parts = [&system[..], &handle.length.to_ne_bytes(), &handle.kind.to_ne_bytes()];
    Ok([parts.concat().as_slice(), &handle.bytes[..length]].concat())
}

/// Reads a link (readlinkat(2)) into the buffer, truncated to its length. nix's call allocates 4 kB
/// each time.
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

/// Registers a descriptor with the runtime, for reading. Must be called within a tokio runtime.
pub fn readable(descriptor: OwnedFd) -> io::Result<AsyncFd<OwnedFd>> {
    register(descriptor, Interest::READABLE)
}

/// Registers a file of the proc file system with the runtime, for POLLPRI, which signals a change.
/// Must be called within a tokio runtime.
pub fn changing(descriptor: OwnedFd) -> io::Result<AsyncFd<OwnedFd>> {
    register(descriptor, Interest::PRIORITY)
}

#[allow(unsafe_code)]
fn register(descriptor: OwnedFd, interest: Interest) -> io::Result<AsyncFd<OwnedFd>> {
    // SAFETY: an `OwnedFd` is open until it is dropped, its number never changes, and nobody else
    // can close it; the `AsyncFd` owns it from here on.
    unsafe { AsyncFd::register_with_interest(descriptor, interest) }.map_err(io::Error::from)
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_code_can_be_given_back_while_it_runs() {
        let code = super::own_code();
        let has = |place: usize| {
            code.iter().any(|(start, bytes)| (*start..start + bytes).contains(&place))
        };
        assert!(has(super::own_code as *const () as usize), "its code: {code:x?}");
        assert!(has("a constant".as_ptr() as usize), "its constants: {code:x?}");
        let resident = || crate::proc::own_usage().unwrap().resident_bytes;
        // Other tests use more code meanwhile.
        let is_less = |_| {
            let before = resident();
            super::give_code_back().unwrap();
            resident() < before
        };
        assert!((0..20).any(is_less), "and it still runs");
    }

    #[test]
    fn a_thread_may_ask_for_short_slices() {
        super::ask_for_short_slices().unwrap();
    }
}
