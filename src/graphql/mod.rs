//! The API: GraphQL types over the domain, guards, queries, mutations, subscriptions.
//!
//! `web` hands in a [`Caller`](crate::service::Caller) and a request. The [`gate`] reads, validates and bounds its
//! document before any executor sees it, and remembers what it has found; everything below goes through `service`, never past it into
//! `store`. What a field requires stands in the schema (`@requires`) and is checked in the field's own
//! resolver by [`guard::guarded`]; a test walks the schema and tries each.
//!
//! Rows that were read together stay together (`sets`): the first of them that needs something related
//! loads it for all, so that a page of N records costs a fixed number of queries.

mod actions;
mod activity;
mod answer;
mod api;
mod authorization;
mod connection;
mod connection_input;
mod delivery;
mod dispatch;
mod enums;
mod error;
mod gate;
mod guard;
mod history;
mod ids;
mod introspection;
mod library;
mod mutation;
mod node_sets;
mod page;
mod plain;
mod query;
mod request;
mod retry;
mod role;
mod scalars;
mod scope;
mod sets;
mod settings;
mod statistics;
mod subscription;
mod test_report;
mod viewer;

pub use answer::{is_plain, is_request_error, to_json};
pub use api::{Api, ApiSettings, sdl};
pub use gate::{DocumentLimits, Gate, Persisted};
pub use ids::authorization_id;
pub use introspection::Introspection;
pub use request::{Incoming, Ready};
