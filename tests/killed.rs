//! A process that is killed while it takes and delivers events, again and again: nothing that it has accepted is lost.

use std::{
    collections::BTreeMap,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicU32, Ordering},
    },
    time::Duration,
};

use integrations_gateway::domain::clock::random;
use serde_json::{Value, json};

use crate::support::{
    app::{Database, on_both},
    clock::SeededEntropy,
    process::{Process, Site},
    vendor::{Reply, Vendor},
};

on_both!(what_was_accepted_arrives_however_often_it_is_killed);

/// On each of the two databases.
const KILLS: u32 = 25;
const LOADERS: u32 = 4;
/// How often each of them calls at most before a kill.
const CALLS: u32 = 16;
/// How many attempts a process has under way at most.
const AT_ONCE: u32 = 64;
const DISPATCH: &str = "mutation($input: [DispatchEventInput!]!) { dispatchEvents(input: $input) { __typename ... on DispatchAccepted { duplicate } ... on DispatchRejected { reason message } } }";

/// What callers know of the events that they have handed over.
#[derive(Default)]
struct Handed {
    accepted: Vec<String>,
    /// No answer came.
    unknown: Vec<String>,
}

fn events(connection: &str, identifiers: &[String]) -> Value {
    let each = identifiers.iter().map(|id| {
        json!({"connectionId": connection, "eventType": "a.b", "eventIdentifier": id, "payload": {"n": id}, "originatingModule": "forms"})
    });
    json!({ "input": each.collect::<Vec<_>>() })
}

/// Hands over event after event, one or a few at a time, until the process is gone or there are enough.
async fn load(
    process: Arc<Process>,
    connection: String,
    who: String,
    stop: Arc<AtomicBool>,
    handed: Arc<Mutex<Handed>>,
) {
    for n in 0..CALLS {
        let identifiers: Vec<String> = (0..=n % 4).map(|of| format!("{who}-{n}-{of}")).collect();
        let answer = process.begin(DISPATCH, &events(&connection, &identifiers)).await.expect("a task");
        let mut handed = handed.lock().expect("not poisoned");
        let Some(answer) = answer else {
            handed.unknown.extend(identifiers);
            return;
        };
        let results = answer["data"]["dispatchEvents"].as_array().unwrap_or_else(|| panic!("{answer}"));
        assert!(results.iter().all(|result| result["__typename"] == "DispatchAccepted"), "{answer}");
        handed.accepted.extend(identifiers);
        if stop.load(Ordering::Relaxed) {
            return;
        }
    }
}

async fn connect(process: &Process, receiver: &Vendor) -> String {
    let url = format!("http://{}/", receiver.address);
    let begin = "mutation($input: BeginSignedConnectionInput!) { beginSignedConnection(input: $input) { id } }";
    let input = json!({"connectorSlug": "webhook_generic", "fields": [{"name": "url", "value": url}]});
    let offer = process.graphql(begin, json!({ "input": input })).await["beginSignedConnection"]["id"].clone();
    let complete = "mutation($id: ID!) { completeSignedConnection(input: {offerId: $id}) { ... on ConnectionCreated { connection { id } } } }";
    let completed = process.graphql(complete, json!({ "id": offer })).await;
    completed["completeSignedConnection"]["connection"]["id"].as_str().expect("a connection").to_owned()
}

/// The attempts that the log has of each event, and how many of them were delivered.
async fn logged(process: &Process) -> BTreeMap<String, (u32, u32)> {
    let query = "query($after: String) { deliveryLog(first: 100, after: $after) { nodes { eventIdentifier outcome } pageInfo { hasNextPage endCursor } } }";
    let (mut all, mut after) = (BTreeMap::<String, (u32, u32)>::new(), Value::Null);
    loop {
        let page = process.graphql(query, json!({ "after": after })).await["deliveryLog"].clone();
        for entry in page["nodes"].as_array().expect("nodes") {
            let of = all.entry(entry["eventIdentifier"].as_str().expect("an identifier").to_owned()).or_default();
            of.0 += 1;
            of.1 += u32::from(entry["outcome"] == "DELIVERED");
        }
        if page["pageInfo"]["hasNextPage"] == false {
            return all;
        }
        after = page["pageInfo"]["endCursor"].clone();
    }
}

/// What came to the receiver: how often each event was sent, and how often it was taken.
type Seen = Arc<Mutex<BTreeMap<String, (u32, u32)>>>;

