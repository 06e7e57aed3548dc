//! The finding about a token that a container mounts by `subPath`.

use crate::base::text::shown;
use crate::base::time::Wall;
use crate::base::value::Attributes;
use crate::world::cluster::MountedPart;
use crate::world::tokens::Generation;
use crate::world::{Facts, PinEnd, Pinned};

/// When the first container loses its token, if that is known.
pub(super) fn deadline(facts: &Facts<'_>) -> Option<Wall> {
    first(&facts.pinned()).and_then(|pinned| Some(pinned.end?.at))
}

/// The mount that ends first; of those without a known end, the first one.
fn first<'a>(pinned: &[Pinned<'a>]) -> Option<Pinned<'a>> {
    pinned
        .iter()
        .copied()
        .min_by_key(|one| one.end.map_or(Wall::from_nanos(i64::MAX), |end| end.at))
}

/// What the finding says after the name of the token.
pub(super) fn summary(token: &str, facts: &Facts<'_>, now: Wall) -> String {
    let pinned = facts.pinned();
    let Some(one) = first(&pinned) else { return token.to_owned() };
    let others = match pinned.len() - 1 {
        0 => String::new(),
        more => format!(" (and {more} more)"),
    };
    let mount = format!(
        "container {} mounts {} by subPath at {}{others}",
        shown(one.container),
        if one.is_file() { "it" } else { "its directory" },
        shown(one.mount_path),
    );
    format!("{token} is never replaced in a container: {mount}. {}", effect(&one, facts, now))
}

fn effect(pinned: &Pinned<'_>, facts: &Facts<'_>, now: Wall) -> String {
    match (pinned.part, pinned.end) {
        (MountedPart::Directory, Some(end)) if end.at <= now => {
            "kubelet has rotated the token since the container started, and the file is gone there."
                .to_owned()
        }
        (MountedPart::Directory, end) => format!(
            "kubelet deletes the files there at the next rotation{}.",
            end.map(|end| format!(", due at {}", end.at.rfc3339())).unwrap_or_default()
        ),
        (MountedPart::File | MountedPart::Whole, end) => of_file(end, facts.generation(), now),
    }
}

fn of_file(end: Option<PinEnd>, generation: Option<&Generation>, now: Wall) -> String {
    let Some(PinEnd { at, exact }) = end else {
        return "The container keeps the token of its start until that expires.".to_owned();
    };
    let latest = if exact { "" } else { " at the latest" };
    let extended = generation.is_some_and(|generation| generation.claims.warn_after.is_some());
    match (at <= now, extended) {
        (true, _) => {
            format!("The container's token expired {} ago{latest}: requests get 401.", now - at)
        }
        (false, false) => format!(
            "The container's token expires in {}, at {}{latest}. Then requests get 401.",
            at - now,
            at.rfc3339()
        ),
        (false, true) => format!(
            "The container's token works until {}{latest}, because the API server extends its \
             expiry.",
            at.rfc3339()
        ),
    }
}

/// Each mount: container, path in it, and when it ends.
pub(super) fn evidence(facts: &Facts<'_>) -> Attributes {
    let pinned = facts.pinned();
    let list = |of: fn(&Pinned<'_>) -> String| pinned.iter().map(of).collect::<Vec<String>>();
    Attributes::new()
        .with("subpath_mounts", list(mount).as_slice())
        .with_some("container_started", first(&pinned).and_then(|one| one.started))
}

/// `app /var/run/token`
fn mount(pinned: &Pinned<'_>) -> String {
    format!("{} {}", pinned.container, pinned.mount_path)
}
