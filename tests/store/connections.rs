//! Connections from their making to their removal, and the small tables beside them.

use integrations_gateway::{
    domain::{
        activity::ActivityAction,
        capability::{Capabilities, Capability},
        connection::{ConnectionChange, ConnectionState, StateChangeCause},
        delivery::{DeliveryFailure, DeliveryOutcome, DeliveryStatus},
        encoded::Encoded,
        event::EventBody,
        id::{ActivityId, ConnectionId, OperatorId},
        page::PageRequest,
        settings::{ErrorPattern, Settings},
        test_report::TestOutcome,
    },
    store::{
        Seal, SealedCredential, StoreError, activity,
        connection::{self, Configured, NewConnection},
        credential, delivery, entry, history,
        offer::{self, NewOffer},
        operator, role, settings,
        site::{self, SiteKeyRow},
        stream,
    },
};

use super::{
    Fresh,
    fixtures::{
        self, SITE, activity as acted, at, claim_one, connected, dispatch, event, events, new_connection, seal, settle,
        settlement, test_report,
    },
};
use crate::support::rows;

const TABLES: [&str; 9] = [
    "connections",
    "connection_scopes",
    "credentials",
    "state_history",
    "activity_entries",
    "stream_events",
    "stream_counters",
    "deliveries",
    "delivery_entries",
];

async fn assert_nothing_is_stored(fresh: &Fresh) {
    for table in TABLES {
        assert_eq!(rows::count(&fresh.url, table).await, 0, "{table}");
    }
}

pub async fn a_new_connection_is_stored_as_it_was_given(fresh: Fresh) {
    let db = &fresh.db;
    let new = NewConnection {
        vendor_account_id: Some("acct_1".to_owned()),
        scopes_granted: ["write", "read", "write"].map(str::to_owned).to_vec(),
        ordered_delivery: true,
        expires_at: Some(at(3_600)),
        ..new_connection("Receiver")
    };
    let made = fixtures::insert(db, SITE, at(5), new.clone()).await;
    let found = connection::find(db, SITE, made.id).await.unwrap().unwrap();
    for connection in [&made, &found, &connection::list_by_ids(db, SITE, &[made.id]).await.unwrap()[0]] {
        assert_eq!(connection.display_name, "Receiver");
        assert_eq!(connection.connector_slug, "receiver");
        assert_eq!(connection.state, ConnectionState::Active);
        assert_eq!(connection.state_reason, None);
        assert_eq!(connection.vendor_account_id.as_deref(), Some("acct_1"));
        assert_eq!(connection.scopes_granted, ["read", "write"]);
        assert_eq!(connection.configuration.read().as_ref(), Some(&new.configuration));
        assert_eq!(connection.destination_label.as_deref(), Some("POST /in"));
        assert!(connection.ordered_delivery);
        assert_eq!(connection.expires_at, Some(at(3_600)));
        assert_eq!(connection.last_test.as_ref().and_then(Encoded::read).as_ref(), Some(&new.test));
        assert_eq!(connection.operator_of_record, OperatorId(7));
        assert_eq!((connection.created_at, connection.updated_at, connection.state_changed_at), (at(5), at(5), at(5)));
    }
    let parts = credential::list(db, SITE, made.id).await.unwrap();
    assert!(parts == [SealedCredential { name: "key".to_owned(), key_version: 1, blob: b"sealed".to_vec() }]);

    let steps = history::list(db, SITE, made.id, &PageRequest::default()).await.unwrap().rows;
    let [first] = steps.as_slice() else { panic!("one step") };
    assert_eq!((first.row.previous_state, first.row.state), (None, ConnectionState::Active));
    assert_eq!(first.row.cause, StateChangeCause::Test);

    let told = events(db, SITE).await;
    let [created, logged] = told.as_slice() else { panic!("two events") };
    assert_eq!(
        created.body,
        EventBody::Connection {
            connection: made.id,
            connector_slug: "receiver".to_owned(),
            change: ConnectionChange::Created,
            previous_state: None,
            state: Some(ConnectionState::Active),
            cause: StateChangeCause::Test,
            reason: None,
        }
    );
    let EventBody::ActivityLogged { entry } = logged.body else { panic!("an activity") };
    let activity = activity::find(db, SITE, entry).await.unwrap().unwrap();
    assert_eq!(activity.action, ActivityAction::ConnectionCreated);
    assert_eq!(activity.connection, Some(made.id));
    assert_eq!(activity.connection_name.as_deref(), Some("Receiver"));
    assert_eq!((created.number, logged.number, logged.occurred_at), (1, 2, at(5)));
}

