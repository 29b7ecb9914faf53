//! Replacing a credential by another one.

use async_graphql::{Context, Description, ID, InputObject, Object};

use super::connect::{FieldValueInput, values};
use crate::{
    domain::capability::Capability as Needs,
    graphql::{
        connection::ConnectionRecord,
        enums::Capability,
        guard::{Guarded, guarded_some, requires},
        ids,
        scalars::DateTime,
        scope::{self, SharedScope},
        test_report::TestReport,
    },
    service::{RotateCredentials, Rotation},
};

#[derive(Default)]
pub struct Rotate;

/// A credential that takes the place of a connection's own.
#[derive(InputObject)]
pub struct RotateCredentialsInput {
    connection_id: ID,
    /// What is left out stays. Left out for a signed connection, where the new secret is made here.
    fields: Option<Vec<FieldValueInput>>,
    /// How long the old signing secret still signs beside the new one: 86,400 s unless given, at most 604,800.
    overlap_seconds: Option<i32>,
}

/// How a rotation ended.
#[derive(Description)]
pub struct RotateCredentialsPayload {
    rotation: Rotation,
    scope: SharedScope,
}

#[Object(use_type_description)]
impl RotateCredentialsPayload {
    #[graphql(directive = requires::apply(Capability::ListConnections))]
    async fn connection(&self) -> Guarded<ConnectionRecord> {
        let connection = self.rotation.connection.clone();
        guarded_some(&self.scope, Needs::ListConnections, async { Ok(ConnectionRecord::one(&self.scope, connection)) })
            .await
    }

    /// Of the new credential.
    async fn test(&self) -> TestReport {
        TestReport(self.rotation.test.clone())
    }

    /// False where the old credential serves on: the new one failed its test, or is for another account.
    async fn rotated(&self) -> bool {
        self.rotation.rotated
    }

    async fn old_secret_until(&self) -> Option<DateTime> {
        self.rotation.new_secret.as_ref().map(|(_, until)| DateTime(*until))
    }

    /// The new signing secret, shown in this answer only.
    async fn secret(&self) -> Option<&str> {
        self.rotation.new_secret.as_ref().map(|(secret, _)| secret.expose())
    }
}

#[Object]
impl Rotate {
    /// Replaces an API key, basic credentials or a signing secret; the old one serves until the new one has passed its
    /// test.
    #[graphql(directive = requires::apply(Capability::RefreshCredentials))]
    async fn rotate_credentials(
        &self,
        context: &Context<'_>,
        input: RotateCredentialsInput,
    ) -> Guarded<RotateCredentialsPayload> {
        let scope = scope::of(context);
        guarded_some(scope, Needs::RefreshCredentials, async {
            let input = RotateCredentials {
                connection: ids::connection("connectionId", &input.connection_id)?,
                fields: input.fields.map(values),
                overlap_seconds: input.overlap_seconds,
            };
            let rotation = scope.gateway.rotate(&scope.acting, input).await?;
            Ok(RotateCredentialsPayload { rotation, scope: SharedScope::clone(scope) })
        })
        .await
    }
}
