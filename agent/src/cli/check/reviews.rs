//! The API server asked about each token of the check.

use tokenwatch_core::engine::{Engine, TokenView};

use super::Checked;
use crate::cli::output::Layout;
use crate::cli::review::{Reviewed, is_refused};
use crate::cli::signature;
use crate::config::Settings;
use crate::environment::Environment;
use crate::setup::api_server;
use crate::sources::api_once::ApiOnce;
use crate::sources::token_review::{NoReview, Review, TokenFiles};

/// The answer about each token, in their order. One after the other: the API server should not
/// notice it.
pub(super) async fn of(
    settings: &Settings,
    environment: &Environment,
    engine: &Engine,
    checked: &Checked,
) -> Vec<Reviewed> {
    let api = api_server(settings, environment).ok().flatten().map(ApiOnce::new);
    let mut files = TokenFiles::new(checked.roots.clone());
    let mut reviews = Vec::with_capacity(checked.tokens.len());
    for token in &checked.tokens {
        let answer = answer(api.as_ref(), &mut files, token).await;
        let why = engine.why(&token.key, &checked.at);
        let is_refused =
            signature::is_wrong(token.signature) || why.as_ref().is_some_and(is_refused);
        reviews.push(Reviewed::new(answer, token.verdict, is_refused));
    }
    reviews
}

async fn answer(
    api: Option<&ApiOnce>,
    files: &mut TokenFiles,
    token: &TokenView,
) -> Result<Review, NoReview> {
    match api {
        Some(api) => api.review_file(files, (&token.key, &token.claims)).await,
        None => Err(NoReview::NoServer(OFF.to_owned())),
    }
}

const OFF: &str = "the Kubernetes API is not enabled (kubernetes.enabled)";

/// For people: each token with its answer. Nothing if nobody asked.
pub(super) fn section(checked: &Checked, name: fn(&TokenView) -> String, layout: Layout) -> String {
    let Some(reviews) = &checked.reviews else { return String::new() };
    let lines =
        checked.tokens.iter().zip(reviews).map(|(token, review)| {
            layout.wrap(&format!("{}: {}", name(token), review.text()), "  ")
        });
    let lines: String = lines.collect();
    let disagree = reviews.iter().filter(|review| review.disagrees()).count();
    format!("\n{}\n{lines}", layout.strong(&heading(disagree)))
}

fn heading(disagree: usize) -> String {
    match disagree {
        0 => "TokenReview: what the API server answers".to_owned(),
        some => format!("TokenReview: {some} of the API server's answers are not as expected"),
    }
}
