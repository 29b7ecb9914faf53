//! Deliveries: taken over once, claimed by lease, in turns and in order.

use std::collections::HashSet;

use chrono::TimeDelta;
use integrations_gateway::{
    domain::{
        connection::Connection,
        delivery::{DeliveryFailure, DeliveryStatus, DeliveryWait},
        id::{ConnectionId, SiteId},
        state::Observation,
        test_report::TestOutcome,
    },
    store::{
        Db,
        connection::NewConnection,
        delivery::{self, Inserted, NewDelivery},
    },
};

use super::{
    Fresh,
    fixtures::{
        OTHER, SITE, again, at, claim_all, claim_one, connected, delivered, dispatch, event, hand_over, insert,
        new_connection, observe, settle, settlement,
    },
};
use crate::support::rows;

pub async fn a_delivery_is_stored_as_it_was_given(fresh: Fresh) {
    let db = &fresh.db;
    let connection = connected(db, "c").await;
    let new = NewDelivery { next_attempt_at: at(9), ..event(&connection, "k", at(5)) };
    let accepted = dispatch(db, SITE, new).await;
    let found = delivery::find(db, SITE, accepted.id).await.unwrap().unwrap();
    assert_eq!(format!("{accepted:?}"), format!("{found:?}"));
    assert_eq!((found.status, found.attempts, found.waiting_for), (DeliveryStatus::Queued, 0, None));
    assert_eq!((found.accepted_at, found.next_attempt_at, found.ended_at), (at(5), Some(at(9)), None));
    assert_eq!((found.module.as_str(), found.event_type.as_str()), ("forms", "form.submitted"));
    assert_eq!((found.event_identifier.as_str(), found.message_id.as_str()), ("submission-k", "msg_k"));
    assert_eq!((found.connection, found.connection_name.as_str()), (connection.id, "c"));
    assert_eq!(delivery::pending_counts(db, SITE, &[connection.id]).await.unwrap(), [(connection.id, 1)]);
}

pub async fn a_key_is_taken_once_for_each_connection_and_module(fresh: Fresh) {
    let db = &fresh.db;
    let (one, two) = (connected(db, "one").await, connected(db, "two").await);
    let first = dispatch(db, SITE, event(&one, "k", at(0))).await;
    let same = hand_over(db, SITE, event(&one, "k", at(1))).await;
    let Inserted::Duplicate { delivery, same_request: true } = same else { panic!("{same:?}") };
    assert_eq!((delivery.id, delivery.accepted_at), (first.id, at(0)));
    let other = NewDelivery { request_digest: vec![9], ..event(&one, "k", at(1)) };
    let other = hand_over(db, SITE, other).await;
    assert!(matches!(other, Inserted::Duplicate { same_request: false, .. }), "{other:?}");
    let module = NewDelivery { module: "posts".to_owned(), ..event(&one, "k", at(1)) };
    assert!(matches!(hand_over(db, SITE, module).await, Inserted::Accepted(_)));
    assert!(matches!(hand_over(db, SITE, event(&two, "k", at(1))).await, Inserted::Accepted(_)));
    let keys = ["k".to_owned(), "K".to_owned(), "other".to_owned()];
    let mut found = delivery::find_by_keys(db, SITE, one.id, "forms", &keys).await.unwrap();
    assert_eq!(found.len(), 1, "case counts");
    let (_, found, digest) = found.remove(0);
    assert_eq!((found.id, digest), (first.id, vec![1, 2, 3]));

    let gone = NewDelivery { connection: ConnectionId(999), ..event(&one, "x", at(1)) };
    assert!(matches!(hand_over(db, SITE, gone).await, Inserted::ConnectionGone));
    assert_eq!(rows::count(&fresh.url, "deliveries").await, 3);
}

