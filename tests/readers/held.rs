//! Replaced generations that somebody holds.

use std::fs::{self, File};
use std::io::{Read as _, Seek as _, SeekFrom};
use std::os::fd::AsRawFd as _;

use nix::mount::{MsFlags, mount};

use crate::alone::unmount;
use crate::bed::{Bed, LATER, SOON, SPACED, alone, pod, write};
use crate::volumes::Node;

alone!(a_descriptor_that_is_kept_is_held_and_read_again, async {
    let node = Node::new();
    pod(&node, "p", true);
    let mut bed = Bed::start(node);
    let first = bed.current("p");
    bed.until("p/vol held 0").await;
    let mut kept = File::open(bed.directory("p").join("token")).unwrap();
    bed.until(&format!("p/vol opened {first} token")).await;
    bed.rotate("p", 2, true).await;
    bed.until("p/vol held 1").await;
    bed.quiet(SOON, "nobody reads").await;
    kept.seek(SeekFrom::Start(0)).unwrap();
    kept.read_to_string(&mut String::new()).unwrap();
    bed.until(&format!("p/vol read again {first} token")).await;
    drop(kept);
    bed.until("p/vol held 0").await;
    let third = bed.rotate("p", 3, true).await;
    bed.until("p/vol held 0").await;
    bed.read("p", "token");
    bed.until(&format!("p/vol opened {third} token")).await;
});

alone!(a_mapping_and_a_subpath_are_held, async {
    let node = Node::new();
    for name in ["mapped", "mounted", "directory"] {
        pod(&node, name, name == "mapped");
    }
    let mounted = node.root().join("subpath");
    File::create(&mounted).unwrap();
    let mut bed = Bed::start(node);
    for name in ["mapped", "mounted", "directory"] {
        bed.until(&format!("{name}/vol watching")).await;
    }
    bed.during(SOON).await;
    let file = File::open(bed.directory("mapped").join("token")).unwrap();
    // SAFETY: a new private mapping of an open file, for reading; nothing else knows its address.
    let mapping = unsafe {
        let (protection, flags) = (libc::PROT_READ, libc::MAP_PRIVATE);
        libc::mmap(std::ptr::null_mut(), 4_096, protection, flags, file.as_raw_fd(), 0)
    };
    drop(file);
    let old = bed.directory("mounted").join(bed.current("mounted")).join("token");
    mount(Some(&old), &mounted, None::<&str>, MsFlags::MS_BIND, None::<&str>).unwrap();
    let directory = bed.directory("directory").join(bed.current("directory"));
    let working_directory = File::open(directory).unwrap();
    bed.during(SOON).await;

    let dead = bed.current("mounted");
    for name in ["mapped", "mounted", "directory"] {
        bed.write(name, 2, name == "mapped");
    }
    let lines = bed.during(LATER).await;
    for expected in ["mapped/vol held 1", "mounted/vol held 1", "directory/vol held 0"] {
        assert!(lines.iter().any(|line| line == expected), "{expected}: {lines:?}");
    }
    fs::read(&mounted).unwrap();
    bed.until(&format!("mounted/vol read again {dead} token")).await;
    unmount(&mounted);
    // SAFETY: the mapping that was made above, which nothing uses.
    unsafe { libc::munmap(mapping, 4_096) };
    drop(working_directory);
    let lines = bed.during(SPACED).await;
    for expected in ["mapped/vol held 0", "mounted/vol held 0"] {
        assert!(lines.iter().any(|line| line == expected), "{expected}: {lines:?}");
    }
});

alone!(generations_held_before_the_agent_started_are_counted, async {
    let node = Node::new();
    pod(&node, "p", false);
    pod(&node, "free", true);
    let mut kept = Vec::new();
    for generation in 2..5 {
        kept.push(File::open(node.volume("p").directory().join("token")).unwrap());
        write(&node, "p", generation, false);
        write(&node, "free", generation, true);
    }
    let plain = node.volume("plain").directory().to_owned();
    write(&node, "plain", 1, false); // in the file system of the root: cannot be counted
    assert!(plain.is_dir());
    let mut bed = Bed::start(node);
    let lines = bed.during(LATER).await;
    assert!(lines.iter().any(|line| line == "p/vol held 3"), "{lines:?}");
    assert!(lines.iter().any(|line| line == "free/vol held 0"), "{lines:?}");
    assert!(!lines.iter().any(|line| line.starts_with("plain/vol held")), "{lines:?}");
    drop(kept);
    bed.rotate("p", 6, false).await;
    bed.until("p/vol held 0").await;
});
