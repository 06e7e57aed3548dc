//! How long a token lives, who replaces it, and what ends it early.

use tokenwatch_core::base::text::shown;
use tokenwatch_core::base::time::{Delta, Wall};
use tokenwatch_core::engine::Why;
use tokenwatch_core::world::tokens::{Binding, Bound};

use crate::cli::output::{relative, whole};

/// Who replaces the token, and when.
pub(super) fn renewal(why: &Why, now: Wall) -> String {
    let due = why.token.deadlines.due;
    match (why.token.claims.binding.is_of_kubelet(), due > now) {
        (false, _) => " kubelet does not replace it: it is not bound to a pod.".to_owned(),
        (true, true) => format!(" kubelet replaces it {}.", relative(due, now)),
        (true, false) => String::new(),
    }
}

/// What the agent cannot know: it has no right on Secrets.
pub(super) fn unseen(binding: &Binding) -> Option<String> {
    match binding.bound() {
        Bound::Secret(secret) => Some(format!(
            " It is bound to Secret {}. Not known whether that still exists, because no agent may \
             read Secrets: without it, the API server refuses the token.",
            shown(&secret.name)
        )),
        Bound::Pod(_) | Bound::Node(_) | Bound::Nothing => None,
    }
}

/// Time to replace a token in which a pod has some syncs only: kubelet syncs it every 60 to 90 s.
const SHORT: Delta = Delta::from_secs(180);

/// Above the longest lifetime that tokens of other verifiers usually have (24 h).
const LONG: Delta = Delta::from_secs(172_800);
const LONG_LIVED: &str = " Until it expires, whoever has a copy of it can use it, as long as its \
                          pod exists.";

pub(super) fn lifetime(why: &Why) -> String {
    let deadlines = &why.token.deadlines;
    let life = whole(deadlines.effective - deadlines.issued);
    let slack = deadlines.effective - deadlines.due;
    let room = if slack < SHORT { "some syncs" } else { "many syncs" };
    let long = if deadlines.expires - deadlines.issued > LONG { LONG_LIVED } else { "" };
    let slack = whole(slack);
    if !why.token.claims.binding.is_of_kubelet() {
        return format!("It lives for {life}, and kubelet does not replace it.{long}");
    }
    format!(
        "It lives for {life}. kubelet has {slack} to replace it after it is due: {room} of the \
         pod.{long}"
    )
}
