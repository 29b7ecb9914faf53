//! The stream: numbers without gaps, in commit order, whoever writes.

use std::collections::HashSet;

use integrations_gateway::{
    domain::{activity::ActivityAction, event::EventBody},
    store::{
        activity,
        connection::{self, NewConnection},
        stream,
    },
};

use super::{
    Fresh,
    fixtures::{self, OTHER, SITE, at, connected, events, insert, new_connection},
};

const WRITERS: usize = 16;
const EACH: usize = 12;

pub async fn numbers_run_without_gaps_under_concurrent_writers(fresh: Fresh) {
    let db = &fresh.db;
    let writers: Vec<_> = (0..WRITERS)
        .map(|writer| {
            let db = db.clone();
            tokio::spawn(async move {
                for n in 0..EACH {
                    if (writer + n) % 3 == 0 {
                        // Two events in one transaction.
                        connected(&db, "c").await;
                    } else {
                        let new = fixtures::activity(ActivityAction::ConnectionTested);
                        activity::insert(&db, SITE, at(1), new).await.unwrap();
                    }
                    if n % 4 == 0 {
                        let gone =
                            NewConnection { consume_offer: Some("none".to_owned()), ..new_connection("rolled back") };
                        let activity = fixtures::activity(ActivityAction::ConnectionCreated);
                        let seal = fixtures::seal(b"x");
                        let refused = connection::insert(&db, SITE, at(1), gone, seal, activity);
                        assert!(refused.await.is_err());
                    }
                }
            })
        })
        .collect();
    // Whoever reads meanwhile never sees a number ahead of one that is still to come.
    let watcher = {
        let db = db.clone();
        tokio::spawn(async move {
            let mut seen = 0;
            while seen < i64::try_from(WRITERS * EACH).unwrap() {
                let position = stream::position(&db, SITE).await.unwrap();
                for event in stream::list_after(&db, SITE, seen, 1_000).await.unwrap() {
                    assert_eq!(event.number, seen + 1, "no gap is ever visible");
                    seen = event.number;
                }
                assert!(seen >= position, "what the counter says is there");
                tokio::task::yield_now().await;
            }
        })
    };
    for writer in writers {
        writer.await.unwrap();
    }
    watcher.await.unwrap();
    let all = events(db, SITE).await;
    let numbers: Vec<i64> = all.iter().map(|event| event.number).collect();
    assert_eq!(numbers, (1..=i64::try_from(all.len()).unwrap()).collect::<Vec<_>>());
    assert_eq!(stream::position(db, SITE).await.unwrap(), *numbers.last().unwrap());
    let checks: HashSet<i64> = all.iter().map(|event| event.check).collect();
    assert_eq!(checks.len(), all.len(), "every event has a mark of its own");
    // The two events of one transaction stand side by side.
    for pair in all.windows(2) {
        if matches!(pair[0].body, EventBody::Connection { .. }) {
            assert!(matches!(pair[1].body, EventBody::ActivityLogged { .. }));
        }
    }
}

pub async fn each_site_has_a_stream_of_its_own(fresh: Fresh) {
    let db = &fresh.db;
    assert_eq!(stream::position(db, SITE).await.unwrap(), 0);
    assert!(stream::positions(db, &[SITE, OTHER]).await.unwrap().is_empty());
    connected(db, "one").await;
    insert(db, OTHER, at(0), new_connection("two")).await;
    connected(db, "three").await;
    assert_eq!(stream::position(db, SITE).await.unwrap(), 4);
    let mut positions = stream::positions(db, &[OTHER, SITE]).await.unwrap();
    positions.sort_unstable();
    assert_eq!(positions, [(SITE, 4), (OTHER, 2)]);
    let some = stream::list_after(db, SITE, 1, 2).await.unwrap();
    assert_eq!(some.iter().map(|event| event.number).collect::<Vec<_>>(), [2, 3]);
    assert!(stream::list_after(db, SITE, 4, 10).await.unwrap().is_empty());
}

super::on_both!(numbers_run_without_gaps_under_concurrent_writers, each_site_has_a_stream_of_its_own);
