//! Migrations: embedded, the same names and steps for both databases, only forward. They only add,
//! so that a release that still runs beside the new one keeps working.

use diesel::{QueryDsl as _, QueryableByName, migration::MigrationSource, sql_types::Text};
use diesel_async::{
    AsyncMigrationHarness, RunQueryDsl, SimpleAsyncConnection as _, pooled_connection::deadpool::Object,
};
use diesel_migrations::{EmbeddedMigrations, MigrationHarness as _, embed_migrations};

use super::{
    database::{Conn, DatabaseKind, Db},
    error::{Result, StoreError},
    fragment::{Limited, Statement},
    schema,
    transaction::both,
};

const SQLITE: EmbeddedMigrations = embed_migrations!("migrations/sqlite");
const POSTGRES: EmbeddedMigrations = embed_migrations!("migrations/postgres");

/// Names the advisory lock under which PostgreSQL is migrated; any constant does.
const LOCK: i64 = 0x696e_7465_6772_6174;

type Failed = Box<dyn std::error::Error + Send + Sync>;

#[derive(QueryableByName)]
struct Name {
    #[diesel(sql_type = Text)]
    name: String,
}

/// The versions that this release knows, oldest first.
fn known(kind: DatabaseKind) -> Result<Vec<String>> {
    let failed = |error: Failed| StoreError::Migration(error.to_string());
    let mut versions = match kind {
        DatabaseKind::Sqlite => MigrationSource::<diesel::sqlite::Sqlite>::migrations(&SQLITE)
            .map_err(failed)?
            .iter()
            .map(|migration| migration.name().version().to_string())
            .collect::<Vec<_>>(),
        DatabaseKind::Postgres => MigrationSource::<diesel::pg::Pg>::migrations(&POSTGRES)
            .map_err(failed)?
            .iter()
            .map(|migration| migration.name().version().to_string())
            .collect::<Vec<_>>(),
    };
    versions.sort_unstable();
    Ok(versions)
}

/// The versions that the database has seen, oldest first.
async fn applied(conn: &mut Conn) -> Result<Vec<String>> {
    let table = Statement::new("").each(
        "SELECT name AS name FROM sqlite_master WHERE type = 'table' AND name = '__diesel_schema_migrations'",
        "SELECT table_name::text AS name FROM information_schema.tables \
         WHERE table_schema = current_schema() AND table_name = '__diesel_schema_migrations'",
    );
    let tables: Vec<Name> = both!(conn, table.load(conn).await)?;
    if tables.is_empty() {
        return Ok(Vec::new());
    }
    let versions: Statement = Statement::new("SELECT version AS name FROM __diesel_schema_migrations ORDER BY version");
    let versions: Vec<Name> = both!(conn, versions.load(conn).await)?;
    Ok(versions.into_iter().map(|row| row.name).collect())
}

/// Refuses a database that a newer release has migrated; says whether this release has steps left to do.
fn compare(kind: DatabaseKind, applied: &[String]) -> Result<bool> {
    let known = known(kind)?;
    match applied.last() {
        Some(newest) if !known.contains(newest) => Err(StoreError::NewerSchema { found: newest.clone() }),
        _ => Ok(known.iter().any(|version| !applied.contains(version))),
    }
}

/// Whether the database is at the state that this release needs.
pub(super) async fn check(db: &Db) -> Result<()> {
    let applied = applied(&mut db.reader().await?).await?;
    if compare(db.kind(), &applied)? { Err(StoreError::NotMigrated) } else { Ok(()) }
}

/// Asks every table for every column that this release knows, and for no row.
pub(super) async fn read_every_table(db: &Db) -> Result<()> {
    let conn = &mut db.reader().await?;
    macro_rules! read {
        ($($table:ident),+ $(,)?) => {$(
            both!(
                conn,
                Limited { query: schema::$table::table.select(schema::$table::all_columns), limit: 0 }.execute(conn).await
            )?;
        )+};
    }
    read!(
        sites,
        site_keys,
        operators,
        roles,
        site_settings,
        stream_counters,
        stream_events,
        connections,
        connection_scopes,
        credentials,
        state_history,
        offers,
        deliveries,
        delivery_entries,
        activity_entries,
        authorizations,
        renewals,
        checks,
    );
    Ok(())
}

/// Runs the migrations that are missing.
pub(super) async fn run(db: &Db) -> Result<()> {
    let mut conn = db.writer().await?;
    if !compare(db.kind(), &applied(&mut conn).await?)? {
        return Ok(());
    }
    match conn {
        Conn::Sqlite(mut conn) => conn
            .spawn_blocking(|conn| {
                // From before the look at what is missing, so that a second process waits here.
                let outcome: std::result::Result<_, Failed> =
                    conn.immediate_transaction(|conn| conn.run_pending_migrations(SQLITE).map(drop));
                Ok(outcome.map_err(|error| error.to_string()))
            })
            .await?
            .map_err(StoreError::Migration),
        Conn::Postgres(conn) => {
            // The lock belongs to the session, which ends with this connection however the migration ends.
            let mut conn = Object::take(conn);
            conn.batch_execute(&format!("SELECT pg_advisory_lock({LOCK})")).await?;
            let outcome = AsyncMigrationHarness::new(conn).run_pending_migrations(POSTGRES).map(drop);
            outcome.map_err(|error| StoreError::Migration(error.to_string()))
        }
    }
}
