//! The database: the only place that knows diesel.
//!
//! One file for each aggregate, with plain functions on [`Db`] and the small row structs that they
//! read and write. Every function takes the site that it acts for; only what workers
//! look for (what is due or to be cleared, and keys that are to be replaced) goes across sites. A change, its history row, its activity row
//! and its stream events commit together or not at all. `service` calls this module, and nobody else.
//!
//! Both databases run the same diesel expressions: [`transaction`] says how. Secrets come here sealed.

mod address;
mod database;
mod error;
mod fragment;
mod in_place;
mod keyset;
mod migrate;
mod moment;
mod postgres;
mod rows;
mod schema;
mod sqlite;
mod tls;
mod transaction;

pub mod activity;
pub mod authorization;
pub mod check;
pub mod closing;
pub mod connection;
pub mod credential;
pub mod delivery;
pub mod entry;
pub mod history;
pub mod offer;
pub mod operator;
pub mod renewal;
pub mod reseal;
pub mod retention;
pub mod role;
pub mod rollup;
pub mod settings;
pub mod site;
pub mod stream;

pub use self::{
    activity::{ConnectionRef, NewActivity},
    credential::{Seal, SealedCredential},
    database::{DatabaseKind, DatabaseSettings, Db},
    error::{Result, StoreError},
};
