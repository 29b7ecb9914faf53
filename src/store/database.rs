//! The database: opening it, and its pools of connections.
//!
//! SQLite has one connection that writes and several that only read, PostgreSQL one pool for both.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use diesel::connection::{Instrumentation, InstrumentationEvent};
use diesel_async::{
    AsyncPgConnection, SimpleAsyncConnection as _,
    pooled_connection::deadpool::{Object, Pool, PoolError},
};

use super::{
    address::Address,
    error::{Result, StoreError},
    migrate, postgres,
    sqlite::{self, SqliteLink},
    transaction::both,
};
use crate::domain::clock::{SharedEntropy, random};

/// The longest wait for a connection from the pool, a new one's establishment included. Asking for
/// SQLite's only writer twice from one task ends here instead of never.
const CONNECTION_WAIT: Duration = Duration::from_secs(10);

/// Where the database is, and how it is reached.
#[derive(Clone)]
pub struct DatabaseSettings {
    /// `sqlite:PATH` or `postgres://user@host/name`. May hold a password.
    pub url: String,
    /// Connections: those that read on SQLite (one that writes comes on top), all of them on PostgreSQL.
    pub pool: u32,
    /// PEM certificates that are trusted for TLS to PostgreSQL, besides the public roots. Asks for TLS.
    pub ca_pem: Option<Vec<u8>>,
}

impl std::fmt::Debug for DatabaseSettings {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let scheme = self.url.split(':').next().unwrap_or_default();
        f.debug_struct("DatabaseSettings").field("scheme", &scheme).field("pool", &self.pool).finish_non_exhaustive()
    }
}

/// Which of the two databases.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DatabaseKind {
    Sqlite,
    Postgres,
}

/// The database, as everyone in the process shares it. Cheap to clone.
#[derive(Clone)]
pub struct Db {
    pools: Pools,
    entropy: SharedEntropy,
    statements: Arc<AtomicU64>,
}

#[derive(Clone)]
enum Pools {
    Sqlite { writer: Pool<SqliteLink>, readers: Pool<SqliteLink> },
    Postgres(Pool<AsyncPgConnection>),
}

/// A connection from a pool.
#[expect(clippy::large_enum_variant, reason = "one at a time, on the stack of whoever has borrowed it")]
pub(super) enum Conn {
    Sqlite(Object<SqliteLink>),
    Postgres(Object<AsyncPgConnection>),
}

impl Db {
    /// Opens the database and makes sure that it answers. A missing SQLite file is made, with its directory.
    ///
    /// # Errors
    /// [`StoreError::InvalidUrl`] where the settings are wrong, [`StoreError::Unavailable`] where the
    /// database does not answer.
    pub async fn open(settings: &DatabaseSettings, entropy: SharedEntropy) -> Result<Self> {
        let statements = Arc::new(AtomicU64::new(0));
        let counter = Counter(Arc::clone(&statements));
        let pools = match Address::parse(settings)? {
            Address::Sqlite(path) => {
                sqlite::make_directory(&path)?;
                Pools::Sqlite {
                    writer: sqlite::pool(&path, sqlite::Role::Writer, 1, &counter)?,
                    readers: sqlite::pool(&path, sqlite::Role::Reader, settings.pool.max(1), &counter)?,
                }
            }
            Address::Postgres(server) => Pools::Postgres(postgres::pool(*server, settings.pool.max(1), &counter)?),
        };
        let db = Self { pools, entropy, statements };
        // The writer first: it turns an SQLite file to write-ahead logging, which its readers need.
        drop(db.writer().await?);
        db.ping().await?;
        Ok(db)
    }

    /// Brings the database up to date. Two processes may do so at once: one waits for the other.
    ///
    /// # Errors
    /// [`StoreError::NewerSchema`] where a newer release has been here.
    pub async fn migrate(&self) -> Result<()> {
        migrate::run(self).await
    }

    /// Whether the database is at exactly the state that this release needs.
    ///
    /// # Errors
    /// [`StoreError::NotMigrated`] or [`StoreError::NewerSchema`] where it is not.
    pub async fn check_schema(&self) -> Result<()> {
        migrate::check(self).await
    }

    /// Whether every table has every column that this release reads: what a migration by hand can break.
    ///
    /// # Errors
    /// [`StoreError::Database`] where one is missing.
    pub async fn check_tables(&self) -> Result<()> {
        migrate::read_every_table(self).await
    }

    /// Whether the database answers.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`] or [`StoreError::Database`] where it does not.
    pub async fn ping(&self) -> Result<()> {
        let conn = &mut self.reader().await?;
        both!(conn, conn.batch_execute("SELECT 1").await)?;
        Ok(())
    }

    /// How many statements this database has been sent since it was opened.
    #[must_use]
    pub fn query_count(&self) -> u64 {
        self.statements.load(Ordering::Relaxed)
    }

    /// Which of the two databases this is.
    #[must_use]
    pub const fn kind(&self) -> DatabaseKind {
        match self.pools {
            Pools::Sqlite { .. } => DatabaseKind::Sqlite,
            Pools::Postgres(_) => DatabaseKind::Postgres,
        }
    }

    /// A connection that only reads. Each statement sees what was committed when it began.
    pub(super) async fn reader(&self) -> Result<Conn> {
        match &self.pools {
            Pools::Sqlite { readers, .. } => Ok(Conn::Sqlite(in_time(readers.get()).await?)),
            Pools::Postgres(pool) => Ok(Conn::Postgres(in_time(pool.get()).await?)),
        }
    }

    /// A connection that may write; for transactions and single statements.
    pub(super) async fn writer(&self) -> Result<Conn> {
        match &self.pools {
            Pools::Sqlite { writer, .. } => Ok(Conn::Sqlite(in_time(writer.get()).await?)),
            Pools::Postgres(pool) => Ok(Conn::Postgres(in_time(pool.get()).await?)),
        }
    }

    /// A random number, for lease tokens and the marks of stream events.
    pub(super) fn random_number(&self) -> i64 {
        i64::from_le_bytes(random(self.entropy.as_ref()))
    }
}

/// Waits for a connection, but not for ever.
async fn in_time<T>(connection: impl Future<Output = std::result::Result<T, PoolError>>) -> Result<T> {
    match tokio::time::timeout(CONNECTION_WAIT, connection).await {
        Ok(lent) => lent.map_err(|error| StoreError::Unavailable(error.to_string())),
        Err(_) => {
            Err(StoreError::Unavailable(format!("no connection came free within {} s", CONNECTION_WAIT.as_secs())))
        }
    }
}

/// Counts statements.
#[derive(Clone)]
pub(super) struct Counter(Arc<AtomicU64>);

impl Instrumentation for Counter {
    fn on_connection_event(&mut self, event: InstrumentationEvent<'_>) {
        if matches!(event, InstrumentationEvent::StartQuery { .. }) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }
}
