//! Connecting: by key, by user and password, by a secret made here.

use async_graphql::{Context, Description, ID, InputObject, Object, SimpleObject, Union};

use crate::{
    domain::capability::Capability as Needs,
    domain::secret,
    graphql::{
        connection::ConnectionRecord,
        enums::{AuthFlow, Capability},
        guard::{Guarded, guarded_some, requires},
        ids::{self, Named},
        scalars::{DateTime, Secret},
        scope::{self, SharedScope},
        test_report::TestReport,
    },
    service::{self, BeginSigned, CreateConnection, Creation},
};

#[derive(Default)]
pub struct Connect;

/// A field of a credential, with its value.
#[derive(InputObject)]
pub struct FieldValueInput {
    name: String,
    value: Secret,
}

pub(super) fn values(fields: Vec<FieldValueInput>) -> Vec<(String, secret::Secret)> {
    fields.into_iter().map(|field| (field.name, field.value.0)).collect()
}

/// A connection to be made with what the operator knows.
#[derive(InputObject)]
pub struct CreateConnectionInput {
    connector_slug: String,
    auth_flow: AuthFlow,
    /// The connector's own name unless given; at most 120 characters.
    display_name: Option<String>,
    fields: Vec<FieldValueInput>,
}

/// A connection to be made with a secret that the gateway makes.
#[derive(InputObject)]
pub struct BeginSignedConnectionInput {
    connector_slug: String,
    /// The connector's own name unless given; at most 120 characters.
    display_name: Option<String>,
    fields: Vec<FieldValueInput>,
}

/// The second step of a signed connection, once the secret has been registered.
#[derive(InputObject)]
pub struct CompleteSignedConnectionInput {
    offer_id: ID,
}

/// The record that was stored, or why none was.
#[derive(Union)]
#[expect(clippy::large_enum_variant, reason = "there is one for a request")]
pub enum CreateConnectionResult {
    ConnectionCreated(ConnectionCreated),
    ConnectionRejected(ConnectionRejected),
}

/// The test call passed, and the record is stored.
#[derive(Description)]
pub struct ConnectionCreated {
    connection: ConnectionRecord,
    test: service::Tested,
    scope: SharedScope,
}

#[Object(use_type_description)]
impl ConnectionCreated {
    #[graphql(directive = requires::apply(Capability::ListConnections))]
    async fn connection(&self) -> Guarded<ConnectionRecord> {
        guarded_some(&self.scope, Needs::ListConnections, async { Ok(self.connection.clone()) }).await
    }

    /// Always there. Nullable as that of a rejected connection is, so that one document can ask both for it.
    async fn test(&self) -> Option<TestReport> {
        Some(TestReport(self.test.test.clone()))
    }
}

/// No record was stored: a field was wrong, or the test call failed.
#[derive(SimpleObject)]
pub struct ConnectionRejected {
    /// Null where the fields were wrong and the vendor was not called.
    test: Option<TestReport>,
    violations: Vec<FieldViolation>,
}

/// A field that is wrong. The message never repeats its value.
#[derive(SimpleObject)]
pub struct FieldViolation {
    field: String,
    message: String,
}

/// A signing secret that waits to be registered with the vendor.
#[derive(SimpleObject)]
pub struct SigningSecretOffer {
    /// Completes the connection.
    id: ID,
    /// Shown in this answer only.
    secret: String,
    /// How to register it.
    instructions: String,
    expires_at: DateTime,
}

impl CreateConnectionResult {
    fn new(scope: &SharedScope, creation: Creation) -> Self {
        match creation {
            Creation::Created { connection, test } => Self::ConnectionCreated(ConnectionCreated {
                connection: ConnectionRecord::one(scope, connection.clone()),
                test: service::Tested { connection, test },
                scope: SharedScope::clone(scope),
            }),
            Creation::Rejected { test, violations } => Self::ConnectionRejected(ConnectionRejected {
                test: test.map(TestReport),
                violations: violations
                    .into_iter()
                    .map(|violation| FieldViolation { field: violation.field, message: violation.message })
                    .collect(),
            }),
        }
    }
}

#[Object]
impl Connect {
    /// Connect with an API key or basic credentials. Validated by a test call; a failed one stores nothing.
    #[graphql(directive = requires::apply(Capability::CreateConnection))]
    async fn create_connection(
        &self,
        context: &Context<'_>,
        input: CreateConnectionInput,
    ) -> Guarded<CreateConnectionResult> {
        let scope = scope::of(context);
        guarded_some(scope, Needs::CreateConnection, async {
            let input = CreateConnection {
                connector_slug: input.connector_slug,
                auth_flow: input.auth_flow.into(),
                display_name: input.display_name,
                fields: values(input.fields),
            };
            let creation = scope.gateway.create_connection(&scope.acting, input).await?;
            Ok(CreateConnectionResult::new(scope, creation))
        })
        .await
    }

    /// Connect with a signing secret made here: shown once, to be registered with the vendor.
    #[graphql(directive = requires::apply(Capability::CreateConnection))]
    async fn begin_signed_connection(
        &self,
        context: &Context<'_>,
        input: BeginSignedConnectionInput,
    ) -> Guarded<SigningSecretOffer> {
        let scope = scope::of(context);
        guarded_some(scope, Needs::CreateConnection, async {
            let input = BeginSigned {
                connector_slug: input.connector_slug,
                display_name: input.display_name,
                fields: values(input.fields),
            };
            let offer = scope.gateway.begin_signed(&scope.acting, input).await?;
            Ok(SigningSecretOffer {
                id: Named::Offer(offer.token).to_id(),
                secret: offer.secret.expose().to_owned(),
                instructions: offer.instructions,
                expires_at: DateTime(offer.expires_at),
            })
        })
        .await
    }

    /// Completes it: one signed test message must be accepted. Until then it can be tried again.
    #[graphql(directive = requires::apply(Capability::CreateConnection))]
    async fn complete_signed_connection(
        &self,
        context: &Context<'_>,
        input: CompleteSignedConnectionInput,
    ) -> Guarded<CreateConnectionResult> {
        let scope = scope::of(context);
        guarded_some(scope, Needs::CreateConnection, async {
            let token = ids::offer("offerId", &input.offer_id)?;
            let creation = scope.gateway.complete_signed(&scope.acting, &token).await?;
            Ok(CreateConnectionResult::new(scope, creation))
        })
        .await
    }
}
