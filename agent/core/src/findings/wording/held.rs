//! What becomes of a token that somebody keeps after kubelet has replaced it.

use crate::base::time::{Delta, Wall};
use crate::base::value::Attributes;
use crate::world::readers::HeldGeneration;
use crate::world::tokens::Exchange;

/// The evidence that an API server without the extension of expiry would refuse the token.
pub(crate) const WITHOUT_EXTENSION: &str = "refused_without_extension_from";

/// When requests with the token start to fail.
pub(super) fn death(held: &HeldGeneration, now: Wall) -> String {
    let left = held.dead_at - now;
    if let Some(exchange) = held.exchange {
        return exchanged(held, exchange, left);
    }
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

/// When a service starts to refuse it that issues a credential for it: requests fail later, when
/// that credential ends.
fn exchanged(held: &HeldGeneration, exchange: Exchange, left: Delta) -> String {
    let service = exchange.name();
    let refused = if left > Delta::ZERO {
        format!("{service} refuses the old token from {} on, in {left}", held.dead_at.rfc3339())
    } else {
        format!("{service} has refused the old token since {}", held.dead_at.rfc3339())
    };
    let ends = match exchange.credential_life().zip(held.credential_ends_by()) {
        Some((life, end)) => format!(
            "A credential lives {life}, if nobody chose another time: requests fail by {}.",
            end.rfc3339()
        ),
        None => "How long a credential lives is not known: requests fail when it ends.".to_owned(),
    };
    format!("{refused}, and issues no new credential for it. {ends}")
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
        .with_some(WITHOUT_EXTENSION, held.dead_without_extension)
        .with_some("exchanged_by", held.exchange.map(Exchange::name))
        .with_some("credential_ends_by", held.credential_ends_by())
}
