//! The model of one node: its service-account tokens, its clock, and what is wrong with them.
//!
//! This crate is pure: it does no I/O, no async, and reads neither clocks nor the environment. The
//! sources pass it observations ([`world::observation`]), and [`engine::Engine::step`] returns
//! reports and queries. Every function that needs the time takes a [`base::time::Reading`].
//!
//! Data flows one way: `world` holds the observed state, `diagnosis` derives typed symptoms and
//! their causes, `findings` puts them into words, `ledger` tracks findings over time, `traces`
//! builds spans, and `engine` connects these steps.

#![cfg_attr(not(test), deny(clippy::wildcard_enum_match_arm))]

pub mod base;
pub mod diagnosis;
pub mod engine;
pub mod findings;
pub mod ledger;
pub mod replay;
pub mod traces;
pub mod view;
pub mod world;
