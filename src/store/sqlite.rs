//! Connections to SQLite: one that writes, several that only read.

use std::path::Path;

use diesel::{Connection as _, ConnectionError, ConnectionResult, SqliteConnection, connection::SimpleConnection as _};
use diesel_async::{
    pooled_connection::{AsyncDieselConnectionManager, ManagerConfig, RecyclingMethod, deadpool::Pool},
    sync_connection_wrapper::SyncConnectionWrapper,
};

use super::{
    database::Counter,
    error::{Result, StoreError},
    in_place::{InPlace, blocking},
};

/// A connection to SQLite whose statements run where they are asked for.
pub(super) type SqliteLink = SyncConnectionWrapper<SqliteConnection, InPlace>;

/// What a connection is for.
#[derive(Clone, Copy)]
pub(super) enum Role {
    /// The only one that writes, so that writers wait in the pool's queue and not in SQLite's lock.
    Writer,
    Reader,
}

impl Role {
    /// Write-ahead logging lets readers and the writer go on beside each other. `synchronous=FULL`
    /// makes a commit outlive a power cut. The busy time-out is for other processes on the same file.
    const fn pragmas(self) -> &'static str {
        match self {
            Self::Writer => {
                "PRAGMA busy_timeout = 5000; PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; \
                 PRAGMA foreign_keys = ON; PRAGMA temp_store = MEMORY;"
            }
            Self::Reader => "PRAGMA busy_timeout = 5000; PRAGMA temp_store = MEMORY; PRAGMA query_only = ON;",
        }
    }
}

/// Makes the directory that the file will lie in.
pub(super) fn make_directory(path: &str) -> Result<()> {
    match Path::new(path).parent() {
        Some(directory) if !directory.as_os_str().is_empty() => std::fs::create_dir_all(directory)
            .map_err(|error| StoreError::Unavailable(format!("cannot make {}: {error}", directory.display()))),
        _ => Ok(()),
    }
}

/// A pool of connections to the file at `path`; nothing is opened yet.
pub(super) fn pool(path: &str, role: Role, size: u32, counter: &Counter) -> Result<Pool<SqliteLink>> {
    let mut config = ManagerConfig::default();
    config.recycling_method = RecyclingMethod::Fast;
    let counter = counter.clone();
    config.custom_setup = Box::new(move |path| {
        let established = blocking(|| establish(path, role, counter.clone()));
        Box::pin(std::future::ready(established))
    });
    Pool::builder(AsyncDieselConnectionManager::new_with_config(path, config))
        .max_size(usize::try_from(size).unwrap_or(usize::MAX))
        .build()
        .map_err(|error| StoreError::Unavailable(error.to_string()))
}

fn establish(path: &str, role: Role, counter: Counter) -> ConnectionResult<SqliteLink> {
    let mut connection = SqliteConnection::establish(path)?;
    connection.batch_execute(role.pragmas()).map_err(ConnectionError::CouldntSetupConfiguration)?;
    connection.set_instrumentation(counter);
    Ok(SyncConnectionWrapper::with_runtime(connection, InPlace))
}
