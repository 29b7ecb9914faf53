//! What waits too long ends, and nothing else does.

use integrations_gateway::{
    domain::{delivery::DeliveryStatus, state::Observation},
    store::{delivery, retention},
};

use super::{
    Fresh,
    fixtures::{OTHER, SITE, at, claim_one, connected, dispatch, event, observe},
};

pub async fn what_is_held_too_long_ends(fresh: Fresh) {
    let db = &fresh.db;
    let connection = connected(db, "c").await;
    let mut waiting = Vec::new();
    for key in ["a", "b", "c"] {
        waiting.push(dispatch(db, SITE, event(&connection, key, at(0))).await);
    }
    let late = dispatch(db, SITE, event(&connection, "late", at(500))).await;
    let expire = async |site, before, limit| {
        retention::expire_held(db, site, at(before), at(1_000), limit).await.expect("it runs")
    };
    assert_eq!(expire(SITE, 900, 10).await, 0, "the connection is active");
    // At 60 seconds.
    observe(db, connection.id, Observation::Pause).await;
    assert_eq!(expire(SITE, 59, 10).await, 0, "active until then");
    assert_eq!(expire(OTHER, 60, 10).await, 0, "another site's");
    assert_eq!(expire(SITE, 60, 2).await, 2, "no more than it may");
    assert_eq!(expire(SITE, 60, 2).await, 1);
    assert_eq!(expire(SITE, 60, 2).await, 0, "accepted later");
    for delivery in &waiting {
        let found = delivery::find(db, SITE, delivery.id).await.unwrap().unwrap();
        assert_eq!(found.status, DeliveryStatus::Failed);
        assert_eq!((found.ended_at, found.next_attempt_at), (Some(at(1_000)), None));
    }
    let found = delivery::find(db, SITE, late.id).await.unwrap().unwrap();
    assert_eq!(found.status, DeliveryStatus::Held);
    assert_eq!(delivery::pending_counts(db, SITE, &[connection.id]).await.unwrap(), [(connection.id, 1)]);
}

pub async fn what_a_worker_has_in_hand_does_not_expire(fresh: Fresh) {
    let db = &fresh.db;
    let connection = connected(db, "c").await;
    dispatch(db, SITE, event(&connection, "k", at(0))).await;
    // Until 100 seconds.
    let claim = claim_one(db, at(40)).await;
    observe(db, connection.id, Observation::Pause).await;
    assert_eq!(retention::expire_held(db, SITE, at(70), at(99), 10).await.unwrap(), 0);
    assert_eq!(retention::expire_held(db, SITE, at(70), at(100), 10).await.unwrap(), 1, "its lease is over");
    let found = delivery::find(db, SITE, claim.delivery.id).await.unwrap().unwrap();
    assert_eq!(found.status, DeliveryStatus::Failed);
}

super::on_both!(what_is_held_too_long_ends, what_a_worker_has_in_hand_does_not_expire);
