//! The finding about an API server's clock.

use super::names::plural;
use crate::base::text::shown;
use crate::base::time::{Delta, Wall};
use crate::base::value::Attributes;
use crate::findings::cause::CERTIFICATE_NAMES;
use crate::findings::{
    Code, Finding, Remedy, ShownBy, SkewEffect, SkewSymptom, Subject, WRONG, WrongClock,
};

/// The evidence that counts the tokens which show that an API server's clock is ahead.
pub(crate) const BY_TOKENS: &str = "tokens";

/// Names of certificates in a sentence. The evidence has all of them.
const MAX_SHOWN: usize = 4;

/// What the time daemon of a control-plane node thinks of its sources.
const ASK_DAEMON: &str = "chronyc tracking || timedatectl timesync-status || ntpq -p";

/// The finding that the API server's clock differs.
pub(crate) fn skew(node: &str, symptom: &SkewSymptom) -> Finding {
    let effects: Vec<String> =
        symptom.effects.iter().map(|effect| format!(" {}", broken(*effect, symptom))).collect();
    Finding {
        code: Code::ApiserverSkew,
        severity: symptom.severity,
        subject: Subject::node(node),
        summary: format!("{}{}", who(symptom), effects.concat()),
        deadline: None::<Wall>,
        evidence: evidence(symptom),
        remedy: remedy(symptom.wrong),
        trace: None,
    }
}

fn who(symptom: &SkewSymptom) -> String {
    let SkewSymptom { ahead, bound, .. } = symptom;
    let side = if *ahead < Delta::ZERO { "behind" } else { "ahead of" };
    // Tokens show only how far it is ahead at least.
    let (by, error, how) = match symptom.shown_by {
        ShownBy::Answers(count) => {
            let answers = plural(u64::from(count), "answer");
            (ahead.abs().to_string(), format!(" (±{bound})"), format!("by the Date of {answers}"))
        }
        ShownBy::Tokens(count) => {
            let tokens = plural(u64::from(count), "new token");
            (format!("at least {ahead}"), String::new(), format!("by the iat of {tokens}"))
        }
    };
    let side = |what: &str| format!("{by} {side} {what}{error}, {how}");
    match symptom.wrong {
        WrongClock::ApiServer => {
            format!("The API server's clock is {}. The API server is wrong.", side("true time"))
        }
        WrongClock::OneApiServer => format!(
            "The clock of one of several API servers{} is {}. That API server is wrong: the same \
             token may be accepted by one and refused by another.",
            named(&symptom.names),
            side("true time")
        ),
        WrongClock::EitherApiServer => format!(
            "The clocks of two API servers{} are {by} apart{error}, {how}. No time source has \
             shown yet which of them is wrong. The same token may be accepted by one and refused \
             by the other.",
            named(&symptom.names)
        ),
        WrongClock::NodeOrApiServer => format!(
            "The API server's clock is {}. No time source has shown yet which of the two is wrong.",
            side("this node's clock")
        ),
    }
}

/// The names that only their certificates have.
fn named(names: &[String]) -> String {
    let mut few: Vec<_> = names.iter().take(MAX_SHOWN).map(|name| shown(name)).collect();
    if names.len() > MAX_SHOWN {
        few.push("…".into());
    }
    if names.is_empty() { String::new() } else { format!(" (certificate: {})", few.join(", ")) }
}

fn broken(effect: SkewEffect, symptom: &SkewSymptom) -> String {
    let tokens = |count: usize| plural(count as u64, "token");
    match effect {
        SkewEffect::NotYetValid => format!(
            "New tokens are not valid for {} at a verifier whose clock is right. When the clock \
             is corrected, they are not valid at the API server either, and kubelet does not \
             replace them.",
            symptom.ahead
        ),
        SkewEffect::DeadBeforeRefresh(count) => format!(
            "The API server refuses {} of this node before kubelet replaces them, each time.",
            tokens(count)
        ),
        SkewEffect::RefreshedEachSync(count) => format!(
            "kubelet requests {} of this node again with each sync: they look due by the node's \
             clock.",
            tokens(count)
        ),
        SkewEffect::FutureDated(count) => format!(
            "It dates {} of this node in the future, and kubelet replaces them as much later.",
            tokens(count)
        ),
    }
}

fn evidence(symptom: &SkewSymptom) -> Attributes {
    let effects: Vec<String> = symptom.effects.iter().map(|effect| name(*effect)).collect();
    Attributes::new()
        .with(WRONG, symptom.wrong.name())
        .with("ahead", symptom.ahead)
        .with("bound", symptom.bound)
        .with("ahead_of_node", symptom.ahead_of_node)
        .and(shown_by(symptom.shown_by))
        .and(certificates(&symptom.names))
        .with("effects", effects.as_slice())
}

fn certificates(names: &[String]) -> Attributes {
    if names.is_empty() {
        return Attributes::new();
    }
    Attributes::new().with(CERTIFICATE_NAMES, names)
}

fn shown_by(shown_by: ShownBy) -> Attributes {
    match shown_by {
        ShownBy::Answers(count) => Attributes::new().with("answers", i64::from(count)),
        ShownBy::Tokens(count) => Attributes::new().with(BY_TOKENS, i64::from(count)),
    }
}

fn name(effect: SkewEffect) -> String {
    match effect {
        SkewEffect::NotYetValid => "not_yet_valid".to_owned(),
        SkewEffect::DeadBeforeRefresh(count) => format!("dead_before_refresh: {count}"),
        SkewEffect::RefreshedEachSync(count) => format!("refreshed_each_sync: {count}"),
        SkewEffect::FutureDated(count) => format!("future_dated: {count}"),
    }
}

/// Nobody should correct a clock before it is certain which one is wrong.
fn remedy(wrong: WrongClock) -> Remedy {
    let text = match wrong {
        WrongClock::ApiServer | WrongClock::OneApiServer => {
            "Repair time synchronisation on the control-plane node. Then restart the pods whose \
             tokens are named then (token.future_dated, token.not_yet_valid): kubelet does not \
             replace those."
        }
        WrongClock::EitherApiServer => {
            "Compare the clocks of the control-plane nodes with a time server, and repair the one \
             that is wrong."
        }
        WrongClock::NodeOrApiServer => {
            "Find out which of the two is wrong before you correct either: name time servers in \
             clock.servers, and compare the control-plane node with one."
        }
    };
    Remedy { text: text.to_owned(), command: Some(ASK_DAEMON.to_owned()) }
}