pub async fn what_fails_leaves_nothing(fresh: Fresh) {
    let db = &fresh.db;
    let failing: Seal = Box::new(|_| Err("the vault is closed".to_owned()));
    let activity = fixtures::activity(ActivityAction::ConnectionCreated);
    let refused = connection::insert(db, SITE, at(0), new_connection("x"), failing, activity.clone()).await;
    assert!(matches!(refused, Err(StoreError::Aborted(text)) if text == "the vault is closed"));
    assert_nothing_is_stored(&fresh).await;

    let gone = NewConnection { consume_offer: Some("no such token".to_owned()), ..new_connection("x") };
    let refused = connection::insert(db, SITE, at(0), gone, seal(b"x"), activity).await;
    assert!(matches!(refused, Err(StoreError::OfferGone)));
    assert_nothing_is_stored(&fresh).await;
    // The only writer came back.
    connected(db, "after that").await;
}

/// A panic half-way is the hardest end that a transaction can come to in a living process.
pub async fn a_transaction_that_panics_leaves_nothing(fresh: Fresh) {
    let db = fresh.db.clone();
    let (called, was_called) = tokio::sync::oneshot::channel();
    let panicking: Seal = Box::new(move |_| {
        called.send(()).unwrap();
        panic!("the process of sealing dies");
    });
    let activity = fixtures::activity(ActivityAction::ConnectionCreated);
    let task =
        tokio::spawn(
            async move { connection::insert(&db, SITE, at(0), new_connection("x"), panicking, activity).await },
        );
    was_called.await.unwrap();
    assert!(task.await.unwrap_err().is_panic());
    assert_nothing_is_stored(&fresh).await;
    connected(&fresh.db, "after that").await;
}

pub async fn ids_are_never_used_again(fresh: Fresh) {
    let db = &fresh.db;
    let first = connected(db, "first").await;
    let activity = fixtures::activity(ActivityAction::ConnectionDisconnected);
    connection::remove(db, SITE, first.id, at(1), activity).await.unwrap().unwrap();
    assert!(connected(db, "second").await.id > first.id);
}

pub async fn a_rename_moves_updated_at_and_is_told(fresh: Fresh) {
    let db = &fresh.db;
    let made = connected(db, "before").await;
    let activity = fixtures::activity(ActivityAction::ConnectionRenamed);
    let renamed = connection::rename(db, SITE, made.id, at(9), "after", activity).await.unwrap().unwrap();
    assert_eq!((renamed.display_name.as_str(), renamed.updated_at), ("after", at(9)));
    assert_eq!(renamed.state_changed_at, at(0));
    let told = events(db, SITE).await;
    assert!(matches!(
        &told[2].body,
        EventBody::Connection { change: ConnectionChange::Updated, cause: StateChangeCause::Operator, .. }
    ));
    assert_eq!(told.len(), 4);
    let activity = fixtures::activity(ActivityAction::ConnectionRenamed);
    assert!(connection::rename(db, SITE, ConnectionId(999), at(9), "x", activity).await.unwrap().is_none());
    assert_eq!(events(db, SITE).await.len(), 4);
}

