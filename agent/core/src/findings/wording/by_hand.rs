//! What is particular to a token that kubelet has not requested, and does not replace.

use super::lifetime::time_left;
use crate::base::text::shown;
use crate::base::time::Wall;
use crate::world::tokens::{Bound, Generation};

/// What to do about it.
pub(super) const REMEDY: &str = "Find out what put the token into the volume, such as a Secret, \
                                 and put a new one there. With a serviceAccountToken source in the \
                                 volume, kubelet would renew the token.";

/// That nobody has replaced it.
pub(super) fn summary(token: &str, generation: &Generation, now: Wall) -> String {
    let left = time_left(generation, now);
    format!("{token} is near its end, and kubelet does not replace it: {}. {left}", why(generation))
}

fn why(generation: &Generation) -> String {
    match generation.claims.binding.bound() {
        Bound::Pod(pod) => format!("it is bound to pod {}", shown(&pod.name)),
        Bound::Secret(secret) => format!("it is bound to Secret {}", shown(&secret.name)),
        Bound::Node(node) => format!("it is bound to node {}", shown(&node.name)),
        Bound::Nothing => "it is bound to no pod".to_owned(),
    }
}
