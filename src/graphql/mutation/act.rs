//! What is done with a connection: rename, configure, refresh, test, pause, resume, disconnect.

use async_graphql::{Context, Description, ID, InputObject, Object};

use crate::{
    domain::{self, capability::Capability as Needs},
    graphql::{
        connection::ConnectionRecord,
        enums::{Capability, Revocation},
        guard::{Guarded, guarded_some, requires},
        ids::{self, Named},
        scope::{self, SharedScope},
        test_report::TestReport,
    },
    service::{Disconnection, Tested},
};

#[derive(Default)]
pub struct Act;

/// Which connection.
#[derive(InputObject)]
pub struct ConnectionIdInput {
    connection_id: ID,
}

/// A connection's new name.
#[derive(InputObject)]
pub struct RenameConnectionInput {
    connection_id: ID,
    /// At most 120 characters.
    display_name: String,
}

/// A connection's new settings; what is left out stays.
#[derive(InputObject)]
pub struct ConfigureConnectionInput {
    connection_id: ID,
    values: Option<Vec<ConfigurationValueInput>>,
    ordered_delivery: Option<bool>,
}

/// A setting that is no secret.
#[derive(InputObject)]
pub struct ConfigurationValueInput {
    name: String,
    value: String,
}

/// Which connection is to be removed.
#[derive(InputObject)]
pub struct DisconnectConnectionInput {
    connection_id: ID,
    /// Remove the local record even where the vendor could not be told.
    #[graphql(default = false)]
    force: bool,
}

/// A connection as it is now.
#[derive(Description)]
pub struct ConnectionPayload {
    connection: ConnectionRecord,
    scope: SharedScope,
}

impl ConnectionPayload {
    fn new(scope: &SharedScope, connection: domain::connection::Connection) -> Self {
        Self { connection: ConnectionRecord::one(scope, connection), scope: SharedScope::clone(scope) }
    }
}

#[Object(use_type_description)]
impl ConnectionPayload {
    #[graphql(directive = requires::apply(Capability::ListConnections))]
    async fn connection(&self) -> Guarded<ConnectionRecord> {
        guarded_some(&self.scope, Needs::ListConnections, async { Ok(self.connection.clone()) }).await
    }
}

/// A connection as it is now, and what its test call found.
#[derive(Description)]
pub struct ConnectionTestPayload {
    connection: ConnectionRecord,
    test: domain::test_report::TestReport,
    scope: SharedScope,
}

impl ConnectionTestPayload {
    fn new(scope: &SharedScope, tested: Tested) -> Self {
        Self {
            connection: ConnectionRecord::one(scope, tested.connection),
            test: tested.test,
            scope: SharedScope::clone(scope),
        }
    }
}

#[Object(use_type_description)]
impl ConnectionTestPayload {
    #[graphql(directive = requires::apply(Capability::ListConnections))]
    async fn connection(&self) -> Guarded<ConnectionRecord> {
        guarded_some(&self.scope, Needs::ListConnections, async { Ok(self.connection.clone()) }).await
    }

    async fn test(&self) -> TestReport {
        TestReport(self.test.clone())
    }
}

/// How a disconnect ended.
#[derive(Description)]
pub struct DisconnectPayload(Disconnection);

#[Object(use_type_description)]
impl DisconnectPayload {
    /// False where revocation failed and `force` was not set: the record is still there.
    async fn disconnected(&self) -> bool {
        self.0.disconnected
    }

    async fn connection_id(&self) -> ID {
        Named::Connection(self.0.connection).to_id()
    }

    async fn revocation(&self) -> Revocation {
        self.0.revocation.into()
    }

    /// True where a call with the old credential was refused afterwards: the vendor has really let go.
    async fn revocation_proved(&self) -> bool {
        self.0.revocation_proved
    }

    async fn detail(&self) -> Option<&str> {
        self.0.detail.as_deref()
    }
}

#[Object]
impl Act {
    /// Gives a connection another name.
    #[graphql(directive = requires::apply(Capability::CreateConnection))]
    async fn rename_connection(
        &self,
        context: &Context<'_>,
        input: RenameConnectionInput,
    ) -> Guarded<ConnectionPayload> {
        let scope = scope::of(context);
        guarded_some(scope, Needs::CreateConnection, async {
            let id = ids::connection("connectionId", &input.connection_id)?;
            let renamed = scope.gateway.rename(&scope.acting, id, &input.display_name).await?;
            Ok(ConnectionPayload::new(scope, renamed))
        })
        .await
    }

