//! Credentials, as sealed bytes.

use diesel::{ExpressionMethods as _, Insertable, QueryDsl as _, Queryable, Selectable, SelectableHelper as _};
use diesel_async::RunQueryDsl;

use super::{
    database::{Conn, Db},
    error::Result,
    schema::credentials,
    transaction::both,
};
use crate::domain::id::{ConnectionId, SiteId};

/// One part of a connection's credential, sealed.
#[derive(Clone, PartialEq, Eq, Queryable, Selectable)]
#[diesel(table_name = credentials)]
pub struct SealedCredential {
    /// The manifest's name of the field.
    pub name: String,
    /// Which version of the site's key seals it.
    pub key_version: i32,
    #[diesel(column_name = sealed)]
    pub blob: Vec<u8>,
}

/// Seals a new connection's credential once its id is known, since the id is authenticated with it.
/// Called inside the transaction that makes the connection; an error aborts that.
pub type Seal = Box<dyn FnOnce(ConnectionId) -> std::result::Result<Vec<SealedCredential>, String> + Send>;

#[derive(Insertable)]
#[diesel(table_name = credentials)]
struct NewRow<'a> {
    connection_id: i64,
    site_id: i64,
    name: &'a str,
    key_version: i32,
    sealed: &'a [u8],
}

/// The parts of a connection's credential, by name.
pub async fn list(db: &Db, site: SiteId, connection: ConnectionId) -> Result<Vec<SealedCredential>> {
    let conn = &mut db.reader().await?;
    Ok(both!(
        conn,
        credentials::table
            .filter(credentials::connection_id.eq(connection.0))
            .filter(credentials::site_id.eq(site.get()))
            .order(credentials::name.asc())
            .select(SealedCredential::as_select())
            .load(conn)
            .await
    )?)
}

/// Whether a part of a credential is still as it was read.
pub(super) async fn is_current(
    conn: &mut Conn,
    site: SiteId,
    connection: ConnectionId,
    part: &SealedCredential,
) -> Result<bool> {
    let same: i64 = both!(
        conn,
        credentials::table
            .filter(credentials::connection_id.eq(connection.0))
            .filter(credentials::site_id.eq(site.get()))
            .filter(credentials::name.eq(&part.name))
            .filter(credentials::sealed.eq(&part.blob))
            .count()
            .get_result(conn)
            .await
    )?;
    Ok(same > 0)
}

/// Writes parts of a credential; a part of the same name is replaced.
pub(super) async fn write(
    conn: &mut Conn,
    site: SiteId,
    connection: ConnectionId,
    sealed: &[SealedCredential],
) -> Result<()> {
    for part in sealed {
        both!(
            conn,
            diesel::insert_into(credentials::table)
                .values(NewRow {
                    connection_id: connection.0,
                    site_id: site.get(),
                    name: &part.name,
                    key_version: part.key_version,
                    sealed: &part.blob,
                })
                .on_conflict((credentials::connection_id, credentials::name))
                .do_update()
                .set((credentials::key_version.eq(part.key_version), credentials::sealed.eq(&part.blob)))
                .execute(conn)
                .await
        )?;
    }
    Ok(())
}
