//! Rows that cases begin with, and short ways to do what many of them do.

use chrono::{DateTime, TimeDelta, TimeZone as _, Utc};
use integrations_gateway::{
    domain::{
        activity::{ActivityAction, ActivityOutcome},
        connection::Connection,
        connector::{AuthFlow, ConnectorFamily},
        delivery::{Delivery, DeliveryEntry, DeliveryFailure, DeliveryOutcome, DeliveryStatus, DeliveryWait},
        event::StreamEvent,
        id::{ConnectionId, OperatorId, SiteId},
        principal::Actor,
        settings::{ErrorPattern, Settings},
        state::Observation,
        test_report::{TestOutcome, TestProof, TestReport},
    },
    store::{
        Db, NewActivity, Seal, SealedCredential,
        connection::{self, NewConnection, Observed, Report},
        delivery::{self, After, Attempt, Claim, Inserted, NewDelivery, Settled, Settlement},
        settings, stream,
    },
};

/// The site that cases act for.
pub const SITE: SiteId = SiteId::from_verified_token(1);
/// Another site, which must see nothing of it.
pub const OTHER: SiteId = SiteId::from_verified_token(2);

/// A time, in seconds from the beginning of the case.
pub fn at(seconds: i64) -> DateTime<Utc> {
    Utc.with_ymd_and_hms(2030, 1, 15, 12, 0, 0).single().expect("a date") + TimeDelta::seconds(seconds)
}

pub fn test_report(outcome: TestOutcome) -> TestReport {
    TestReport {
        outcome,
        proof: TestProof::Account,
        vendor_account_id: None,
        vendor_account_name: None,
        missing_scopes: vec!["reports:read".to_owned()],
        vendor_error_code: Some("E42".to_owned()),
        detail: Some("what the vendor said".to_owned()),
        latency_ms: 17,
        tested_at: at(0),
    }
}

pub fn new_connection(name: &str) -> NewConnection {
    NewConnection {
        connector_slug: "receiver".to_owned(),
        connector_name: "Signed receiver".to_owned(),
        display_name: name.to_owned(),
        family: ConnectorFamily::Webhooks,
        auth_flow: AuthFlow::ApiKey,
        vendor_account_id: None,
        vendor_account_name: None,
        scopes_granted: Vec::new(),
        configuration: vec![("address".to_owned(), "https://receiver.example/in".to_owned())],
        destination_label: Some("POST /in".to_owned()),
        ordered_delivery: false,
        expires_at: None,
        test: test_report(TestOutcome::Connected),
        operator: OperatorId(7),
        consume_offer: None,
        authorization: None,
        renew_at: None,
        refreshable: None,
    }
}

/// A credential of one part.
pub fn seal(blob: &'static [u8]) -> Seal {
    Box::new(move |_| Ok(vec![SealedCredential { name: "key".to_owned(), key_version: 1, blob: blob.to_vec() }]))
}

pub fn activity(action: ActivityAction) -> NewActivity {
    NewActivity {
        action,
        actor: Some(Actor::Operator { id: OperatorId(7), name: Some("Ada".to_owned()) }),
        connection: None,
        outcome: ActivityOutcome::Succeeded,
        detail: None,
    }
}

pub async fn insert(db: &Db, site: SiteId, now: DateTime<Utc>, new: NewConnection) -> Connection {
    let activity = activity(ActivityAction::ConnectionCreated);
    connection::insert(db, site, now, new, seal(b"sealed"), activity).await.expect("the connection is stored")
}

/// An active connection of [`SITE`].
pub async fn connected(db: &Db, name: &str) -> Connection {
    insert(db, SITE, at(0), new_connection(name)).await
}

pub fn report(observation: Observation) -> Report {
    Report { observation, test: None, reason: Some("a reason".to_owned()), activity: None, touch: false }
}

pub async fn observe(db: &Db, id: ConnectionId, observation: Observation) -> Observed {
    connection::observe(db, SITE, id, at(60), report(observation)).await.unwrap().expect("the connection is there")
}

/// What is to be sent through a connection, due at once.
pub fn event(connection: &Connection, key: &str, accepted_at: DateTime<Utc>) -> NewDelivery {
    NewDelivery {
        connection: connection.id,
        connection_name: connection.display_name.clone(),
        connector_slug: connection.connector_slug.clone(),
        module: "forms".to_owned(),
        event_type: "form.submitted".to_owned(),
        event_identifier: format!("submission-{key}"),
        idempotency_key: key.to_owned(),
        request_digest: vec![1, 2, 3],
        message_id: format!("msg_{key}"),
        payload: b"sealed payload".to_vec(),
        accepted_at,
        next_attempt_at: accepted_at,
    }
}

