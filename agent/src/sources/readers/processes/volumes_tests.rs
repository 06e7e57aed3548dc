use std::os::unix::ffi::OsStringExt as _;

use super::*;

const POD: &str = "0f3a4b5c-1111-2222-3333-444455556666";
const OTHER: &str = "0f3a4b5c-1111-2222-3333-444455557777";

fn mount(minor: u32, root: &str, point: &str) -> Mount {
    Mount {
        device: Device::new(0, minor),
        root: root.into(),
        point: point.into(),
        is_read_only: true,
        is_tmpfs: true,
    }
}

/// Where the agent sees a volume of the pod.
fn on_host(pod: &str, volume: &str) -> String {
    format!("/host/var/lib/kubelet/pods/{pod}/volumes/kubernetes.io~projected/{volume}")
}

/// Each volume of the pod on the device of its number.
fn volumes(named: &[(u32, &str, &str)]) -> Volumes {
    let mut volumes = Volumes::default();
    volumes.update(&mounts(named));
    volumes
}

fn mounts(named: &[(u32, &str, &str)]) -> Vec<Mount> {
    named.iter().map(|(minor, pod, name)| mount(*minor, "/", &on_host(pod, name))).collect()
}

/// What the container's mounts are of the pod's volumes.
fn seen(volumes: &Volumes, mounts: &[Mount]) -> Vec<Seen> {
    let candidates: Vec<Mount> = mounts.iter().filter(|one| is_candidate(one)).cloned().collect();
    let identify = |mount: &Mount| volumes.identify(POD, mount, &candidates);
    mounts
        .iter()
        .map(|mount| candidates.contains(mount).then(|| identify(mount)).flatten())
        .collect()
}

type Seen = Option<(String, MountKind)>;

fn current(name: &str) -> Seen {
    (name.to_owned(), MountKind::Current).into()
}

fn frozen(name: &str) -> Seen {
    (name.to_owned(), MountKind::Frozen).into()
}

fn subpath(name: &str, (directory, path): (&str, &str), deleted: bool) -> Seen {
    let [directory, path] = [directory, path].map(ToOwned::to_owned);
    (name.to_owned(), MountKind::Subpath { directory, path, deleted }).into()
}

#[test]
fn a_mount_is_known_by_the_device_of_its_volume() {
    let volumes = volumes(&[(7, POD, "tokens"), (8, POD, "vault"), (9, OTHER, "tokens")]);
    let mounts = [
        mount(7, "/", "/run/a"),
        mount(8, "/", "/run/b"),
        mount(8, "/..2026_11_28_10_00_00.1/token", "/run/token"),
        mount(8, "/..2026_11_28_10_00_00.1/token//deleted", "/run/old"),
        mount(8, "/..2026_11_28_10_00_00.1", "/run/directory"),
        mount(9, "/", "/run/of-another-pod"),
    ];
    let directory = "..2026_11_28_10_00_00.1";
    let expected = [
        current("tokens"),
        current("vault"),
        subpath("vault", (directory, "token"), false),
        subpath("vault", (directory, "token"), true),
        subpath("vault", (directory, ""), false),
        None,
    ];
    assert_eq!(seen(&volumes, &mounts), expected);
}

#[test]
fn only_what_may_be_a_projected_volume_is_looked_at() {
    let table = [
        (mount(7, "/", "/run/a"), true),
        (mount(7, "/", "/dev/shm"), false),
        (mount(7, "/", "/proc/acpi"), false),
        (mount(7, "/", "/sys/firmware"), false),
        (mount(7, "/", "/device"), true),
        (mount(7, "/data", "/run/a"), false),
        (mount(7, "//deleted", "/run/a"), false),
        // An agent of the node sees all volumes, and its own not only there.
        (mount(7, "/", &on_host(POD, "tokens")), false),
        (Mount { is_tmpfs: false, ..mount(7, "/", "/run/a") }, false),
    ];
    for (mount, expected) in table {
        assert_eq!(is_candidate(&mount), expected, "{mount:?}");
    }
}

