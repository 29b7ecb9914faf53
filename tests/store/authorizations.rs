//! Browser authorizations: how many are kept, and what came of one whose answer was lost.

use chrono::TimeDelta;
use integrations_gateway::{
    domain::{
        authorization::{AuthorizationPurpose, AuthorizationStep},
        id::OperatorId,
    },
    store::{
        authorization::{self, NewAuthorization},
        connection::NewConnection,
    },
};

use super::{
    Fresh,
    fixtures::{SITE, at, insert, new_connection},
    on_both,
};

fn begun(name: &str, operator: i64, at_second: i64, step: AuthorizationStep) -> NewAuthorization {
    NewAuthorization {
        token: name.to_owned(),
        operator: OperatorId(operator),
        operator_name: None,
        role: "Administrator".to_owned(),
        purpose: AuthorizationPurpose::Connect,
        step,
        connector_slug: "granting".to_owned(),
        display_name: None,
        connection: None,
        scopes_requested: Vec::new(),
        return_to: None,
        ticket_hash: format!("ticket {name}"),
        ticket_until: at(at_second) + TimeDelta::minutes(1),
        state_hash: format!("state {name}"),
        key_version: 1,
        sealed: vec![1],
        expires_at: at(at_second) + TimeDelta::minutes(10),
    }
}

pub async fn old_authorizations_of_one_operator_give_way(fresh: Fresh) {
    let db = &fresh.db;
    authorization::insert(db, SITE, at(0), begun("other", 2, 0, AuthorizationStep::Pending)).await.unwrap();
    authorization::insert(db, SITE, at(0), begun("going", 1, 0, AuthorizationStep::Exchanging)).await.unwrap();
    for n in 0..230 {
        let new = begun(&n.to_string(), 1, n * 60, AuthorizationStep::Pending);
        authorization::insert(db, SITE, at(n * 60), new).await.unwrap();
    }
    let mut kept = 0;
    for n in 0..230 {
        let found = authorization::find(db, SITE, OperatorId(1), &n.to_string()).await.unwrap();
        assert!(found.is_some() || n < 30, "{n} is gone");
        kept += i32::from(found.is_some());
    }
    // And the one that has just been made.
    assert_eq!(kept, 201);
    for (name, operator) in [("going", 1), ("other", 2)] {
        assert!(authorization::find(db, SITE, OperatorId(operator), name).await.unwrap().is_some(), "{name} is gone");
    }
    assert_eq!(authorization::count_open(db, SITE, OperatorId(1), at(230 * 60)).await.unwrap(), 9);
}

pub async fn an_authorization_is_open_until_it_has_ended(fresh: Fresh) {
    let db = &fresh.db;
    let new = begun("one", 1, 0, AuthorizationStep::Exchanging);
    let id = authorization::insert(db, SITE, at(0), new).await.unwrap();
    assert!(authorization::is_open(db, SITE, id, at(1)).await.unwrap());
    let connection = NewConnection { authorization: Some(id), ..new_connection("made") };
    insert(db, SITE, at(2), connection).await;
    assert!(!authorization::is_open(db, SITE, id, at(3)).await.unwrap());
}

on_both!(old_authorizations_of_one_operator_give_way, an_authorization_is_open_until_it_has_ended);
