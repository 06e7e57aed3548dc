//! Any bytes as what names a kubelet root: a command line of kubelet, and the mount of a volume.

use std::path::{Component, Path};

use super::roots::{self, PROJECTED};

/// Where the host's root directory is mounted. There is no such directory.
const HOST: &str = "/no/host";
/// Most arguments of one input.
const MAX_ARGUMENTS: usize = 64;

/// Arguments, each with a NUL behind it. A root is one of them, and stays below the mount of the
/// host's root directory.
pub(crate) fn command_line(bytes: &[u8]) {
    let arguments = bytes.split(|byte| *byte == 0).take(MAX_ARGUMENTS);
    let arguments: Vec<String> =
        arguments.map(|one| String::from_utf8_lossy(one).into_owned()).collect();
    let Some(root) = roots::root_dir(&arguments) else { return };
    let is_given = |argument: &String| root.to_str().is_some_and(|root| argument.ends_with(root));
    assert!(
        root.is_absolute() && arguments.iter().any(is_given),
        "{arguments:?}: {}",
        root.display()
    );
    let seen = roots::within(Path::new(HOST), &root);
    let is_name = |part: Component<'_>| matches!(part, Component::Normal(_));
    let is_below = seen.strip_prefix(HOST).is_ok_and(|below| below.components().all(is_name));
    assert!(is_below, "{} of the host is {}", root.display(), seen.display());
}

/// The root of a volume is what comes before `pods/UID/volumes/…/NAME` in the place of its mount.
pub(crate) fn mount_point(point: &Path) {
    let Some(root) = roots::root_of_volume(point) else { return };
    let parts: Option<Vec<_>> = point.strip_prefix(root).ok().map(|below| below.iter().collect());
    assert!(
        parts.as_ref().is_some_and(|parts| parts.len() == 5 && parts[0] == "pods"),
        "{}",
        point.display()
    );
    assert!(
        point.parent().is_some_and(|parent| parent.ends_with(PROJECTED)),
        "{}",
        point.display()
    );
}
