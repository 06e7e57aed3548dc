//! What happens, and when: the demo's script as a table.
//!
//! Tokens that live for 600 s fit into a minute because most of their life lies before it: their
//! `iat` is long past when they are written. The agent needs no support for this: it goes by `iat`,
//! `exp` and the node's clock.

use tokenwatch_core::base::time::Delta;

/// A pod with one token.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Role {
    /// Its namespace.
    pub(super) namespace: &'static str,
    /// Its name.
    pub(super) pod: &'static str,
    /// Its service account.
    pub(super) service_account: &'static str,
    /// The volume.
    pub(super) volume: &'static str,
    /// The file in the volume.
    pub(super) path: &'static str,
    /// The token's audience. None: the API server.
    pub(super) audience: Option<&'static str>,
    /// The lifetime that the pod's specification requests.
    pub(super) lifetime: Delta,
    /// Whether the API server extends it to a year.
    pub(super) extended: bool,
}

/// What is done at a cue.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Act {
    /// kubelet writes a token into the pod's volume. The pod is made if it does not exist.
    Write {
        /// The pod.
        role: &'static Role,
        /// Time from the token's `iat` to the write; negative if `iat` is in the future.
        age: Delta,
    },
    /// A program in the pod begins to use the token.
    Use {
        /// The pod.
        role: &'static Role,
        /// Whether it keeps the file open, and so never sees another token.
        keeps: bool,
    },
    /// The pod is removed, with its program.
    Remove(&'static Role),
    /// Nothing is done: the caption describes what happens by itself.
    Watch,
}

/// One line of the script.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Cue {
    /// Time from the start of the script.
    pub(super) at: Delta,
    /// What is done.
    pub(super) act: Act,
    /// What the demo prints about it. Empty: nothing.
    pub(super) caption: &'static str,
}

/// The shortest lifetime Kubernetes grants (kubernetes pkg/apis/core/validation).
const SHORT: Delta = Delta::from_secs(600);
/// What the admission plugin requests for every pod (kubernetes
/// plugin/pkg/admission/serviceaccount).
const USUAL: Delta = Delta::from_secs(3_607);

/// Its token is rotated in time.
pub(super) const CART: Role =
    role("shop", "cart-6c9f7d8b5-q4x2m", "cart", "kube-api-access-q7d9k", SHORT);
/// Its token is rotated in time, and its program keeps the old one.
pub(super) const CHECKOUT: Role =
    role("shop", "checkout-7d5b9c6f4-z8h6p", "checkout", "kube-api-access-s4c8t", SHORT);
/// The replacement of [`CHECKOUT`].
pub(super) const CHECKOUT_AGAIN: Role =
    role("shop", "checkout-7d5b9c6f4-k2v9w", "checkout", "kube-api-access-g7n3d", SHORT);
/// Its token is never rotated again.
pub(super) const LEDGER: Role =
    role("payments", "ledger-5f7c8d9b64-t8xkd", "ledger", "kube-api-access-m2v5c", SHORT);
/// The replacement of [`LEDGER`].
pub(super) const LEDGER_AGAIN: Role =
    role("payments", "ledger-5f7c8d9b64-9wm2r", "ledger", "kube-api-access-x6j4f", SHORT);
/// Its token is signed by an API server whose clock is ahead.
pub(super) const REPORT: Role =
    role("batch", "nightly-report-29381760-7hk2p", "reporter", "kube-api-access-b8w3n", SHORT);
/// It has an extended token in the middle of its life.
pub(super) const DNS: Role = Role {
    extended: true,
    ..role("kube-system", "coredns-7db6d8ff4d-nl5wz", "coredns", "kube-api-access-f5h2t", USUAL)
};
/// It has a token for another audience than the API server, in a directory of its volume.
pub(super) const PROMETHEUS: Role = Role {
    path: "tokens/vault",
    audience: Some("https://vault.example"),
    ..role("monitoring", "prometheus-0", "prometheus", "vault-token", Delta::from_secs(7_200))
};

