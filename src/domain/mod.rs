//! The nouns of the house, and the decisions that need nothing but their arguments.
//!
//! Pure: no database, no network, no clock and no randomness; whoever calls hands those in
//! (see [`clock`]). Everything else in the crate may import this module; it imports nothing.

pub mod action;
pub mod activity;
pub mod authorization;
pub mod capability;
pub mod clock;
pub mod connection;
pub mod connector;
pub mod delivery;
pub mod encoded;
pub mod event;
pub mod exchange;
pub mod fold;
pub mod id;
pub mod pace;
pub mod page;
pub mod principal;
pub mod query;
pub mod retry;
pub mod secret;
pub mod settings;
pub mod state;
pub mod statistics;
pub mod test_report;
pub mod vocabulary;
