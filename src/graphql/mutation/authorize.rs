//! Sending an operator to a vendor: to connect, for other scopes, for a fresh grant.

use async_graphql::{Context, ID, InputObject, Object, SimpleObject};

use super::connect::{FieldValueInput, values};
use crate::{
    domain::capability::Capability as Needs,
    graphql::{
        authorization::Authorization,
        enums::Capability,
        guard::{Guarded, guarded_some, requires},
        ids,
        scalars::Url,
        scope,
    },
    service::BeginOAuth,
};

#[derive(Default)]
pub struct Authorize;

/// A connection to be made with the operator's consent at the vendor.
#[derive(InputObject)]
pub struct BeginOAuthConnectionInput {
    connector_slug: String,
    /// The connector's own name unless given; at most 120 characters.
    display_name: Option<String>,
    /// The connector's default scopes if left out.
    scopes: Option<Vec<String>>,
    fields: Option<Vec<FieldValueInput>>,
    /// Where the browser goes in the end; its origin must be on the server's list.
    return_to: Option<Url>,
}

/// The scopes that a connection is to have.
#[derive(InputObject)]
pub struct EditConnectionScopesInput {
    connection_id: ID,
    scopes: Vec<String>,
    /// Where the browser goes in the end; its origin must be on the server's list.
    return_to: Option<Url>,
}

/// Which connection wants a fresh grant.
#[derive(InputObject)]
pub struct ReauthorizeConnectionInput {
    connection_id: ID,
    /// Where the browser goes in the end; its origin must be on the server's list.
    return_to: Option<Url>,
}

/// An authorization that has begun.
#[derive(SimpleObject)]
pub struct BeginAuthorizationPayload {
    authorization: Authorization,
}

#[Object]
impl Authorize {
    /// Connect by OAuth: send the operator's browser to `authorizationUrl`, then follow `authorizationUpdated`. Where
    /// the vendor asks nobody for consent, there is no address, and the authorization has ended when this answers.
    #[graphql(name = "beginOAuthConnection", directive = requires::apply(Capability::CreateConnection))]
    async fn begin_oauth_connection(
        &self,
        context: &Context<'_>,
        input: BeginOAuthConnectionInput,
    ) -> Guarded<BeginAuthorizationPayload> {
        let scope = scope::of(context);
        guarded_some(scope, Needs::CreateConnection, async {
            let input = BeginOAuth {
                connector_slug: input.connector_slug,
                display_name: input.display_name,
                scopes: input.scopes,
                fields: values(input.fields.unwrap_or_default()),
                return_to: input.return_to.map(|url| url.0),
            };
            let begun = Box::pin(scope.gateway.begin_oauth(&scope.acting, input)).await?;
            Ok(BeginAuthorizationPayload { authorization: Authorization::new(scope, begun) })
        })
        .await
    }

    /// OAuth only: sends the operator back to the vendor for the new set of scopes.
    #[graphql(directive = requires::apply(Capability::EditScopes))]
    async fn edit_connection_scopes(
        &self,
        context: &Context<'_>,
        input: EditConnectionScopesInput,
    ) -> Guarded<BeginAuthorizationPayload> {
        let scope = scope::of(context);
        guarded_some(scope, Needs::EditScopes, async {
            let id = ids::connection("connectionId", &input.connection_id)?;
            let to = input.return_to.map(|url| url.0);
            let begun = Box::pin(scope.gateway.begin_scope_edit(&scope.acting, id, input.scopes, to)).await?;
            Ok(BeginAuthorizationPayload { authorization: Authorization::new(scope, begun) })
        })
        .await
    }

    /// OAuth only: a fresh grant for a connection whose old one expired or was revoked.
    #[graphql(directive = requires::apply(Capability::CreateConnection))]
    async fn reauthorize_connection(
        &self,
        context: &Context<'_>,
        input: ReauthorizeConnectionInput,
    ) -> Guarded<BeginAuthorizationPayload> {
        let scope = scope::of(context);
        guarded_some(scope, Needs::CreateConnection, async {
            let id = ids::connection("connectionId", &input.connection_id)?;
            let to = input.return_to.map(|url| url.0);
            let begun = Box::pin(scope.gateway.begin_reauthorization(&scope.acting, id, to)).await?;
            Ok(BeginAuthorizationPayload { authorization: Authorization::new(scope, begun) })
        })
        .await
    }
}
