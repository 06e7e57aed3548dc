//! Whether a reader is ready for an API server that no longer extends the expiry of tokens
//! (`--service-account-extend-token-expiration=false`, or an upgrade that turns it off).

use tokenwatch_core::world::readers::{Habit, ReaderVerdict};

use super::{Held, Moment, Reader};

/// What happens to a reader without the extension. The worst is the last.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Readiness {
    /// It reads each new token in time.
    Ready,
    /// It reads again after a 401: a short burst of errors in each lifetime.
    Recovers,
    /// The agent has not seen enough.
    Unknown,
    /// It keeps a token past the time at which the API server would refuse it.
    Fails,
}

impl Readiness {
    /// The name in JSON.
    pub fn name(self) -> &'static str {
        match self {
            Self::Ready => "ready",
            Self::Recovers => "recovers",
            Self::Unknown => "unknown",
            Self::Fails => "fails",
        }
    }
}

impl Reader {
    /// What happens to it without the extension, as of `now`. Nothing if its token is not extended,
    /// or if it never reads one.
    pub fn readiness(&self, now: Moment) -> Option<Readiness> {
        let is = |verdict: ReaderVerdict| self.verdict == verdict.name();
        let is_extended = self.token_is_extended || self.refused_without_extension().is_some();
        if !is_extended || is(ReaderVerdict::NeverRead) {
            return None;
        }
        Some(if self.is_subpath {
            Readiness::Fails
        } else if self.habit.name == Habit::AfterRefusal.name() {
            Readiness::Recovers
        } else if self.is_stale() {
            Readiness::Fails
        } else if is(ReaderVerdict::Unknown) || self.holds_too_long(now) {
            Readiness::Unknown
        } else {
            self.by_habit()
        })
    }

    /// Whether it has not read the current token, and the one that it read would be refused by now.
    fn holds_too_long(&self, now: Moment) -> bool {
        let is_replaced = self.held.as_ref().is_some_and(|held| !held.is_current);
        is_replaced && self.refused_without_extension().is_some_and(|at| at.0 <= now.0)
    }

    /// When an API server without the extension would refuse the token that it holds.
    pub fn refused_without_extension(&self) -> Option<Moment> {
        self.held.as_ref().and_then(|held| held.dead_without_extension)
    }

    /// A habit of a newer agent is not known.
    fn by_habit(&self) -> Readiness {
        let is = |habit: Habit| self.habit.name == habit.name();
        let is_often_enough = || self.habit.period.is_some_and(|period| self.is_enough(period));
        if is(Habit::Once) {
            Readiness::Fails
        } else if is(Habit::EachRequest) || is(Habit::OnChange) || is_often_enough() {
            Readiness::Ready
        } else {
            Readiness::Unknown
        }
    }

    /// Whether a read every `period` seconds is in time: kubelet leaves a fifth of the lifetime
    /// between two tokens.
    fn is_enough(&self, period: f64) -> bool {
        let life = |held: &Held| Some(held.dead_without_extension?.0 - held.issued_at.0);
        let life = self.held.as_ref().and_then(life);
        life.is_some_and(|life| period < life.as_secs_f64() / 5.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::reader_list::sample::healthy;
    use crate::sinks::http::sample::{NOW, token};
    use tokenwatch_core::base::time::Delta;
    use tokenwatch_core::world::readers::{HeldGeneration, ReaderView};

    #[test]
    fn the_habit_and_the_verdict_tell_what_happens() {
        use Readiness::{Fails, Ready, Recovers, Unknown};
        let minute = |minutes: i64| Habit::Every { period: Delta::from_secs(60 * minutes) };
        let table = [
            (ReaderVerdict::Stale, Habit::Unknown, Fails),
            (ReaderVerdict::Stale, Habit::AfterRefusal, Recovers),
            (ReaderVerdict::Current, Habit::Once, Fails),
            (ReaderVerdict::Current, Habit::AfterRefusal, Recovers),
            (ReaderVerdict::Current, Habit::EachRequest, Ready),
            (ReaderVerdict::Current, Habit::OnChange, Ready),
            (ReaderVerdict::Waiting, minute(5), Ready),
            (ReaderVerdict::Current, minute(30), Unknown), // kubelet leaves it 12 minutes
            (ReaderVerdict::Current, Habit::Unknown, Unknown),
            (ReaderVerdict::Unknown, Habit::EachRequest, Unknown),
        ];
        let token = token("cart-0", 600);
        for (verdict, habit, expected) in table {
            let mut view = healthy(&token, NOW.wall);
            let mut held = view.held.take().unwrap();
            held.dead_without_extension = Some(held.issued_at + Delta::from_secs(3_667));
            (view.held, view.verdict, view.habit) = (Some(held), verdict, habit);
            assert_eq!(
                Reader::of(&view).readiness(Moment(NOW.wall)),
                Some(expected),
                "{verdict:?} {habit:?}"
            );
        }
        let reader = |verdict, extended| {
            let view = ReaderView { held: None, verdict, ..healthy(&token, NOW.wall) };
            Reader { token_is_extended: extended, ..Reader::of(&view) }.readiness(Moment(NOW.wall))
        };
        assert_eq!(reader(ReaderVerdict::Unknown, true), Some(Unknown), "no read was seen");
        assert_eq!(reader(ReaderVerdict::Stale, true), Some(Fails), "something holds an old one");
        assert_eq!(reader(ReaderVerdict::NeverRead, true), None);
        assert_eq!(reader(ReaderVerdict::Unknown, false), None, "not extended");
        let mut late = healthy(&token, NOW.wall);
        late.habit = Habit::EachRequest;
        let held = late.held.take().map(|held| HeldGeneration {
            is_current: false,
            dead_without_extension: Some(NOW.wall - Delta::from_secs(1)),
            ..held
        });
        let late = Reader::of(&ReaderView { held, verdict: ReaderVerdict::Waiting, ..late });
        assert_eq!(late.readiness(Moment(NOW.wall)), Some(Unknown), "it has not read in time");
        let by_subpath = Reader { is_subpath: true, ..late };
        assert_eq!(by_subpath.readiness(Moment(NOW.wall)), Some(Fails));
    }
}
