//! Settling attempts: the entry, the delivery, the connection, and the events of all three.

use chrono::TimeDelta;
use integrations_gateway::{
    domain::{
        activity::ActivityAction,
        connection::{Connection, ConnectionChange, ConnectionState, StateChangeCause},
        delivery::{DeliveryFailure, DeliveryOutcome, DeliveryStatus, DeliveryWait},
        event::EventBody,
        settings::ErrorPattern,
        state::{Decision, Observation},
        test_report::TestOutcome,
    },
    store::{
        Db, activity, connection,
        delivery::{self, After, Attempt, NewDelivery, Settled, Settlement},
        entry, stream,
    },
};

use super::{
    Fresh,
    fixtures::{
        self, SITE, again, at, claim_one, connected, delivered, dispatch, event, failed, observe, settle, settlement,
    },
};

pub async fn a_delivered_attempt_ends_the_delivery(fresh: Fresh) {
    let db = &fresh.db;
    let connection = connected(db, "c").await;
    dispatch(db, SITE, event(&connection, "k", at(0))).await;
    let claim = claim_one(db, at(1)).await;
    let before = stream::position(db, SITE).await.unwrap();
    let settled = settle(db, settlement(&claim, at(3), delivered(at(2)))).await;
    assert!(settled.observed.is_none());
    let entry = entry::find(db, SITE, settled.entry.id).await.unwrap().unwrap();
    assert_eq!(format!("{entry:?}"), format!("{:?}", settled.entry), "what is told is what is stored");
    assert_eq!((entry.delivery, entry.connection, entry.attempt), (claim.delivery.id, connection.id, 1));
    assert_eq!((entry.outcome, entry.failure), (DeliveryOutcome::Delivered, None));
    assert_eq!((entry.vendor_response_code, entry.latency_ms), (Some(202), Some(12)));
    assert_eq!((entry.vendor_message.as_deref(), entry.attempted_at), (Some("accepted"), at(2)));
    assert_eq!((entry.module.as_str(), entry.event_identifier.as_str()), ("forms", "submission-k"));
    assert!(!entry.retryable);
    let delivery = delivery::find(db, SITE, claim.delivery.id).await.unwrap().unwrap();
    assert_eq!((delivery.status, delivery.attempts), (DeliveryStatus::Delivered, 1));
    assert_eq!((delivery.next_attempt_at, delivery.ended_at), (None, Some(at(3))));
    assert_eq!(connection::find(db, SITE, connection.id).await.unwrap().unwrap().last_delivery_at, Some(at(2)));
    let told = stream::list_after(db, SITE, before, 10).await.unwrap();
    assert!(matches!(told.as_slice(), [only] if only.body == EventBody::DeliveryLogged { entry: entry.id }));
    assert!(delivery::pending_counts(db, SITE, &[connection.id]).await.unwrap().is_empty());
}

pub async fn attempts_are_counted_and_the_last_failed_one_can_be_retried(fresh: Fresh) {
    let db = &fresh.db;
    let connection = connected(db, "c").await;
    let id = dispatch(db, SITE, event(&connection, "k", at(0))).await.id;
    let claim = claim_one(db, at(1)).await;
    let first = settle(db, settlement(&claim, at(1), again(at(1), DeliveryFailure::RateLimited, at(30)))).await.entry;
    assert_eq!((first.attempt, first.outcome, first.retryable), (1, DeliveryOutcome::Retried, false));
    let waiting = delivery::find(db, SITE, id).await.unwrap().unwrap();
    assert_eq!((waiting.status, waiting.waiting_for), (DeliveryStatus::Queued, Some(DeliveryWait::Schedule)));
    assert_eq!((waiting.next_attempt_at, waiting.attempts), (Some(at(30)), 1));
    let claim = claim_one(db, at(30)).await;
    let last = settle(db, settlement(&claim, at(31), failed(at(30), DeliveryFailure::VendorRejected))).await.entry;
    assert_eq!((last.attempt, last.outcome, last.retryable), (2, DeliveryOutcome::Failed, true));
    let entries = delivery::entries_of(db, SITE, &[id]).await.unwrap();
    assert_eq!(entries.iter().map(|entry| entry.id).collect::<Vec<_>>(), [first.id, last.id]);
    assert_eq!(entries.iter().map(|entry| entry.retryable).collect::<Vec<_>>(), [false, true]);
    let remove = fixtures::activity(ActivityAction::ConnectionDisconnected);
    connection::remove(db, SITE, connection.id, at(40), remove).await.unwrap().unwrap();
    let entries = entry::list_by_ids(db, SITE, &[first.id, last.id]).await.unwrap();
    assert!(entries.iter().all(|entry| !entry.retryable), "its connection is gone");
}

async fn attempt(db: &Db, connection: &Connection, seconds: i64, ending: (Attempt, After)) -> Settled {
    attempt_with(db, connection, seconds, ending, |settlement| settlement).await
}

