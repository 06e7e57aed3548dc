//! The API server's own answer about a token, beside the verdict: for people and for scripts.

use serde_json::{Value, json};
use tokenwatch_core::base::text::shown;
use tokenwatch_core::engine::{AccountState, Why};
use tokenwatch_core::world::cluster::PodStage;
use tokenwatch_core::world::keys::KeyState;
use tokenwatch_core::world::tokens::Verdict;

use crate::sources::token_review::{Agreement, NoReview, Review, agreement};

/// An answer, and how it fits the verdict.
#[derive(Debug)]
pub(super) struct Reviewed {
    answer: Result<Review, NoReview>,
    verdict: Verdict,
    agreement: Agreement,
}

impl Reviewed {
    /// `is_refused`: something else than the times shows that the API server refuses the token.
    pub(super) fn new(
        answer: Result<Review, NoReview>,
        verdict: Verdict,
        is_refused: bool,
    ) -> Self {
        let of_answer = |review: &Review| agreement(review, verdict, is_refused);
        let agreement = answer.as_ref().map_or(Agreement::NotKnown, of_answer);
        Self { answer, verdict, agreement }
    }

    /// Whether one of them accepts the token, and the other does not.
    pub(super) fn disagrees(&self) -> bool {
        self.agreement == Agreement::Disagree
    }

    /// For people, without a full stop.
    pub(super) fn text(&self) -> String {
        match &self.answer {
            Ok(review) => format!("{}{}", of_review(review), self.doubt()),
            Err(why) => format!("not known, because {}", shown(&why.to_string())),
        }
    }

    fn doubt(&self) -> String {
        if self.disagrees() {
            format!("; this is not what tokenwatch expects (verdict {})", self.verdict.name())
        } else {
            String::new()
        }
    }

    /// For scripts.
    pub(super) fn json(&self) -> Value {
        let review = self.answer.as_ref().ok();
        let reason = self.answer.as_ref().err().map(|why| shown(&why.to_string()).into_owned());
        let error = review.and_then(|review| review.error.as_deref()).map(shown);
        json!({
            "authenticated": review.map(|review| review.is_authenticated),
            "error": error,
            "audiences": review.map(audiences),
            "agrees": self.agreement.value(),
            "not_known_because": reason,
        })
    }
}

fn of_review(review: &Review) -> String {
    let reason = review.error.as_deref().map(|error| format!(": {}", shown(error)));
    match (review.is_authenticated, audiences(review)) {
        (true, none) if none.is_empty() => "the API server accepts it".to_owned(),
        (true, some) => format!("the API server accepts it for {}", some.join(", ")),
        (false, _) => format!("the API server refuses it{}", reason.unwrap_or_default()),
    }
}

fn audiences(review: &Review) -> Vec<String> {
    review.audiences.iter().map(|audience| shown(audience).into_owned()).collect()
}

/// Whether something else than the times shows that the API server refuses a token of this node.
pub(super) fn is_refused(why: &Why) -> bool {
    let by_key = matches!(why.key, KeyState::Missing | KeyState::Unknown);
    let by_account = matches!(why.account, AccountState::Lost(_));
    by_key || by_account || matches!(why.stage, PodStage::Deleted(_))
}