pub async fn a_key_that_comes_many_times_at_once_is_taken_once(fresh: Fresh) {
    let db = &fresh.db;
    let connection = connected(db, "c").await;
    let racing: Vec<_> = (0..16)
        .map(|_| {
            let (db, new) = (db.clone(), event(&connection, "k", at(0)));
            tokio::spawn(async move { hand_over(&db, SITE, new).await })
        })
        .collect();
    let (mut accepted, mut ids) = (0, HashSet::new());
    for race in racing {
        match race.await.unwrap() {
            Inserted::Accepted(delivery) => {
                accepted += 1;
                ids.insert(delivery.id);
            }
            Inserted::Duplicate { delivery, same_request } => {
                assert!(same_request);
                ids.insert(delivery.id);
            }
            Inserted::ConnectionGone => panic!("it is there"),
        }
    }
    assert_eq!((accepted, ids.len()), (1, 1));
}

pub async fn held_is_queued_while_the_connection_is_not_active(fresh: Fresh) {
    let db = &fresh.db;
    let connection = connected(db, "c").await;
    let first = dispatch(db, SITE, event(&connection, "before", at(0))).await;
    observe(db, connection.id, Observation::Pause).await;
    let later = dispatch(db, SITE, event(&connection, "after", at(1))).await;
    assert_eq!((later.status, later.waiting_for), (DeliveryStatus::Held, Some(DeliveryWait::Connection)));
    for id in [first.id, later.id] {
        let held = delivery::find(db, SITE, id).await.unwrap().unwrap();
        assert_eq!((held.status, held.waiting_for), (DeliveryStatus::Held, Some(DeliveryWait::Connection)));
    }
    assert!(claim_all(db, at(100)).await.is_empty());
    assert_eq!(delivery::next_due(db, at(100)).await.unwrap(), None);
    assert_eq!(delivery::pending_counts(db, SITE, &[connection.id]).await.unwrap(), [(connection.id, 2)]);

    observe(db, connection.id, Observation::Resume { test: TestOutcome::Connected }).await;
    assert_eq!(delivery::next_due(db, at(100)).await.unwrap(), Some(at(0)));
    let drained = claim_all(db, at(100)).await;
    let order: Vec<_> = drained.iter().map(|claim| claim.delivery.id).collect();
    assert_eq!(order, [first.id, later.id], "oldest first");
    assert!(drained.iter().all(|claim| claim.delivery.status == DeliveryStatus::Queued));
}

pub async fn only_what_is_due_is_claimed(fresh: Fresh) {
    let db = &fresh.db;
    let connection = connected(db, "c").await;
    assert_eq!(delivery::next_due(db, at(0)).await.unwrap(), None);
    let new = NewDelivery { next_attempt_at: at(50), ..event(&connection, "k", at(0)) };
    dispatch(db, SITE, new).await;
    assert!(claim_all(db, at(49)).await.is_empty());
    assert_eq!(delivery::next_due(db, at(49)).await.unwrap(), Some(at(50)));
    let claim = claim_one(db, at(50)).await;
    assert_eq!((claim.site, claim.payload.as_slice()), (SITE, &b"sealed payload"[..]));
    assert_eq!(claim.retry_of, None);
    // Leased until a minute later.
    assert!(claim_all(db, at(60)).await.is_empty());
    assert_eq!(delivery::next_due(db, at(60)).await.unwrap(), Some(at(110)));
}

pub async fn a_lease_that_has_run_out_is_taken_over(fresh: Fresh) {
    let db = &fresh.db;
    let connection = connected(db, "c").await;
    dispatch(db, SITE, event(&connection, "k", at(0))).await;
    let dead = claim_one(db, at(0)).await;
    assert!(claim_all(db, at(59)).await.is_empty());
    let taken = claim_one(db, at(60)).await;
    assert_eq!(taken.delivery.id, dead.delivery.id);
    assert_ne!(taken.lease, dead.lease);
    // The first one comes back late: nothing of it is written.
    let before = rows::count(&fresh.url, "stream_events").await;
    assert!(delivery::settle(db, settlement(&dead, at(61), delivered(at(61)))).await.unwrap().is_none());
    assert_eq!(rows::count(&fresh.url, "delivery_entries").await, 0);
    assert_eq!(rows::count(&fresh.url, "stream_events").await, before);
    let settled = settle(db, settlement(&taken, at(62), delivered(at(62)))).await;
    assert_eq!(settled.entry.attempt, 1);
    assert!(delivery::settle(db, settlement(&taken, at(63), delivered(at(63)))).await.unwrap().is_none());
}

