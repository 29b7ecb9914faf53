//! Connections to PostgreSQL, without libpq.

use diesel::{ConnectionError, ConnectionResult};
use diesel_async::{
    AsyncConnection as _, AsyncPgConnection, SimpleAsyncConnection as _,
    pooled_connection::{AsyncDieselConnectionManager, ManagerConfig, RecyclingMethod, deadpool::Pool},
};
use tokio_postgres::NoTls;
use tokio_postgres_rustls::MakeRustlsConnect;

use super::{
    database::Counter,
    error::{Result, StoreError},
};

/// What each session begins with, whatever the server's defaults are: a commit outlives a power cut,
/// and a transaction whose process hangs does not hold its locks for ever.
const SESSION: &str = "SET synchronous_commit = on; SET default_transaction_isolation = 'read committed'; \
                       SET idle_in_transaction_session_timeout = '60s'";

/// A server and how it is reached.
#[derive(Clone)]
pub(super) struct Server {
    pub(super) config: tokio_postgres::Config,
    pub(super) tls: Option<MakeRustlsConnect>,
}

/// A pool of connections; nothing is opened yet.
pub(super) fn pool(server: Server, size: u32, counter: &Counter) -> Result<Pool<AsyncPgConnection>> {
    let mut config = ManagerConfig::default();
    config.recycling_method = RecyclingMethod::Fast;
    let counter = counter.clone();
    config.custom_setup = Box::new(move |_| Box::pin(establish(server.clone(), counter.clone())));
    // The address is in `server`; the manager's own copy stays empty, so that no error can repeat it.
    Pool::builder(AsyncDieselConnectionManager::new_with_config("", config))
        .max_size(usize::try_from(size).unwrap_or(usize::MAX))
        .build()
        .map_err(|error| StoreError::Unavailable(error.to_string()))
}

async fn establish(server: Server, counter: Counter) -> ConnectionResult<AsyncPgConnection> {
    let mut connection = if let Some(tls) = server.tls {
        let (client, connection) = server.config.connect(tls).await.map_err(|error| bad(&error))?;
        AsyncPgConnection::try_from_client_and_connection(client, connection).await?
    } else {
        let (client, connection) = server.config.connect(NoTls).await.map_err(|error| bad(&error))?;
        AsyncPgConnection::try_from_client_and_connection(client, connection).await?
    };
    connection.batch_execute(SESSION).await.map_err(ConnectionError::CouldntSetupConfiguration)?;
    connection.set_instrumentation(counter);
    Ok(connection)
}

/// tokio-postgres keeps the cause apart from its own text, which says only which step failed.
fn bad(error: &tokio_postgres::Error) -> ConnectionError {
    let cause = std::error::Error::source(error).map(|cause| format!(": {cause}")).unwrap_or_default();
    ConnectionError::BadConnection(format!("{error}{cause}"))
}
