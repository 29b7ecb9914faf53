//! What a renewal of an access record costs beside the vendor's call: claim, open, seal and settle, against the bare
//! commits of the database that it stands on. And so many of them that run out together, with the memory they take.

use std::{sync::Arc, time::Duration};

use chrono::{DateTime, TimeDelta, TimeZone as _, Utc};
use diesel::{
    Connection as _, RunQueryDsl as _, SqliteConnection, connection::SimpleConnection as _, sql_query,
    sql_types::BigInt,
};
use integrations_gateway::{
    app::SystemEntropy,
    connector::Grant,
    domain::{
        activity::{ActivityAction, ActivityOutcome},
        authorization::{AuthorizationPurpose, AuthorizationStep},
        connector::AuthFlow,
        id::{ConnectionId, OperatorId},
        secret::Secret,
        state::Observation,
    },
    store::{
        self, Db, NewActivity, SealedCredential,
        authorization::NewAuthorization,
        connection::{Granted, Settled},
        renewal::{Begun, RenewalOutcome},
    },
    vault::{Keyring, MasterKeys, Place, Vault, generate_master_key},
};

use super::{
    harness::{self, megabytes, micros, new_connection, site},
    list::open,
};

/// How many run out together.
const COUNT: i64 = 10_000;
/// How many are renewed at once, as by the worker.
const AT_ONCE: usize = 8;
/// What a renewal may cost of two bare commits, in CPU time.
const OF_COMMITS: f64 = 10.0;

pub fn run() -> bool {
    let directory = tempfile::tempdir().expect("a directory");
    let file = directory.path().join("gateway.db");
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    let keyring = Arc::new(keyring());
    let db = runtime.block_on(async {
        let db = open(&format!("sqlite:{}", file.display())).await;
        db.migrate().await.expect("migrations");
        for n in 1..=COUNT {
            connect(&db, &keyring, n).await;
        }
        db
    });

    let mut bare = SqliteConnection::establish(&file.display().to_string()).expect("the file");
    bare.batch_execute("PRAGMA synchronous = FULL; PRAGMA busy_timeout = 5000").expect("settings");
    let commits = measured(|| {
        for n in 1..=COUNT {
            for _ in 0..2 {
                let bump = "UPDATE renewals SET failures = failures + 1 WHERE connection_id = ?";
                sql_query(bump).bind::<BigInt, _>(n).execute(&mut bare).expect("a commit");
            }
        }
    });
    let renewals = measured(|| {
        runtime.block_on(async {
            let next = Arc::new(std::sync::atomic::AtomicI64::new(1));
            let hands = (0..AT_ONCE).map(|_| {
                let (db, keyring, next) = (db.clone(), Arc::clone(&keyring), Arc::clone(&next));
                tokio::spawn(async move {
                    loop {
                        let n = next.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
                        if n > COUNT {
                            return;
                        }
                        renew(&db, &keyring, ConnectionId(n)).await;
                    }
                })
            });
            for hand in hands.collect::<Vec<_>>() {
                hand.await.expect("renewed");
            }
        });
    });
    let each = |time: Duration| micros(time) / f64::from(u32::try_from(COUNT).unwrap_or(u32::MAX));
    harness::at_most(
        "CPU time of a renewal, without the vendor's call",
        each(renewals.1),
        ("two bare commits on SQLite", each(commits.1)),
        OF_COMMITS,
        "µs",
    );
    println!(
        "{COUNT} renewals, {AT_ONCE} at once, without the vendor's calls: {:.1} s; as many pairs of bare commits: {:.1} s; \
         at most {:.0} MB resident",
        renewals.0.as_secs_f64(),
        commits.0.as_secs_f64(),
        megabytes(harness::peak_of_this_process()),
    );
    true
}

/// Wall time and CPU time.
fn measured(work: impl FnOnce()) -> (Duration, Duration) {
    let (before, start) = (harness::cpu_of_this_process(), std::time::Instant::now());
    work();
    (start.elapsed(), harness::cpu_of_this_process().saturating_sub(before))
}