pub async fn configuring_changes_what_it_names_and_observes_its_test(fresh: Fresh) {
    let db = &fresh.db;
    let made = connected(db, "configured").await;
    let activity = || fixtures::activity(ActivityAction::ConnectionConfigured);
    let only_order = Configured { ordered_delivery: Some(true), ..Configured::default() };
    let changed = connection::configure(db, SITE, made.id, at(1), only_order, activity()).await.unwrap().unwrap();
    assert!(changed.ordered_delivery);
    assert_eq!(changed.configuration.read(), made.configuration.read());
    assert_eq!(changed.destination_label, made.destination_label);
    assert_eq!(changed.updated_at, at(1));

    let part =
        |name: &str, blob: &[u8]| SealedCredential { name: name.to_owned(), key_version: 2, blob: blob.to_vec() };
    let everything = Configured {
        configuration: Some(vec![("address".to_owned(), "https://other.example".to_owned())]),
        destination_label: Some(None),
        sealed: vec![part("key", b"new"), part("path", b"added")],
        replaces: None,
        ordered_delivery: Some(false),
        test: Some(test_report(TestOutcome::CredentialRevoked)),
    };
    let changed = connection::configure(db, SITE, made.id, at(2), everything, activity()).await.unwrap().unwrap();
    assert_eq!(changed.configuration.read().expect("readable")[0].1, "https://other.example");
    assert_eq!(changed.destination_label, None);
    assert!(!changed.ordered_delivery);
    assert_eq!(changed.state, ConnectionState::AuthRevoked);
    assert_eq!(changed.state_reason.as_deref(), Some("what the vendor said"));
    let parts = credential::list(db, SITE, made.id).await.unwrap();
    assert!(parts == [part("key", b"new"), part("path", b"added")]);
    let told = events(db, SITE).await;
    let kinds: Vec<_> = told
        .iter()
        .filter_map(|event| match &event.body {
            EventBody::Connection { change, .. } => Some(*change),
            _ => None,
        })
        .collect();
    assert_eq!(
        kinds,
        [
            ConnectionChange::Created,
            ConnectionChange::Updated,
            ConnectionChange::Updated,
            ConnectionChange::StateChanged
        ]
    );
}

pub async fn a_removal_cancels_what_is_queued_and_keeps_the_log(fresh: Fresh) {
    let db = &fresh.db;
    let made = connected(db, "removed").await;
    let kept = connected(db, "kept").await;
    dispatch(db, SITE, event(&made, "in hand", at(0))).await;
    let in_hand = claim_one(db, at(1)).await;
    for n in 0..3 {
        dispatch(db, SITE, event(&made, &n.to_string(), at(2))).await;
    }
    dispatch(db, SITE, event(&kept, "other", at(2))).await;
    let before = stream::position(db, SITE).await.unwrap();
    let activity = fixtures::activity(ActivityAction::ConnectionDisconnected);
    let removed = connection::remove(db, SITE, made.id, at(3), activity.clone()).await.unwrap().unwrap();
    assert_eq!((removed.connection.id, removed.cancelled), (made.id, 3));
    assert!(connection::find(db, SITE, made.id).await.unwrap().is_none());
    assert!(credential::list(db, SITE, made.id).await.unwrap().is_empty());
    assert!(history::list(db, SITE, made.id, &PageRequest::default()).await.unwrap().rows.is_empty());
    assert!(connection::remove(db, SITE, made.id, at(3), activity).await.unwrap().is_none());

    let told = stream::list_after(db, SITE, before, 100).await.unwrap();
    assert_eq!(told.len(), 5);
    assert!(matches!(
        &told[0].body,
        EventBody::Connection {
            change: ConnectionChange::Removed,
            previous_state: Some(ConnectionState::Active),
            state: None,
            ..
        }
    ));
    for event in &told[1..4] {
        let EventBody::DeliveryLogged { entry } = event.body else { panic!("an entry") };
        let entry = entry::find(db, SITE, entry).await.unwrap().unwrap();
        assert_eq!(entry.outcome, DeliveryOutcome::Failed);
        assert_eq!(entry.failure, Some(DeliveryFailure::ConnectionRemoved));
        assert_eq!((entry.attempt, entry.attempted_at, entry.retryable), (1, at(3), false));
        assert_eq!((entry.vendor_response_code, entry.latency_ms), (None, None));
        assert_eq!(entry.connection_name, "removed");
        let delivery = delivery::find(db, SITE, entry.delivery).await.unwrap().unwrap();
        assert_eq!((delivery.status, delivery.ended_at), (DeliveryStatus::Cancelled, Some(at(3))));
        assert_eq!((delivery.attempts, delivery.next_attempt_at), (1, None));
    }
    // What a worker had in hand settles into the log; there is nothing to try it again on.
    let again = fixtures::again(at(4), DeliveryFailure::Timeout, at(100));
    let settled = settle(db, settlement(&in_hand, at(5), again)).await;
    assert!(settled.observed.is_none());
    assert_eq!(settled.entry.outcome, DeliveryOutcome::Failed);
    let delivery = delivery::find(db, SITE, in_hand.delivery.id).await.unwrap().unwrap();
    assert_eq!((delivery.status, delivery.next_attempt_at), (DeliveryStatus::Cancelled, None));
    assert_eq!(delivery::pending_counts(db, SITE, &[made.id, kept.id]).await.unwrap(), [(kept.id, 1)]);
}

