//! Disconnecting: the intent is written down, the vendor is told, and then the record goes.

use chrono::TimeDelta;
use serde::{Deserialize, Serialize};

use super::{
    gateway::{Gateway, activity, reference},
    lifecycle::NO_CONNECTION,
    oauth_client::oauth_of,
    refresh::renew_at,
    types::{Acting, Disconnection, Failure, OrInternal as _, Revocation},
};
use crate::{
    connector::Revoked,
    domain::{
        action::ConnectionAction,
        activity::{ActivityAction, ActivityOutcome},
        connection::Connection,
        connector::AuthFlow,
        id::{ConnectionId, OperatorId, SiteId},
        principal::Actor,
        test_report::TestOutcome,
    },
    store::{self, NewActivity, closing::Closing},
};

/// How long a disconnect is ours: longer than its calls may take.
const LEASE: TimeDelta = TimeDelta::seconds(120);
/// How often a renewal that is under way is looked at.
const LOOK: TimeDelta = TimeDelta::milliseconds(200);

/// Who asked for a disconnect, and how: kept with its intent, so that whoever finishes it knows.
#[derive(Serialize, Deserialize)]
struct Intent {
    force: bool,
    operator: Option<i64>,
    operator_name: Option<String>,
    module: Option<String>,
}

impl Intent {
    fn of(actor: &Actor, force: bool) -> Self {
        let operator_name = match actor {
            Actor::Operator { name, .. } => name.clone(),
            Actor::Module { .. } => None,
        };
        let operator = actor.operator_id().map(|id| id.0);
        Self { force, operator, operator_name, module: actor.module().map(str::to_owned) }
    }

    fn actor(&self) -> Option<Actor> {
        match (self.operator, &self.module) {
            (Some(id), _) => Some(Actor::Operator { id: OperatorId(id), name: self.operator_name.clone() }),
            (None, Some(name)) => Some(Actor::Module { name: name.clone() }),
            (None, None) => None,
        }
    }

    fn activity(&self, connection: &Connection, outcome: ActivityOutcome, detail: Option<String>) -> NewActivity {
        NewActivity {
            action: ActivityAction::ConnectionDisconnected,
            actor: self.actor(),
            connection: Some(reference(connection)),
            outcome,
            detail,
        }
    }
}

/// What came of telling the vendor.
struct Told {
    revocation: Revocation,
    proved: bool,
    detail: Option<String>,
}

impl Told {
    fn not_applicable(detail: impl Into<String>) -> Self {
        Self { revocation: Revocation::NotApplicable, proved: false, detail: Some(detail.into()) }
    }

    fn failed(detail: impl Into<String>) -> Self {
        Self { revocation: Revocation::Failed, proved: false, detail: Some(detail.into()) }
    }
}

impl Gateway {
    /// Removes the record and its credential, and gives the vendor its grant back. The log keeps what it has, with the
    /// connection's id, name and connector; what was queued ends cancelled. Where the vendor cannot be told, everything
    /// stays, unless `force` is given.
    ///
    /// # Errors
    /// [`Failure::NotFound`]; [`Failure::Forbidden`] where the connector's family asks for more.
    pub async fn disconnect(&self, acting: &Acting, id: ConnectionId, force: bool) -> Result<Disconnection, Failure> {
        let (gateway, acting) = (self.clone(), acting.clone());
        self.in_own_task(async move {
            let connection = gateway.permitted(&acting, id, ConnectionAction::Disconnect).await?;
            if connection.auth_flow == AuthFlow::Oauth {
                let intent = Intent::of(&acting.caller.principal.actor, force);
                return Box::pin(gateway.close(acting.site(), &connection, &intent)).await;
            }
            let entry = activity(
                &acting,
                ActivityAction::ConnectionDisconnected,
                Some(&connection),
                ActivityOutcome::Succeeded,
                None,
            );
            gateway.remove(acting.site(), id, entry).await?;
            let detail = "the credential was removed here; delete or rotate it at the vendor if nothing else uses it";
            Ok(disconnection(id, true, Told::not_applicable(detail)))
        })
        .await
    }

    /// For the worker: finishes a disconnect that was cut off.
    pub(super) async fn go_on_closing(&self, site: SiteId, id: ConnectionId) -> Result<(), Failure> {
        let connection = self.connection(site, id).await?;
        let renewal = store::renewal::find(&self.db, site, id).await.or_internal("reading the renewals")?;
        let Some(closing) = renewal.and_then(|renewal| renewal.closing) else { return Ok(()) };
        let intent: Intent = serde_json::from_str(&closing).or_internal("reading the intent to disconnect")?;
        self.close(site, &connection, &intent).await.map(drop)
    }