#[test]
fn a_volume_that_kubelet_mounted_again_is_frozen_in_the_container() {
    let mut volumes = volumes(&[(7, POD, "tokens"), (8, POD, "vault")]);
    volumes.update(&mounts(&[(17, POD, "tokens"), (8, POD, "vault")]));
    let inside = [mount(7, "/", "/run/a"), mount(8, "/", "/run/b")];
    assert_eq!(seen(&volumes, &inside), [frozen("tokens"), current("vault")]);
    let again = [mount(17, "/", "/run/a"), mount(8, "/", "/run/b")];
    assert_eq!(seen(&volumes, &again), [current("tokens"), current("vault")], "after a restart");
}

#[test]
fn a_mount_over_the_volume_is_the_volume() {
    let volumes = volumes(&[(7, POD, "tokens"), (17, POD, "tokens")]);
    let inside = [mount(7, "/", "/run/a"), mount(17, "/", "/run/b")];
    assert_eq!(seen(&volumes, &inside), [frozen("tokens"), current("tokens")]);
}

#[test]
fn without_a_volume_to_compare_with_nothing_is_frozen() {
    let mut volumes = volumes(&[(7, POD, "tokens"), (8, POD, "vault")]);
    volumes.update(&mounts(&[(8, POD, "vault")]));
    assert_eq!(seen(&volumes, &[mount(7, "/", "/run/a")]), [None], "kubelet removes the pod");
    volumes.update(&[]);
    assert_eq!(seen(&volumes, &[mount(7, "/", "/run/a")]), [None]);
    (1..MAX_ABSENT).for_each(|_| volumes.update(&[]));
    assert!(volumes.is_empty() && volumes.all.is_empty());
}

#[test]
fn volumes_whose_names_differ_in_a_byte_stay_two() {
    let at = |byte: u8| {
        let place = [on_host(POD, "v").into_bytes(), vec![byte]].concat();
        PathBuf::from(std::ffi::OsString::from_vec(place))
    };
    let mut volumes = Volumes::default();
    let on = |minor, byte| Mount { point: at(byte), ..mount(minor, "/", "/") };
    volumes.update(&[on(7, 0xff), on(8, 0xfe)]);
    let inside = [mount(7, "/", "/run/a"), mount(8, "/", "/run/b")];
    assert_eq!(seen(&volumes, &inside), [current("v\0ff"), current("v\0fe")]);
    assert_eq!(volumes.points(POD).collect::<Vec<_>>(), [at(0xfe), at(0xff)]);
}

#[test]
fn a_pod_with_any_number_of_volumes_takes_no_room_of_others() {
    for is_first in [true, false] {
        let hog = (100..20_100).map(|minor| mount(minor, "/", &on_host(OTHER, &minor.to_string())));
        let few = mounts(&[(7, POD, "tokens"), (8, POD, "vault")]);
        let all: Vec<Mount> =
            if is_first { hog.chain(few).collect() } else { few.into_iter().chain(hog).collect() };
        let mut volumes = Volumes::default();
        volumes.update(&all);
        assert_eq!((volumes.count(POD), volumes.left_out(POD)), (2, 0), "{is_first}");
        let (followed, left_out) = (volumes.count(OTHER), volumes.left_out(OTHER));
        assert_eq!((followed, left_out), (MAX_VOLUMES - 2, 20_002 - MAX_VOLUMES), "{is_first}");
        volumes.update(&all[..MAX_VOLUMES]);
        assert_eq!(volumes.left_out(OTHER), 0);
    }
}

#[test]
fn a_volume_that_kubelet_mounts_again_after_a_look_is_frozen_in_the_container() {
    let mut volumes = volumes(&[(7, POD, "tokens")]);
    volumes.update(&[]);
    volumes.update(&mounts(&[(17, POD, "tokens")]));
    assert_eq!(seen(&volumes, &[mount(7, "/", API_ACCESS[0])]), [frozen("tokens")]);
}

