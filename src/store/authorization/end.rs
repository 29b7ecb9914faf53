//! How an authorization ends: taken for its exchange, then succeeded or rejected, and removed long after.

use chrono::{DateTime, Utc};
use diesel::{BoolExpressionMethods as _, ExpressionMethods as _, QueryDsl as _, SelectableHelper as _};
use diesel_async::RunQueryDsl;

use super::{KEPT, Row, StoredAuthorization, one};
use crate::{
    domain::{
        authorization::AuthorizationStep,
        event::EventBody,
        id::{AuthorizationId, ConnectionId, SiteId},
        test_report::TestReport,
    },
    store::{
        activity::{self, NewActivity},
        database::{Conn, Db},
        error::Result,
        moment::At,
        rows::{storable, test_to_json},
        schema::authorizations,
        stream,
        transaction::{both, transaction},
    },
};

/// Takes a pending authorization for its exchange; false where somebody else has, or it is too late.
pub async fn take(db: &Db, site: SiteId, id: AuthorizationId, now: DateTime<Utc>) -> Result<bool> {
    let conn = &mut db.writer().await?;
    let taken = both!(
        conn,
        diesel::update(one(site, id))
            .filter(authorizations::status.eq(AuthorizationStep::Pending.as_str()))
            .filter(authorizations::expires_at.gt(At(now)))
            .set((
                authorizations::status.eq(AuthorizationStep::Exchanging.as_str()),
                authorizations::changed_at.eq(At(now)),
            ))
            .execute(conn)
            .await
    )?;
    Ok(taken == 1)
}

/// Ends an authorization well, in the transaction that stores what came of it; false where it has ended already.
pub(in crate::store) async fn succeed(
    conn: &mut Conn,
    site: SiteId,
    id: AuthorizationId,
    now: DateTime<Utc>,
    connection: ConnectionId,
    test: &TestReport,
    replaced: Option<&Replaced>,
) -> Result<bool> {
    let key_version = replaced.map(|replaced| authorizations::key_version.eq(replaced.key_version));
    let ended = both!(
        conn,
        diesel::update(one(site, id))
            .filter(authorizations::status.eq(AuthorizationStep::Exchanging.as_str()))
            .set((
                authorizations::status.eq(AuthorizationStep::Succeeded.as_str()),
                authorizations::connection_id.eq(Some(connection.0)),
                authorizations::test.eq(Some(test_to_json(test))),
                authorizations::sealed.eq(replaced.map_or_else(Vec::new, |replaced| replaced.sealed.clone())),
                key_version,
                authorizations::changed_at.eq(At(now)),
            ))
            .execute(conn)
            .await
    )?;
    Ok(ended == 1)
}

/// A grant that another one has replaced, as its authorization keeps it until the vendor has been told.
#[derive(Clone)]
pub struct Replaced {
    /// The version of the site's key that it is sealed with: as long as the row stands, that key is needed.
    pub key_version: i32,
    pub sealed: Vec<u8>,
}

/// Takes an authorization whose replaced grant no vendor was told of; false where somebody else has since `before`.
pub async fn take_replaced(
    db: &Db,
    site: SiteId,
    id: AuthorizationId,
    before: DateTime<Utc>,
    now: DateTime<Utc>,
) -> Result<bool> {
    let conn = &mut db.writer().await?;
    let taken = both!(
        conn,
        diesel::update(one(site, id))
            .filter(authorizations::status.eq(AuthorizationStep::Succeeded.as_str()))
            .filter(authorizations::sealed.ne(Vec::<u8>::new()))
            .filter(authorizations::changed_at.le(At(before)))
            .set(authorizations::changed_at.eq(At(now)))
            .execute(conn)
            .await
    )?;
    Ok(taken == 1)
}

/// The vendor has been told of the grant that an authorization replaced, or cannot be.
pub async fn settle_replaced(db: &Db, site: SiteId, id: AuthorizationId) -> Result<()> {
    let conn = &mut db.writer().await?;
    both!(
        conn,
        diesel::update(one(site, id))
            .filter(authorizations::status.eq(AuthorizationStep::Succeeded.as_str()))
            .set(authorizations::sealed.eq(Vec::<u8>::new()))
            .execute(conn)
            .await
    )?;
    Ok(())
}

