//! The cluster of the tests is what it says: the benches use it too, and run no tests.

use super::postgres::{Cluster, connect, database, database_from};

#[tokio::test(flavor = "multi_thread")]
async fn databases_are_separate_and_copies_of_their_template() {
    let init = |url: String| async move {
        let client = connect(&url).await;
        client.batch_execute("CREATE TABLE seed (n int); INSERT INTO seed VALUES (7)").await.unwrap();
    };
    let never = |_| async { panic!("a template is made once") };
    let first = connect(&database_from("self_test", init).await).await;
    let second = connect(&database_from("self_test", never).await).await;
    first.batch_execute("DELETE FROM seed").await.unwrap();
    let left: i64 = second.query_one("SELECT count(*) FROM seed", &[]).await.unwrap().get(0);
    assert_eq!(left, 1);

    let empty = connect(&database().await).await;
    let sorted: bool = empty.query_one("SELECT 'a' < 'B' AND 'B' < 'c'", &[]).await.unwrap().get(0);
    assert!(sorted, "texts sort as a language does");
    let seed: Option<String> = empty.query_one("SELECT to_regclass('seed')::text", &[]).await.unwrap().get(0);
    assert_eq!(seed, None);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cluster_leaves_nothing_behind() {
    let cluster = Cluster::start();
    let folder = cluster.folder.clone();
    let client = connect(&cluster.url("postgres")).await;
    assert!(client.query_one("SELECT 1", &[]).await.is_ok());
    drop(cluster);
    assert!(!folder.exists());
    assert!(client.query_one("SELECT 1", &[]).await.is_err(), "the server is gone");
}