const fn role(
    namespace: &'static str,
    pod: &'static str,
    service_account: &'static str,
    volume: &'static str,
    lifetime: Delta,
) -> Role {
    let path = "token";
    let (audience, extended) = (None, false);
    Role { namespace, pod, service_account, volume, path, audience, lifetime, extended }
}

/// When the servers' time begins to move ahead: after the first spans have arrived, which show the
/// correct clock. The agent collects spans for 5 s.
const CLOCK_LEAVES: Delta = Delta::from_secs(6);
/// How long it moves.
const CLOCK_RUNS: Delta = Delta::from_secs(3);
/// How far it moves: well beyond the limit of 500 ms, and too little to change a verdict here.
pub(super) const CLOCK_OFF: Delta = Delta::from_secs(12);
/// When it is correct again. Early, because the agent keeps a clock finding for a minute before it
/// counts as resolved.
const CLOCK_RETURNS: Delta = Delta::from_secs(14);

/// From here on the demo may end, if everything has arrived.
pub(super) const ENDS: Delta = Delta::from_secs(70);
/// Here it ends in any case: with the agent's 5 s to flush it stays below 90 s.
pub(super) const GIVES_UP: Delta = Delta::from_secs(83);

/// How often the programs use their tokens.
pub(super) const USES_EVERY: Delta = Delta::from_secs(4);

/// The script, in order of time. The ages of CART and LEDGER follow from kubelet's rule for 600 s:
/// due at 480 s, late at 576, stalled at 590.
pub(super) const CUES: &[Cue] = &[
    write(0, &CART, 460, ""),
    write(0, &CHECKOUT, 456, ""),
    write(0, &LEDGER, 542, ""),
    write(0, &DNS, 900, ""),
    write(
        0,
        &PROMETHEUS,
        300,
        "Five pods run on the node. Three time servers agree with its clock.",
    ),
    start(3, &CART, false),
    start(3, &CHECKOUT, true),
    watch(
        6,
        "The three time servers move ahead, by 12 s in the end. To the agent it looks as if the \
         node's clock fell behind.",
    ),
    watch(
        14,
        "The time servers and the node agree again. The agent keeps the finding for one minute, so \
         that it does not flap.",
    ),
    watch(20, "shop/cart: the token is due for rotation (80 % of its 600 s have passed)."),
    write(
        22,
        &CART,
        0,
        "shop/cart: kubelet replaces the token 2 s after it was due. This is a healthy rotation, \
         and the program reads the new token.",
    ),
    write(
        25,
        &CHECKOUT,
        0,
        "shop/checkout: kubelet replaces the token 1 s after it was due. The program opened the \
         file at its start, keeps it open, and uses the old token.",
    ),
    write(
        26,
        &REPORT,
        -50,
        "batch/nightly-report starts. The API server that signed its token has a clock that is \
         50 s ahead.",
    ),
    watch(33, "payments/ledger: its token was due 95 s ago. kubelet cannot reach the API server."),
    write(
        38,
        &REPORT,
        0,
        "batch/nightly-report: the API server's clock is correct again. kubelet replaces the \
         token.",
    ),
    watch(47, "payments/ledger: kubelet has not replaced the token. It expires in 11 s."),
    watch(57, "payments/ledger: kubelet has still not replaced the token. It expires in 1 s."),
    remove(62, &CHECKOUT, ""),
    write(
        62,
        &CHECKOUT_AGAIN,
        0,
        "shop/checkout: an operator restarts the pod, before the old token is refused.",
    ),
    remove(66, &LEDGER, ""),
    write(
        66,
        &LEDGER_AGAIN,
        0,
        "payments/ledger: an operator deletes the pod. Its replacement starts with a new token.",
    ),
];

const fn write(at: i64, role: &'static Role, age: i64, caption: &'static str) -> Cue {
    Cue { at: Delta::from_secs(at), act: Act::Write { role, age: Delta::from_secs(age) }, caption }
}

const fn start(at: i64, role: &'static Role, keeps: bool) -> Cue {
    Cue { at: Delta::from_secs(at), act: Act::Use { role, keeps }, caption: "" }
}