#[test]
fn a_volume_that_was_replaced_before_the_agent_started_is_known_by_its_place() {
    let own = "kube-api-access-x2x2x";
    let named = [(17, POD, own), (8, POD, "vault"), (9, POD, "other")];
    let volumes = volumes(&named);
    let account = "/var/run/secrets/kubernetes.io/serviceaccount";
    // (mounts of the container, what the first one is)
    let table = [
        (vec![mount(7, "/", account), mount(8, "/", "/b"), mount(9, "/", "/c")], frozen(own)),
        (vec![mount(7, "/", &account.replace("/var", "")), mount(8, "/", "/b")], frozen(own)),
        // It has the volume: this is something else.
        (vec![mount(7, "/", account), mount(17, "/", "/a")], None),
        // The only one that it lacks.
        (vec![mount(7, "/", "/b"), mount(17, "/", account), mount(9, "/", "/c")], frozen("vault")),
        (vec![mount(7, "/", "/b"), mount(17, "/", account)], None),
        (vec![mount(7, "/", "/b"), mount(6, "/", "/x"), mount(9, "/", "/c")], None),
        (
            vec![mount(7, "/..2026/token", "/b"), mount(9, "/", "/c")],
            subpath("vault", ("..2026", "token"), false),
        ),
        // An emptyDir in memory is the container's own, and can be written.
        (vec![Mount { is_read_only: false, ..mount(7, "/", "/b") }, mount(9, "/", "/c")], None),
    ];
    for (mounts, expected) in table {
        assert_eq!(seen(&volumes, &mounts)[0], expected, "{mounts:?}");
    }
}

#[test]
fn what_the_host_has_mounted_elsewhere_is_no_old_volume() {
    let mut volumes = Volumes::default();
    let secret = format!("/host/var/lib/kubelet/pods/{POD}/volumes/kubernetes.io~secret/tls");
    let mut on_host = mounts(&[(17, POD, "kube-api-access-x2x2x")]);
    on_host.push(mount(7, "/", &secret));
    volumes.update(&on_host);
    assert_eq!(seen(&volumes, &[mount(7, "/", "/etc/tls")]), [None]);
}

#[test]
fn a_subpath_of_an_old_volume_is_known_by_kubelets_own_mount() {
    let mut volumes = Volumes::default();
    let mut on_host = mounts(&[(17, POD, "tokens"), (8, POD, "vault")]);
    let bound = format!("/host/var/lib/kubelet/pods/{POD}/volume-subpaths/tokens/app/0");
    on_host.push(mount(7, "/..2026/token", &bound));
    volumes.update(&on_host);
    let inside = [mount(7, "/..2026/token//deleted", "/run/token")];
    assert_eq!(seen(&volumes, &inside), [subpath("tokens", ("..2026", "token"), true)]);
}

#[test]
fn the_pod_of_a_process_is_the_one_whose_volume_it_has() {
    let mut volumes = volumes(&[(7, POD, "tokens"), (8, OTHER, "tokens")]);
    let agent = [mount(7, "/", "/run/a"), mount(8, "/", &on_host(OTHER, "tokens"))];
    assert_eq!(volumes.pod_of(&agent), Some(POD));
    assert_eq!(volumes.pod_of(&[mount(7, "/", "/run/a"), mount(8, "/", "/b")]), None);
    assert_eq!(volumes.pod_of(&[mount(9, "/", "/run/a")]), None);
    volumes.leave_out_own(&agent);
    assert_eq!(volumes.pods().into_iter().collect::<Vec<_>>(), [OTHER]);
}

#[test]
fn only_kubelets_own_paths_are_volumes() {
    let table = [
        (on_host(POD, "v"), true),
        (format!("/k/pods/{POD}/volumes/kubernetes.io~projected/v"), true),
        (format!("/k/pods/{POD}/volumes/kubernetes.io~secret/v"), false),
        (format!("/k/pods/{POD}/volumes/kubernetes.io~projected"), false),
        (format!("/k/other/{POD}/volumes/kubernetes.io~projected/v"), false),
        ("/volumes/kubernetes.io~projected/v".to_owned(), false),
        ("/".to_owned(), false),
    ];
    for (point, expected) in table {
        assert_eq!(volume_at(Path::new(&point)).is_some(), expected, "{point}");
    }
}
