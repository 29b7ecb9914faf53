//! However many need a fresh token at once, in however many processes, the vendor is asked for one.

use futures_util::future::join_all;
use serde_json::json;

use super::Browser;
use crate::support::{
    app::Database,
    grants::Granting,
    leaks,
    process::{Process, Site},
};

const TEST: &str = "mutation($id: ID!) { testConnection(input: {connectionId: $id}) { test { outcome detail } connection { state } } }";

async fn connected(granting: &Granting, process: &Process) -> String {
    let begin = "mutation { beginOAuthConnection(input: {connectorSlug: \"granting\"}) { authorization { authorizationUrl } } }";
    let begun = process.graphql(begin, json!({})).await;
    let mut browser = Browser::new();
    let link = &begun["beginOAuthConnection"]["authorization"]["authorizationUrl"];
    let address = browser.begin(process, link.as_str().expect("a link")).await;
    browser.come_back(process, &granting.consent(&address, "acme")).await;
    let all = process.graphql("{ connections { nodes { id } } }", json!({})).await;
    all["connections"]["nodes"][0]["id"].as_str().expect("an id").to_owned()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_processes_ask_for_one_refresh() {
    let granting = Granting::start().await;
    let site = Site::new(Database::Postgres, &granting.vendor).await;
    let processes = [site.start().await, site.start().await];
    let id = connected(&granting, &processes[0]).await;
    for round in 1..=3 {
        granting.book().expire_all();
        let calls = (0..200).map(|n| processes[n % 2].graphql(TEST, json!({ "id": id })));
        for answer in join_all(calls).await {
            let tested = json!({"test": {"outcome": "CONNECTED", "detail": null}, "connection": {"state": "ACTIVE"}});
            assert_eq!(answer["testConnection"], tested);
        }
        assert_eq!(granting.uses(), (round, 0), "refreshes, and tokens used twice");
    }
    for process in processes {
        process.kill();
    }
    leaks::assert_none_left(&site).await;
}
