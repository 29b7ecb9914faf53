//! Reads and changes tables past the gateway: what is really stored.

use diesel::{
    Connection as _, QueryableByName, RunQueryDsl as _, SqliteConnection, connection::SimpleConnection as _, sql_query,
    sql_types::BigInt,
};

use super::postgres;

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

/// Runs statements.
pub async fn execute(database_url: &str, statements: &str) {
    if let Some(path) = database_url.strip_prefix("sqlite:") {
        let mut connection = SqliteConnection::establish(path).expect("the database's file");
        connection.batch_execute("PRAGMA busy_timeout = 5000").expect("a time to wait");
        connection.batch_execute(statements).expect("the statements run");
    } else {
        let client = postgres::connect(database_url).await;
        client.batch_execute(statements).await.expect("the statements run");
    }
}
