//! Events as the kernel writes them into the buffer of a read(2) (fanotify(7)), in a group that
//! identifies directories by handle and entries by name.

/// A file or directory was opened.
pub(super) const OPEN: u64 = 0x20;
/// A file was read.
pub(super) const ACCESS: u64 = 0x1;
/// An entry was created in a directory.
pub(super) const CREATE: u64 = 0x100;
/// The event is about a directory.
pub(super) const ON_DIRECTORY: u64 = 0x4000_0000;
/// Events of the entries of a marked directory.
pub(super) const ON_CHILD: u64 = 0x0800_0000;
/// Events were lost.
const OVERFLOW: u64 = 0x4000;

/// Bytes of struct fanotify_event_metadata.
const METADATA: usize = 24;
/// Version of that structure.
const VERSION: u8 = 3;
/// Bytes of struct fanotify_event_info_header: kind, padding, length.
const HEADER: usize = 4;
/// Bytes of the file system's id, and of a handle's length and kind.
const BEFORE_HANDLE: usize = 16;
/// FAN_EVENT_INFO_TYPE_DFID_NAME: a directory, and the name of an entry.
const DIRECTORY_AND_NAME: u8 = 2;

/// What the kernel reports.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Record<'a> {
    /// Something happened to an entry of a directory.
    Event(Event<'a>),
    /// The queue was full: events were lost.
    Overflow,
}

/// Something happened to an entry of a directory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Event<'a> {
    /// What: several of the bits above, if events were merged.
    pub(super) mask: u64,
    /// The process that did it; 0: one outside of this PID namespace.
    pub(super) pid: u32,
    /// The directory, in the form of `sys::file_id`.
    pub(super) directory: &'a [u8],
    /// Name of the entry; `.` is the directory itself.
    pub(super) name: &'a [u8],
}

/// The events in the buffer. One that this code does not understand is left out; what follows one
/// with an impossible length, too.
pub(super) fn records(mut buffer: &[u8]) -> impl Iterator<Item = Record<'_>> {
    std::iter::from_fn(move || {
        let length = usize::try_from(u32::from_ne_bytes(array(buffer, 0)?)).ok()?;
        let event = buffer.get(..length).filter(|event| event.len() >= METADATA)?;
        buffer = &buffer[length..];
        Some(record(event))
    })
    .flatten()
}

fn record(event: &[u8]) -> Option<Record<'_>> {
    let (version, mask) = (*event.get(4)?, u64::from_ne_bytes(array(event, 8)?));
    if version != VERSION {
        return None;
    }
    if mask & OVERFLOW != 0 {
        return Some(Record::Overflow);
    }
    let pid = u32::try_from(i32::from_ne_bytes(array(event, 20)?)).ok()?;
    let metadata = usize::from(u16::from_ne_bytes(array(event, 6)?));
    let (directory, name) = directory_and_name(event.get(metadata..)?)?;
    Some(Record::Event(Event { mask, pid, directory, name }))
}

/// Of the first of these pieces of information that has them.
fn directory_and_name(mut rest: &[u8]) -> Option<(&[u8], &[u8])> {
    loop {
        let (kind, length) = (*rest.first()?, u16::from_ne_bytes(array(rest, 2)?));
        let info = rest.get(..usize::from(length)).filter(|info| info.len() >= HEADER)?;
        if kind == DIRECTORY_AND_NAME {
            return split(&info[HEADER..]);
        }
        rest = &rest[info.len()..];
    }
}

fn split(info: &[u8]) -> Option<(&[u8], &[u8])> {
    let handle = usize::try_from(u32::from_ne_bytes(array(info, 8)?)).ok()?;
    let (directory, rest) = info.split_at_checked(BEFORE_HANDLE.checked_add(handle)?)?;
    let end = rest.iter().position(|byte| *byte == 0)?;
    Some((directory, &rest[..end]))
}

fn array<const SIZE: usize>(bytes: &[u8], at: usize) -> Option<[u8; SIZE]> {
    bytes.get(at..at + SIZE)?.try_into().ok()
}

#[cfg(test)]
mod tests {
    use super::super::fuzzed::fanotify;
    use super::*;

    const DIRECTORY: [u8; 28] = {
        let mut bytes = [7; 28];
        let length = 12_u32.to_ne_bytes();
        (bytes[8], bytes[9], bytes[10], bytes[11]) = (length[0], length[1], length[2], length[3]);
        bytes
    };

    fn event(mask: u64, pid: i32, infos: &[u8]) -> Vec<u8> {
        let length = u32::try_from(METADATA + infos.len()).unwrap();
        let mut bytes = length.to_ne_bytes().to_vec();
        bytes.extend([VERSION, 0]);
        bytes.extend(24_u16.to_ne_bytes());
        bytes.extend(mask.to_ne_bytes());
        bytes.extend((-1_i32).to_ne_bytes());
        bytes.extend(pid.to_ne_bytes());
        bytes.extend(infos);
        bytes
    }

    fn info(kind: u8, content: &[u8]) -> Vec<u8> {
        let length = u16::try_from(HEADER + content.len()).unwrap();
        [&[kind, 0], &length.to_ne_bytes()[..], content].concat()
    }

    fn named(name: &str) -> Vec<u8> {
        info(DIRECTORY_AND_NAME, &[&DIRECTORY[..], name.as_bytes(), &[0, 0, 0]].concat())
    }

    #[test]
    fn events_are_read_with_directory_and_name() {
        let other = info(4, &[1, 2, 3, 4]);
        let buffer = [
            event(OPEN, 41, &named("token")),
            event(OVERFLOW, 0, &[]),
            event(CREATE | ON_DIRECTORY, 0, &[other, named("..2026")].concat()),
        ]
        .concat();
        let expected = [
            Record::Event(Event { mask: OPEN, pid: 41, directory: &DIRECTORY, name: b"token" }),
            Record::Overflow,
            Record::Event(Event {
                mask: CREATE | ON_DIRECTORY,
                pid: 0,
                directory: &DIRECTORY,
                name: b"..2026",
            }),
        ];
        assert_eq!(records(&buffer).collect::<Vec<_>>(), expected);
    }

    #[test]
    fn what_cannot_be_understood_is_left_out() {
        let mut other_version = event(OPEN, 1, &named("token"));
        other_version[4] = 9;
        let table = [
            other_version,
            event(OPEN, 1, &[]),
            event(OPEN, 1, &info(4, &[0; 8])),
            event(OPEN, -1, &named("token")),
            event(OPEN, 1, &info(DIRECTORY_AND_NAME, &[255; 40])),
            event(OPEN, 1, &info(DIRECTORY_AND_NAME, &DIRECTORY)), // no end of the name
        ];
        for odd in table {
            let buffer = [odd, event(OPEN, 2, &named("a"))].concat();
            let found: Vec<_> = records(&buffer).collect();
            assert!(
                matches!(found[..], [Record::Event(Event { pid: 2, name: b"a", .. })]),
                "{found:?}"
            );
        }
    }

    proptest::proptest! {
        #[test]
        fn no_bytes_do_harm(bytes: Vec<u8>, cut in 0_usize..80) {
            fanotify(&bytes);
            let real = event(OPEN, 1, &named("token"));
            fanotify(&real[..cut.min(real.len())]);
        }
    }
}
