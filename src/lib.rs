//! The integrations gateway.

pub mod domain;
