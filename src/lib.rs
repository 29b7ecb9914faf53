//! The integrations gateway: the plane on which a platform's sites connect to other companies' systems.
//!
//! The map of this house, from the ground up; `ARCHITECTURE.md` tells the two paths through it.
//!
//! `domain ← connector, vault, egress, store, bus ← service ← worker, graphql ← web ← app ← main`
//!
//! A module imports from those to its left only; `domain` and `connector` are pure. A test reads the
//! imports and fails where this is broken.

pub mod app;
pub mod bus;
pub mod config;
pub mod connector;
pub mod domain;
pub mod egress;
pub mod graphql;
pub mod sandbox;
pub mod service;
pub mod store;
pub mod vault;
pub mod web;
pub mod worker;
