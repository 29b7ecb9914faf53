//! The store's conformance suite: each case runs on SQLite and on PostgreSQL, on a database of its own.
//!
//! A case is a `pub async fn` that takes a [`Fresh`] database; `on_both!` at the end of each file makes
//! the two tests of it.

#![expect(clippy::unwrap_used, reason = "a case that meets an error fails")]

mod authorizations;
mod checks;
mod connections;
mod deliveries;
mod fixtures;
mod isolation;
mod lists;
mod log;
mod observations;
mod paging;
mod renewals;
mod retention;
mod retries;
mod rollups;
mod schema;
mod settlements;
mod streams;
mod switches;
mod transactions;

use integrations_gateway::{
    domain::clock::SharedEntropy,
    store::{DatabaseSettings, Db},
};
use tempfile::TempDir;

use crate::support::{clock::SeededEntropy, postgres, rows};

/// A database that is up to date and empty, for one case alone.
pub struct Fresh {
    pub db: Db,
    pub url: String,
    /// Holds an SQLite file as long as the case runs.
    _folder: Option<TempDir>,
}

impl Fresh {
    /// Changes rows past the store.
    pub async fn execute(&self, statement: &str) {
        rows::execute(&self.url, statement).await;
    }
}

/// Opens a database as the process does.
pub async fn open(url: &str) -> Db {
    let settings = DatabaseSettings { url: url.to_owned(), pool: 8, ca_pem: None };
    let entropy: SharedEntropy = SeededEntropy::new(7);
    Db::open(&settings, entropy).await.expect("the database opens")
}

/// An empty SQLite file without tables.
pub async fn bare_sqlite() -> Fresh {
    let folder = tempfile::tempdir().expect("a folder for the file");
    let url = format!("sqlite:{}", folder.path().join("data/gateway.db").display());
    Fresh { db: open(&url).await, url, _folder: Some(folder) }
}

/// An empty PostgreSQL database without tables.
pub async fn bare_postgres() -> Fresh {
    let url = postgres::database().await;
    Fresh { db: open(&url).await, url, _folder: None }
}

pub async fn sqlite() -> Fresh {
    let fresh = bare_sqlite().await;
    fresh.db.migrate().await.expect("the migrations run");
    fresh
}

pub async fn postgres() -> Fresh {
    let migrate = |url: String| async move { open(&url).await.migrate().await.expect("the migrations run") };
    let url = postgres::database_from("store_conformance", migrate).await;
    Fresh { db: open(&url).await, url, _folder: None }
}

/// Makes the tests of these cases, one on each database.
macro_rules! on_both {
    ($($case:ident),+ $(,)?) => {
        mod sqlite {
            $(#[tokio::test(flavor = "multi_thread")]
            async fn $case() {
                super::$case(crate::store::sqlite().await).await;
            })+
        }
        mod postgres {
            $(#[tokio::test(flavor = "multi_thread")]
            async fn $case() {
                super::$case(crate::store::postgres().await).await;
            })+
        }
    };
}
use on_both;
