//! Retries by hand: every outcome of the claim.

use integrations_gateway::{
    domain::{
        activity::ActivityAction,
        connection::ConnectionState,
        delivery::{DeliveryFailure, DeliveryOutcome, DeliveryStatus},
        id::EntryId,
        state::Observation,
    },
    store::{
        Db, connection,
        delivery::{self, Claim, RetryClaim},
        entry,
    },
};

use super::{
    Fresh,
    fixtures::{
        self, SITE, again, at, claim_all, claim_one, connected, delivered, dispatch, event, failed, failed_entry,
        observe, settle, settlement,
    },
};
use crate::support::rows;

async fn retry(db: &Db, entry: EntryId, key: Option<&str>) -> RetryClaim {
    delivery::claim_retry(db, SITE, entry, at(100), at(160), key).await.unwrap()
}

async fn claimed(db: &Db, entry: EntryId, key: Option<&str>) -> Claim {
    match retry(db, entry, key).await {
        RetryClaim::Claimed(claim) => claim,
        other => panic!("{other:?}"),
    }
}

pub async fn a_retry_appends_an_entry_that_names_the_failed_one(fresh: Fresh) {
    let db = &fresh.db;
    let connection = connected(db, "c").await;
    let entry = failed_entry(db, &connection, "k").await;
    let claim = claimed(db, entry.id, Some("once")).await;
    assert_eq!((claim.site, claim.retry_of, claim.delivery.id), (SITE, Some(entry.id), entry.delivery));
    assert_eq!(claim.payload, b"sealed payload");
    assert_eq!((claim.delivery.status, claim.delivery.ended_at), (DeliveryStatus::Queued, None));
    assert!(claim_all(db, at(101)).await.is_empty(), "it is leased");
    let settled = settle(db, settlement(&claim, at(102), delivered(at(101)))).await;
    assert_eq!((settled.entry.retry_of, settled.entry.attempt), (Some(entry.id), 2));
    let entries = delivery::entries_of(db, SITE, &[entry.delivery]).await.unwrap();
    assert_eq!(entries.len(), 2);
    assert_eq!(entries[0].outcome, DeliveryOutcome::Failed, "the failed entry stays");
    let delivery = delivery::find(db, SITE, entry.delivery).await.unwrap().unwrap();
    assert_eq!((delivery.status, delivery.attempts), (DeliveryStatus::Delivered, 2));
}

pub async fn the_same_call_again_gets_the_first_answer(fresh: Fresh) {
    let db = &fresh.db;
    let connection = connected(db, "c").await;
    let entry = failed_entry(db, &connection, "k").await;
    let claim = claimed(db, entry.id, Some("once")).await;
    assert!(matches!(retry(db, entry.id, Some("once")).await, RetryClaim::Superseded), "it is under way");
    let made = settle(db, settlement(&claim, at(102), failed(at(101), DeliveryFailure::Timeout))).await.entry;
    let same = retry(db, entry.id, Some("once")).await;
    assert!(matches!(&same, RetryClaim::AlreadyRetried(found) if found.id == made.id && found.retryable), "{same:?}");
    assert!(matches!(retry(db, entry.id, Some("another")).await, RetryClaim::Superseded));
    assert!(matches!(retry(db, entry.id, None).await, RetryClaim::Superseded));
    // The entry that it made failed too, and is the last one now. Its own key is free.
    let claim = claimed(db, made.id, Some("once")).await;
    assert_eq!(claim.retry_of, Some(made.id));
}

pub async fn what_cannot_be_retried_is_said(fresh: Fresh) {
    let db = &fresh.db;
    let connection = connected(db, "c").await;
    assert!(matches!(retry(db, EntryId(999), None).await, RetryClaim::NotFound));

    dispatch(db, SITE, event(&connection, "fine", at(0))).await;
    let claim = claim_one(db, at(1)).await;
    let fine = settle(db, settlement(&claim, at(1), delivered(at(1)))).await.entry;
    assert!(matches!(retry(db, fine.id, None).await, RetryClaim::NotFailed));

    dispatch(db, SITE, event(&connection, "again", at(0))).await;
    let claim = claim_one(db, at(1)).await;
    let first = settle(db, settlement(&claim, at(1), again(at(1), DeliveryFailure::Timeout, at(2)))).await.entry;
    assert!(matches!(retry(db, first.id, None).await, RetryClaim::NotFailed), "it was retried by schedule");
    let claim = claim_one(db, at(2)).await;
    settle(db, settlement(&claim, at(2), delivered(at(2)))).await;

    let entry = failed_entry(db, &connection, "k").await;
    observe(db, connection.id, Observation::Pause).await;
    let paused = retry(db, entry.id, None).await;
    assert!(matches!(paused, RetryClaim::ConnectionNotActive(ConnectionState::Paused)), "{paused:?}");
    let remove = fixtures::activity(ActivityAction::ConnectionDisconnected);
    connection::remove(db, SITE, connection.id, at(50), remove).await.unwrap().unwrap();
    assert!(matches!(retry(db, entry.id, None).await, RetryClaim::ConnectionRemoved));
}

pub async fn a_purged_payload_cannot_be_sent_again(fresh: Fresh) {
    let db = &fresh.db;
    let connection = connected(db, "c").await;
    let failed = failed_entry(db, &connection, "k").await;
    // As retention will do it.
    fresh.execute("UPDATE deliveries SET payload = NULL").await;
    assert!(matches!(retry(db, failed.id, None).await, RetryClaim::PayloadPurged));
    let stored = entry::find(db, SITE, failed.id).await.unwrap().unwrap();
    assert!(failed.retryable && !stored.retryable);
}

pub async fn a_retry_whose_process_dies_is_found_by_the_worker(fresh: Fresh) {
    let db = &fresh.db;
    let connection = connected(db, "c").await;
    let entry = failed_entry(db, &connection, "k").await;
    let dead = claimed(db, entry.id, Some("once")).await;
    assert_eq!(delivery::next_due(db, at(101)).await.unwrap(), Some(at(160)));
    assert!(claim_all(db, at(159)).await.is_empty());
    let found = claim_one(db, at(160)).await;
    assert_eq!((found.delivery.id, found.retry_of), (dead.delivery.id, Some(entry.id)));
    let made = settle(db, settlement(&found, at(161), delivered(at(161)))).await.entry;
    assert_eq!(made.retry_of, Some(entry.id));
    let same = retry(db, entry.id, Some("once")).await;
    assert!(matches!(&same, RetryClaim::AlreadyRetried(known) if known.id == made.id), "{same:?}");
}

pub async fn two_operators_at_once_get_one_claim(fresh: Fresh) {
    let db = &fresh.db;
    let connection = connected(db, "c").await;
    let entry = failed_entry(db, &connection, "k").await;
    let racing: Vec<_> = (0..8)
        .map(|_| {
            let (db, id) = (db.clone(), entry.id);
            tokio::spawn(async move { retry(&db, id, None).await })
        })
        .collect();
    let mut won = 0;
    for race in racing {
        match race.await.unwrap() {
            RetryClaim::Claimed(_) => won += 1,
            RetryClaim::Superseded => {}
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(won, 1);
    assert_eq!(rows::count(&fresh.url, "delivery_entries").await, 1);
}

super::on_both!(
    a_retry_appends_an_entry_that_names_the_failed_one,
    the_same_call_again_gets_the_first_answer,
    what_cannot_be_retried_is_said,
    a_purged_payload_cannot_be_sent_again,
    a_retry_whose_process_dies_is_found_by_the_worker,
    two_operators_at_once_get_one_claim,
);
