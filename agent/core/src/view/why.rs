//! Everything that decides whether the API server accepts one token, at one moment.

use super::{Scene, TokenView};
use crate::base::time::Delta;
use crate::findings::{Finding, Subject};
use crate::world::Facts;
use crate::world::clocks::Estimate;
use crate::world::cluster::{AccountLoss, PodStage};
use crate::world::keys::{KeySet, KeyState};
use crate::world::tokens::TokenKey;

/// Everything that decides whether the API server accepts one token.
#[derive(Clone, Debug, PartialEq)]
pub struct Why {
    /// The token.
    pub token: TokenView,
    /// The stage of its pod.
    pub stage: PodStage,
    /// Its service account.
    pub account: AccountState,
    /// What the API servers show of its key.
    pub key: KeyState,
    /// The keys and the issuer of the API server, if it published them.
    pub published: Option<KeySet>,
    /// The estimate of the node's clock.
    pub clock: Estimate,
    /// The clock of the API server that answered last, if enough answers show it.
    pub api_clock: Option<ApiClock>,
    /// The findings about the token and about the node, highest severity first.
    pub findings: Vec<Finding>,
}

/// The service account of a token, as the API server answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AccountState {
    /// It has not answered about this account.
    NotKnown,
    /// The account exists with the UID in the token.
    Exists,
    /// It was deleted, or replaced.
    Lost(AccountLoss),
}

/// The clock of an API server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ApiClock {
    /// How far it is ahead of the node's clock.
    pub ahead: Delta,
    /// The largest error of that.
    pub bound: Delta,
    /// Answers that show it.
    pub answers: u32,
}

impl Scene<'_> {
    /// What decides about this token. Nothing if there is no such token.
    pub(crate) fn why(&self, key: &TokenKey) -> Option<Why> {
        let world = self.world;
        let tracked = world.tokens.get(key)?;
        let interval = world.clock.estimate(&self.now).interval(self.now.wall);
        let facts = world.facts(key, &self.now, self.estimate)?;
        Some(Why {
            token: self.token(tracked, &interval)?,
            stage: facts.stage,
            account: self.account(&facts),
            key: facts.verifier.key,
            published: world.cluster.keys.published().cloned(),
            clock: *self.estimate,
            api_clock: self.api_clock(),
            findings: self.findings_about(key),
        })
    }

    fn account(&self, facts: &Facts<'_>) -> AccountState {
        let is_confirmed = |of| self.world.accounts.is_confirmed(of);
        match facts.lost {
            Some(loss) => AccountState::Lost(loss),
            None if facts.generation().is_some_and(is_confirmed) => AccountState::Exists,
            None => AccountState::NotKnown,
        }
    }

    fn api_clock(&self) -> Option<ApiClock> {
        let clock = self.world.cluster.verifiers.known(&self.now).into_iter().next()?;
        let (ahead, bound) = (clock.ahead.middle(), clock.ahead.half());
        Some(ApiClock { ahead, bound, answers: clock.answers })
    }

    fn findings_about(&self, key: &TokenKey) -> Vec<Finding> {
        let concerns = |finding: &Finding| match &finding.subject {
            Subject::Token { .. } => finding.subject.token_key().as_ref() == Some(key),
            Subject::Node { .. } => true,
            Subject::Server { .. } | Subject::File { .. } => false,
        };
        self.active_findings().into_iter().map(|(finding, _)| finding).filter(concerns).collect()
    }
}
