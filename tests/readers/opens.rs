//! Which opens are a client's.

use std::fs;
use std::fs::File;
use std::process::{Command, Stdio};
use std::time::Duration;

use tokenwatch_core::base::time::Wall;
use tokenwatch_lab::kubelet::remove_pod;

use crate::alone::unmount;
use crate::bed::{Bed, LATER, SOON, SPACED, alone, mount_tmpfs, payload, pod, write};
use crate::volumes::{Node, token};

alone!(a_client_is_distinguished_from_kubelet_and_from_walks, async {
    for has_more in [false, true] {
        let node = Node::new();
        pod(&node, "p", has_more);
        let mut bed = Bed::start(node);
        let first = bed.current("p");
        bed.until(&format!("p/vol watching {first} from now")).await;
        bed.quiet(SOON, "the agent's own first scan").await;
        for _ in 0..5 {
            bed.write("p", 1, has_more); // nothing changed
        }
        bed.quiet(SOON, "syncs of kubelet").await;
        bed.node.volume("p").measure().unwrap();
        bed.quiet(SOON, "statistics of kubelet").await;
        assert!(fs::read_dir(bed.directory("p")).unwrap().count() > 0);
        assert!(fs::read_dir(bed.directory("p").join("..data")).unwrap().count() > 0);
        fs::metadata(bed.directory("p").join("token")).unwrap();
        bed.quiet(LATER, "listing the volume and the generation").await;

        bed.read("p", "token");
        bed.until(&format!("p/vol opened {first} token")).await;
        tokio::time::sleep(SPACED).await;
        bed.read("p", "..data/token");
        bed.until(&format!("p/vol opened {first} token")).await;
        tokio::time::sleep(SPACED).await;
        bed.write("p", 1, has_more);
        bed.read("p", "token");
        bed.write("p", 1, has_more);
        bed.until(&format!("p/vol opened {first} token")).await; // in one batch
        tokio::time::sleep(SPACED).await;
        bed.node.volume("p").measure().unwrap();
        bed.read("p", "token");
        bed.until(&format!("p/vol opened {first} token")).await; // after statistics
        if has_more {
            bed.read("p", "ca.crt");
            bed.quiet(LATER, "a client that reads no token").await;
            assert!(fs::read_dir(bed.directory("p").join("..data")).unwrap().count() > 0);
            bed.read("p", "token");
            bed.until(&format!("p/vol opened {first} token")).await; // lists, and reads one file
        }
        let second = bed.rotate("p", 2, has_more).await;
        bed.quiet(SOON, "a rotation").await;
        bed.read("p", "token");
        bed.until(&format!("p/vol opened {second} token")).await;
    }
});

alone!(the_agent_never_reports_itself, async {
    let node = Node::new();
    for (number, has_more) in [(0, false), (1, true), (2, true)] {
        pod(&node, &format!("p{number}"), has_more);
    }
    // Files this new are read again by each scan.
    let mut bed = Bed::with(node, Duration::from_millis(50), 512);
    for generation in 2..12 {
        bed.quiet(Duration::from_millis(300), "rescans").await;
        for number in 0..3 {
            bed.write(&format!("p{number}"), generation, number > 0);
        }
    }
    bed.quiet(LATER, "the last rescans").await;
    bed.read("p1", "token");
    bed.until("p1/vol opened").await;
});

alone!(the_first_open_after_a_rotation_is_seen_while_the_agent_reads, async {
    let node = Node::new();
    pod(&node, "p", true);
    let mut bed = Bed::start(node);
    bed.until("p/vol watching").await;
    for generation in 2..42 {
        let staged = bed.node.volume("p").stage(&payload(generation), Wall::from_secs(generation));
        let staged = staged.unwrap().unwrap();
        tokio::time::sleep(Duration::from_millis(60)).await; // the agent may be starved
        staged.swap().unwrap();
        bed.read("p", "token"); // at the same time as the agent
        staged.finish().unwrap();
        let current = bed.current("p");
        bed.until(&format!("p/vol watching {current} completely")).await;
        bed.until(&format!("p/vol opened {current} token")).await;
    }
});

alone!(readers_in_other_mount_namespaces_are_seen, async {
    let node = Node::new();
    pod(&node, "p", true);
    let container = node.root().join("container");
    fs::create_dir(&container).unwrap();
    let mut bed = Bed::start(node);
    let first = bed.current("p");
    bed.until("p/vol watching").await;
    let script = r#"mount --bind "$0" "$1" && mount -o remount,bind,ro "$1" && cat "$1/token""#;
    let status = Command::new("unshare")
        .args(["--mount", "--propagation", "private", "sh", "-c", script])
        .args([&bed.directory("p"), &container])
        .stdout(Stdio::null())
        .status();
    assert!(status.unwrap().success());
    bed.until(&format!("p/vol opened {first} token")).await;
});

alone!(a_storm_of_rotations_is_followed, async {
    let node = Node::new();
    pod(&node, "p", true);
    let mut bed = Bed::start(node);
    bed.until("p/vol watching").await;
    for generation in 2..60 {
        bed.write("p", generation, true);
    }
    bed.quiet(LATER, "rotations without a client").await;
    let last = bed.current("p");
    bed.until(&format!("watching {last}")).await;
    bed.read("p", "token");
    bed.until(&format!("p/vol opened {last} token")).await;
    bed.rotate("p", 100, true).await;
    bed.until("p/vol held 0").await;
});