/// One event, dispatched, claimed and settled; the pattern is three failures over a minute.
async fn attempt_with(
    db: &Db,
    connection: &Connection,
    seconds: i64,
    ending: (Attempt, After),
    change: impl Fn(Settlement) -> Settlement,
) -> Settled {
    dispatch(db, SITE, event(connection, &format!("{seconds}"), at(seconds))).await;
    let claim = claim_one(db, at(seconds)).await;
    let settlement = Settlement {
        error_pattern: ErrorPattern { failed_attempts: 3, minutes: 1 },
        ..settlement(&claim, at(seconds), ending)
    };
    settle(db, change(settlement)).await
}

pub async fn the_error_pattern_needs_the_count_and_the_time(fresh: Fresh) {
    let db = &fresh.db;
    let connection = connected(db, "c").await;
    for (seconds, failure) in
        [(0, DeliveryFailure::Timeout), (10, DeliveryFailure::VendorError), (20, DeliveryFailure::NetworkError)]
    {
        let settled = attempt(db, &connection, seconds, failed(at(seconds), failure)).await;
        assert!(settled.observed.is_none(), "not for a minute yet");
    }
    let before = stream::position(db, SITE).await.unwrap();
    let settled = attempt(db, &connection, 60, failed(at(60), DeliveryFailure::Timeout)).await;
    let observed = settled.observed.unwrap();
    assert!(matches!(
        observed.decision,
        Decision::Become { state: ConnectionState::Error, cause: StateChangeCause::Delivery, probe: true }
    ));
    assert_eq!(observed.previous, ConnectionState::Active);
    let stored = connection::find(db, SITE, connection.id).await.unwrap().unwrap();
    assert_eq!((stored.state, stored.updated_at), (ConnectionState::Error, at(0)));
    assert!(stored.state_reason.unwrap().contains("the last 4 attempts have failed"));
    let told = stream::list_after(db, SITE, before, 10).await.unwrap();
    assert!(matches!(&told[0].body, EventBody::DeliveryLogged { .. }));
    assert!(matches!(&told[1].body, EventBody::Connection { change: ConnectionChange::StateChanged, .. }));
    assert_eq!(told.len(), 2);
}

pub async fn what_does_and_what_does_not_count_for_the_pattern(fresh: Fresh) {
    let db = &fresh.db;
    let connection = connected(db, "c").await;
    let fails = |seconds, failure| attempt(db, &connection, seconds, failed(at(seconds), failure));
    fails(0, DeliveryFailure::Timeout).await;
    fails(10, DeliveryFailure::Timeout).await;
    // Neither counts nor ends the run.
    assert!(fails(100, DeliveryFailure::VendorRejected).await.observed.is_none());
    assert!(fails(101, DeliveryFailure::RateLimited).await.observed.is_none());
    // A delivery ends it.
    attempt(db, &connection, 110, delivered(at(110))).await;
    assert!(fails(200, DeliveryFailure::Timeout).await.observed.is_none());
    assert!(fails(201, DeliveryFailure::Timeout).await.observed.is_none());
    // A test that passes ends it too, though nothing changes.
    let mut passed = fixtures::report(Observation::Tested { outcome: TestOutcome::Connected, refreshable: false });
    passed.test = Some(fixtures::test_report(TestOutcome::Connected));
    connection::observe(db, SITE, connection.id, at(202), passed).await.unwrap().unwrap();
    assert!(fails(300, DeliveryFailure::Timeout).await.observed.is_none());
    assert!(fails(301, DeliveryFailure::Timeout).await.observed.is_none());
    // So does coming back to active.
    observe(db, connection.id, Observation::Pause).await;
    observe(db, connection.id, Observation::Resume { test: TestOutcome::Connected }).await;
    assert!(fails(400, DeliveryFailure::Timeout).await.observed.is_none());
    // A retried attempt counts like a failed one.
    let retried = |seconds| again(at(seconds), DeliveryFailure::VendorError, at(seconds) + TimeDelta::days(1));
    attempt(db, &connection, 401, retried(401)).await;
    let third = attempt(db, &connection, 460, retried(460)).await;
    assert_eq!(third.observed.unwrap().connection.state, ConnectionState::Error);
}

