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
        activity::{ActivityAction, ActivityOutcome},
        connection::Connection,
        id::ConnectionId,
    },
    store::{self, connection::Configured},
};

impl Gateway {
    /// Gives a connection another name.
    ///
    /// # Errors
    /// [`Failure::BadInput`] for a bad name; [`Failure::NotFound`].
    pub async fn rename(&self, acting: &Acting, id: ConnectionId, name: &str) -> Result<Connection, Failure> {
        let name = validate::display_name("displayName", name)?;
        let connection = self.connection(acting.site(), id).await?;
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
    /// [`Failure::NotFound`]; [`Failure::Forbidden`] where the connector's family asks for more.
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
        let (connection, connector) = self.connection_with_connector(site, id).await?;
        self.require_extra(acting, &connector)?;
        let flow = flow_of(&connector, connection.auth_flow)?;
        let old = self.open(site, id).await?;
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
            ordered_delivery,
            test: Some(test.clone()),
        };
        let succeeded = entry(ActivityOutcome::Succeeded, None);
        let connection = store::connection::configure(&self.db, site, id, self.now(), configured, succeeded)
            .await
            .or_internal("storing the settings")?
            .ok_or(NO_CONNECTION)?;
        self.committed(site);
        self.bus.wake_deliveries();
        Ok(Tested { connection, test })
    }
}