alone!(a_busy_file_costs_few_reports_and_hides_no_rotation, async {
    let node = Node::new();
    pod(&node, "busy", false);
    pod(&node, "rare", false);
    let mut bed = Bed::start(node);
    bed.until("busy/vol watching").await;
    bed.until("rare/vol watching").await;
    let path = bed.directory("busy").join("token");
    let (stop, opens) = (std::sync::Arc::new(std::sync::atomic::AtomicBool::new(false)), 40_000);
    let reading = std::thread::spawn({
        let stop = std::sync::Arc::clone(&stop);
        move || {
            for _ in 0..opens {
                if stop.load(std::sync::atomic::Ordering::Relaxed) {
                    return;
                }
                drop(File::open(&path).unwrap());
                std::thread::sleep(Duration::from_micros(40));
            }
        }
    });
    bed.during(Duration::from_secs(2)).await;
    bed.read("rare", "token");
    bed.until("rare/vol opened").await;
    let second = bed.rotate("busy", 2, false).await;
    bed.until(&format!("busy/vol opened {second} token")).await;
    stop.store(true, std::sync::atomic::Ordering::Relaxed);
    reading.join().unwrap();
    let reports = bed.all().filter(|line| line.contains("busy/vol opened")).count();
    assert!((2..=8).contains(&reports), "{reports}: {:?}", bed.lines);
    assert!(!bed.all().any(|line| line.contains("missed")), "{:?}", bed.lines);
});

alone!(lost_events_are_reported_and_everything_is_watched_again, async {
    let node = Node::new();
    for number in 0..3 {
        pod(&node, &format!("p{number}"), false);
    }
    // Nobody takes the observations, so the thread waits and does not read its queue.
    let mut bed = Bed::with(node, Duration::from_hours(1), 1);
    for number in 0..3 {
        bed.until(&format!("p{number}/vol watching")).await;
    }
    bed.during(SOON).await;
    for _ in 0..3 {
        bed.read("p2", "token");
        tokio::time::sleep(SPACED).await;
    }
    let limit = fs::read_to_string("/proc/sys/fs/inotify/max_queued_events").unwrap();
    for _ in 0..limit.trim().parse::<usize>().unwrap() {
        bed.read("p0", "token");
        bed.read("p1", "token");
    }
    let lines = bed.during(LATER).await;
    for number in 0..3 {
        let missed = format!("p{number}/vol missed: the kernel's queue of inotify events");
        assert!(lines.iter().any(|line| line.starts_with(&missed)), "{lines:?}");
        let again = lines.iter().rfind(|line| line.starts_with(&format!("p{number}/vol watching")));
        assert!(again.is_some_and(|line| line.ends_with("from now")), "{lines:?}");
    }
    assert!(lines.iter().any(|line| line.starts_with("source the kernel's queue")), "{lines:?}");
    assert_eq!(lines.iter().rfind(|line| line.starts_with("source")).unwrap(), "source well");
    bed.read("p2", "token");
    bed.until("p2/vol opened").await;
});

alone!(a_new_pod_a_removed_one_and_a_volume_mounted_again_are_followed, async {
    let node = Node::new();
    fs::create_dir_all(node.root().join("pods")).unwrap();
    let mut bed = Bed::start(node);
    bed.during(SPACED).await;
    for round in 0..3 {
        pod(&bed.node, "p", true);
        bed.until("p/vol watching").await;
        bed.read("p", "token");
        bed.until("p/vol opened").await;
        for generation in [2, 3] {
            bed.rotate("p", generation + round * 10, true).await;
            bed.read("p", "token");
            bed.until("p/vol opened").await;
        }
        unmount(&bed.directory("p"));
        mount_tmpfs(&bed.directory("p"));
        write(&bed.node, "p", 5, true);
        bed.until(&format!("p/vol watching {}", bed.current("p"))).await;
        bed.read("p", "token");
        bed.until("p/vol opened").await;
        unmount(&bed.directory("p"));
        remove_pod(&bed.node.root(), "p").unwrap();
        bed.during(SOON).await;
    }
    let watching: Vec<&String> = bed.all().filter(|line| line.contains("watching")).collect();
    println!("{watching:#?}");
});

alone!(tokens_in_directories_of_a_volume_are_followed, async {
    let node = Node::new();
    mount_tmpfs(node.volume("p").directory());
    let write = |node: &Node, generation| {
        let (one, two) = (token(generation), token(generation + 500));
        node.write_files("p", generation, &[("a/b/vault", &one), ("token", &two), ("a/x", "x")]);
    };
    write(&node, 1);
    let mut bed = Bed::start(node);
    bed.until("p/vol watching").await;
    write(&bed.node, 1);
    bed.quiet(SOON, "a sync of kubelet").await;
    bed.read("p", "a/b/vault");
    let first = bed.current("p");
    bed.until(&format!("p/vol opened {first} a/b/vault")).await;
    for generation in 2..6 {
        write(&bed.node, generation);
        let current = bed.current("p");
        bed.until(&format!("p/vol watching {current}")).await;
        bed.quiet(SOON, "a rotation").await;
        bed.read("p", "a/b/vault");
        bed.until(&format!("p/vol opened {current} a/b/vault")).await;
        bed.read("p", "token");
        bed.until(&format!("p/vol opened {current} token")).await;
    }
});
