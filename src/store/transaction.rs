//! Transactions: opened, closed and, where the database gives up on one for no fault of its own,
//! run again from the start.
//!
//! A transaction begins on SQLite with BEGIN IMMEDIATE, since one that reads first and writes later
//! fails when another writer came between; on PostgreSQL it is READ COMMITTED. Locks are taken in this
//! order: connections by id, deliveries by id, the site's counter. One transaction touches one site.

use diesel_async::{SimpleAsyncConnection as _, pooled_connection::deadpool::Object};

use super::{
    database::{Conn, DatabaseKind, Db},
    error::{Result, StoreError},
};

/// How often a transaction is run again after a serialization failure or a deadlock.
pub(super) const RUNS_AGAIN: u32 = 5;

/// A pooled connection with a transaction on it. Dropped before its end, it takes the connection out
/// of the pool, and the database rolls back when that closes.
pub(super) struct Transaction {
    conn: Option<Conn>,
    kind: DatabaseKind,
    /// From before BEGIN is sent until COMMIT or ROLLBACK has been answered.
    open: bool,
}

impl Transaction {
    /// Waits for a connection that may write. Nothing is sent yet.
    pub(super) async fn take(db: &Db) -> Result<Self> {
        Ok(Self { conn: Some(db.writer().await?), kind: db.kind(), open: false })
    }

    pub(super) const fn kind(&self) -> DatabaseKind {
        self.kind
    }

    pub(super) fn conn(&mut self) -> &mut Conn {
        self.conn.as_mut().expect("a transaction has its connection until it is dropped")
    }

    pub(super) async fn begin(&mut self) -> Result<()> {
        self.open = true;
        match self.conn() {
            Conn::Sqlite(conn) => conn.batch_execute("BEGIN IMMEDIATE").await?,
            Conn::Postgres(conn) => conn.batch_execute("BEGIN ISOLATION LEVEL READ COMMITTED").await?,
        }
        Ok(())
    }

    /// Commits what went well and rolls back what did not.
    pub(super) async fn end<T>(&mut self, outcome: Result<T>) -> Result<T> {
        let conn = self.conn();
        match outcome {
            Ok(value) => {
                both!(conn, conn.batch_execute("COMMIT").await)?;
                self.open = false;
                Ok(value)
            }
            Err(error) => {
                // Where not even this gets through, `open` stays set and the connection is given up.
                if both!(conn, conn.batch_execute("ROLLBACK").await).is_ok() {
                    self.open = false;
                }
                Err(error)
            }
        }
    }
}

impl Drop for Transaction {
    fn drop(&mut self) {
        if !self.open {
            return;
        }
        match self.conn.take() {
            Some(Conn::Sqlite(conn)) => drop(Object::take(conn)),
            Some(Conn::Postgres(conn)) => drop(Object::take(conn)),
            None => {}
        }
    }
}

/// Whether a transaction that ended like this is run again.
pub(super) fn runs_again<T>(outcome: &Result<T>, runs: &mut u32) -> bool {
    *runs += 1;
    *runs <= RUNS_AGAIN && outcome.as_ref().is_err_and(StoreError::is_passing)
}

/// The same diesel expression for whichever database `conn` leads to.
macro_rules! both {
    ($conn:ident, $expression:expr) => {
        match $conn {
            $crate::store::database::Conn::Sqlite($conn) => $expression,
            $crate::store::database::Conn::Postgres($conn) => $expression,
        }
    };
}
pub(super) use both;

/// The rows of a query. On SQLite they are read from the connection as they come: diesel-async would first copy every
/// value of every row into memory of its own.
macro_rules! rows {
    ($conn:ident, $query:expr) => {
        match $conn {
            $crate::store::database::Conn::Sqlite($conn) => {
                let query = $query;
                $conn.spawn_blocking(move |conn| diesel::RunQueryDsl::load(query, conn)).await
            }
            $crate::store::database::Conn::Postgres($conn) => diesel_async::RunQueryDsl::load($query, $conn).await,
        }
    };
}
pub(super) use rows;

/// Reads at most one row, and keeps others from changing it until the transaction ends. On SQLite nobody
/// else writes anyway, since the transaction began with BEGIN IMMEDIATE.
macro_rules! locked {
    ($conn:ident, $query:expr, $lock:ident) => {
        match $conn {
            $crate::store::database::Conn::Sqlite($conn) => $query.get_result($conn).await.optional(),
            $crate::store::database::Conn::Postgres($conn) => $query.$lock().get_result($conn).await.optional(),
        }
    };
}
pub(super) use locked;

/// Runs the block in a transaction, `conn` being its connection, and gives what the block gives: a
/// [`Result`], committed if it is `Ok`. The block may run more than once.
macro_rules! transaction {
    ($db:expr, $conn:ident => $block:block) => {{
        let mut runs = 0;
        loop {
            let mut transaction = $crate::store::transaction::Transaction::take($db).await?;
            let kind = transaction.kind();
            let outcome = $crate::store::in_place::whole(kind, async {
                transaction.begin().await?;
                let $conn = transaction.conn();
                let outcome: $crate::store::error::Result<_> = async { $block }.await;
                transaction.end(outcome).await
            })
            .await;
            if !$crate::store::transaction::runs_again(&outcome, &mut runs) {
                break outcome;
            }
        }
    }};
}
pub(super) use transaction;
