//! Browser authorizations, for the operator who began them.

use std::sync::Arc;

use async_graphql::{Description, ID, Object};

use super::{
    connection::ConnectionRecord,
    enums::{AuthorizationPurpose, AuthorizationStatus, Capability},
    guard::{Guarded, guarded, requires},
    ids::Named,
    library::Connector,
    scalars::{DateTime, Url},
    scope::SharedScope,
    test_report::TestReport,
};
use crate::{
    domain::{self, authorization::AuthorizationStatus as Status, capability::Capability as Needs},
    service::Failure,
};

/// An operator is sent to the vendor, and comes back with a grant or without. Visible to the operator who began it,
/// and to nobody else.
#[derive(Clone, Description)]
pub struct Authorization {
    row: Arc<domain::authorization::Authorization>,
    status: Status,
    scope: SharedScope,
}

impl Authorization {
    pub(super) fn new(scope: &SharedScope, row: domain::authorization::Authorization) -> Self {
        let status = row.status(scope.gateway.time());
        Self { row: Arc::new(row), status, scope: SharedScope::clone(scope) }
    }

    /// The operator's own authorization of this name.
    pub(super) async fn read(scope: &SharedScope, token: &str) -> Result<Self, Failure> {
        Ok(Self::new(scope, scope.gateway.authorization(&scope.acting, token).await?))
    }
}

#[Object(use_type_description)]
impl Authorization {
    pub(super) async fn id(&self) -> ID {
        Named::Authorization(self.row.token.clone()).to_id()
    }

    async fn purpose(&self) -> AuthorizationPurpose {
        self.row.purpose.into()
    }

    async fn status(&self) -> AuthorizationStatus {
        self.status.into()
    }

    /// Where to send the operator's browser, within 60 seconds and once; null from then on.
    async fn authorization_url(&self) -> async_graphql::Result<Option<Url>> {
        let link = self.scope.gateway.authorization_link(&self.scope.acting, &self.row).await;
        let link = link.map_err(|failure| self.scope.error(failure))?;
        Ok(link.map(|link| Url(link.into())))
    }

    async fn connector(&self) -> Connector {
        Connector::of_record(&self.scope, &self.row.connector_slug)
    }

    async fn scopes_requested(&self) -> &[String] {
        &self.row.scopes_requested
    }

    /// Set once it has succeeded.
    #[graphql(directive = requires::apply(Capability::ListConnections))]
    async fn connection(&self) -> Guarded<ConnectionRecord> {
        guarded(&self.scope, Needs::ListConnections, async {
            let Some(id) = self.row.connection.filter(|_| self.status == Status::Succeeded) else { return Ok(None) };
            let found = self.scope.gateway.connections(self.scope.site(), &[id]).await?.pop();
            Ok(found.map(|row| ConnectionRecord::one(&self.scope, row)))
        })
        .await
    }

    /// Set once a test call has run.
    async fn test(&self) -> Option<TestReport> {
        self.row.test.clone().map(TestReport)
    }

    /// The vendor's error, or why the exchange failed; null otherwise.
    async fn error(&self) -> Option<&str> {
        self.row.error.as_deref()
    }

    async fn expires_at(&self) -> DateTime {
        DateTime(self.row.expires_at)
    }
}