pub async fn a_lease_that_ran_out_and_was_not_taken_over_still_settles(fresh: Fresh) {
    let db = &fresh.db;
    let connection = connected(db, "c").await;
    dispatch(db, SITE, event(&connection, "k", at(0))).await;
    let late = claim_one(db, at(0)).await;
    let settled = settle(db, settlement(&late, at(1_000), delivered(at(1_000)))).await;
    assert_eq!(settled.entry.attempted_at, at(1_000));
}

pub async fn a_released_claim_is_there_for_the_next(fresh: Fresh) {
    let db = &fresh.db;
    let connection = connected(db, "c").await;
    dispatch(db, SITE, event(&connection, "k", at(0))).await;
    let first = claim_one(db, at(0)).await;
    delivery::release(db, SITE, first.delivery.id, first.lease + 1).await.unwrap();
    assert!(claim_all(db, at(1)).await.is_empty(), "another's lease is not given back");
    delivery::release(db, SITE, first.delivery.id, first.lease).await.unwrap();
    let second = claim_one(db, at(1)).await;
    assert_eq!((second.delivery.id, second.delivery.attempts), (first.delivery.id, 0));
}

pub async fn a_connection_gets_no_more_than_its_share(fresh: Fresh) {
    let db = &fresh.db;
    let (busy, idle) = (connected(db, "busy").await, connected(db, "idle").await);
    for n in 0..10 {
        dispatch(db, SITE, event(&busy, &n.to_string(), at(0))).await;
    }
    dispatch(db, SITE, event(&idle, "late", at(1))).await;
    let until = at(60);
    let claim = |limit, per_connection, but: &[ConnectionId]| {
        let (db, but) = (db.clone(), but.to_vec());
        async move { delivery::claim(&db, at(2), until, limit, per_connection, &but).await.unwrap() }
    };
    let of = |claims: &[delivery::Claim]| claims.iter().map(|claim| claim.delivery.connection).collect::<Vec<_>>();
    assert_eq!(of(&claim(100, 3, &[busy.id]).await), [idle.id]);
    let first = claim(100, 3, &[]).await;
    assert_eq!(of(&first), [busy.id; 3]);
    assert!(claim(100, 3, &[]).await.is_empty(), "three are in hand");
    settle(db, settlement(&first[0], at(3), delivered(at(3)))).await;
    assert_eq!(of(&claim(100, 3, &[]).await), [busy.id]);
    assert_eq!(of(&claim(2, 10, &[]).await), [busy.id; 2], "no more than the limit");
}

pub async fn sites_and_connections_take_turns(fresh: Fresh) {
    let db = &fresh.db;
    let mut all: Vec<(SiteId, Connection)> = Vec::new();
    for n in 0..4 {
        all.push((SITE, connected(db, &format!("c{n}")).await));
    }
    all.push((OTHER, insert(db, OTHER, at(0), new_connection("alone")).await));
    for (site, connection) in &all {
        for n in 0..5 {
            // The other site's events came last of all.
            let accepted = at(if *site == OTHER { 9 } else { n });
            dispatch(db, *site, event(connection, &n.to_string(), accepted)).await;
        }
    }
    let claims = delivery::claim(db, at(20), at(80), 6, 5, &[]).await.unwrap();
    let sites: Vec<_> = claims.iter().map(|claim| claim.site).collect();
    assert_eq!(sites.iter().filter(|site| **site == OTHER).count(), 3, "{sites:?}");
    let connections: HashSet<_> =
        claims.iter().filter(|claim| claim.site == SITE).map(|claim| claim.delivery.connection).collect();
    assert_eq!(connections.len(), 3, "within a site its connections take turns");
}

