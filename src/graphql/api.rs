//! The API as `web` calls it.

use std::sync::Arc;

use async_graphql::{
    Name, Request, Response, SDLExportOptions, Schema, SchemaBuilder, ServerError, ValidationMode, Value, Variables,
};
use async_graphql_value::indexmap::IndexMap;
use futures_util::{StreamExt as _, stream::BoxStream};

use super::{
    error::{mask, refused, request_error},
    gate::{self, DocumentLimits, Gate, PersistedOperations, Selected},
    introspection::{self, Introspection, Introspector},
    mutation::Mutation,
    query::Query,
    request::{Incoming, Ready, Text},
    scope::{Scope, SharedScope},
    subscription::{StreamEvent, SubscriptionRoot},
};
use crate::service::{Caller, Failure, Gateway};

/// The deepest that the executor goes, in selections: above every bound that can be set, so that the gate's counts.
const RECURSION_MAX: usize = 100;
/// How deeply lists of introspection may stand in each other.
const INTROSPECTION_LISTS_MAX: u64 = 3;

/// What of the API can be set.
#[derive(Clone, Copy, Debug)]
pub struct ApiSettings {
    pub introspection: Introspection,
    pub limits: DocumentLimits,
}

/// The schema and what runs it. Cheap to clone.
#[derive(Clone)]
pub struct Api(Arc<Inner>);

struct Inner {
    schema: Schema<Query, Mutation, SubscriptionRoot>,
    gateway: Gateway,
    gate: Gate,
    persisted: PersistedOperations,
    introspector: Introspector,
}

fn build() -> SchemaBuilder<Query, Mutation, SubscriptionRoot> {
    Schema::build(Query, Mutation::default(), SubscriptionRoot)
        .register_output_type::<StreamEvent>()
        .disable_suggestions()
        // The gate has validated by then.
        .validation_mode(ValidationMode::Fast)
        .limit_recursive_depth(RECURSION_MAX)
}

/// A subscription that could not begin is a request error (GraphQL, section 6.2.3.1).
fn begun(scope: &Scope, mut response: Response) -> Response {
    if !scope.has_begun() {
        response.errors.iter_mut().for_each(|error| error.path.clear());
    }
    response
}

/// The schema in the schema definition language: what `schema.graphql` holds.
#[must_use]
pub fn sdl() -> String {
    build().finish().sdl_with_options(SDLExportOptions::new().include_specified_by().use_space_ident().indent_width(2))
}

impl Api {
    /// The API over this gateway.
    #[must_use]
    pub fn new(gateway: Gateway, settings: ApiSettings) -> Self {
        let gate = Gate::new(&sdl(), settings.limits, settings.introspection);
        let introspector = Introspector::new(settings.introspection, gate.schema());
        let schema = build().disable_introspection().finish();
        Self(Arc::new(Inner { schema, gateway, gate, persisted: PersistedOperations::new(), introspector }))
    }

    /// Takes a request through the gate.
    ///
    /// # Errors
    /// The answer to a request that does not pass.
    pub fn check(&self, incoming: Incoming) -> Result<Ready, Box<Response>> {
        let refused = |errors: gate::Refused| Box::new(Response::from_errors(errors.to_vec()));
        let Text { text, keep } = self.text(&incoming).map_err(|error| request_error(*error))?;
        let document = self.0.gate.check(&text).map_err(refused)?;
        if let Some(persisted) = keep {
            self.0.persisted.keep(persisted, text);
        }
        let selected = Selected::new(document, incoming.operation_name.as_deref()).map_err(refused)?;
        let admitted = self.0.gate.admit(&selected, incoming.variables).map_err(refused)?;
        if admitted.plan.introspection {
            self.check_introspection(&selected).map_err(|error| request_error(*error))?;
        }
        Ok(Ready { selected, admitted })
    }

    fn text(&self, incoming: &Incoming) -> Result<Text, Box<ServerError>> {
        let sent = incoming.document.as_deref();
        match incoming.persisted {
            Some(persisted) => {
                let text = self.0.persisted.resolve(persisted, sent)?;
                Ok(Text { text, keep: sent.map(|_| persisted) })
            }
            None => Ok(Text { text: sent.unwrap_or_default().into(), keep: None }),
        }
    }

    fn check_introspection(&self, selected: &Selected) -> Result<(), Box<ServerError>> {
        if self.0.introspector.is_off() {
            let mut error = ServerError::new("the schema cannot be asked for here: introspection is off", None);
            error.extensions.get_or_insert_default().set("code", "GRAPHQL_VALIDATION_FAILED");
            return Err(error.into());
        }
        let (document, operation) = selected.typed();
        if introspection::is_too_deep(document, operation) {
            let (found, bound) = (INTROSPECTION_LISTS_MAX + 1, INTROSPECTION_LISTS_MAX);
            return Err(gate::limit_error(
                "operation",
                "or more lists of introspection in each other",
                found,
                bound,
                None,
            )
            .into());
        }
        Ok(())
    }