    async fn close(&self, site: SiteId, connection: &Connection, intent: &Intent) -> Result<Disconnection, Failure> {
        let id = connection.id;
        let turn = self.turn(id);
        let _turn = turn.lock().await;
        let written = serde_json::to_string(intent).or_internal("writing the intent to disconnect")?;
        loop {
            let now = self.now();
            let begun = store::closing::close(&self.db, site, id, now, now + LEASE, &written);
            match begun.await.or_internal("beginning a disconnect")? {
                Closing::Begun => break,
                Closing::Held(until) => self.clock.sleep_until((now + LOOK).min(until)).await,
                Closing::Nothing => return Err(NO_CONNECTION),
            }
        }
        let told = self.tell_vendor(site, connection).await?;
        if told.revocation == Revocation::Failed && !intent.force {
            let renew_at = self.renew_at_again(site, connection).await;
            let entry = intent.activity(connection, ActivityOutcome::Failed, told.detail.clone());
            store::connection::reopen(&self.db, site, id, self.now(), renew_at, entry)
                .await
                .or_internal("keeping the connection")?;
            self.committed(site);
            self.bus.wake_deliveries();
            return Ok(disconnection(id, false, told));
        }
        let detail = match (told.revocation, &told.detail) {
            (Revocation::Failed, Some(why)) => {
                Some(format!("by force; the grant may still stand at the vendor, which could not be told: {why}"))
            }
            (_, detail) => detail.clone(),
        };
        let entry = intent.activity(connection, ActivityOutcome::Succeeded, detail);
        self.remove(site, id, entry).await?;
        Ok(disconnection(id, true, told))
    }

    async fn remove(&self, site: SiteId, id: ConnectionId, entry: NewActivity) -> Result<(), Failure> {
        store::connection::remove(&self.db, site, id, self.now(), entry)
            .await
            .or_internal("removing the connection")?
            .ok_or(NO_CONNECTION)?;
        self.committed(site);
        // What is queued beyond the first batch is cancelled by the worker.
        self.bus.wake_deliveries();
        Ok(())
    }

    /// Gives the grant back, and probes whether the vendor has let go.
    async fn tell_vendor(&self, site: SiteId, connection: &Connection) -> Result<Told, Failure> {
        let Some(connector) = self.library().get(&connection.connector_slug).cloned() else {
            return Ok(Told::failed("the connector is not in the library any more, so the vendor could not be told"));
        };
        let Ok(opened) = self.open(site, connection.id).await else {
            return Ok(Told::failed("the stored credential could not be opened, so the vendor could not be told"));
        };
        let Some(grant) = &opened.grant else {
            return Ok(Told::not_applicable("there was no grant"));
        };
        let flow = match self.oauth_flow(&connector, &opened.values) {
            Ok(flow) => flow,
            Err(Failure::Conflict(message) | Failure::BadInput { message, .. }) => return Ok(Told::failed(message)),
            Err(failure) => return Err(failure),
        };
        let account = connection.vendor_account_id.as_deref();
        if self.shares_grant(site, &flow, account, Some(connection.id)).await? {
            return Ok(Told::not_applicable(
                "the vendor's grant stays, since other connections of the site use it; it goes with the last of them",
            ));
        }
        // A refusal proves only something of a credential that served until then.
        let served = self.run_test(&connector, connection.auth_flow, &opened).await.passed();
        Ok(match self.revoke_grant(&flow, grant).await {
            None => {
                Told::not_applicable("the vendor has no call to give the grant back: remove the gateway's access there")
            }
            Some(Revoked::Failed { detail, .. }) => Told::failed(detail),
            Some(revoked) => {
                let test = self.run_test(&connector, connection.auth_flow, &opened).await;
                let refused = matches!(test.outcome, TestOutcome::CredentialExpired | TestOutcome::CredentialRevoked);
                let detail = (revoked == Revoked::AlreadyGone).then(|| "it had been revoked before".to_owned());
                Told { revocation: Revocation::Revoked, proved: served && refused, detail }
            }
        })
    }

    /// When the grant of a connection that stays is to be renewed.
    async fn renew_at_again(&self, site: SiteId, connection: &Connection) -> Option<chrono::DateTime<chrono::Utc>> {
        let connector = self.library().get(&connection.connector_slug)?;
        let (_, oauth) = oauth_of(connector).ok()?;
        let grant = self.open(site, connection.id).await.ok()?.grant?;
        renew_at(self, oauth, &grant, self.now())
    }
}

fn disconnection(connection: ConnectionId, disconnected: bool, told: Told) -> Disconnection {
    Disconnection {
        connection,
        disconnected,
        revocation: told.revocation,
        revocation_proved: told.proved,
        detail: told.detail,
    }
}