/// Authorizations of all sites that succeeded before `before`, and whose replaced grants no vendor was told of: a
/// process was cut off.
pub async fn with_replaced(db: &Db, before: DateTime<Utc>, limit: u32) -> Result<Vec<StoredAuthorization>> {
    left_over(db, AuthorizationStep::Succeeded, before, limit).await
}

/// Whether nothing has ended an authorization that is being exchanged. Waits for a transaction that is about to: after
/// this, one whose answer was lost has committed or never will.
pub async fn is_open(db: &Db, site: SiteId, id: AuthorizationId, now: DateTime<Utc>) -> Result<bool> {
    let conn = &mut db.writer().await?;
    let open = both!(
        conn,
        diesel::update(one(site, id))
            .filter(authorizations::status.eq(AuthorizationStep::Exchanging.as_str()))
            .set(authorizations::changed_at.eq(At(now)))
            .execute(conn)
            .await
    )?;
    Ok(open == 1)
}

/// How an authorization failed.
#[derive(Clone, Debug)]
pub struct Rejection {
    /// In words for an operator.
    pub error: String,
    pub test: Option<TestReport>,
    pub activity: NewActivity,
}

/// Ends an authorization badly; false where it has ended already.
pub async fn reject(
    db: &Db,
    site: SiteId,
    id: AuthorizationId,
    now: DateTime<Utc>,
    rejection: Rejection,
) -> Result<bool> {
    transaction!(db, conn => {
        let ended = both!(
            conn,
            diesel::update(one(site, id))
                .filter(authorizations::status.eq_any([
                    AuthorizationStep::Pending.as_str(),
                    AuthorizationStep::Exchanging.as_str(),
                ]))
                .set((
                    authorizations::status.eq(AuthorizationStep::Rejected.as_str()),
                    authorizations::error.eq(Some(storable(&rejection.error))),
                    authorizations::test.eq(rejection.test.as_ref().map(test_to_json)),
                    authorizations::sealed.eq(Vec::<u8>::new()),
                    authorizations::changed_at.eq(At(now)),
                ))
                .execute(conn)
                .await
        )?;
        if ended == 1 {
            let entry = activity::write(conn, site, now, &rejection.activity).await?;
            stream::append(conn, db, site, now, &[EventBody::ActivityLogged { entry: entry.id }]).await?;
        }
        Ok(ended == 1)
    })
}

/// Authorizations of all sites whose exchange was begun before `before` and never ended: a process was cut off.
pub async fn cut_off(db: &Db, before: DateTime<Utc>, limit: u32) -> Result<Vec<StoredAuthorization>> {
    left_over(db, AuthorizationStep::Exchanging, before, limit).await
}

/// Those at this step since before `before` that still have something sealed.
async fn left_over(
    db: &Db,
    step: AuthorizationStep,
    before: DateTime<Utc>,
    limit: u32,
) -> Result<Vec<StoredAuthorization>> {
    let conn = &mut db.reader().await?;
    let rows: Vec<Row> = both!(
        conn,
        authorizations::table
            .filter(authorizations::status.eq(step.as_str()))
            .filter(authorizations::sealed.ne(Vec::<u8>::new()))
            .filter(authorizations::changed_at.le(At(before)))
            .order(authorizations::id.asc())
            .limit(i64::from(limit))
            .select(Row::as_select())
            .load(conn)
            .await
    )?;
    rows.into_iter().map(Row::read).collect()
}

/// Removes the authorizations of all sites that ended, or ran out, long ago; says how many.
pub async fn purge(db: &Db, now: DateTime<Utc>) -> Result<u64> {
    let conn = &mut db.writer().await?;
    let gone = both!(
        conn,
        diesel::delete(
            authorizations::table
                .filter(authorizations::expires_at.le(At(now - KEPT)))
                .filter(authorizations::status.ne(AuthorizationStep::Exchanging.as_str()))
                .filter(
                    authorizations::status
                        .ne(AuthorizationStep::Succeeded.as_str())
                        .or(authorizations::sealed.eq(Vec::<u8>::new()))
                )
        )
        .execute(conn)
        .await
    )?;
    Ok(gone as u64)
}