pub async fn orphans_are_cancelled_in_pieces(fresh: Fresh) {
    let db = &fresh.db;
    let made = connected(db, "full").await;
    for n in 0..510 {
        dispatch(db, SITE, event(&made, &n.to_string(), at(0))).await;
    }
    let activity = fixtures::activity(ActivityAction::ConnectionDisconnected);
    let removed = connection::remove(db, SITE, made.id, at(1), activity).await.unwrap().unwrap();
    assert_eq!(removed.cancelled, 500);
    let kept = connected(db, "kept").await;
    dispatch(db, SITE, event(&kept, "k", at(0))).await;
    assert_eq!(delivery::cancel_orphans(db, at(2), 4).await.unwrap(), 4);
    assert_eq!(delivery::cancel_orphans(db, at(2), 100).await.unwrap(), 6);
    assert_eq!(delivery::cancel_orphans(db, at(2), 100).await.unwrap(), 0);
    assert_eq!(rows::count(&fresh.url, "delivery_entries").await, 510);
    let position = stream::position(db, SITE).await.unwrap();
    assert_eq!(rows::count(&fresh.url, "stream_events").await, position);
    assert_eq!(delivery::pending_counts(db, SITE, &[made.id, kept.id]).await.unwrap(), [(kept.id, 1)]);
}

fn new_offer(token: &str) -> NewOffer {
    NewOffer {
        token: token.to_owned(),
        operator: OperatorId(7),
        connector_slug: "receiver".to_owned(),
        display_name: Some("mine".to_owned()),
        key_version: 3,
        sealed: b"sealed secret".to_vec(),
        expires_at: at(600),
    }
}

pub async fn an_offer_is_its_operators_until_it_is_used_or_runs_out(fresh: Fresh) {
    let db = &fresh.db;
    let id = offer::insert(db, SITE, at(0), new_offer("token")).await.unwrap();
    let found = offer::find(db, SITE, OperatorId(7), "token", at(599)).await.unwrap().unwrap();
    assert_eq!((found.id, found.key_version, found.expires_at), (id, 3, at(600)));
    assert_eq!((found.sealed.as_slice(), found.display_name.as_deref()), (&b"sealed secret"[..], Some("mine")));
    assert!(offer::find(db, SITE, OperatorId(8), "token", at(1)).await.unwrap().is_none());
    assert!(offer::find(db, SITE, OperatorId(7), "token", at(600)).await.unwrap().is_none());

    let activity = fixtures::activity(ActivityAction::ConnectionCreated);
    let new = NewConnection { consume_offer: Some("token".to_owned()), ..new_connection("signed") };
    connection::insert(db, SITE, at(1), new.clone(), seal(b"x"), activity.clone()).await.unwrap();
    let again = connection::insert(db, SITE, at(1), new, seal(b"x"), activity).await;
    assert!(matches!(again, Err(StoreError::OfferGone)));
    assert_eq!(rows::count(&fresh.url, "connections").await, 1);

    offer::insert(db, SITE, at(0), new_offer("late")).await.unwrap();
    assert_eq!(offer::purge_expired(db, at(599)).await.unwrap(), 0);
    assert_eq!(offer::purge_expired(db, at(600)).await.unwrap(), 1);
    assert_eq!(rows::count(&fresh.url, "offers").await, 0);
}

