//! The rows of the list.

use chrono::{DateTime, TimeZone as _, Utc};
use integrations_gateway::{
    domain::{
        activity::{ActivityAction, ActivityOutcome},
        connector::{AuthFlow, ConnectorFamily},
        id::{OperatorId, SiteId},
        test_report::{TestOutcome, TestProof, TestReport},
    },
    store::{self, Db, NewActivity, SealedCredential, connection::NewConnection},
};

/// How many rows the list has.
pub const ROWS: usize = 20;

/// The site that tokens are made for.
pub fn site() -> SiteId {
    SiteId::from_claimed_row(1)
}

/// One of them.
pub fn new_connection(name: &str, now: DateTime<Utc>) -> NewConnection {
    NewConnection {
        connector_slug: "webhook_generic".into(),
        connector_name: "Outbound webhook".into(),
        display_name: name.into(),
        family: ConnectorFamily::Webhooks,
        auth_flow: AuthFlow::SignedToken,
        vendor_account_id: Some(format!("account of {name}")),
        vendor_account_name: None,
        scopes_granted: vec!["read".into(), "write".into()],
        configuration: vec![("url".into(), "https://example.com/".into())],
        destination_label: Some("POST /".into()),
        ordered_delivery: false,
        expires_at: None,
        test: TestReport {
            outcome: TestOutcome::Connected,
            proof: TestProof::Reachable,
            vendor_account_id: None,
            vendor_account_name: None,
            missing_scopes: Vec::new(),
            vendor_error_code: None,
            detail: None,
            latency_ms: 1,
            tested_at: now,
        },
        operator: OperatorId(1),
        consume_offer: None,
        authorization: None,
        renew_at: None,
        refreshable: None,
    }
}

/// Stores them. The site must be there.
pub async fn fill(db: &Db) {
    let now = Utc.with_ymd_and_hms(2030, 1, 1, 0, 0, 0).single().expect("a date");
    for n in 0..ROWS {
        let new = new_connection(&format!("Connection {n}"), now);
        let seal =
            Box::new(|_| Ok(vec![SealedCredential { name: "fields".into(), key_version: 1, blob: vec![0; 64] }]));
        let activity = NewActivity {
            action: ActivityAction::ConnectionCreated,
            actor: None,
            connection: None,
            outcome: ActivityOutcome::Succeeded,
            detail: None,
        };
        store::connection::insert(db, site(), now, new, seal, activity).await.expect("a row");
    }
}
