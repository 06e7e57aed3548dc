//! A value that changes at known seconds.

/// The value from each second on.
pub(crate) struct Timeline<T>(Vec<(i64, T)>);

impl<T: Copy> Timeline<T> {
    /// The same value all the time.
    pub(crate) fn always(value: T) -> Self {
        Self(vec![(i64::MIN, value)])
    }

    /// Another value from `second` on. Changes come in the order of time.
    pub(crate) fn change(&mut self, second: i64, value: T) {
        self.0.push((second, value));
    }

    /// The value at `second`.
    pub(crate) fn at(&self, second: i64) -> T {
        let by_then = self.0.iter().rev().find(|(from, _)| *from <= second);
        by_then.unwrap_or(&self.0[0]).1
    }

    /// The seconds at which it changes.
    pub(crate) fn changes(&self) -> impl Iterator<Item = i64> {
        self.0.iter().skip(1).map(|(second, _)| *second)
    }
}
