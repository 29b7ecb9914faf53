//! Many grants that run out together are renewed in time, at a pace that their vendor bears.

use std::time::Duration;

use chrono::TimeDelta;
use diesel::{
    Connection as _, RunQueryDsl as _, SqliteConnection,
    connection::SimpleConnection as _,
    sql_query,
    sql_types::{BigInt, Binary, Integer, Text},
};
use integrations_gateway::{
    domain::{clock::Clock as _, id::ConnectionId},
    vault::Place,
};
use serde_json::{Value, json};

use super::connected;
use crate::support::{
    app::{Database, TestApp},
    grants::{Bound, Granting},
    rows,
};

/// A gateway with so many connections, whose access records run out an hour from now, spread over one minute.
async fn crowd(granting: &Granting, count: i64) -> TestApp {
    let app = TestApp::with_grants(Database::Sqlite, granting).await;
    connected(&app, granting, &app.token("Administrator"), "acme").await;
    granting.book().revoke_all();
    let keyring = app.keyring().await;
    let mut file = SqliteConnection::establish(app.sqlite_file()).expect("the database's file");
    let now = app.clock.now();
    let micros = |minutes: i64| (now + TimeDelta::minutes(minutes)).timestamp_micros();
    let copies = format!("WITH RECURSIVE n(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM n WHERE n < {})", count - 1);
    let clone = |table: &str, id: &str| {
        format!(
            "CREATE TEMP TABLE copy AS {copies} SELECT {table}.*, n FROM {table}, n; UPDATE copy SET {id} = {id} + n; \
             ALTER TABLE copy DROP COLUMN n; INSERT INTO {table} SELECT * FROM copy; DROP TABLE copy;"
        )
    };
    let statements = format!(
        "BEGIN; {} {} {} UPDATE renewals SET due_at = {} + (connection_id - (SELECT min(id) FROM connections)) * 60000000 / {count}; \
         UPDATE connections SET expires_at = {} + (id - (SELECT min(id) FROM connections)) * 60000000 / {count}; COMMIT;",
        clone("connections", "id"),
        clone("renewals", "connection_id"),
        clone("credentials", "connection_id"),
        micros(48),
        micros(60),
    );
    file.batch_execute(&statements).expect("copies");
    file.transaction(|file| {
        for id in 1..=count {
            let (access, refresh) = (format!("access-{id}-planted"), format!("refresh-{id}-planted"));
            granting.book().plant(&access, &refresh);
            let expires_at = now + TimeDelta::minutes(60) + TimeDelta::microseconds((id - 1) * 60_000_000 / count);
            let grant = json!({"access": access, "refresh": refresh, "scopes": ["read", "write"], "expires_at": expires_at, "captured": []});
            for (name, plain) in [("fields", json!([])), ("grant", grant)] {
                let place = Place::Credential { connection: ConnectionId(id), name };
                let sealed = keyring.seal(&place, plain.to_string().as_bytes()).expect("sealed");
                sql_query("UPDATE credentials SET sealed = ?, key_version = ? WHERE connection_id = ? AND name = ?")
                    .bind::<Binary, _>(sealed.blob)
                    .bind::<Integer, _>(sealed.key_version)
                    .bind::<BigInt, _>(id)
                    .bind::<Text, _>(name)
                    .execute(file)?;
            }
        }
        Ok::<_, diesel::result::Error>(())
    })
    .expect("credentials");
    app
}

/// Lets time go by until so many refreshes were made, a second at a time once they have begun; gives the most that were
/// asked for in one of them. Time stands still while a renewal is under way: the vendor here answers at once, however
/// busy the machine is. Where it is known how many come in each second, so many are waited for.
async fn until_renewed(app: &TestApp, granting: &Granting, count: usize, each: usize) -> usize {
    let (start, first, mut most, mut due) = (app.clock.now(), granting.vendor.requests().len(), 0, 0);
    let mut before = first;
    let made = |granting: &Granting| granting.book().used();
    while made(granting) < count {
        let begun = made(granting) > 0;
        app.clock.advance(TimeDelta::seconds(if begun { 1 } else { 10 }));
        assert!(app.clock.now() < start + TimeDelta::minutes(70), "{} of {count} in time", made(granting));
        if begun {
            // What has come must not fall behind the pace by more than one second's worth. Where it does all the same,
            // as on a busy machine, it is not waited for again in each second that follows.
            due = (due + each).min(count);
            let wanted = first + due.saturating_sub(each);
            let come = granting.vendor.count_within(wanted, Duration::from_secs(5)).await;
            due -= wanted.saturating_sub(come);
        }
        let patience = Duration::from_millis(if begun && each == 0 { 100 } else { 10 });
        let after = granting.vendor.count_within(before + each.max(1), patience).await;
        until_settled(app).await;
        most = most.max(after - before);
        before = after;
    }
    most
}

/// Waits until no renewal is under way, or those that are wait for their turn.
async fn until_settled(app: &TestApp) {
    let file = format!("sqlite:{}", app.sqlite_file());
    let settled = async {
        while rows::count(&file, "renewals WHERE lease_until IS NOT NULL").await > 0 {
            tokio::task::yield_now().await;
        }
    };
    let _ = tokio::time::timeout(Duration::from_secs(1), settled).await;
}

async fn ask(app: &TestApp, query: &str) -> Value {
    app.graphql(&app.token("Administrator"), query, json!({})).await["data"].clone()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_crowd_that_runs_out_in_one_minute_is_renewed_in_time() {
    const COUNT: i64 = 10_000;
    let granting = Granting::start().await;
    let app = crowd(&granting, COUNT).await;
    let start = app.clock.now();
    let most = until_renewed(&app, &granting, 10_000, 10).await;
    assert!(most <= 25, "{most} in one second");
    assert!(app.clock.now() < start + TimeDelta::minutes(60), "the last one was late");
    assert_eq!(granting.uses(), (10_000, 0), "each grant was renewed once");
    let states = ask(&app, "{ connections(filter: {states: [ACTIVE]}) { totalCount } }").await;
    assert_eq!(states["connections"]["totalCount"], 10_000);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_vendor_that_bounds_refreshes_is_asked_as_it_bears() {
    let granting = Granting::start().await;
    let app = crowd(&granting, 600).await;
    let start = app.clock.now();
    granting.book().bound = Some(Bound::new(app.clock.clone(), 3));
    until_renewed(&app, &granting, 600, 0).await;
    assert!(app.clock.now() < start + TimeDelta::minutes(60), "the last one was late");
    let book = granting.book();
    let refused = book.bound.as_ref().expect("a bound").refused;
    assert!(refused < 300, "{refused} were too many");
    assert_eq!((book.refreshes, book.reused), (600 + refused, 0));
}