/// A receiver that fails now and then, and sometimes takes a while.
async fn receiver() -> (Vendor, Seen) {
    let (vendor, seen) = (Vendor::plain().await, Seen::default());
    let (count, own) = (AtomicU32::new(0), Arc::clone(&seen));
    vendor.answer(move |request| {
        let n = count.fetch_add(1, Ordering::Relaxed);
        let Some(identifier) = request.json()["data"]["n"].as_str().map(str::to_owned) else {
            return Reply::status(204);
        };
        let fails = n % 7 == 3;
        let mut seen = own.lock().expect("not poisoned");
        let of = seen.entry(identifier).or_default();
        of.0 += 1;
        of.1 += u32::from(!fails);
        // Some are under way for as long as it takes for a few more to come.
        Reply {
            hold_until: if n % 5 == 0 { n as usize + 6 } else { 0 },
            ..Reply::status(if fails { 500 } else { 204 })
        }
    });
    (vendor, seen)
}

async fn what_was_accepted_arrives_however_often_it_is_killed(database: Database) {
    let (receiver, seen) = receiver().await;
    // Nobody asks at a vendor here, but processes want to know one.
    let elsewhere = Vendor::tls(&["granting.example"]).await;
    let site = Site::new(database, &elsewhere).await;
    let process = site.start().await;
    let connection = connect(&process, &receiver).await;
    process.kill();

    let dice = SeededEntropy::new(0x6b11);
    let handed: Arc<Mutex<Handed>> = Arc::default();
    for round in 0..KILLS {
        let process = Arc::new(site.start().await);
        let stop = Arc::new(AtomicBool::new(false));
        let loaders: Vec<_> = (0..LOADERS)
            .map(|who| {
                let who = format!("{round}-{who}");
                let (process, connection) = (Arc::clone(&process), connection.clone());
                tokio::spawn(load(process, connection, who, Arc::clone(&stop), Arc::clone(&handed)))
            })
            .collect();
        let drawn: [u8; 1] = random(&*dice);
        // At another moment each time, measured by what it has done: so many requests later.
        let before = receiver.requests().len();
        receiver.count_within(before + 1 + usize::from(drawn[0] % 32), Duration::from_secs(5)).await;
        process.end();
        stop.store(true, Ordering::Relaxed);
        for loader in loaders {
            loader.await.expect("what was answered was right");
        }
        drop(process);
        receiver.release();
        site.pass(2).await;
    }

    // Callers who got no answer ask again with the same key, and what failed goes on until it is due.
    let Handed { accepted, unknown } = std::mem::take(&mut *handed.lock().expect("not poisoned"));
    assert!(accepted.len() > 200 && !unknown.is_empty(), "{} and {}", accepted.len(), unknown.len());
    let process = site.start().await;
    for some in unknown.chunks(100) {
        let answer = process.graphql(DISPATCH, events(&connection, some)).await;
        let results = answer["dispatchEvents"].as_array().expect("results").clone();
        assert!(results.iter().all(|result| result["__typename"] == "DispatchAccepted"), "{results:?}");
    }
    process.kill();
    let all: Vec<String> = [accepted, unknown].concat();
    let mut left = all.len();
    for _ in 0..30 {
        site.pass(60).await;
        let process = site.start().await;
        // Until it has nothing to do for a while: what is retried waits for its time.
        let mut came = receiver.requests().len();
        loop {
            let now = receiver.count_within(came + 1, Duration::from_millis(500)).await;
            receiver.release();
            if now == came {
                break;
            }
            came = now;
        }
        let log = logged(&process).await;
        left = all.iter().filter(|id| log.get(*id).is_none_or(|(_, delivered)| *delivered == 0)).count();
        if left > 0 {
            process.kill();
            continue;
        }
        let seen = seen.lock().expect("not poisoned");
        let mut cut = 0;
        for id in &all {
            let ((attempts, delivered), (sent, taken)) = (log[id], seen.get(id).copied().unwrap_or_default());
            assert_eq!(delivered, 1, "{id} ended once");
            assert!(taken >= 1, "{id} arrived");
            assert!(sent >= attempts, "{id} has an entry for something that was never sent");
            cut += sent - attempts;
        }
        assert!(cut <= (KILLS + 32) * AT_ONCE, "{cut} attempts without an entry");
        assert_eq!(log.len(), all.len(), "nothing came that nobody handed over");
        return;
    }
    panic!("{left} of {} never arrived", all.len());
}