pub async fn the_first_site_key_stays(fresh: Fresh) {
    let db = &fresh.db;
    assert!(site::keys(db, SITE).await.unwrap().is_empty());
    let key = |wrapped: u8| SiteKeyRow {
        version: 1,
        master_key_id: "2030".to_owned(),
        wrapped: vec![wrapped; 60],
        created_at: at(0),
        payloads_done_to: Some(0),
    };
    let racing = (0..8).map(|n| {
        let (db, key) = (db.clone(), key(n));
        tokio::spawn(async move { site::create(&db, SITE, at(0), key).await })
    });
    for race in racing.collect::<Vec<_>>() {
        race.await.unwrap().unwrap();
    }
    let first = site::keys(db, SITE).await.unwrap();
    assert_eq!((first.len(), first[0].version, first[0].created_at), (1, 1, at(0)));
    site::create(db, SITE, at(9), key(99)).await.unwrap();
    assert_eq!(site::keys(db, SITE).await.unwrap()[0].wrapped, first[0].wrapped);
    assert_eq!(stream::position(db, SITE).await.unwrap(), 0);
}

pub async fn operators_are_noted_when_they_change(fresh: Fresh) {
    let db = &fresh.db;
    operator::note(db, SITE, OperatorId(1), Some("Ada"), at(0)).await.unwrap();
    operator::note(db, SITE, OperatorId(2), None, at(0)).await.unwrap();
    let before = db.query_count();
    operator::note(db, SITE, OperatorId(1), Some("Ada"), at(1)).await.unwrap();
    assert_eq!(db.query_count(), before + 1, "one look, nothing written");
    operator::note(db, SITE, OperatorId(1), Some("Ada L."), at(2)).await.unwrap();
    let mut known = operator::list_by_ids(db, SITE, &[OperatorId(1), OperatorId(2), OperatorId(3)]).await.unwrap();
    known.sort_unstable();
    assert_eq!(known, [(OperatorId(1), Some("Ada L.".to_owned())), (OperatorId(2), None)]);
}

pub async fn roles_and_settings_keep_the_newest(fresh: Fresh) {
    let db = &fresh.db;
    assert!(role::list(db, SITE).await.unwrap().is_empty());
    let some = Capabilities::of(&[Capability::ListConnections, Capability::ManageRoles]);
    role::save(db, SITE, at(0), "Auditor", Capabilities::NONE, acted(ActivityAction::RoleSaved)).await.unwrap();
    role::save(db, SITE, at(1), "AUDITOR", some, acted(ActivityAction::RoleSaved)).await.unwrap();
    role::save(db, SITE, at(1), "Äuditor", Capabilities::NONE, acted(ActivityAction::RoleSaved)).await.unwrap();
    let roles = role::list(db, SITE).await.unwrap();
    assert_eq!(roles, [("AUDITOR".to_owned(), some), ("Äuditor".to_owned(), Capabilities::NONE)]);

    assert_eq!(settings::find(db, SITE).await.unwrap(), Settings::default());
    let own = Settings {
        hold_limit_hours: 1,
        retry_schedule_seconds: vec![1, 2],
        error_pattern: ErrorPattern { failed_attempts: 3, minutes: 1 },
        ..Settings::default()
    };
    fixtures::save_settings(db, at(0), Settings::default()).await;
    fixtures::save_settings(db, at(1), own.clone()).await;
    assert_eq!(settings::find(db, SITE).await.unwrap(), own);
    assert!(activity::find(db, SITE, ActivityId(6)).await.unwrap().is_none());
}

super::on_both!(
    a_new_connection_is_stored_as_it_was_given,
    what_fails_leaves_nothing,
    a_transaction_that_panics_leaves_nothing,
    ids_are_never_used_again,
    a_rename_moves_updated_at_and_is_told,
    configuring_changes_what_it_names_and_observes_its_test,
    a_removal_cancels_what_is_queued_and_keeps_the_log,
    orphans_are_cancelled_in_pieces,
    an_offer_is_its_operators_until_it_is_used_or_runs_out,
    the_first_site_key_stays,
    operators_are_noted_when_they_change,
    roles_and_settings_keep_the_newest,
);
