//! What the time of a finding means for requests. On the page, a deadline is when they start to
//! fail, and nothing else.

use tokenwatch_core::base::time::Wall;
use tokenwatch_core::engine::{Status, TokenView};
use tokenwatch_core::findings::{Code, Finding};
use tokenwatch_core::world::tokens::Deadlines;

use super::html::Away;

/// The time of a finding.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Moment {
    /// Requests start to fail.
    Deadline(Wall),
    /// The token goes stale. It then works only because the API server extends its expiry.
    Stale(Wall),
    /// Requests stop failing.
    ValidFrom(Wall),
}

impl Moment {
    /// The time of `finding`, if it has one.
    pub(super) fn of(finding: &Finding, status: &Status) -> Option<Self> {
        let at = finding.deadline?;
        let key = finding.subject.token_key();
        let token = key.and_then(|key| status.tokens.iter().find(|token| token.key == key));
        let is_stale =
            |token: &TokenView| is_extended(&token.deadlines) && token.deadlines.effective == at;
        Some(if finding.code == Code::NotYetValid {
            Self::ValidFrom(at)
        } else if token.is_some_and(is_stale) {
            Self::Stale(at)
        } else {
            Self::Deadline(at)
        })
    }

    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Deadline(_) => "deadline",
            Self::Stale(_) => "stale from",
            Self::ValidFrom(_) => "valid from",
        }
    }

    pub(super) fn at(self) -> Wall {
        match self {
            Self::Deadline(at) | Self::Stale(at) | Self::ValidFrom(at) => at,
        }
    }

    /// As the end of a sentence about the finding.
    pub(super) fn in_words(self, now: Wall) -> String {
        let away = Away(self.at(), now);
        let is_ahead = self.at() > now;
        match self {
            Self::Deadline(_) if is_ahead => format!(", requests fail {away}"),
            Self::Deadline(_) => format!(", deadline passed {away}"),
            Self::Stale(_) if is_ahead => format!(", goes stale {away}"),
            Self::Stale(_) => format!(", went stale {away}"),
            Self::ValidFrom(at) => format!(", requests fail until {}", at.clock_time()),
        }
    }
}

/// Whether the API server accepts the token after it is stale.
pub(super) fn is_extended(deadlines: &Deadlines) -> bool {
    deadlines.expires > deadlines.effective
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sinks::http::page::sample::{empty, finding, token, token_of};
    use tokenwatch_core::findings::Severity;

    #[test]
    fn a_deadline_is_when_requests_start_to_fail() {
        let (plain, expired) = (token("a", 3_300), token("b", 3_700));
        let extended = token_of("c", 3_300, 31_536_000, Some(3_607));
        let stale = token_of("d", 3_700, 31_536_000, Some(3_607));
        let table = [
            (&plain, Code::RotationStalled, "deadline", ", requests fail in 5m 00s"),
            (&expired, Code::Expired, "deadline", ", deadline passed 1m 40s ago"),
            (&extended, Code::RotationStalled, "stale from", ", goes stale in 5m 07s"),
            (&stale, Code::RotationStalled, "stale from", ", went stale 1m 33s ago"),
            (&plain, Code::NotYetValid, "valid from", ", requests fail until 08:05:00"),
        ];
        for (token, code, name, words) in table {
            let mut status = empty();
            status.tokens = vec![token.clone()];
            let (finding, _) = finding(token, code, Severity::Warning);
            let moment = Moment::of(&finding, &status).unwrap();
            assert_eq!((moment.name(), moment.in_words(status.now.wall)), (name, words.to_owned()));
        }
    }
}
