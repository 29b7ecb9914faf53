//! No secret that goes in comes out: not in an answer, a log line, or the database's files.

use std::sync::{Arc, Mutex, PoisonError};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde_json::json;
use tracing_subscriber::fmt::MakeWriter;

use crate::support::{
    app::{Database, TOKEN_SECRET, TestApp},
    calls,
    vendor::{Reply, Vendor},
};

/// Every log line of the process, at the most talkative level.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl std::io::Write for Log {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

impl<'a> MakeWriter<'a> for Log {
    type Writer = Self;

    fn make_writer(&'a self) -> Self {
        self.clone()
    }
}

/// The forms in which a secret could be written down.
fn forms(secret: &str) -> Vec<Vec<u8>> {
    let hex = secret.bytes().fold(String::new(), |hex, byte| hex + &format!("{byte:02x}"));
    // The start of the base64 form does not depend on what follows the secret.
    let base64 = STANDARD.encode(secret);
    let base64 = base64[..base64.len() / 4 * 4 - 4].to_owned();
    vec![secret.as_bytes().to_vec(), hex.into_bytes(), base64.into_bytes()]
}

fn assert_absent(place: &str, bytes: &[u8], secrets: &[String]) {
    for secret in secrets {
        for form in forms(secret) {
            let found = bytes.windows(form.len()).any(|window| window == form);
            assert!(!found, "a planted secret was found in {place}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn planted_secrets_are_found_nowhere() {
    let log = Log::default();
    // For the whole process: work that is spawned must be seen too. Other tests' lines do no harm.
    let subscriber = tracing_subscriber::fmt().with_max_level(tracing::Level::TRACE).with_writer(log.clone()).finish();
    let _ = tracing::subscriber::set_global_default(subscriber);

    let vendor = Vendor::tls(&["api.brevo.com"]).await;
    let receiver = Vendor::plain().await;
    let app = TestApp::with_vendor(Database::Sqlite, &vendor).await;
    let admin = app.token("Administrator");
    let mut answers = String::new();
    let mut secrets = vec![
        "xkeysib-planted7key9of3the8test".to_owned(),
        "planted4query2secret".to_owned(),
        "planted6payload1secret".to_owned(),
        TOKEN_SECRET.to_owned(),
    ];

    // The vendor repeats the key in its answers, as some do.
    let key = secrets[0].clone();
    vendor.answer(move |request| {
        let echoed =
            json!({"message": format!("Key not found: {}", request.header("api-key")), "code": "unauthorized"});
        Reply::json(401, &echoed)
    });
    let create = "mutation($input: CreateConnectionInput!) { createConnection(input: $input) { __typename ... on ConnectionCreated { connection { id configuration { value } } test { detail } } ... on ConnectionRejected { test { outcome detail vendorErrorCode } violations { message } } } }";
    let input = json!({"input": {"connectorSlug": "brevo", "authFlow": "API_KEY", "fields": [{"name": "api_key", "value": key}]}});
    answers += &app.graphql(&admin, create, input.clone()).await.to_string();
    vendor.answer(|_| {
        Reply::json(200, &json!({"organization_id": "org-1", "companyName": "ACME", "email": "a@example.com"}))
    });
    let created = app.graphql(&admin, create, input).await;
    assert_eq!(created["data"]["createConnection"]["__typename"], "ConnectionCreated", "{created}");
    answers += &created.to_string();
    assert_eq!(vendor.requests()[0].header("api-key"), secrets[0], "the vendor itself gets the key");

    let signed = calls::connect_webhook(&app, &admin, &receiver, "/hook?token=planted4query2secret").await;
    receiver.answer(|request| Reply {
        body: format!("refused: {} {}", request.path, request.header("webhook-signature")),
        ..Reply::status(400)
    });
    let dispatched = json!({"input": {"connectionId": signed.connection, "eventType": "a.b", "eventIdentifier": "1", "payload": {"password": "planted6payload1secret"}}});
    answers += &app.graphql(&app.module_token("forms"), calls::DISPATCH, dispatched).await.to_string();
    receiver.wait_for(2).await;
    secrets.push(signed.secret.clone());
    secrets.push(signed.secret.trim_start_matches("whsec_").to_owned());
    let mut log_rows = app.subscribe(&admin, "subscription { deliveryLogged { entry { vendorMessage } } }").await;
    calls::dispatch(&app, &app.module_token("forms"), &signed.connection, "a.b", "2", "REJECT").await;
    answers += &log_rows.next().await.to_string();
    answers += &app
        .graphql(&admin, "{ connections { nodes { displayName configuration { value } destinationLabel stateReason lastTest { detail } } } deliveryLog { nodes { vendorMessage } } activityLog { nodes { detail } } }", json!({}))
        .await
        .to_string();
    let directory = app.stop_and_keep_files().await;

    assert_absent("the answers", answers.as_bytes(), &secrets);
    let lines = log.0.lock().unwrap_or_else(PoisonError::into_inner).clone();
    assert!(!lines.is_empty(), "the log was not captured");
    assert_absent("the log", &lines, &secrets);
    let mut read = 0;
    for file in std::fs::read_dir(directory.path()).expect("the directory").flatten() {
        let bytes = std::fs::read(file.path()).expect("a file");
        assert_absent(&file.file_name().to_string_lossy(), &bytes, &secrets);
        read += bytes.len();
    }
    assert!(read > 10_000, "the database's files were read");
}
