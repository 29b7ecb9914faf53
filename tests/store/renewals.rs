//! Renewals that are due: vendor by vendor, the longest due first, and ahead of their time only what is well.

use chrono::{DateTime, TimeDelta, Utc};
use integrations_gateway::{
    domain::{
        activity::ActivityAction,
        authorization::{AuthorizationPurpose, AuthorizationStep},
        connector::AuthFlow,
        id::{ConnectionId, OperatorId},
    },
    store::{
        Db,
        authorization::{self, NewAuthorization},
        connection::{self, NewConnection, Settled},
        renewal::{self, Begun, Front, Lease, RenewalOutcome},
    },
};

use super::{
    Fresh,
    fixtures::{SITE, activity, at, insert, new_connection},
    on_both,
};

/// A connection by OAuth whose grant is due then.
async fn granted(db: &Db, slug: &str, name: &str, due: DateTime<Utc>) -> ConnectionId {
    let new = NewAuthorization {
        token: name.to_owned(),
        operator: OperatorId(1),
        operator_name: None,
        role: "Administrator".to_owned(),
        purpose: AuthorizationPurpose::Connect,
        step: AuthorizationStep::Exchanging,
        connector_slug: slug.to_owned(),
        display_name: None,
        connection: None,
        scopes_requested: Vec::new(),
        return_to: None,
        ticket_hash: format!("ticket {name}"),
        ticket_until: at(60),
        state_hash: format!("state {name}"),
        key_version: 1,
        sealed: vec![1],
        expires_at: at(600),
    };
    let begun = authorization::insert(db, SITE, at(0), new).await.unwrap();
    let new = NewConnection {
        connector_slug: slug.to_owned(),
        auth_flow: AuthFlow::Oauth,
        authorization: Some(begun),
        renew_at: Some(due),
        ..new_connection(name)
    };
    insert(db, SITE, at(0), new).await.id
}

async fn begin(db: &Db, id: ConnectionId, second: i64, rest: i64) -> Begun {
    let until = at(second) + TimeDelta::seconds(60);
    let generation = renewal::find(db, SITE, id).await.unwrap().unwrap().generation;
    renewal::begin(db, SITE, id, generation, at(second), until, TimeDelta::seconds(rest)).await.unwrap()
}

async fn end(db: &Db, id: ConnectionId, lease: Lease, second: i64, outcome: RenewalOutcome, next: i64) {
    let settled = Settled {
        outcome,
        granted: None,
        observation: None,
        reason: None,
        renew_at: Some(at(next)),
        activity: activity(ActivityAction::CredentialsRefreshed),
    };
    let settled = connection::settle_renewal(db, SITE, id, at(second), lease, settled).await.unwrap();
    assert!(settled.is_some());
}

fn lease(begun: Begun) -> Lease {
    match begun {
        Begun::Lease(lease) => lease,
        other => panic!("no lease: {other:?}"),
    }
}

pub async fn what_is_due_is_found_vendor_by_vendor(fresh: Fresh) {
    let db = &fresh.db;
    assert_eq!(renewal::fronts(db).await.unwrap(), []);
    insert(db, SITE, at(0), new_connection("a key")).await;
    let late = granted(db, "one", "late", at(300)).await;
    let soon = granted(db, "one", "soon", at(200)).await;
    let other = granted(db, "two", "other", at(100)).await;
    let front = |slug: &str, due_at| Front { connector_slug: slug.to_owned(), due_at };
    assert_eq!(renewal::fronts(db).await.unwrap(), [front("one", at(200)), front("two", at(100))]);
    let due = async |slug: &str, now: i64, until: i64, limit: u32| {
        let due = renewal::due(db, slug, at(now), at(until), limit).await.unwrap();
        due.into_iter().map(|(_, id)| id).collect::<Vec<_>>()
    };
    assert_eq!(due("one", 199, 199, 9).await, []);
    assert_eq!(due("one", 300, 300, 9).await, [soon, late]);
    assert_eq!(due("one", 300, 300, 1).await, [soon]);
    assert_eq!(due("two", 300, 300, 9).await, [other]);
    assert_eq!(renewal::count(db, "one", at(299), 9).await.unwrap(), 1);
    assert_eq!(renewal::count(db, "one", at(300), 9).await.unwrap(), 2);
    assert_eq!(renewal::count(db, "one", at(300), 1).await.unwrap(), 1, "counted up to the bound");

    // Ahead of its time goes what is well, and has rested.
    assert_eq!(due("one", 10, 300, 9).await, [soon, late]);
    let held = lease(begin(db, soon, 10, 0).await);
    assert_eq!(due("one", 10, 300, 9).await, [late], "somebody has it in hand");
    end(db, soon, held, 11, RenewalOutcome::Renewed, 250).await;
    assert_eq!(due("one", 12, 300, 9).await, [late]);
    assert_eq!(due("one", 71, 300, 9).await, [soon, late]);
    let held = lease(begin(db, late, 80, 0).await);
    end(db, late, held, 81, RenewalOutcome::Failed, 290).await;
    assert_eq!(due("one", 289, 300, 9).await, [soon], "what has failed has a time of its own");
    assert_eq!(due("one", 290, 300, 9).await, [soon, late]);
}

pub async fn a_vendor_bounds_how_often_a_grant_is_renewed(fresh: Fresh) {
    let db = &fresh.db;
    let id = granted(db, "one", "one", at(10)).await;
    let held = lease(begin(db, id, 10, 60).await);
    end(db, id, held, 10, RenewalOutcome::Renewed, 500).await;
    let Begun::TooSoon { until, .. } = begin(db, id, 69, 60).await else { panic!("it was renewed a moment ago") };
    assert_eq!(until, at(70));
    lease(begin(db, id, 70, 60).await);
}

pub async fn whoever_comes_late_takes_what_another_has_brought(fresh: Fresh) {
    let db = &fresh.db;
    let id = granted(db, "one", "one", at(10)).await;
    let held = lease(begin(db, id, 10, 0).await);
    end(db, id, held, 11, RenewalOutcome::Renewed, 500).await;
    // It had looked before the other one ended.
    let late = renewal::begin(db, SITE, id, held.generation, at(11), at(71), TimeDelta::zero()).await.unwrap();
    assert!(matches!(late, Begun::Ended(Some(RenewalOutcome::Renewed))), "{late:?}");
    lease(begin(db, id, 11, 0).await);
}

on_both!(
    whoever_comes_late_takes_what_another_has_brought,
    what_is_due_is_found_vendor_by_vendor,
    a_vendor_bounds_how_often_a_grant_is_renewed
);