    /// Changes settings that are no secret; tested before they are stored.
    #[graphql(directive = requires::apply(Capability::CreateConnection))]
    async fn configure_connection(
        &self,
        context: &Context<'_>,
        input: ConfigureConnectionInput,
    ) -> Guarded<ConnectionTestPayload> {
        let scope = scope::of(context);
        guarded_some(scope, Needs::CreateConnection, async {
            let id = ids::connection("connectionId", &input.connection_id)?;
            let values = input.values.unwrap_or_default().into_iter().map(|value| (value.name, value.value)).collect();
            let tested = scope.gateway.configure(&scope.acting, id, values, input.ordered_delivery).await?;
            Ok(ConnectionTestPayload::new(scope, tested))
        })
        .await
    }

    /// Renews the access record now, and tests it. CONFLICT where the vendor has no call for it.
    #[graphql(directive = requires::apply(Capability::RefreshCredentials))]
    async fn refresh_credentials(
        &self,
        context: &Context<'_>,
        input: ConnectionIdInput,
    ) -> Guarded<ConnectionTestPayload> {
        let scope = scope::of(context);
        guarded_some(scope, Needs::RefreshCredentials, async {
            let id = ids::connection("connectionId", &input.connection_id)?;
            let tested = scope.gateway.refresh(&scope.acting, id).await?;
            Ok(ConnectionTestPayload::new(scope, tested))
        })
        .await
    }

    /// A low-cost call to the vendor that changes nothing there; what it finds decides the state.
    #[graphql(directive = requires::apply(Capability::TestConnection))]
    async fn test_connection(&self, context: &Context<'_>, input: ConnectionIdInput) -> Guarded<ConnectionTestPayload> {
        let scope = scope::of(context);
        guarded_some(scope, Needs::TestConnection, async {
            let id = ids::connection("connectionId", &input.connection_id)?;
            let tested = scope.gateway.test(&scope.acting, id).await?;
            Ok(ConnectionTestPayload::new(scope, tested))
        })
        .await
    }

    /// Stops deliveries; the credential is kept. Pausing a paused connection succeeds and changes nothing.
    #[graphql(directive = requires::apply(Capability::PauseResume))]
    async fn pause_connection(&self, context: &Context<'_>, input: ConnectionIdInput) -> Guarded<ConnectionPayload> {
        let scope = scope::of(context);
        guarded_some(scope, Needs::PauseResume, async {
            let id = ids::connection("connectionId", &input.connection_id)?;
            let paused = scope.gateway.pause(&scope.acting, id).await?;
            Ok(ConnectionPayload::new(scope, paused))
        })
        .await
    }

    /// Tests a paused connection and returns it to active; a failed test leaves it in error. CONFLICT in any other
    /// state.
    #[graphql(directive = requires::apply(Capability::PauseResume))]
    async fn resume_connection(
        &self,
        context: &Context<'_>,
        input: ConnectionIdInput,
    ) -> Guarded<ConnectionTestPayload> {
        let scope = scope::of(context);
        guarded_some(scope, Needs::PauseResume, async {
            let id = ids::connection("connectionId", &input.connection_id)?;
            let tested = scope.gateway.resume(&scope.acting, id).await?;
            Ok(ConnectionTestPayload::new(scope, tested))
        })
        .await
    }

    /// Gives the vendor its grant back, and removes the record and its credential; the logs keep its id, name and
    /// connector.
    #[graphql(directive = requires::apply(Capability::Disconnect))]
    async fn disconnect_connection(
        &self,
        context: &Context<'_>,
        input: DisconnectConnectionInput,
    ) -> Guarded<DisconnectPayload> {
        let scope = scope::of(context);
        guarded_some(scope, Needs::Disconnect, async {
            let id = ids::connection("connectionId", &input.connection_id)?;
            let gone = scope.gateway.disconnect(&scope.acting, id, input.force).await?;
            Ok(DisconnectPayload(gone))
        })
        .await
    }
}
