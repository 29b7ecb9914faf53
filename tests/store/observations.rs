//! What an observation does to a connection, for every decision of the state function.

use integrations_gateway::{
    domain::{
        activity::ActivityAction,
        connection::{Connection, ConnectionChange, ConnectionState, StateChangeCause},
        event::EventBody,
        id::ConnectionId,
        page::PageRequest,
        query::ActivityFilter,
        state::{Decision, Observation},
        test_report::TestOutcome,
    },
    store::{
        Db, activity,
        connection::{self, Report},
        history, stream,
    },
};

use super::{
    Fresh,
    fixtures::{self, SITE, at, connected, events, observe, report, test_report},
};

const fn tested(outcome: TestOutcome) -> Observation {
    Observation::Tested { outcome, refreshable: false }
}

/// A report with everything that one can carry.
fn full(observation: Observation, outcome: TestOutcome) -> Report {
    Report {
        observation,
        test: Some(test_report(outcome)),
        reason: Some("why".to_owned()),
        activity: Some(fixtures::activity(ActivityAction::ConnectionTested)),
        touch: true,
    }
}

async fn apply(db: &Db, id: ConnectionId, report: Report) -> (Connection, Decision, ConnectionState) {
    let observed = connection::observe(db, SITE, id, at(60), report).await.unwrap().unwrap();
    let stored = connection::find(db, SITE, id).await.unwrap().unwrap();
    assert_eq!(format!("{stored:?}"), format!("{:?}", observed.connection), "what is told is what is stored");
    (stored, observed.decision, observed.previous)
}

pub async fn become_changes_the_state_with_history_and_event(fresh: Fresh) {
    let db = &fresh.db;
    let made = connected(db, "c").await;
    let before = stream::position(db, SITE).await.unwrap();
    let (stored, decision, previous) =
        apply(db, made.id, full(tested(TestOutcome::CredentialRevoked), TestOutcome::CredentialRevoked)).await;
    assert!(matches!(decision, Decision::Become { state: ConnectionState::AuthRevoked, .. }));
    assert_eq!(previous, ConnectionState::Active);
    assert_eq!(stored.state, ConnectionState::AuthRevoked);
    assert_eq!(stored.state_reason.as_deref(), Some("why"));
    assert_eq!((stored.state_changed_at, stored.updated_at), (at(60), at(60)));
    assert_eq!(stored.last_test.and_then(|test| test.read()), Some(test_report(TestOutcome::CredentialRevoked)));

    let told = stream::list_after(db, SITE, before, 10).await.unwrap();
    let [changed, logged] = told.as_slice() else { panic!("{told:?}") };
    assert_eq!(
        changed.body,
        EventBody::Connection {
            connection: made.id,
            connector_slug: made.connector_slug.clone(),
            change: ConnectionChange::StateChanged,
            previous_state: Some(ConnectionState::Active),
            state: Some(ConnectionState::AuthRevoked),
            cause: StateChangeCause::Test,
            reason: Some("why".to_owned()),
        }
    );
    let EventBody::ActivityLogged { entry } = logged.body else { panic!("an activity") };
    assert_eq!(activity::find(db, SITE, entry).await.unwrap().unwrap().connection, Some(made.id));
    let steps = history::list(db, SITE, made.id, &PageRequest::default()).await.unwrap().rows;
    assert_eq!(steps.len(), 2);
    assert_eq!(steps[0].row.state, ConnectionState::AuthRevoked);
    assert_eq!(steps[0].row.previous_state, Some(ConnectionState::Active));
    assert_eq!(steps[0].row.reason.as_deref(), Some("why"));

    let (back, ..) = apply(db, made.id, full(tested(TestOutcome::Connected), TestOutcome::Connected)).await;
    assert_eq!((back.state, back.state_reason), (ConnectionState::Active, None));
}

pub async fn only_a_touching_change_moves_updated_at(fresh: Fresh) {
    let db = &fresh.db;
    let made = connected(db, "c").await;
    let untouched = observe(db, made.id, tested(TestOutcome::CredentialExpired)).await.connection;
    assert_eq!((untouched.state, untouched.updated_at), (ConnectionState::AuthExpired, at(0)));
    // A report that touches and changes nothing moves it neither.
    let same = full(tested(TestOutcome::CredentialExpired), TestOutcome::CredentialExpired);
    let (same, decision, _) = apply(db, made.id, same).await;
    assert_eq!((decision, same.updated_at), (Decision::Keep, at(0)));
}

pub async fn keep_stores_the_test_and_the_activity_alone(fresh: Fresh) {
    let db = &fresh.db;
    let made = connected(db, "c").await;
    let before = stream::position(db, SITE).await.unwrap();
    let (stored, decision, _) =
        apply(db, made.id, full(tested(TestOutcome::VendorError), TestOutcome::VendorError)).await;
    assert_eq!(decision, Decision::Keep);
    assert_eq!((stored.state, stored.state_reason), (ConnectionState::Active, None));
    assert_eq!(stored.last_test.and_then(|test| test.read()), Some(test_report(TestOutcome::VendorError)));
    let told = stream::list_after(db, SITE, before, 10).await.unwrap();
    assert!(matches!(told.as_slice(), [only] if matches!(only.body, EventBody::ActivityLogged { .. })), "{told:?}");
    // With nothing to tell there is no event at all.
    observe(db, made.id, tested(TestOutcome::NetworkError)).await;
    assert_eq!(stream::position(db, SITE).await.unwrap(), before + 1);
}

