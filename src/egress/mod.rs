//! The only place that calls out.
//!
//! Every call passes the same gate: only addresses that are public, or that the configuration allows,
//! are dialled; the check sits inside name resolution, so that the address checked is the address
//! called. Redirects are not followed, time and the size of bodies are bounded, and the log says where a
//! call went and how it ended, never what it carried. `service` is the only caller; `app` constructs.

mod client;
mod clients;
mod filter;
mod outcome;
mod resolver;
mod rules;

pub use client::{Egress, EgressSettings, Limits};
pub use rules::{AllowedDestination, ConnectTo};
