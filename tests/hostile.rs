//! Receivers that hang, drip, reset and fail: each is left to itself, and the others do not notice.

use std::{
    sync::{
        Arc,
        atomic::{AtomicI64, Ordering},
    },
    time::Duration,
};

use chrono::TimeDelta;
use integrations_gateway::domain::clock::Clock as _;
use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
};

use crate::support::{
    app::{Database, TestApp, on_both},
    calls,
    vendor::{Reply, Vendor},
};

on_both!(others_do_not_notice_a_bad_receiver, a_receiver_that_fails_for_an_hour_gets_everything_after_it);

/// What a bad receiver does with a connection once it is no test message.
#[derive(Clone, Copy, Debug)]
enum Bad {
    Hangs,
    /// One byte a second, of an answer that never ends.
    Drips,
    Resets,
}

/// A receiver that accepts the test message, and from then on does what it does; gives its port.
async fn bad(kind: Bad) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let port = listener.local_addr().expect("an address").port();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(serve(stream, kind));
        }
    });
    port
}

#[expect(clippy::disallowed_methods, reason = "a receiver that drips does so in real time")]
async fn serve(mut stream: TcpStream, kind: Bad) {
    loop {
        let mut request = Vec::new();
        let mut part = [0; 4_096];
        // Head and body come at once: they are small.
        while !request.windows(2).any(|two| two == b"}}") {
            match stream.read(&mut part).await {
                Ok(read @ 1..) => request.extend_from_slice(&part[..read]),
                _ => return,
            }
        }
        if String::from_utf8_lossy(&request).contains("integration.test") {
            let _ = stream.write_all(b"HTTP/1.1 204 No Content\r\n\r\n").await;
            continue;
        }
        match kind {
            Bad::Hangs => std::future::pending().await,
            Bad::Drips => {
                for byte in b"HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n".iter().chain(std::iter::repeat(&b'x'))
                {
                    if stream.write_all(&[*byte]).await.is_err() {
                        return;
                    }
                    tokio::time::sleep(Duration::from_secs(1)).await;
                }
            }
            Bad::Resets => {
                let _ = stream.set_zero_linger();
                return;
            }
        }
    }
}

async fn hand_over(app: &TestApp, connection: &str, prefix: &str, count: usize) {
    let events: Vec<Value> = (0..count)
        .map(|n| json!({"connectionId": connection, "eventType": "a.b", "eventIdentifier": format!("{prefix}{n}"), "payload": {"n": n}}))
        .collect();
    let batch = "mutation($input: [DispatchEventInput!]!) { dispatchEvents(input: $input) { __typename } }";
    let answer = app.graphql(&app.module_token("forms"), batch, json!({ "input": events })).await;
    let results = answer["data"]["dispatchEvents"].as_array().unwrap_or_else(|| panic!("{answer}"));
    assert!(results.iter().all(|result| result["__typename"] == "DispatchAccepted"), "{answer}");
}

async fn others_do_not_notice_a_bad_receiver(database: Database) {
    let good = Vendor::plain().await;
    let app = TestApp::on(database).await;
    let admin = app.token("Administrator");
    let update = "mutation { updateSettings(input: {deliveryTimeoutMs: 30000, retryScheduleSeconds: [5]}) { settings { holdLimitHours } } }";
    app.graphql(&admin, update, json!({})).await;
    let mut bad_ones = Vec::new();
    for kind in [Bad::Hangs, Bad::Drips, Bad::Resets] {
        let url = format!("http://127.0.0.1:{}/", bad(kind).await);
        bad_ones.push(calls::connect_webhook_to(&app, &admin, &url).await.connection);
    }
    let kept = calls::connect_webhook(&app, &admin, &good, "/").await.connection;
    // Far more than all places of the worker.
    for connection in &bad_ones {
        hand_over(&app, connection, "bad", 200).await;
    }
    hand_over(&app, &kept, "good", 200).await;
    good.wait_for(201).await;
    // Those that hang and drip hold as many attempts as one connection may, and the rest waits for them.
    let log =
        "query($id: ID!) { connection(id: $id) { state pendingDeliveries deliveryLog(first: 1) { totalCount } } }";
    for (connection, is_slow) in bad_ones.iter().zip([true, true, false]) {
        let of = app.graphql(&admin, log, json!({ "id": connection })).await["data"]["connection"].clone();
        if is_slow {
            assert_eq!(of, json!({"state": "ACTIVE", "pendingDeliveries": 200, "deliveryLog": {"totalCount": 0}}));
        }
    }
    // One that resets has failed at once, and is tried again when that is due, and no sooner.
    let failed = async {
        loop {
            let of = app.graphql(&admin, log, json!({"id": bad_ones[2]})).await["data"]["connection"].clone();
            if of["deliveryLog"]["totalCount"] == 200 {
                return of;
            }
        }
    };
    let of = tokio::time::timeout(Duration::from_secs(20), failed).await.expect("each was tried once");
    assert_eq!(of["pendingDeliveries"], 200, "{of}");
    hand_over(&app, &kept, "more", 200).await;
    good.wait_for(401).await;
    app.stop().await;
}

async fn a_receiver_that_fails_for_an_hour_gets_everything_after_it(database: Database) {
    let (failing, good) = (Vendor::plain().await, Vendor::plain().await);
    let app = TestApp::on(database).await;
    let admin = app.token("Administrator");
    let id = calls::connect_webhook(&app, &admin, &failing, "/").await.connection;
    let kept = calls::connect_webhook(&app, &admin, &good, "/").await.connection;
    let (clock, until) = (Arc::clone(&app.clock), Arc::new(AtomicI64::new(0)));
    until.store((app.clock.now() + TimeDelta::hours(1)).timestamp(), Ordering::Relaxed);
    failing.answer(move |_| {
        let over = clock.now().timestamp() >= until.load(Ordering::Relaxed);
        Reply::status(if over { 204 } else { 503 })
    });
    hand_over(&app, &id, "early", 30).await;
    let state = "query($id: ID!) { connection(id: $id) { state pendingDeliveries deliveryLog(filter: {outcomes: [DELIVERED]}) { totalCount } } }";
    let read = async || app.graphql(&admin, state, json!({ "id": id })).await["data"]["connection"].clone();
    let (mut was_in_error, mut sent) = (false, 0);
    let mut last = read().await;
    for minute in 0..600 {
        app.clock.advance(TimeDelta::minutes(1));
        if minute % 10 == 0 {
            sent += 1;
            hand_over(&app, &kept, &format!("minute {minute} "), 1).await;
            good.wait_for(sent + 1).await;
        }
        last = read().await;
        was_in_error |= last["state"] == "ERROR";
        if last["pendingDeliveries"] == 0 {
            break;
        }
    }
    assert!(was_in_error, "many failures in a row are a pattern");
    assert_eq!(last, json!({"state": "ACTIVE", "pendingDeliveries": 0, "deliveryLog": {"totalCount": 30}}));
    // It was asked again and again, but not in a storm: by the schedule, and by tests once it was in error.
    let asked = failing.requests().len();
    assert!(asked < 30 * 6, "{asked}");
    app.stop().await;
}
