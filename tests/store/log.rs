//! The delivery log and the activity log: orders, pages, filters.

use std::collections::HashSet;

use integrations_gateway::{
    domain::{
        activity::{ActivityAction, ActivityEntry},
        delivery::{DeliveryEntry, DeliveryFailure, DeliveryOutcome, DeliveryStatus},
        id::{ConnectionId, OperatorId},
        page::PageRequest,
        principal::Actor,
        query::{ActivityFilter, DeliveryFilter, DeliveryOrderField, Order, OrderDirection},
    },
    store::{
        ConnectionRef, Db, NewActivity, activity,
        delivery::{After, Attempt, NewDelivery},
        entry,
    },
};

use super::{
    Fresh,
    fixtures::{
        self, Dice, OTHER, SITE, at, claim_all, connected, delivered, dispatch, event, insert, new_connection, settle,
        settlement,
    },
    paging::{Keyed, reads_like, sorted},
};

/// Seventy entries with few different values, many of them missing.
async fn crowd(db: &Db) -> Vec<DeliveryEntry> {
    let mut dice = Dice::new(5);
    let connection = connected(db, "busy").await;
    let elsewhere = insert(db, OTHER, at(0), new_connection("elsewhere")).await;
    for n in 0..70 {
        let new = NewDelivery {
            module: dice.pick(&["forms", "posts", "Forms", "_"]).to_owned(),
            ..event(&connection, &n.to_string(), at(1))
        };
        dispatch(db, SITE, new).await;
        dispatch(db, OTHER, event(&elsewhere, &n.to_string(), at(1))).await;
        for claim in claim_all(db, at(2)).await {
            let attempt = Attempt {
                outcome: dice.pick(DeliveryOutcome::ALL),
                failure: None,
                vendor_response_code: dice.pick(&[None, Some(200), Some(500), Some(65_535), Some(0)]),
                vendor_message: None,
                latency_ms: dice.pick(&[None, Some(0), Some(7), Some(u32::MAX)]),
                attempted_at: at(i64::try_from(dice.below(5)).unwrap()),
            };
            settle(db, settlement(&claim, at(3), (attempt, After::Ended(DeliveryStatus::Cancelled)))).await;
        }
    }
    all(db, &DeliveryFilter::default()).await
}

async fn all(db: &Db, filter: &DeliveryFilter) -> Vec<DeliveryEntry> {
    let order = Order { field: DeliveryOrderField::AttemptedAt, direction: OrderDirection::Asc };
    let page = PageRequest { size: 100, ..PageRequest::default() };
    let page = entry::list(db, SITE, filter, order, &page).await.unwrap();
    assert!(!page.has_next);
    let count = u32::try_from(page.rows.len()).unwrap();
    assert_eq!(entry::count(db, SITE, filter, 1_000).await.unwrap(), (count, false));
    page.rows.into_iter().map(|placed| placed.row).collect()
}

fn key(field: DeliveryOrderField, entry: &DeliveryEntry) -> Option<(i64, String)> {
    match field {
        DeliveryOrderField::AttemptedAt => Some((entry.attempted_at.timestamp_micros(), String::new())),
        DeliveryOrderField::OriginatingModule => Some((0, entry.module.clone())),
        DeliveryOrderField::Outcome => Some((0, entry.outcome.as_str().to_owned())),
        DeliveryOrderField::VendorResponseCode => {
            entry.vendor_response_code.map(|code| (i64::from(code), String::new()))
        }
        DeliveryOrderField::Latency => entry.latency_ms.map(|latency| (i64::from(latency), String::new())),
    }
}

pub async fn every_order_pages_like_a_sort_in_memory(fresh: Fresh) {
    let db = &fresh.db;
    let all = crowd(db).await;
    assert_eq!(all.len(), 70);
    for field in DeliveryOrderField::ALL.iter().copied() {
        for direction in OrderDirection::ALL.iter().copied() {
            let keyed: Vec<Keyed<_>> = all.iter().map(|entry| (key(field, entry), entry.id.0)).collect();
            let expected = sorted(keyed, direction);
            let order = Order { field, direction };
            let filter = DeliveryFilter::default();
            let read = async |page| entry::list(db, SITE, &filter, order, &page).await.unwrap();
            reads_like(&expected, read, &format!("{field} {direction}")).await;
        }
    }
}