pub async fn ordered_deliveries_go_one_at_a_time(fresh: Fresh) {
    let db = &fresh.db;
    let new = NewConnection { ordered_delivery: true, ..new_connection("in order") };
    let connection = insert(db, SITE, at(0), new).await;
    let mut ids = Vec::new();
    for n in 0..3 {
        ids.push(dispatch(db, SITE, event(&connection, &n.to_string(), at(n))).await.id);
    }
    let first = claim_one(db, at(10)).await;
    assert_eq!(first.delivery.id, ids[0]);
    assert!(claim_all(db, at(10)).await.is_empty());
    assert_eq!(delivery::next_due(db, at(10)).await.unwrap(), Some(at(70)));
    // The oldest waits for its next attempt, and the others for it.
    settle(db, settlement(&first, at(11), again(at(11), DeliveryFailure::Timeout, at(500)))).await;
    assert!(claim_all(db, at(20)).await.is_empty());
    assert_eq!(delivery::next_due(db, at(20)).await.unwrap(), Some(at(500)));
    let first = claim_one(db, at(500)).await;
    assert_eq!((first.delivery.id, first.delivery.attempts), (ids[0], 1));
    settle(db, settlement(&first, at(501), delivered(at(501)))).await;
    let second = claim_one(db, at(501)).await;
    assert_eq!(second.delivery.id, ids[1]);
}

pub async fn several_workers_take_each_delivery_once(fresh: Fresh) {
    let db = &fresh.db;
    let connections = [connected(db, "a").await, connected(db, "b").await, connected(db, "c").await];
    for connection in &connections {
        for n in 0..20 {
            dispatch(db, SITE, event(connection, &n.to_string(), at(0))).await;
        }
    }
    let workers: Vec<_> = (0..8)
        .map(|_| {
            let db = db.clone();
            tokio::spawn(async move {
                let mut taken = Vec::new();
                loop {
                    let claims = delivery::claim(&db, at(1), at(1) + TimeDelta::hours(1), 7, 60, &[]).await.unwrap();
                    if claims.is_empty() && all_are_leased(&db).await {
                        return taken;
                    }
                    taken.extend(claims.into_iter().map(|claim| (claim.delivery.id, claim.lease)));
                }
            })
        })
        .collect();
    let mut taken = Vec::new();
    for worker in workers {
        taken.extend(worker.await.unwrap());
    }
    let ids: HashSet<_> = taken.iter().map(|(id, _)| *id).collect();
    let leases: HashSet<_> = taken.iter().map(|(_, lease)| *lease).collect();
    assert_eq!((taken.len(), ids.len(), leases.len()), (60, 60, 60));
}

/// Whether nothing can be claimed before the leases end.
async fn all_are_leased(db: &Db) -> bool {
    delivery::next_due(db, at(1)).await.unwrap().is_none_or(|due| due > at(1))
}

pub async fn a_backlog_that_is_held_costs_the_others_nothing(fresh: Fresh) {
    let db = &fresh.db;
    let (held, live) = (connected(db, "held").await, connected(db, "live").await);
    for n in 0..40 {
        dispatch(db, SITE, event(&held, &n.to_string(), at(0))).await;
    }
    observe(db, held.id, Observation::DestinationGone).await;
    dispatch(db, SITE, event(&live, "k", at(1))).await;
    let before = db.query_count();
    assert_eq!(claim_one(db, at(2)).await.delivery.connection, live.id);
    assert_eq!(db.query_count(), before + 5, "begin, look, lease, read, commit");
}

super::on_both!(
    a_delivery_is_stored_as_it_was_given,
    a_key_is_taken_once_for_each_connection_and_module,
    a_key_that_comes_many_times_at_once_is_taken_once,
    held_is_queued_while_the_connection_is_not_active,
    only_what_is_due_is_claimed,
    a_lease_that_has_run_out_is_taken_over,
    a_lease_that_ran_out_and_was_not_taken_over_still_settles,
    a_released_claim_is_there_for_the_next,
    a_connection_gets_no_more_than_its_share,
    sites_and_connections_take_turns,
    ordered_deliveries_go_one_at_a_time,
    several_workers_take_each_delivery_once,
    a_backlog_that_is_held_costs_the_others_nothing,
);