/// Hands one event over.
pub async fn hand_over(db: &Db, site: SiteId, new: NewDelivery) -> Inserted {
    delivery::insert(db, site, vec![new]).await.expect("the delivery is stored").remove(0)
}

pub async fn dispatch(db: &Db, site: SiteId, new: NewDelivery) -> Delivery {
    match hand_over(db, site, new).await {
        Inserted::Accepted(delivery) => delivery,
        other => panic!("{other:?}"),
    }
}

/// Takes everything that is due; the leases run for a minute.
pub async fn claim_all(db: &Db, now: DateTime<Utc>) -> Vec<Claim> {
    delivery::claim(db, now, now + TimeDelta::seconds(60), 1_000, 1_000, &[]).await.expect("the claim runs")
}

/// Takes the only delivery that is due.
pub async fn claim_one(db: &Db, now: DateTime<Utc>) -> Claim {
    let mut claims = claim_all(db, now).await;
    assert_eq!(claims.len(), 1, "one delivery is due");
    claims.remove(0)
}

pub fn delivered(now: DateTime<Utc>) -> (Attempt, After) {
    let attempt = Attempt {
        outcome: DeliveryOutcome::Delivered,
        failure: None,
        vendor_response_code: Some(202),
        vendor_message: Some("accepted".to_owned()),
        latency_ms: Some(12),
        attempted_at: now,
    };
    (attempt, After::Ended(DeliveryStatus::Delivered))
}

pub fn failed(now: DateTime<Utc>, failure: DeliveryFailure) -> (Attempt, After) {
    let attempt = Attempt {
        outcome: DeliveryOutcome::Failed,
        failure: Some(failure),
        vendor_response_code: None,
        vendor_message: None,
        latency_ms: None,
        attempted_at: now,
    };
    (attempt, After::Ended(DeliveryStatus::Failed))
}

pub fn again(now: DateTime<Utc>, failure: DeliveryFailure, next: DateTime<Utc>) -> (Attempt, After) {
    let (attempt, _) = failed(now, failure);
    let attempt = Attempt { outcome: DeliveryOutcome::Retried, ..attempt };
    (attempt, After::Again { at: next, waiting_for: DeliveryWait::Schedule })
}

pub fn settlement(claim: &Claim, now: DateTime<Utc>, (attempt, after): (Attempt, After)) -> Settlement {
    Settlement {
        site: claim.site,
        delivery: claim.delivery.id,
        lease: claim.lease,
        now,
        attempt,
        after,
        observation: None,
        error_pattern: ErrorPattern { failed_attempts: 20, minutes: 10 },
        not_before: None,
        activity: None,
    }
}

pub async fn settle(db: &Db, settlement: Settlement) -> Settled {
    delivery::settle(db, settlement).await.expect("the settlement runs").expect("the lease is ours")
}

/// Sends one event and lets it fail for good.
pub async fn failed_entry(db: &Db, connection: &Connection, key: &str) -> DeliveryEntry {
    dispatch(db, SITE, event(connection, key, at(1))).await;
    let claim = claim_one(db, at(2)).await;
    settle(db, settlement(&claim, at(3), failed(at(2), DeliveryFailure::VendorRejected))).await.entry
}

/// The site's whole stream.
pub async fn events(db: &Db, site: SiteId) -> Vec<StreamEvent> {
    stream::list_after(db, site, 0, 10_000).await.expect("the stream can be read")
}

/// Numbers that look random and are the same at every run.
pub struct Dice(u64);

impl Dice {
    pub const fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// A number below `bound`.
    pub fn below(&mut self, bound: u64) -> u64 {
        // SplitMix64.
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z ^ (z >> 31)) % bound
    }

    pub fn pick<T: Copy>(&mut self, of: &[T]) -> T {
        let index = usize::try_from(self.below(of.len() as u64)).expect("an index");
        of[index]
    }
}

/// Gives the site these settings.
pub async fn save_settings(db: &Db, now: DateTime<Utc>, new: Settings) {
    let decide = move |_: &Settings| {
        let activity = activity(ActivityAction::SettingsChanged);
        Some(settings::Changed { settings: new.clone(), switched_off: Vec::new(), activity })
    };
    settings::change(db, SITE, now, decide).await.expect("the settings are stored");
}
