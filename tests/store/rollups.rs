//! Attempts by the hour: every way in which an entry is written counts it, and the migration counts what there was.

use integrations_gateway::{
    domain::{
        delivery::{DeliveryFailure, DeliveryOutcome},
        state::Observation,
        statistics::{Cell, NO_LATENCY, Span, class_of, hour_of},
    },
    store::{connection, delivery, retention, rollup},
};

use super::{
    Fresh,
    fixtures::{
        self, Dice, OTHER, SITE, again, at, claim_all, claim_one, connected, delivered, dispatch, event, failed,
        observe, settle, settlement,
    },
};
use crate::support::rows;

const SQLITE: &str = include_str!("../../migrations/sqlite/00000000000010_rollups/up.sql");
const POSTGRES: &str = include_str!("../../migrations/postgres/00000000000010_rollups/up.sql");

fn day() -> Span {
    Span::covering(at(0), at(86_400), 24).expect("a day")
}

pub async fn attempts_are_counted_by_the_hour(fresh: Fresh) {
    let db = &fresh.db;
    let (one, two) = (connected(db, "one").await, connected(db, "two").await);
    for key in ["a", "b"] {
        dispatch(db, SITE, event(&one, key, at(0))).await;
        let claim = claim_one(db, at(1)).await;
        settle(db, settlement(&claim, at(3), delivered(at(2)))).await;
    }
    dispatch(db, SITE, event(&one, "c", at(7_200))).await;
    let claim = claim_one(db, at(7_200)).await;
    settle(db, settlement(&claim, at(7_200), again(at(7_200), DeliveryFailure::Timeout, at(7_300)))).await;
    let claim = claim_one(db, at(7_300)).await;
    settle(db, settlement(&claim, at(7_300), failed(at(7_300), DeliveryFailure::Timeout))).await;
    dispatch(db, SITE, event(&two, "d", at(7_200))).await;

    let mut cells = rollup::cells(db, SITE, &[one.id, two.id], day()).await.unwrap();
    cells.sort_by_key(|(_, cell)| (cell.part, cell.outcome.as_str()));
    let cell = |part, outcome, class, attempts| (one.id, Cell { part, outcome, class, attempts });
    let expected = [
        cell(0, DeliveryOutcome::Delivered, class_of(12), 2),
        cell(2, DeliveryOutcome::Failed, NO_LATENCY, 1),
        cell(2, DeliveryOutcome::Retried, NO_LATENCY, 1),
    ];
    assert_eq!(cells, expected);
    let usage = rollup::usage(db, SITE, &[one.id, two.id], hour_of(at(0))).await.unwrap();
    let [(id, usage)] = &usage[..] else { panic!("one module of one connection: {usage:?}") };
    assert_eq!((*id, usage.module.as_str(), usage.events, usage.last_event_at), (one.id, "forms", 3, at(7_200)));
    assert_eq!(rollup::usage(db, SITE, &[one.id], hour_of(at(7_200))).await.unwrap()[0].1.events, 1);
    // Another site sees and purges nothing of it.
    assert_eq!(rollup::cells(db, OTHER, &[one.id], day()).await.unwrap(), []);
    assert_eq!(rollup::usage(db, OTHER, &[one.id], 0).await.unwrap(), []);
    assert_eq!(rollup::purge(db, OTHER, hour_of(at(9_999)), 10).await.unwrap(), 0);
    assert_eq!(rollup::purge(db, SITE, hour_of(at(7_200)), 10).await.unwrap(), 1);
    assert_eq!(rows::count(&fresh.url, "delivery_rollups").await, 2);
}

pub async fn what_ends_without_a_call_is_counted(fresh: Fresh) {
    let db = &fresh.db;
    let connection = connected(db, "c").await;
    for key in ["a", "b", "c"] {
        dispatch(db, SITE, event(&connection, key, at(0))).await;
    }
    observe(db, connection.id, Observation::Pause).await;
    assert_eq!(retention::expire_held(db, SITE, at(60), at(4_000), 2).await.unwrap(), 2);
    let activity = fixtures::activity(integrations_gateway::domain::activity::ActivityAction::ConnectionDisconnected);
    connection::remove(db, SITE, connection.id, at(4_000), activity).await.unwrap().unwrap();
    delivery::cancel_orphans(db, at(4_001), 10).await.unwrap();
    let cells = rollup::cells(db, SITE, &[connection.id], day()).await.unwrap();
    let expected = Cell { part: 1, outcome: DeliveryOutcome::Failed, class: NO_LATENCY, attempts: 3 };
    assert_eq!(cells, [(connection.id, expected)]);
}

/// What the migration makes of a log is what the settlements have counted.
pub async fn the_migration_counts_what_there_was(fresh: Fresh) {
    let db = &fresh.db;
    let connections = [connected(db, "one").await, connected(db, "two").await];
    let mut dice = Dice::new(10);
    for round in 0..60 {
        let now = at(round * 600);
        let connection = &connections[usize::try_from(dice.below(2)).expect("small")];
        let mut new = event(connection, &round.to_string(), now);
        ["forms", "posts"][usize::try_from(dice.below(2)).expect("small")].clone_into(&mut new.module);
        dispatch(db, SITE, new).await;
        for claim in claim_all(db, now).await {
            let (mut attempt, after) = match dice.below(3) {
                0 => delivered(now),
                1 => failed(now, DeliveryFailure::VendorError),
                _ => again(now, DeliveryFailure::VendorError, at((round + 1) * 600)),
            };
            let exponent = u32::try_from(dice.below(32)).expect("small");
            let latency = u32::try_from(dice.below(1 << exponent)).expect("below 2^32");
            attempt.latency_ms = (exponent != 0).then_some(latency);
            settle(db, settlement(&claim, now, (attempt, after))).await;
        }
    }
    let kept = "SELECT site_id, connection_id, hour, module, outcome, latency, entries, events, last_event_at FROM";
    fresh.execute(&format!("CREATE TABLE kept AS {kept} delivery_rollups; DELETE FROM delivery_rollups")).await;
    let migration = if fresh.url.starts_with("sqlite:") { SQLITE } else { POSTGRES };
    fresh.execute(&migration[migration.find("WITH powers").expect("a statement")..]).await;
    assert!(rows::count(&fresh.url, "kept").await > 30);
    for (one, other) in [("kept", "delivery_rollups"), ("delivery_rollups", "kept")] {
        let differing = format!("({kept} {one} EXCEPT {kept} {other}) AS differing");
        assert_eq!(rows::count(&fresh.url, &differing).await, 0, "{one} and {other}");
    }
}

super::on_both!(
    attempts_are_counted_by_the_hour,
    what_ends_without_a_call_is_counted,
    the_migration_counts_what_there_was,
);
