//! The interface behind the tokens, and what makes it fail.

use chrono::TimeDelta;
use reqwest::Method;
use serde_json::json;

use super::client::{ALL, Client, assert_refused, filled, read, tokens};

#[tokio::test]
async fn submissions_are_taken_once_for_a_key() {
    let client = Client::start().await;
    let (access, _) = client.connect("submissions.write submissions.read").await;
    let submit = async |key: &str, body: &str| {
        let request = client.request(Method::POST, "/sandbox/api/submissions").bearer_auth(&access);
        let request = request.header("content-type", "application/json").header("idempotency-key", key);
        read(request.body(body.to_owned())).await
    };
    let ada = r#"{"email": "ada@example.com"}"#;
    let first = submit("k1", ada).await;
    assert_eq!((first.status, first.json()), (201, json!({"id": "sub_1"})));
    let again = submit("k1", ada).await;
    assert_eq!((again.status, again.json(), again.header("idempotency-replayed")), (201, first.json(), "true"));
    assert_refused(&submit("k1", r#"{"email": "eve@example.com"}"#).await, 409, "invalid_request", "another");
    assert_eq!(submit("k2", ada).await.json(), json!({"id": "sub_2"}));
    assert_refused(&submit("k3", "{}").await, 422, "invalid_request", "email");
    assert_refused(&submit("k3", "x").await, 400, "invalid_request", "JSON");
    assert_refused(&submit(&"k".repeat(256), ada).await, 400, "invalid_request", "Idempotency-Key");
    assert_refused(&submit("k3", &"x".repeat(600_000)).await, 413, "invalid_request", "longer than");
    let list = read(client.request(Method::GET, "/sandbox/api/submissions").bearer_auth(&access)).await.json();
    assert_eq!(
        list["submissions"][1],
        json!({"id": "sub_1", "idempotency_key": "k1", "payload": {"email": "ada@example.com"}})
    );
    assert_refused(&client.account(&access).await, 403, "insufficient_scope", "");
    assert_eq!(client.account(&access).await.json()["scope"], "account.read");
}

#[tokio::test]
async fn switches_change_a_grant() {
    let client = Client::start().await;
    let (access, refresh) = client.connect(ALL).await;
    assert_eq!(client.switch(json!({"grant": 1, "do": "expire"})).await.status, 204);
    assert_refused(&client.account(&access).await, 401, "invalid_token", "expired");
    let (access, refresh) = tokens(&client.refresh(&refresh).await);
    assert_eq!(client.account(&access).await.status, 200);
    assert_eq!(client.switch(json!({"grant": 1, "do": "drop_scope", "scope": "account.read"})).await.status, 204);
    assert_refused(&client.account(&access).await, 403, "insufficient_scope", "");
    let refreshed = client.refresh(&refresh).await;
    assert_eq!(refreshed.json()["scope"], "submissions.write submissions.read");
    assert_eq!(client.switch(json!({"grant": 1, "do": "revoke"})).await.status, 204);
    let (access, refresh) = tokens(&refreshed);
    assert_refused(&client.account(&access).await, 401, "invalid_token", "revoked");
    assert_refused(&client.refresh(&refresh).await, 400, "invalid_grant", "revoked");
    assert_eq!(client.grants().await[0]["revokedBy"], "switch");

    for (switch, status, named) in [
        (json!({"grant": 2, "do": "expire"}), 404, "grant"),
        (json!({"grant": "x", "do": "expire"}), 400, "grant"),
        (json!({"grant": 1, "do": "x"}), 400, "do"),
        (json!({"grant": 1}), 400, "do"),
        (json!({"grant": 1, "do": "drop_scope"}), 400, "scope"),
        (json!({"grant": 1, "do": "drop_scope", "scope": "x"}), 400, "scope"),
        (json!({"next": 1, "answer": 404}), 400, "answer"),
        (json!({"next": -1, "answer": 500}), 400, "next"),
        (json!({"next": 1, "answer": 500, "at": "x"}), 400, "at"),
        (json!({"next": 1, "answer": "slow", "seconds": 601}), 400, "seconds"),
        (json!({"next": 1, "grant": 1, "do": "expire"}), 400, "grant"),
        (json!({"nxt": 1}), 400, "nxt"),
        (json!({"next": [1]}), 400, "JSON"),
        (json!({}), 400, "grant"),
    ] {
        let refused = client.switch(switch.clone()).await;
        let (found, _, said) = refused.refusal();
        assert!(found == status && said.contains(named), "{switch}: {found} {said}");
    }
}

#[tokio::test]
async fn the_page_turns_the_same_switches() {
    let client = Client::start().await;
    let (access, _) = client.connect(ALL).await;
    let page = read(client.request(Method::GET, "/sandbox")).await;
    assert!(page.text.contains("Harbour Cycles") && page.text.contains("name=\"grant\" value=\"1\""));
    assert!(!page.text.contains("<script") && !page.text.contains("http") && !page.text.contains(&access));
    let turn = |from: &str| {
        let request = client.request(Method::POST, "/sandbox/switches").header("sec-fetch-site", from);
        filled(request, &[("grant", "1"), ("do", "revoke")])
    };
    assert_eq!(read(turn("cross-site")).await.status, 403);
    assert_eq!(client.account(&access).await.status, 200);
    let turned = read(turn("same-origin")).await;
    assert_eq!((turned.status, turned.header("location")), (303, "/sandbox"));
    assert_eq!(client.account(&access).await.status, 401);
    let plan = [("next", "2"), ("answer", "429"), ("at", "api"), ("seconds", "7")];
    assert_eq!(read(filled(client.request(Method::POST, "/sandbox/switches"), &plan)).await.status, 303);
    let page = read(client.request(Method::GET, "/sandbox")).await;
    assert!(page.text.contains("api: 2 more will be 429"), "{}", page.text);
    assert_eq!(
        read(client.request(Method::GET, "/sandbox/style.css")).await.header("content-type"),
        "text/css; charset=utf-8"
    );
}

#[tokio::test]
async fn answers_fail_as_often_as_was_asked_for() {
    let client = Client::start().await;
    let (access, refresh) = client.connect(ALL).await;
    assert_eq!(client.switch(json!({"next": 2, "answer": 429, "at": "api", "seconds": 7})).await.status, 204);
    for _ in 0..2 {
        let limited = client.account(&access).await;
        assert_eq!((limited.status, limited.header("retry-after")), (429, "7"));
    }
    assert_eq!(client.account(&access).await.status, 200);

    client.switch(json!({"next": 1, "answer": 500})).await;
    assert_eq!(read(client.request(Method::GET, "/sandbox/switches")).await.json().as_array().map(Vec::len), Some(2));
    assert_refused(&client.refresh(&refresh).await, 500, "server_error", "");
    assert_eq!(client.account(&access).await.status, 500);
    assert_eq!(client.grants().await[0]["refreshed"], 0, "nothing was done");
    client.switch(json!({"next": 9, "answer": 500, "at": "revocation"})).await;
    client.switch(json!({"next": 0, "answer": 500, "at": "revocation"})).await;
    assert_eq!(client.post("/sandbox/oauth/revoke", &[("token", "x")]).await.status, 200);

    // What is cut off or slow was done all the same.
    client.switch(json!({"next": 1, "answer": "cut", "at": "token"})).await;
    let form = [("grant_type", "refresh_token"), ("refresh_token", refresh.as_str())];
    let request = client.request(Method::POST, "/sandbox/oauth/token").basic_auth("sandbox", Some(&client.secret));
    let read_whole = async {
        let mut answer = filled(request, &form).send().await?;
        while answer.chunk().await?.is_some() {}
        Ok::<_, reqwest::Error>(())
    };
    assert!(read_whole.await.is_err(), "the answer breaks off");
    assert_eq!(client.grants().await[0]["refreshed"], 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_slow_answer_waits_for_the_clock() {
    let client = Client::start().await;
    let (access, refresh) = client.connect(ALL).await;
    client.switch(json!({"next": 1, "answer": "slow", "at": "token", "seconds": 30})).await;
    let slow = client.refresh(&refresh);
    tokio::pin!(slow);
    // It is done before it is told: the table has it while the answer is still to come.
    loop {
        tokio::select! {
            _ = &mut slow => panic!("it answers before its time"),
            grants = client.grants() => if grants[0]["refreshed"] == 1 { break },
        }
    }
    assert_eq!(client.account(&access).await.status, 200, "nobody else waits");
    // The wait may begin a moment after the table has changed, so that one step of the clock could come too early.
    let answer = loop {
        client.app.clock.advance(TimeDelta::seconds(30));
        tokio::select! {
            answer = &mut slow => break answer,
            _ = client.grants() => {}
        }
    };
    assert_eq!(answer.status, 200);
}
