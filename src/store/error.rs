//! What can go wrong in the store. These texts are for the log: they hold no secret, and no client
//! ever sees them.

use diesel::result::{DatabaseErrorKind, Error as DieselError};

/// Why the store could not do what it was asked.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The address of the database is wrong: what is wrong, and what would be right. Never repeats the address.
    #[error("{0}")]
    InvalidUrl(String),
    /// The database cannot be reached, or no connection came free in time.
    #[error("the database cannot be used: {0}")]
    Unavailable(String),
    /// A newer release has migrated this database.
    #[error(
        "the database has migration {found}, which this release does not know: run the release that made it, or a newer one"
    )]
    NewerSchema { found: String },
    /// The tables are missing or old.
    #[error("the database is not up to date: run `integrations-gateway migrate`")]
    NotMigrated,
    /// A migration did not go through.
    #[error("migration failed: {0}")]
    Migration(String),
    /// The caller's part in a transaction failed; nothing was written.
    #[error("{0}")]
    Aborted(String),
    /// The signing secret that was to be used up is not on offer any more; nothing was written.
    #[error("the signing secret is not on offer any more")]
    OfferGone,
    /// The credential that was to be replaced is another one by now; nothing was written.
    #[error("the credential has been changed meanwhile")]
    CredentialChanged,
    /// The authorization that was to be ended has ended already; nothing was written.
    #[error("the authorization has ended already")]
    AuthorizationEnded,
    /// A page was asked for from a place that does not belong to its order.
    #[error("the place does not belong to this order")]
    PlaceMismatch,
    /// A row holds something that this release cannot read.
    #[error("a stored row cannot be read: {0}")]
    Corrupt(String),
    /// The database refused or failed a statement.
    #[error("database: {0}")]
    Database(#[source] DieselError),
}

impl From<DieselError> for StoreError {
    fn from(error: DieselError) -> Self {
        Self::Database(error)
    }
}

impl StoreError {
    /// Whether the same transaction may well succeed when run again from its start.
    pub(super) fn is_passing(&self) -> bool {
        match self {
            Self::Database(DieselError::DatabaseError(DatabaseErrorKind::SerializationFailure, _)) => true,
            // diesel has no kind for SQLSTATE 40P01.
            Self::Database(DieselError::DatabaseError(DatabaseErrorKind::Unknown, information)) => {
                information.message().contains("deadlock detected")
            }
            _ => false,
        }
    }
}

/// What every function of the store returns.
pub type Result<T> = std::result::Result<T, StoreError>;
