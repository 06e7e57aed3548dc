//! The tests that take longest: up to 20 minutes, in which tokens are rotated twice.
//!
//! Tests start in the order of their names, and so these start first. Last, they would run for ten
//! minutes after all others.

mod evicted;
mod faulty;
mod healthy;
mod incidents;
