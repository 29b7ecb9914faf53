//! Transactions that do not come to their end by themselves.

use integrations_gateway::{
    domain::activity::ActivityAction,
    store::{activity, connection, stream},
};

use super::{
    fixtures::{self, SITE, at, connected},
    postgres as migrated_postgres, sqlite as migrated_sqlite,
};
use crate::support::postgres;

/// As many as the pool has connections.
const POOL: usize = 8;

/// Ends once so many sessions wait for a lock. Asks on a connection of its own: inside a transaction the
/// answer would stay the first one.
async fn wait_for_blocked(url: &str, sessions: usize) {
    const WAITING: &str =
        "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database()";
    let watcher = postgres::connect(url).await;
    let sessions = i64::try_from(sessions).unwrap();
    while watcher.query_one(WAITING, &[]).await.unwrap().get::<_, i64>(0) < sessions {
        tokio::task::yield_now().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cut_off_transaction_gives_its_connection_up_and_leaves_nothing() {
    let fresh = migrated_postgres().await;
    let made = connected(&fresh.db, "before").await;
    let other = postgres::connect(&fresh.url).await;
    other.batch_execute("BEGIN; SELECT 1 FROM connections FOR UPDATE").await.unwrap();
    let renaming: Vec<_> = (0..POOL)
        .map(|_| {
            let db = fresh.db.clone();
            let activity = fixtures::activity(ActivityAction::ConnectionRenamed);
            tokio::spawn(async move { connection::rename(&db, SITE, made.id, at(1), "after", activity).await })
        })
        .collect();
    wait_for_blocked(&fresh.url, POOL).await;
    for task in &renaming {
        task.abort();
    }
    for task in renaming {
        assert!(task.await.unwrap_err().is_cancelled());
    }
    // While the lock is still held the pool serves others: the connections that were cut off are out of it.
    let before = stream::position(&fresh.db, SITE).await.unwrap();
    let new = fixtures::activity(ActivityAction::ConnectionTested);
    activity::insert(&fresh.db, SITE, at(2), new).await.unwrap();
    other.batch_execute("ROLLBACK").await.unwrap();
    let activity = fixtures::activity(ActivityAction::ConnectionRenamed);
    let renamed = connection::rename(&fresh.db, SITE, made.id, at(3), "later", activity).await.unwrap().unwrap();
    assert_eq!(renamed.updated_at, at(3));
    assert_eq!(stream::position(&fresh.db, SITE).await.unwrap(), before + 3, "nothing of the eight was written");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_transaction_that_another_process_deadlocks_runs_again() {
    let fresh = migrated_postgres().await;
    let made = connected(&fresh.db, "c").await;
    let other = postgres::connect(&fresh.url).await;
    // Takes the counter first, against the order of locks.
    other.batch_execute("BEGIN; SELECT 1 FROM stream_counters FOR UPDATE").await.unwrap();
    let db = fresh.db.clone();
    let activity = fixtures::activity(ActivityAction::ConnectionRenamed);
    let renaming = tokio::spawn(async move { connection::rename(&db, SITE, made.id, at(1), "after", activity).await });
    wait_for_blocked(&fresh.url, 1).await;
    // This session looks for a deadlock later than the other does, so that the store's transaction is the victim.
    other.batch_execute("SET LOCAL deadlock_timeout = '1min'").await.unwrap();
    other.batch_execute("SELECT 1 FROM connections FOR UPDATE").await.unwrap();
    other.batch_execute("COMMIT").await.unwrap();
    let renamed = renaming.await.unwrap().unwrap().unwrap();
    assert_eq!(renamed.display_name, "after");
    assert_eq!(stream::position(&fresh.db, SITE).await.unwrap(), 4);
}

#[tokio::test(flavor = "current_thread")]
async fn sqlite_serves_a_runtime_of_one_thread() {
    let fresh = migrated_sqlite().await;
    let made = connected(&fresh.db, "c").await;
    assert!(connection::find(&fresh.db, SITE, made.id).await.unwrap().is_some());
}