pub async fn a_count_stops_at_its_cap(fresh: Fresh) {
    let db = &fresh.db;
    let filter = DeliveryFilter::default();
    assert_eq!(entry::count(db, SITE, &filter, 10).await.unwrap(), (0, false));
    crowd(db).await;
    assert_eq!(entry::count(db, SITE, &filter, 69).await.unwrap(), (69, true));
    assert_eq!(entry::count(db, SITE, &filter, 70).await.unwrap(), (70, false));
}

pub async fn filters_of_the_log(fresh: Fresh) {
    let db = &fresh.db;
    let (one, two) = (connected(db, "one").await, connected(db, "two").await);
    let mut made = Vec::new();
    for (n, connection, module, event_type) in
        [(0, &one, "forms", "form.submitted"), (1, &one, "posts", "post.published"), (2, &two, "forms", "form.opened")]
    {
        let new = NewDelivery {
            module: module.to_owned(),
            event_type: event_type.to_owned(),
            event_identifier: ["Größe-1", "plain_2", "GRÖSSE-3"][n].to_owned(),
            ..event(connection, &n.to_string(), at(0))
        };
        dispatch(db, SITE, new).await;
        let claim = fixtures::claim_one(db, at(1)).await;
        let now = at(i64::try_from(n).unwrap() * 10);
        let ending = match n {
            0 => delivered(now),
            1 => fixtures::failed(now, DeliveryFailure::Timeout),
            _ => fixtures::failed(now, DeliveryFailure::VendorRejected),
        };
        made.push(settle(db, settlement(&claim, now, ending)).await.entry.id);
    }
    let none = DeliveryFilter::default;
    let texts = |list: &[&str]| Some(list.iter().map(|text| (*text).to_owned()).collect::<Vec<_>>());
    let cases: Vec<(DeliveryFilter, &[usize])> = vec![
        (none(), &[0, 1, 2]),
        (DeliveryFilter { connections: Some(vec![one.id]), ..none() }, &[0, 1]),
        (DeliveryFilter { connections: Some(vec![one.id, two.id, ConnectionId(999)]), ..none() }, &[0, 1, 2]),
        (DeliveryFilter { connections: Some(vec![]), ..none() }, &[]),
        (DeliveryFilter { outcomes: Some(vec![DeliveryOutcome::Failed]), ..none() }, &[1, 2]),
        (DeliveryFilter { failures: Some(vec![DeliveryFailure::Timeout]), ..none() }, &[1]),
        (DeliveryFilter { failures: Some(vec![]), ..none() }, &[]),
        (DeliveryFilter { modules: texts(&["forms"]), ..none() }, &[0, 2]),
        (DeliveryFilter { event_types: texts(&["form.opened", "post.published"]), ..none() }, &[1, 2]),
        (DeliveryFilter { event_identifier: Some("plain_2".to_owned()), ..none() }, &[1]),
        (DeliveryFilter { event_identifier: Some("PLAIN_2".to_owned()), ..none() }, &[]),
        (DeliveryFilter { search: Some("größe".to_owned()), ..none() }, &[0]),
        (DeliveryFilter { search: Some("grösse".to_owned()), ..none() }, &[2]),
        (DeliveryFilter { search: Some("N_2".to_owned()), ..none() }, &[1]),
        (DeliveryFilter { attempted_from: Some(at(10)), ..none() }, &[1, 2]),
        (DeliveryFilter { attempted_until: Some(at(10)), ..none() }, &[0]),
        (DeliveryFilter { attempted_from: Some(at(1)), attempted_until: Some(at(20)), ..none() }, &[1]),
        (DeliveryFilter { modules: texts(&["forms"]), outcomes: Some(vec![DeliveryOutcome::Failed]), ..none() }, &[2]),
    ];
    for (filter, expected) in cases {
        let found: HashSet<_> = all(db, &filter).await.into_iter().map(|entry| entry.id).collect();
        assert_eq!(found, expected.iter().map(|n| made[*n]).collect(), "{filter:?}");
    }
}