fn now() -> DateTime<Utc> {
    Utc.with_ymd_and_hms(2030, 1, 1, 0, 0, 0).single().expect("a date")
}

fn keyring() -> Keyring {
    let entropy = Arc::new(SystemEntropy);
    let master = generate_master_key(&*entropy, "bench");
    let vault = Vault::new(MasterKeys::parse(master.expose()).expect("a key"), entropy);
    let wrapped = vault.new_site_key(site(), 1).expect("a key");
    vault.open_keys(site(), &[wrapped]).expect("keys")
}

fn grant(token: &str) -> Grant {
    Grant {
        access: Secret::new(format!("access-{token}")),
        refresh: Some(Secret::new(format!("refresh-{token}"))),
        scopes: vec!["read".into(), "write".into()],
        expires_at: Some(now() + TimeDelta::hours(1)),
        captured: Vec::new(),
    }
}

fn seal(keyring: &Keyring, connection: ConnectionId, grant: &Grant) -> SealedCredential {
    let place = Place::Credential { connection, name: "grant" };
    let sealed = keyring.seal(&place, grant.to_json().expose()).expect("sealed");
    SealedCredential { name: "grant".into(), key_version: sealed.key_version, blob: sealed.blob }
}

fn renewed() -> NewActivity {
    NewActivity {
        action: ActivityAction::CredentialsRefreshed,
        actor: None,
        connection: None,
        outcome: ActivityOutcome::Succeeded,
        detail: None,
    }
}

async fn connect(db: &Db, keyring: &Arc<Keyring>, n: i64) {
    let new = NewAuthorization {
        token: n.to_string(),
        operator: OperatorId(n),
        operator_name: None,
        role: "Administrator".into(),
        purpose: AuthorizationPurpose::Connect,
        step: AuthorizationStep::Exchanging,
        connector_slug: "vendor".into(),
        display_name: None,
        connection: None,
        scopes_requested: Vec::new(),
        return_to: None,
        ticket_hash: format!("ticket {n}"),
        ticket_until: now(),
        state_hash: format!("state {n}"),
        key_version: 1,
        sealed: Vec::new(),
        expires_at: now(),
    };
    let authorization = store::authorization::insert(db, site(), now(), new).await.expect("an authorization");
    let mut new = new_connection(&format!("Connection {n}"), now());
    new.auth_flow = AuthFlow::Oauth;
    new.authorization = Some(authorization);
    new.renew_at = Some(now());
    let keyring = Arc::clone(keyring);
    let seal = Box::new(move |id| Ok(vec![seal(&keyring, id, &grant("first"))]));
    let made = store::connection::insert(db, site(), now(), new, seal, renewed()).await.expect("a connection");
    assert_eq!(made.id, ConnectionId(n));
}

/// As `service` does it, but for the call between.
async fn renew(db: &Db, keyring: &Keyring, id: ConnectionId) {
    let begun =
        store::renewal::begin(db, site(), id, 0, now(), now() + TimeDelta::seconds(60), TimeDelta::zero()).await;
    let Ok(Begun::Lease(lease)) = begun else { panic!("no lease: {begun:?}") };
    let parts = store::credential::list(db, site(), id).await.expect("the credential");
    let place = Place::Credential { connection: id, name: "grant" };
    let held = Grant::from_json(&keyring.open(&place, &parts[0].blob).expect("it opens")).expect("a grant");
    let fresh = grant(&format!("second-{}", held.access.expose().len()));
    let granted = Granted {
        sealed: vec![seal(keyring, id, &fresh)],
        scopes: fresh.scopes.clone(),
        expires_at: fresh.expires_at,
        renew_at: Some(now() + TimeDelta::minutes(48)),
        refreshable: true,
    };
    let settled = Settled {
        outcome: RenewalOutcome::Renewed,
        granted: Some(granted),
        observation: Some(Observation::RefreshSucceeded),
        reason: None,
        renew_at: None,
        activity: renewed(),
    };
    let stored = store::connection::settle_renewal(db, site(), id, now(), lease, settled).await;
    assert!(stored.expect("stored").is_some());
}
