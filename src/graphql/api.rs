//! The API as `web` calls it.

use std::{collections::HashSet, sync::Arc};

use async_graphql::{
    Name, Request, Response, SDLExportOptions, Schema, SchemaBuilder, Value,
    parser::{parse_schema, types::ExecutableDocument},
};
use futures_util::{StreamExt as _, stream::BoxStream};

use super::{
    error::{mask, refused, syntax_error},
    mutation::Mutation,
    query::Query,
    scope::{Scope, SharedScope},
    secret_literals::SecretPositions,
    subscription::{StreamEvent, SubscriptionRoot},
};
use crate::service::{Caller, Failure, Gateway};

/// The deepest document that is run, in fields below each other. Introspection by common tools needs 13.
const DEPTH_MAX: usize = 20;

/// What of the API can be set.
#[derive(Clone, Copy, Debug)]
pub struct ApiSettings {
    /// Whether the schema may be asked for.
    pub introspection: bool,
}

/// The schema and what runs it. Cheap to clone.
#[derive(Clone)]
pub struct Api(Arc<Inner>);

struct Inner {
    schema: Schema<Query, Mutation, SubscriptionRoot>,
    gateway: Gateway,
    secrets: SecretPositions,
}

fn build() -> SchemaBuilder<Query, Mutation, SubscriptionRoot> {
    Schema::build(Query, Mutation::default(), SubscriptionRoot)
        .register_output_type::<StreamEvent>()
        .disable_suggestions()
        .limit_depth(DEPTH_MAX)
}

/// The schema in the schema definition language: what `schema.graphql` holds.
#[must_use]
pub fn sdl() -> String {
    build().finish().sdl_with_options(SDLExportOptions::new().include_specified_by().use_space_ident().indent_width(2))
}

/// A variable that its operation requires and the request does not give: the library takes it for one that is
/// not used (GraphQL, section 6.1.2, asks for a request error).
fn missing_variable(document: &ExecutableDocument, operation: Option<&str>, given: &HashSet<Name>) -> Option<Failure> {
    let mut operations = document.operations.iter();
    let (_, chosen) =
        operations.find(|(name, _)| operation.is_none_or(|wanted| name.is_some_and(|name| name == wanted)))?;
    chosen.node.variable_definitions.iter().map(|variable| &variable.node).find_map(|variable| {
        let name = &variable.name.node;
        let required = !variable.var_type.node.nullable && variable.default_value.is_none();
        (required && !given.contains(name)).then(|| {
            Failure::bad_input(format!("${name}"), format!("is a {}, and was not given", variable.var_type.node))
        })
    })
}

impl Api {
    /// The API over this gateway.
    ///
    /// # Panics
    /// Never: what was exported can be read.
    #[must_use]
    pub fn new(gateway: Gateway, settings: ApiSettings) -> Self {
        let builder = if settings.introspection { build() } else { build().disable_introspection() };
        let document = parse_schema(sdl()).expect("what was exported can be read");
        let secrets = SecretPositions::of(&document);
        Self(Arc::new(Inner { schema: builder.finish(), gateway, secrets }))
    }

    /// Runs a query or mutation to its end.
    pub async fn execute(&self, caller: Caller, request: Request) -> Response {
        match self.prepare(caller, request).await {
            Ok(request) => mask(self.0.schema.execute(request).await),
            Err(response) => response,
        }
    }

    /// Runs any operation; a subscription gives an answer for each event.
    pub fn execute_stream(&self, caller: Caller, request: Request) -> BoxStream<'static, Response> {
        let api = self.clone();
        let started = async move {
            match api.prepare(caller, request).await {
                Ok(request) => api.0.schema.execute_stream(request).map(mask).boxed(),
                Err(response) => futures_util::stream::once(async { response }).boxed(),
            }
        };
        futures_util::stream::once(started).flatten().boxed()
    }

    /// The schema in the schema definition language.
    #[must_use]
    pub fn sdl(&self) -> String {
        sdl()
    }

    /// Reads the document, refuses literal secrets in it, and reads what the caller may do now.
    async fn prepare(&self, caller: Caller, mut request: Request) -> Result<Request, Response> {
        let operation = request.operation_name.clone();
        let given = request.variables.iter().filter(|(_, value)| **value != Value::Null).map(|(name, _)| name.clone());
        let given: HashSet<Name> = given.collect();
        let document = request.parsed_query().map_err(|error| syntax_error(&error))?;
        if let Some(field) = self.0.secrets.find_literal(document) {
            let failure = Failure::bad_input(field, "a secret stands in it as a literal; give it by a variable");
            return Err(refused(failure, &caller.request_id));
        }
        if let Some(failure) = missing_variable(document, operation.as_deref(), &given) {
            return Err(refused(failure, &caller.request_id));
        }
        let request_id = caller.request_id.clone();
        let acting = self.0.gateway.act(caller).await.map_err(|failure| refused(failure, &request_id))?;
        let scope = SharedScope::new(Scope { gateway: self.0.gateway.clone(), acting });
        Ok(request.data(scope))
    }
}