async fn activities(db: &Db) -> Vec<ActivityEntry> {
    let mut made = Vec::new();
    let connection = |id| Some(ConnectionRef { id: ConnectionId(id), name: "gone".to_owned(), slug: "x".to_owned() });
    for n in 0..30 {
        let new = NewActivity {
            action: if n % 3 == 0 { ActivityAction::ConnectionPaused } else { ActivityAction::ConnectionTested },
            actor: match n % 4 {
                0 => None,
                1 => Some(Actor::Module { name: "forms".to_owned() }),
                _ => Some(Actor::Operator { id: OperatorId(n % 4), name: None }),
            },
            connection: if n % 2 == 0 { connection(n % 6) } else { None },
            ..fixtures::activity(ActivityAction::ConnectionTested)
        };
        made.push(activity::insert(db, SITE, at(n), new.clone()).await.unwrap());
        activity::insert(db, OTHER, at(n), new).await.unwrap();
    }
    made
}

pub async fn the_activity_log_pages_newest_first(fresh: Fresh) {
    let db = &fresh.db;
    let made = activities(db).await;
    let expected: Vec<i64> = made.iter().rev().map(|entry| entry.id.0).collect();
    let filter = ActivityFilter::default();
    let read = async |page| activity::list(db, SITE, &filter, &page).await.unwrap();
    reads_like(&expected, read, "activities").await;
}

type Holds = fn(&ActivityEntry) -> bool;

pub async fn filters_of_the_activity_log(fresh: Fresh) {
    let db = &fresh.db;
    let made = activities(db).await;
    let none = ActivityFilter::default;
    let cases: Vec<(ActivityFilter, Holds)> = vec![
        (none(), |_| true),
        (ActivityFilter { actions: Some(vec![ActivityAction::ConnectionPaused]), ..none() }, |entry| {
            entry.action == ActivityAction::ConnectionPaused
        }),
        (ActivityFilter { actions: Some(vec![]), ..none() }, |_| false),
        (ActivityFilter { operator: Some(OperatorId(3)), ..none() }, |entry| entry.operator == Some(OperatorId(3))),
        (ActivityFilter { connections: Some(vec![ConnectionId(2)]), ..none() }, |entry| {
            entry.connection == Some(ConnectionId(2))
        }),
        (ActivityFilter { from: Some(at(5)), until: Some(at(9)), ..none() }, |entry| {
            (at(5)..at(9)).contains(&entry.occurred_at)
        }),
    ];
    let page = PageRequest { size: 100, ..PageRequest::default() };
    for (filter, holds) in cases {
        let found = activity::list(db, SITE, &filter, &page).await.unwrap().rows;
        let found: Vec<_> = found.into_iter().map(|placed| placed.row.id).collect();
        let expected: Vec<_> = made.iter().rev().filter(|entry| holds(entry)).map(|entry| entry.id).collect();
        assert_eq!(found, expected, "{filter:?}");
    }
    let first = activity::find(db, SITE, made[1].id).await.unwrap().unwrap();
    assert_eq!((first.module.as_deref(), first.operator), (Some("forms"), None));
    let ids: Vec<_> = made.iter().map(|entry| entry.id).collect();
    assert_eq!(activity::list_by_ids(db, SITE, &ids).await.unwrap().len(), 30);
    assert!(activity::list_by_ids(db, SITE, &[]).await.unwrap().is_empty());
}

super::on_both!(
    every_order_pages_like_a_sort_in_memory,
    a_count_stops_at_its_cap,
    filters_of_the_log,
    the_activity_log_pages_newest_first,
    filters_of_the_activity_log,
);