    /// Runs a query or mutation to its end.
    pub async fn execute(&self, caller: Caller, ready: Ready) -> Response {
        let scope = match self.scope(caller).await {
            Ok(scope) => scope,
            Err(response) => return response,
        };
        let (shown, wanted) = self.introspect(&ready, &scope);
        if wanted && shown.is_none() {
            return refused(Failure::Internal, &scope.acting.caller.request_id);
        }
        let Some(request) = Self::request(ready, scope) else {
            let fields = shown.unwrap_or_default().into_iter().map(|(key, value)| (Name::new(key), value));
            return Response::new(Value::Object(fields.collect()));
        };
        let (keys, request) = request;
        let mut response = mask(self.0.schema.execute(request).await);
        if let (Some(shown), Value::Object(data)) = (shown, &mut response.data) {
            let mut parts: IndexMap<Name, Value> = std::mem::take(data);
            parts.extend(shown.into_iter().map(|(key, value)| (Name::new(key), value)));
            *data = keys.iter().filter_map(|key| parts.swap_remove_entry(key.as_str())).collect();
        }
        response
    }

    /// Runs any operation; a subscription gives an answer for each event.
    pub fn execute_stream(&self, caller: Caller, ready: Ready) -> BoxStream<'static, Response> {
        let api = self.clone();
        if !ready.is_subscription() {
            return futures_util::stream::once(async move { api.execute(caller, ready).await }).boxed();
        }
        let started = async move {
            let scope = match api.scope(caller).await {
                Ok(scope) => scope,
                Err(response) => return futures_util::stream::once(async { response }).boxed(),
            };
            match Self::request(ready, SharedScope::clone(&scope)) {
                Some((_, request)) => {
                    let responses = api.0.schema.execute_stream(request);
                    responses.map(move |response| begun(&scope, mask(response))).boxed()
                }
                None => futures_util::stream::empty().boxed(),
            }
        };
        // On the heap, so that it is gone once the subscription has begun.
        futures_util::stream::once(Box::pin(started)).flatten().boxed()
    }

    /// The schema in the schema definition language.
    #[must_use]
    pub fn sdl(&self) -> String {
        sdl()
    }

    /// The caller with what its role may do now.
    async fn scope(&self, caller: Caller) -> Result<SharedScope, Response> {
        let request_id = caller.request_id.clone();
        let acting = self.0.gateway.act(caller).await.map_err(|failure| refused(failure, &request_id))?;
        Ok(SharedScope::new(Scope::new(self.0.gateway.clone(), acting)))
    }

    /// The request's part that the executor runs, with the keys of the whole in their order.
    fn request(ready: Ready, scope: SharedScope) -> Option<(Vec<String>, Request)> {
        let plan = ready.admitted.plan;
        let executable = plan.executable.clone()?;
        let variables = Variables::from_json(serde_json::Value::Object(ready.admitted.variables));
        let mut request = Request::new("").variables(variables).data(scope);
        request.set_parsed_query(executable);
        Some((if plan.introspection { plan.keys.clone() } else { Vec::new() }, request))
    }

    /// The part of a request that asks for the schema, and whether there is one.
    fn introspect(&self, ready: &Ready, scope: &SharedScope) -> (Option<Vec<(String, Value)>>, bool) {
        if !ready.admitted.plan.introspection {
            return (None, false);
        }
        let (document, operation) = ready.selected.typed();
        let capabilities = scope.acting.capabilities;
        let shown = self.0.introspector.answer(document, operation, &ready.admitted.variables, capabilities);
        let asked = |key: &str| ready.admitted.plan.keys.iter().any(|known| known == key);
        let typename = |key: &str| ready.admitted.plan.executable.as_ref().is_some_and(|plan| has_key(plan, key));
        let own =
            |shown: Vec<(String, Value)>| shown.into_iter().filter(|(key, _)| asked(key) && !typename(key)).collect();
        (shown.map(own), true)
    }
}

/// Whether the executor answers this response key.
fn has_key(plan: &async_graphql::parser::types::ExecutableDocument, key: &str) -> bool {
    use async_graphql::parser::types::Selection;
    plan.operations.iter().any(|(_, operation)| {
        let items = &operation.node.selection_set.node.items;
        items.iter().any(|item| matches!(&item.node, Selection::Field(field) if field.node.response_key().node == key))
    })
}