const fn remove(at: i64, role: &'static Role, caption: &'static str) -> Cue {
    Cue { at: Delta::from_secs(at), act: Act::Remove(role), caption }
}

const fn watch(at: i64, caption: &'static str) -> Cue {
    Cue { at: Delta::from_secs(at), act: Act::Watch, caption }
}

/// How far the time servers are ahead of the node at a moment.
pub(super) fn clock_offset(at: Delta) -> Delta {
    if at < CLOCK_LEAVES || at >= CLOCK_RETURNS {
        return Delta::ZERO;
    }
    let run = (at - CLOCK_LEAVES).min(CLOCK_RUNS);
    CLOCK_OFF.fraction(run.as_nanos(), CLOCK_RUNS.as_nanos())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::demo::stage::signed;
    use tokenwatch_core::base::time::Wall;
    use tokenwatch_core::world::tokens::{
        Deadlines, Decoded, KubeletPolicy, Scratch, State, decode,
    };

    const START: Wall = Wall::from_secs(1_800_000_000);

    fn deadlines(role: &'static Role) -> Deadlines {
        let signer = tokenwatch_lab::signer::Signer::new().unwrap();
        let first = CUES.iter().find_map(|cue| match cue.act {
            Act::Write { role: whose, age } => {
                (whose == role).then(|| signed(&signer, role, START + cue.at - age).unwrap())
            }
            Act::Use { .. } | Act::Remove(_) | Act::Watch => None,
        });
        match decode(first.unwrap().as_bytes(), &mut Scratch::new()) {
            Decoded::Token(token) => Deadlines::of(&token.to_claims(), &KubeletPolicy::default()),
            other @ (Decoded::Legacy(_) | Decoded::Other | Decoded::Malformed(_)) => {
                panic!("not a token: {other:?}")
            }
        }
    }

    fn at(secs: i64) -> Wall {
        START + Delta::from_secs(secs)
    }

    #[test]
    fn tokens_change_state_at_the_times_of_the_captions() {
        let (cart, ledger) = (deadlines(&CART), deadlines(&LEDGER));
        assert_eq!(cart.due, at(20));
        let checkout = deadlines(&CHECKOUT);
        assert_eq!(checkout.due, at(24));
        assert!(checkout.expires > at(62), "the operator is in time");
        assert_eq!(
            [ledger.late, ledger.stalled, ledger.expires].map(Wall::as_secs),
            [at(34), at(48), at(58)].map(Wall::as_secs)
        );
        let report = deadlines(&REPORT);
        assert_eq!(
            (report.issued - at(26)).as_secs(),
            50,
            "ahead by more than 10 s and the bound until it is replaced"
        );
        assert_eq!(
            report.state(at(26)),
            State::Fresh,
            "within the leeway, or it would be not valid yet"
        );
    }

    #[test]
    fn no_other_token_is_due_before_the_end() {
        for role in [&DNS, &PROMETHEUS, &LEDGER_AGAIN, &CHECKOUT_AGAIN] {
            assert_eq!(deadlines(role).state(START + GIVES_UP), State::Fresh, "{}", role.pod);
        }
    }

    #[test]
    fn the_clock_is_off_for_a_while() {
        let table = [(0, 0), (6, 0), (7, 4), (9, 12), (13, 12), (14, 0), (80, 0)];
        for (secs, offset) in table {
            assert_eq!(
                clock_offset(Delta::from_secs(secs)),
                Delta::from_secs(offset),
                "at {secs} s"
            );
        }
    }

    #[test]
    fn the_cues_are_in_order_and_leave_time_for_the_end() {
        assert!(CUES.is_sorted_by_key(|cue| cue.at));
        assert!(CUES.iter().all(|cue| cue.at < ENDS));
        // Correct at 14 s, measured within one interval, kept for 60 s: all before the demo gives
        // up.
        assert!(CLOCK_RETURNS + Delta::from_secs(60 + 5) < GIVES_UP);
        assert!(GIVES_UP + Delta::from_secs(5) < Delta::from_secs(90));
    }
}
