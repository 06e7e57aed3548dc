//! What becomes of a token that somebody keeps after kubelet has replaced it.

use crate::base::time::{Delta, Wall};
use crate::base::value::Attributes;
use crate::world::readers::HeldGeneration;

/// When requests with the token start to fail.
pub(super) fn death(held: &HeldGeneration, now: Wall) -> String {
    let left = held.dead_at - now;
    if left <= Delta::ZERO && left > -Delta::from_secs(1) {
        return "The old token is refused from now on: requests get 401.".to_owned();
    }
    match held.dead_without_extension {
        None if left > Delta::ZERO => format!(
            "The old token is refused from {} on, in {left}: requests then get 401.",
            held.dead_at.rfc3339()
        ),
        Some(earlier) if left > Delta::ZERO => {
            format!(
                "The old token works until {}, {}",
                held.dead_at.rfc3339(),
                unextended(earlier, now)
            )
        }
        Some(_) | None => {
            format!("The old token has been refused for {}: requests get 401.", -left)
        }
    }
}

/// What the extension hides.
fn unextended(earlier: Wall, now: Wall) -> String {
    let would = if earlier > now { "refuses" } else { "has refused" };
    let since = if earlier > now { "from" } else { "since" };
    format!(
        "because the API server extends its expiry. A cluster without the extension {would} it \
         {since} {}.",
        earlier.rfc3339()
    )
}

/// The token that is held, and when it is refused.
pub(super) fn evidence(held: &HeldGeneration) -> Attributes {
    Attributes::new()
        .with("held_generation", held.id.as_str())
        .with("held_issued_at", held.issued_at)
        .with("refused_from", held.dead_at)
        .with_some("refused_without_extension_from", held.dead_without_extension)
}
