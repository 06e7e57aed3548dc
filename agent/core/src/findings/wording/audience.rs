//! The finding about a token whose audience does not fit the client that reads it.

use crate::base::text::shown;
use crate::base::value::Attributes;
use crate::world::cluster::{Container, Convention};
use crate::world::{Facts, Misfit, MisfitKind};

/// What the finding says after the name of the token.
pub(super) fn summary(token: &str, misfit: Misfit, facts: &Facts<'_>) -> String {
    let Misfit { convention, kind } = misfit;
    let verifier = convention.verifier();
    let given = format!(
        "{token} is for {}, and {} gives it to {verifier} ({}).",
        audiences(facts),
        client(convention, facts),
        convention.sign()
    );
    format!("{given} {}", consequence(convention, kind))
}

fn consequence(convention: Convention, kind: MisfitKind) -> String {
    let usual = convention.usual().unwrap_or_default();
    match (kind, convention.usual()) {
        (MisfitKind::Refused, None) => {
            "The API server has other audiences, and answers 401 to this one.".to_owned()
        }
        (MisfitKind::Refused, Some(_)) => format!("That accepts {usual} alone."),
        (MisfitKind::Misspelt, _) => format!(
            "It looks like {usual} with a mistake in it: it is refused unless somebody has \
             configured exactly this audience there."
        ),
        (MisfitKind::Chosen, None) => {
            "A client of the API server gets 401 with it; the client of a service that looks in \
             the same place does not."
                .to_owned()
        }
        (MisfitKind::Chosen, Some(_)) => format!(
            "The usual audience is {usual}: it is refused unless somebody has configured this one \
             there, which the agent cannot see."
        ),
    }
}

/// `container app`, or `a client` where the agent does not know who.
fn client(convention: Convention, facts: &Facts<'_>) -> String {
    let names: Vec<_> = reading(convention, facts).map(|one| shown(&one.name)).collect();
    match names.as_slice() {
        [] => "a client".to_owned(),
        [one] => format!("container {one}"),
        [one, others @ ..] => format!("container {one} (and {} more)", others.len()),
    }
}

/// The containers that read the token by this convention.
fn reading<'a>(
    convention: Convention,
    facts: &Facts<'a>,
) -> impl Iterator<Item = &'a Container> + use<'a> {
    let (pod, key) = (facts.pod(), &facts.tracked.key);
    let mounts = pod.into_iter().flat_map(|pod| pod.mounts(key));
    mounts
        .filter(move |(_, mount)| mount.convention == Some(convention))
        .map(|(container, _)| container)
}

fn audiences(facts: &Facts<'_>) -> String {
    let all = facts.generation().map(|of| of.claims.audiences.as_slice()).unwrap_or_default();
    let shown: Vec<_> = all.iter().map(|one| shown(one)).collect();
    if shown.is_empty() { "no audience".to_owned() } else { shown.join(", ") }
}

/// What shows the client, and what its verifier accepts.
pub(super) fn evidence(misfit: Misfit) -> Attributes {
    let Misfit { convention, kind } = misfit;
    Attributes::new()
        .with("read_by", convention.sign())
        .with("verifier", convention.verifier())
        .with_some("usual_audience", convention.usual())
        .with("audience_is", name(kind))
}

fn name(kind: MisfitKind) -> &'static str {
    match kind {
        MisfitKind::Chosen => "unusual",
        MisfitKind::Misspelt => "misspelt",
        MisfitKind::Refused => "refused",
    }
}
