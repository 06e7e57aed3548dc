//! What the API server shows of the token that is explained, if the settings enable it.

use tokenwatch_core::world::tokens::{Signature, Verdict};

use crate::cli::review::Reviewed;
use crate::config::Settings;
use crate::environment::Environment;
use crate::setup::api_server;
use crate::sources::api_once::ApiOnce;
use crate::sources::token_review::{NoReview, Review};
use crate::sources::tokens::TokenBytes;

/// What the API server showed.
#[derive(Debug, Default)]
pub(in crate::cli) struct Asked {
    pub(in crate::cli) signature: Option<Signature>,
    /// Why the signature was not checked.
    pub(in crate::cli) why_not: Option<String>,
    /// Its own answer about the token, if somebody wants it.
    pub(in crate::cli) review: Option<Result<Review, NoReview>>,
}

impl Asked {
    /// The answer beside the verdict. `is_refused`: something else than the times shows that the
    /// API server refuses the token.
    pub(super) fn reviewed(&self, verdict: Verdict, is_refused: bool) -> Option<Reviewed> {
        let answer = self.review.clone()?;
        Some(Reviewed::new(answer, verdict, is_refused))
    }
}

const OFF: &str = "the Kubernetes API is not enabled (kubernetes.enabled)";

/// Requests the public keys, and checks the signature. With `review`, asks about the token itself,
/// for its own audiences.
pub(super) async fn ask(
    settings: &Settings,
    environment: &Environment,
    token: TokenBytes,
    review: Option<&[String]>,
) -> Asked {
    match api_server(settings, environment) {
        Ok(Some(client)) => asked(&ApiOnce::new(client), token, review).await,
        Ok(None) => without(OFF, review.is_some()),
        Err(error) => without(&error.to_string(), review.is_some()),
    }
}

async fn asked(api: &ApiOnce, token: TokenBytes, audiences: Option<&[String]>) -> Asked {
    let (signature, why_not) = api.signature(&token).await;
    let review = match audiences {
        Some(audiences) => Some(api.review(token, audiences).await),
        None => None,
    };
    Asked { signature, why_not, review }
}

fn without(why_not: &str, is_review_wanted: bool) -> Asked {
    let review = is_review_wanted.then(|| Err(NoReview::NoServer(why_not.to_owned())));
    Asked { signature: None, why_not: Some(why_not.to_owned()), review }
}
