//! Changes to a connection that leave its credential's secrets alone: its name, its settings.

use super::{
    connect::flow_of,
    credentials::{self, Opened},
    gateway::{Gateway, activity},
    lifecycle::NO_CONNECTION,
    test_call::reason,
    types::{Acting, Failure, OrInternal as _, Tested},
    validate,
};
use crate::{
    domain::{
        action::ConnectionAction,
        activity::{ActivityAction, ActivityOutcome},
        connection::Connection,
        id::{ConnectionId, SiteId},
    },
    store::{self, NewActivity, SealedCredential, StoreError, connection::Configured},
    vault::Place,
};

impl Gateway {
    /// Gives a connection another name.
    ///
    /// # Errors
    /// [`Failure::BadInput`] for a bad name; [`Failure::NotFound`].
    pub async fn rename(&self, acting: &Acting, id: ConnectionId, name: &str) -> Result<Connection, Failure> {
        let name = validate::display_name("displayName", name)?;
        let connection = self.permitted(acting, id, ConnectionAction::Rename).await?;
        let detail = Some(format!("was: {}", connection.display_name));
        let entry =
            activity(acting, ActivityAction::ConnectionRenamed, Some(&connection), ActivityOutcome::Succeeded, detail);
        let renamed = Box::pin(store::connection::rename(&self.db, acting.site(), id, self.now(), &name, entry))
            .await
            .or_internal("renaming the connection")?
            .ok_or(NO_CONNECTION)?;
        self.committed(acting.site());
        Ok(renamed)
    }

    /// Changes settings that are no secret. They are tested before they are stored; where the test
    /// fails, everything stays as it was.
    ///
    /// # Errors
    /// [`Failure::BadInput`] for a value that does not fit, with the field `values.NAME`;
    /// [`Failure::NotFound`]; [`Failure::Forbidden`] where the connector's family asks for more;
    /// [`Failure::Conflict`] where somebody else has changed its fields meanwhile.
    pub async fn configure(
        &self,
        acting: &Acting,
        id: ConnectionId,
        values: Vec<(String, String)>,
        ordered_delivery: Option<bool>,
    ) -> Result<Tested, Failure> {
        let (gateway, acting) = (self.clone(), acting.clone());
        self.in_own_task(async move { gateway.do_configure(&acting, id, values, ordered_delivery).await }).await
    }

    async fn do_configure(
        &self,
        acting: &Acting,
        id: ConnectionId,
        values: Vec<(String, String)>,
        ordered_delivery: Option<bool>,
    ) -> Result<Tested, Failure> {
        let site = acting.site();
        let (connection, connector) = self.permitted_with_connector(acting, id, ConnectionAction::Configure).await?;
        let flow = flow_of(&connector, connection.auth_flow)?;
        let held = self.open_to_replace(site, id).await?;
        let replaces = held.sealed_fields().filter(|_| !values.is_empty());
        let old = held.opened;
        let reconfigured = flow.reconfigure(&old.values, &values).map_err(|violations| {
            let first = violations.into_iter().next();
            first.map_or(Failure::Internal, |v| Failure::bad_input(format!("values.{}", v.field), v.message))
        })?;
        let opened = Opened { values: reconfigured, ..old };
        let test = self.run_test(&connector, connection.auth_flow, &opened).await;
        let entry = |outcome, detail| {
            activity(acting, ActivityAction::ConnectionConfigured, Some(&connection), outcome, detail)
        };
        if !test.passed() {
            self.log_activity(site, entry(ActivityOutcome::Rejected, Some(reason(&test)))).await?;
            return Ok(Tested { connection, test });
        }
        let keyring = self.keyring(site).await?;
        let sealed = if values.is_empty() {
            Vec::new()
        } else {
            vec![credentials::seal_fields(&keyring, id, &opened.values).or_internal("sealing the settings")?]
        };
        let configured = Configured {
            configuration: Some(flow.configuration(&opened.values)),
            destination_label: Some(flow.destination_label(&connector, &opened.values, opened.grant.as_ref())),
            sealed,
            replaces,
            ordered_delivery,
            test: Some(test.clone()),
        };
        let succeeded = entry(ActivityOutcome::Succeeded, None);
        let connection = self.store_change(site, id, configured, succeeded).await?;
        Ok(Tested { connection, test })
    }

    /// Stores what an operator has changed about a connection, unless its credential is another one by now.
    pub(super) async fn store_change(
        &self,
        site: SiteId,
        id: ConnectionId,
        mut configured: Configured,
        entry: NewActivity,
    ) -> Result<Connection, Failure> {
        let connection = loop {
            let change = configured.clone();
            let stored = store::connection::configure(&self.db, site, id, self.now(), change, entry.clone());
            match Box::pin(stored).await {
                Err(StoreError::CredentialChanged) => {
                    configured.replaces = Some(self.resealed(site, id, configured.replaces.as_ref()).await?);
                }
                other => break other.or_internal("storing the change")?.ok_or(NO_CONNECTION)?,
            }
        };
        self.committed(site);
        self.bus.wake_deliveries();
        Ok(connection)
    }

    /// A part of a credential as it is now, where it is what it was and only its seal is another: the site's key has been
    /// rotated meanwhile.
    async fn resealed(
        &self,
        site: SiteId,
        id: ConnectionId,
        before: Option<&SealedCredential>,
    ) -> Result<SealedCredential, Failure> {
        let parts = store::credential::list(&self.db, site, id).await.or_internal("reading the sealed credential")?;
        if let Some(before) = before
            && let Some(now) = parts.into_iter().find(|part| part.name == before.name)
            && now.key_version > before.key_version
        {
            let place = Place::Credential { connection: id, name: &before.name };
            let doing = "opening the credential";
            let was = self.unseal(site, &place, &before.blob, doing).await?;
            if self.unseal(site, &place, &now.blob, doing).await?.expose() == was.expose() {
                return Ok(now);
            }
        }
        Err(Failure::Conflict("somebody else has changed this connection meanwhile: try again".into()))
    }
}