pub async fn a_paused_connection_keeps_what_is_learnt_as_its_reason(fresh: Fresh) {
    let db = &fresh.db;
    let made = connected(db, "c").await;
    observe(db, made.id, Observation::Pause).await;
    let (stored, decision, _) =
        apply(db, made.id, full(tested(TestOutcome::CredentialRevoked), TestOutcome::CredentialRevoked)).await;
    assert_eq!(decision, Decision::KeepWithReason);
    assert_eq!((stored.state, stored.state_reason.as_deref()), (ConnectionState::Paused, Some("why")));
    assert_eq!(stored.last_test.and_then(|test| test.read()), Some(test_report(TestOutcome::CredentialRevoked)));
    assert_eq!((stored.state_changed_at, stored.updated_at), (at(60), at(0)));
    let again = observe(db, made.id, Observation::Pause).await;
    assert_eq!(again.decision, Decision::Keep);
}

pub async fn refresh_first_and_test_follows_leave_the_state(fresh: Fresh) {
    let db = &fresh.db;
    let made = connected(db, "c").await;
    let expired = Observation::Tested { outcome: TestOutcome::CredentialExpired, refreshable: true };
    let (stored, decision, _) = apply(db, made.id, full(expired, TestOutcome::CredentialExpired)).await;
    assert_eq!((decision, stored.state), (Decision::RefreshFirst, ConnectionState::Active));
    observe(db, made.id, Observation::DestinationGone).await;
    let (stored, decision, _) = apply(db, made.id, full(Observation::RefreshSucceeded, TestOutcome::Connected)).await;
    assert_eq!((decision, stored.state), (Decision::TestFollows, ConnectionState::Error));
    let steps = history::list(db, SITE, made.id, &PageRequest::default()).await.unwrap().rows;
    assert_eq!(steps.len(), 2);
}

pub async fn a_conflict_writes_nothing_at_all(fresh: Fresh) {
    let db = &fresh.db;
    let made = connected(db, "c").await;
    let before = (format!("{:?}", connection::find(db, SITE, made.id).await.unwrap()), events(db, SITE).await.len());
    let resume = Observation::Resume { test: TestOutcome::Connected };
    let (_, decision, previous) = apply(db, made.id, full(resume, TestOutcome::Connected)).await;
    assert_eq!((decision, previous), (Decision::Conflict, ConnectionState::Active));
    let after = (format!("{:?}", connection::find(db, SITE, made.id).await.unwrap()), events(db, SITE).await.len());
    assert_eq!(before, after);
    let page = activity::list(db, SITE, &ActivityFilter::default(), &PageRequest::default()).await.unwrap();
    assert_eq!(page.rows.len(), 1, "the creation's alone");
}

pub async fn a_vendor_account_is_filled_in_once(fresh: Fresh) {
    let db = &fresh.db;
    let made = connected(db, "c").await;
    for (id, name) in [(Some("acct_1"), None), (Some("acct_2"), Some("Name")), (None, Some("Other"))] {
        let mut test = test_report(TestOutcome::Connected);
        test.vendor_account_id = id.map(str::to_owned);
        test.vendor_account_name = name.map(str::to_owned);
        let report = Report { test: Some(test), ..report(tested(TestOutcome::Connected)) };
        apply(db, made.id, report).await;
    }
    let stored = connection::find(db, SITE, made.id).await.unwrap().unwrap();
    assert_eq!(stored.vendor_account_id.as_deref(), Some("acct_1"));
    assert_eq!(stored.vendor_account_name.as_deref(), Some("Name"));
}

pub async fn what_is_learnt_twice_at_once_changes_the_state_once(fresh: Fresh) {
    let db = &fresh.db;
    let made = connected(db, "c").await;
    let reports: Vec<_> = (0..12)
        .map(|_| {
            let db = db.clone();
            let id = made.id;
            tokio::spawn(async move { observe(&db, id, Observation::DeliverySaidRevoked).await.decision })
        })
        .collect();
    let mut changes = 0;
    for report in reports {
        changes += usize::from(matches!(report.await.unwrap(), Decision::Become { .. }));
    }
    assert_eq!(changes, 1);
    let steps = history::list(db, SITE, made.id, &PageRequest::default()).await.unwrap().rows;
    assert_eq!(steps.len(), 2);
}

pub async fn history_pages_newest_first(fresh: Fresh) {
    let db = &fresh.db;
    let made = connected(db, "c").await;
    connected(db, "another").await;
    for _ in 0..10 {
        observe(db, made.id, Observation::Pause).await;
        observe(db, made.id, Observation::Resume { test: TestOutcome::Connected }).await;
    }
    let page = PageRequest { size: 100, ..PageRequest::default() };
    let all = history::list(db, SITE, made.id, &page).await.unwrap().rows;
    let mut ids: Vec<i64> = all.iter().map(|step| step.row.id.0).collect();
    assert_eq!(ids.len(), 21);
    assert!(ids.is_sorted_by(|a, b| a > b));
    ids.dedup();
    let read = async |page| history::list(db, SITE, made.id, &page).await.unwrap();
    super::paging::reads_like(&ids, read, "history").await;
}

super::on_both!(
    become_changes_the_state_with_history_and_event,
    only_a_touching_change_moves_updated_at,
    keep_stores_the_test_and_the_activity_alone,
    a_paused_connection_keeps_what_is_learnt_as_its_reason,
    refresh_first_and_test_follows_leave_the_state,
    a_conflict_writes_nothing_at_all,
    a_vendor_account_is_filled_in_once,
    what_is_learnt_twice_at_once_changes_the_state_once,
    history_pages_newest_first,
);
