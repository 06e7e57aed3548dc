//! Measured figures beside their goals.

use std::fmt;

/// One line of the table.
pub struct Figure {
    pub name: String,
    pub measured: String,
    pub goal: String,
    /// None: for comparison only, without a goal.
    pub met: Option<bool>,
}

impl Figure {
    pub fn new(name: impl Into<String>, measured: impl Into<String>) -> Self {
        Self { name: name.into(), measured: measured.into(), goal: String::new(), met: None }
    }

    /// Adds an upper limit, and whether it is met.
    pub fn at_most(self, goal: impl Into<String>, met: bool) -> Self {
        Self { goal: format!("<= {}", goal.into()), met: Some(met), ..self }
    }
}

/// A row of a Markdown table.
impl fmt::Display for Figure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let verdict = match self.met {
            Some(true) => "met",
            Some(false) => "**missed**",
            None => "",
        };
        write!(f, "| {} | {} | {} | {verdict} |", self.name, self.measured, self.goal)
    }
}

pub fn megabytes(bytes: u64) -> String {
    format!("{:.2} MB", bytes as f64 / 1e6)
}

/// The value below which `percent` of the sorted `values` lie (nearest rank).
pub fn percentile(sorted: &[f64], percent: usize) -> f64 {
    let rank = (sorted.len() * percent).div_ceil(100).max(1) - 1;
    sorted.get(rank).copied().unwrap_or(f64::NAN)
}

pub fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    percentile(&values, 50)
}