pub async fn an_observation_is_applied_with_the_settlement(fresh: Fresh) {
    let db = &fresh.db;
    let connection = connected(db, "c").await;
    let before = stream::position(db, SITE).await.unwrap();
    let observed = |settlement| Settlement {
        observation: Some((Observation::DeliverySaidRevoked, "the vendor said revoked".to_owned())),
        activity: Some(fixtures::activity(ActivityAction::DeliveryRetried)),
        ..settlement
    };
    let ending = failed(at(5), DeliveryFailure::CredentialRevoked);
    let settled = attempt_with(db, &connection, 5, ending, observed).await;
    let now = settled.observed.unwrap();
    assert_eq!((now.connection.state, now.previous), (ConnectionState::AuthRevoked, ConnectionState::Active));
    assert_eq!(now.connection.state_reason.as_deref(), Some("the vendor said revoked"));
    let told = stream::list_after(db, SITE, before, 10).await.unwrap();
    let [logged, changed, acted] = told.as_slice() else { panic!("{told:?}") };
    assert!(matches!(logged.body, EventBody::DeliveryLogged { .. }));
    assert!(matches!(&changed.body, EventBody::Connection { cause: StateChangeCause::Delivery, .. }));
    let EventBody::ActivityLogged { entry } = acted.body else { panic!("an activity") };
    let activity = activity::find(db, SITE, entry).await.unwrap().unwrap();
    assert_eq!((activity.connection, activity.connection_name.as_deref()), (Some(connection.id), Some("c")));
}

pub async fn an_observation_of_a_paused_connection_keeps_its_reason(fresh: Fresh) {
    let db = &fresh.db;
    let connection = connected(db, "c").await;
    dispatch(db, SITE, event(&connection, "k", at(0))).await;
    let claim = claim_one(db, at(1)).await;
    observe(db, connection.id, Observation::Pause).await;
    let settlement = Settlement {
        observation: Some((Observation::DestinationGone, "it answered 410".to_owned())),
        ..settlement(&claim, at(61), failed(at(61), DeliveryFailure::VendorRejected))
    };
    let observed = settle(db, settlement).await.observed.unwrap();
    assert_eq!(observed.decision, Decision::KeepWithReason);
    assert_eq!(observed.connection.state, ConnectionState::Paused);
    assert_eq!(observed.connection.state_reason.as_deref(), Some("it answered 410"));
}

pub async fn what_a_vendor_says_is_stored_whatever_it_is(fresh: Fresh) {
    let db = &fresh.db;
    let connection = connected(db, "c").await;
    let new = NewDelivery { message_id: "msg_k".to_owned(), ..event(&connection, "k\0", at(0)) };
    dispatch(db, SITE, new).await;
    let claim = claim_one(db, at(1)).await;
    let (mut attempt, after) = failed(at(1), DeliveryFailure::VendorRejected);
    attempt.vendor_message = Some("no\0, 'quoted' \\ \u{1f980}".to_owned());
    attempt.vendor_response_code = Some(u16::MAX);
    attempt.latency_ms = Some(u32::MAX);
    let observation = Some((Observation::DestinationGone, "gone\0".to_owned()));
    let settled = settle(db, Settlement { observation, ..settlement(&claim, at(1), (attempt, after)) }).await;
    let entry = entry::find(db, SITE, settled.entry.id).await.unwrap().unwrap();
    assert_eq!(entry.vendor_message.as_deref(), Some("no\u{fffd}, 'quoted' \\ \u{1f980}"));
    assert_eq!((entry.vendor_response_code, entry.latency_ms), (Some(u16::MAX), Some(u32::MAX)));
    let told = stream::list_after(db, SITE, 0, 100).await.unwrap();
    assert!(told.iter().any(|event| matches!(
        &event.body,
        EventBody::Connection { reason: Some(reason), .. } if reason == "gone\u{fffd}"
    )));
    assert_eq!(delivery::find_by_keys(db, SITE, connection.id, "forms", &["k\0".to_owned()]).await.unwrap().len(), 1);
}

pub async fn concurrent_settlements_of_one_connection_all_count(fresh: Fresh) {
    let db = &fresh.db;
    let connection = connected(db, "c").await;
    for n in 0..20 {
        dispatch(db, SITE, event(&connection, &n.to_string(), at(0))).await;
    }
    let settling: Vec<_> = fixtures::claim_all(db, at(1))
        .await
        .into_iter()
        .map(|claim| {
            let db = db.clone();
            tokio::spawn(async move {
                let settlement = Settlement {
                    error_pattern: ErrorPattern { failed_attempts: 20, minutes: 0 },
                    ..settlement(&claim, at(2), failed(at(2), DeliveryFailure::Timeout))
                };
                settle(&db, settlement).await.observed.is_some()
            })
        })
        .collect();
    let mut met = 0;
    for settled in settling {
        met += usize::from(settled.await.unwrap());
    }
    assert_eq!(met, 1, "the twentieth meets the pattern, and it alone");
    let stored = connection::find(db, SITE, connection.id).await.unwrap().unwrap();
    assert_eq!(stored.state, ConnectionState::Error);
}

super::on_both!(
    a_delivered_attempt_ends_the_delivery,
    attempts_are_counted_and_the_last_failed_one_can_be_retried,
    the_error_pattern_needs_the_count_and_the_time,
    what_does_and_what_does_not_count_for_the_pattern,
    an_observation_is_applied_with_the_settlement,
    an_observation_of_a_paused_connection_keeps_its_reason,
    what_a_vendor_says_is_stored_whatever_it_is,
    concurrent_settlements_of_one_connection_all_count,
);
