//! The tables, and databases that are not what this release needs.

use integrations_gateway::store::{DatabaseSettings, Db, StoreError};

use super::{Fresh, bare_postgres, bare_sqlite, open, postgres as migrated_postgres, sqlite as migrated_sqlite};
use crate::support::clock::SeededEntropy;

pub async fn every_table_has_the_columns_of_the_schema(fresh: Fresh) {
    fresh.db.check_tables().await.unwrap();
    fresh.db.check_schema().await.unwrap();
}

pub async fn migrating_again_changes_nothing(fresh: Fresh) {
    fresh.db.migrate().await.unwrap();
    open(&fresh.url).await.migrate().await.unwrap();
    fresh.db.check_schema().await.unwrap();
}

pub async fn statements_are_counted(fresh: Fresh) {
    let before = fresh.db.query_count();
    fresh.db.ping().await.unwrap();
    assert_eq!(fresh.db.query_count(), before + 1);
}

async fn refuses_to_serve_before_migration(bare: Fresh) {
    assert!(matches!(bare.db.check_schema().await, Err(StoreError::NotMigrated)));
    bare.db.migrate().await.unwrap();
    bare.db.check_schema().await.unwrap();
}

async fn several_processes_migrate_at_once(bare: Fresh) {
    let mut processes = Vec::new();
    for _ in 0..4 {
        processes.push(open(&bare.url).await);
    }
    let runs: Vec<_> =
        processes.into_iter().map(|process| tokio::spawn(async move { process.migrate().await })).collect();
    for run in runs {
        run.await.unwrap().unwrap();
    }
    bare.db.check_schema().await.unwrap();
}

async fn refuses_a_newer_schema(fresh: Fresh) {
    fresh.execute("INSERT INTO __diesel_schema_migrations (version) VALUES ('99990101000000')").await;
    for refused in [fresh.db.check_schema().await, fresh.db.migrate().await] {
        let Err(error) = refused else { panic!("a newer schema was taken") };
        assert!(matches!(&error, StoreError::NewerSchema { found } if found == "99990101000000"), "{error:?}");
        assert!(error.to_string().contains("99990101000000"));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn sqlite_migrations() {
    refuses_to_serve_before_migration(bare_sqlite().await).await;
    several_processes_migrate_at_once(bare_sqlite().await).await;
    refuses_a_newer_schema(migrated_sqlite().await).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn postgres_migrations() {
    refuses_to_serve_before_migration(bare_postgres().await).await;
    several_processes_migrate_at_once(bare_postgres().await).await;
    refuses_a_newer_schema(migrated_postgres().await).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_is_not_there_is_unavailable_and_the_password_stays_unsaid() {
    let url = "postgres://gateway:hunter2@127.0.0.1:1/gateway".to_owned();
    let settings = DatabaseSettings { url, pool: 1, ca_pem: None };
    let refused = Db::open(&settings, SeededEntropy::new(1)).await;
    let Err(error) = refused else { panic!("nothing listens there") };
    assert!(matches!(error, StoreError::Unavailable(_)), "{error:?}");
    assert!(!format!("{error} {error:?} {settings:?}").contains("hunter2"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_folder_that_cannot_be_made_is_said() {
    let settings = DatabaseSettings { url: "sqlite:/dev/null/gateway.db".to_owned(), pool: 1, ca_pem: None };
    let refused = Db::open(&settings, SeededEntropy::new(1)).await;
    assert!(matches!(refused, Err(StoreError::Unavailable(text)) if text.contains("/dev/null")));
}

super::on_both!(every_table_has_the_columns_of_the_schema, migrating_again_changes_nothing, statements_are_counted,);
