//! Findings over time: raise, hold, remind, clear.
