//! Tests that are due: in one pair of hands at a time, and spread over a day.

use chrono::TimeDelta;
use integrations_gateway::{
    domain::connector::AuthFlow,
    store::{check, connection::NewConnection},
};

use super::{
    Fresh,
    fixtures::{SITE, at, insert, new_connection},
};

const HOUR: i64 = 3_600;

pub async fn a_test_is_in_one_pair_of_hands(fresh: Fresh) {
    let db = &fresh.db;
    let made = insert(db, SITE, at(0), new_connection("one")).await;
    let signed = NewConnection { auth_flow: AuthFlow::SignedToken, ..new_connection("two") };
    insert(db, SITE, at(0), signed).await;
    assert_eq!(check::due(db, at(12 * HOUR - 1), 10).await.unwrap(), [], "it was tested when it was made");
    let due = check::due(db, at(24 * HOUR), 10).await.unwrap();
    assert_eq!(due.iter().map(|check| check.connection).collect::<Vec<_>>(), [made.id]);
    assert_eq!(check::next_due(db).await.unwrap(), Some(due[0].due_at));
    let lease = at(25 * HOUR);
    let taken = check::take(db, due[0], lease).await.unwrap().expect("it is free");
    assert_eq!(check::take(db, due[0], at(26 * HOUR)).await.unwrap(), None, "somebody has it");
    assert_eq!(check::due(db, at(24 * HOUR), 10).await.unwrap(), []);
    // Whoever had it has died, and somebody else takes it over; what comes late changes nothing.
    let again = check::due(db, lease, 10).await.unwrap();
    let other = check::take(db, again[0], at(30 * HOUR)).await.unwrap().expect("its lease has run out");
    check::settle(db, taken, None).await.unwrap();
    assert_eq!(check::next_due(db).await.unwrap(), Some(at(30 * HOUR)));
    check::settle(db, other, Some((at(40 * HOUR), 2))).await.unwrap();
    let settled = check::due(db, at(40 * HOUR), 10).await.unwrap();
    assert_eq!((settled[0].due_at, settled[0].failures), (at(40 * HOUR), 2));
}

#[expect(clippy::disallowed_methods, reason = "migrations run by the real clock")]
pub async fn what_there_was_before_is_spread_over_a_day(fresh: Fresh) {
    let db = &fresh.db;
    for n in 0..40 {
        insert(db, SITE, at(0), new_connection(&format!("key {n}"))).await;
    }
    let signed = NewConnection { auth_flow: AuthFlow::SignedToken, ..new_connection("signed") };
    insert(db, SITE, at(0), signed).await;
    fresh.execute("DROP TABLE checks").await;
    fresh.execute("DELETE FROM __diesel_schema_migrations WHERE version = '00000000000006'").await;
    let before = chrono::Utc::now() - TimeDelta::seconds(1);
    db.migrate().await.unwrap();
    let after = chrono::Utc::now();
    let due = check::due(db, after + TimeDelta::hours(24), 100).await.unwrap();
    assert_eq!(due.len(), 40);
    assert!(due.iter().all(|check| check.due_at >= before));
    for quarter in 0..4 {
        let from = before + TimeDelta::hours(6 * quarter);
        let to = from + TimeDelta::hours(6);
        let count = due.iter().filter(|check| from <= check.due_at && check.due_at < to).count();
        assert!((5..=15).contains(&count), "{count} in quarter {quarter}");
    }
}

super::on_both!(a_test_is_in_one_pair_of_hands, what_there_was_before_is_spread_over_a_day,);
