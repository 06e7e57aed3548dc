//! Names and counts in sentences.

pub(super) use crate::base::text::count_of as plural;
use crate::base::text::shown;
use crate::world::cluster::PodRef;

/// `Token "token" of pod shop/cart-0 (volume kube-api-access-x)`.
pub(super) fn token(pod: &PodRef, volume: &str, path: &str) -> String {
    format!("Token \"{}\" of {} (volume {})", shown(path), self::pod(pod), shown(volume))
}

/// `pod shop/cart-0`
pub(super) fn pod(pod: &PodRef) -> String {
    match (&pod.namespace, &pod.name) {
        (Some(namespace), Some(name)) => format!("pod {}/{}", shown(namespace), shown(name)),
        (Some(_), None) | (None, Some(_) | None) => format!("pod UID {}", shown(&pod.uid)),
    }
}

/// The text with its first letter in lower case.
pub(super) fn lower_first(text: &str) -> String {
    let mut letters = text.chars();
    letters
        .next()
        .map_or_else(String::new, |first| format!("{}{}", first.to_lowercase(), letters.as_str()))
}
