//! Reads tables past the gateway: what is really stored.

use diesel::{Connection as _, QueryableByName, RunQueryDsl as _, SqliteConnection, sql_query, sql_types::BigInt};

#[derive(QueryableByName)]
struct Count {
    #[diesel(sql_type = BigInt)]
    n: i64,
}

/// How many rows a table has.
pub async fn count(database_url: &str, table: &str) -> i64 {
    let query = format!("SELECT count(*) AS n FROM {table}");
    if let Some(path) = database_url.strip_prefix("sqlite:") {
        let mut connection = SqliteConnection::establish(path).expect("the database's file");
        return sql_query(query).get_result::<Count>(&mut connection).expect("a count").n;
    }
    let (client, connection) =
        tokio_postgres::connect(database_url, tokio_postgres::NoTls).await.expect("the database");
    let connection = tokio::spawn(connection);
    let n = client.query_one(&query, &[]).await.expect("a count").get(0);
    drop(client);
    let _ = connection.await;
    n
}
