//! A whole node in one process.
