//! The units of systemd whose messages are read.

/// What the name of a unit ends with, if it has no other type.
const SERVICE: &str = ".service";

/// The units whose messages are read.
#[derive(Clone, Debug)]
pub(in crate::sources) struct Units(Vec<String>);

impl Units {
    /// Those that are known, and these: a name without a type is that of a service.
    pub(in crate::sources) fn new(known: &[&str], more: &[String]) -> Self {
        let full = |unit: &String| {
            if unit.contains('.') { unit.clone() } else { format!("{unit}{SERVICE}") }
        };
        let known = known.iter().map(|unit| (*unit).to_owned());
        Self(known.chain(more.iter().map(full)).collect())
    }

    /// Whether this is one of them.
    pub(super) fn has(&self, unit: &[u8]) -> bool {
        self.0.iter().any(|known| known.as_bytes() == unit)
    }

    /// The longest name.
    pub(super) fn longest(&self) -> usize {
        self.0.iter().map(String::len).max().unwrap_or_default()
    }
}
