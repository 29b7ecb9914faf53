//! Asking for the schema. What a caller is shown may be only what its capabilities reach; validation and execution
//! always use the whole schema.

use std::{collections::HashSet, sync::Arc};

use apollo_compiler::{
    ExecutableDocument, Name, Node, Schema,
    ast::DirectiveList,
    executable::Operation,
    introspection::{check_max_depth, partial_execute},
    response::JsonMap,
    schema::{ExtendedType, FieldDefinition},
    validation::Valid,
};
use quick_cache::sync::Cache;
use serde_json::{Map, Value};

use crate::domain::capability::{Capabilities, Capability};

/// How many sets of capabilities are remembered with their schemas: roles are few.
const SCHEMAS_MAX: usize = 64;

/// Whether the schema may be asked for, and how much of it is shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Introspection {
    /// Everybody is shown the whole schema.
    On,
    /// Nobody is shown anything.
    Off,
    /// Everybody is shown the fields that the own capabilities reach.
    ByCapability,
}

/// A schema with what its introspection needs.
struct Shown {
    schema: Valid<Schema>,
    implementers: apollo_compiler::collections::HashMap<Name, apollo_compiler::schema::Implementers>,
}

impl Shown {
    fn new(schema: Valid<Schema>) -> Self {
        let implementers = schema.implementers_map();
        Self { schema, implementers }
    }
}

/// Answers introspection.
pub(super) struct Introspector {
    mode: Introspection,
    whole: Arc<Shown>,
    parts: Cache<Capabilities, Arc<Shown>>,
}

/// Whether lists of introspection stand in each other more deeply than tools need: each multiplies the answer.
pub(super) fn is_too_deep(document: &Valid<ExecutableDocument>, operation: &Operation) -> bool {
    check_max_depth(document, operation).is_err()
}

impl Introspector {
    pub fn new(mode: Introspection, schema: &Valid<Schema>) -> Self {
        Self { mode, whole: Arc::new(Shown::new(schema.clone())), parts: Cache::new(SCHEMAS_MAX) }
    }

    pub fn is_off(&self) -> bool {
        self.mode == Introspection::Off
    }

    /// The fields `__schema` and `__type` of an operation, as JSON by response key. `None` where something broke.
    pub fn answer(
        &self,
        document: &Valid<ExecutableDocument>,
        operation: &Operation,
        variables: &Map<String, Value>,
        capabilities: Capabilities,
    ) -> Option<Vec<(String, String)>> {
        let shown = match self.mode {
            Introspection::Off => return None,
            Introspection::On => Arc::clone(&self.whole),
            Introspection::ByCapability => self.part(capabilities),
        };
        let variables: JsonMap = serde_json::from_value(Value::Object(variables.clone())).ok()?;
        let variables = Valid::assume_valid(variables);
        let response = partial_execute(&shown.schema, &shown.implementers, document, operation, &variables);
        let data =
            response.map_err(|error| tracing::error!(error = %error.message(), "introspection broke")).ok()?.data?;
        data.iter().map(|(key, value)| Some((key.as_str().to_owned(), serde_json::to_string(value).ok()?))).collect()
    }

    fn part(&self, capabilities: Capabilities) -> Arc<Shown> {
        if let Some(known) = self.parts.get(&capabilities) {
            return known;
        }
        let shown = Arc::new(Shown::new(part(&self.whole.schema, capabilities)));
        self.parts.insert(capabilities, Arc::clone(&shown));
        shown
    }
}

/// The part of the schema that these capabilities reach.
pub(super) fn part(whole: &Valid<Schema>, capabilities: Capabilities) -> Valid<Schema> {
    let mut schema = Schema::clone(whole);
    for ty in schema.types.values_mut() {
        match ty {
            ExtendedType::Object(object) => {
                object.make_mut().fields.retain(|_, field| is_open(&field.directives, capabilities));
            }
            ExtendedType::Interface(interface) => {
                interface.make_mut().fields.retain(|_, field| is_open(&field.directives, capabilities));
            }
            _ => {}
        }
    }
    let empty = |name: &Name| schema.get_object(name).is_none_or(|object| object.fields.is_empty());
    let (no_mutation, no_subscription) = {
        let roots = &schema.schema_definition;
        (
            roots.mutation.as_ref().is_some_and(|name| empty(name)),
            roots.subscription.as_ref().is_some_and(|name| empty(name)),
        )
    };
    let roots = schema.schema_definition.make_mut();
    if no_mutation {
        roots.mutation = None;
    }
    if no_subscription {
        roots.subscription = None;
    }
    let reached = reached(&schema);
    schema.types.retain(|name, ty| ty.is_built_in() || reached.contains(name));
    Valid::assume_valid(schema)
}

/// Whether no capability is required that is not among these.
fn is_open(directives: &DirectiveList, capabilities: Capabilities) -> bool {
    directives.get_all("requires").all(|required| {
        let name = required.specified_argument_by_name("capability").and_then(|value| value.as_enum());
        let capability = name.and_then(|name| Capability::parse(&name.to_lowercase()));
        capability.is_some_and(|capability| capabilities.has(capability))
    })
}

/// The types that some field, argument or union leads to. An interface leads to none of its implementers: each has
/// a way of its own, and a capability on it.
fn reached(schema: &Schema) -> HashSet<Name> {
    let roots = &schema.schema_definition;
    let roots = [&roots.query, &roots.mutation, &roots.subscription].into_iter().flatten();
    let mut waiting: Vec<Name> = roots.map(|root| root.name.clone()).collect();
    for directive in schema.directive_definitions.values() {
        waiting.extend(directive.arguments.iter().map(|argument| argument.ty.inner_named_type().clone()));
    }
    let mut reached = HashSet::new();
    while let Some(name) = waiting.pop() {
        let Some(ty) = schema.types.get(&name) else { continue };
        if !reached.insert(name) {
            continue;
        }
        let mut fields = |fields: &mut dyn Iterator<Item = &Node<FieldDefinition>>| {
            for field in fields {
                waiting.push(field.ty.inner_named_type().clone());
                waiting.extend(field.arguments.iter().map(|argument| argument.ty.inner_named_type().clone()));
            }
        };
        match ty {
            ExtendedType::Object(object) => {
                fields(&mut object.fields.values().map(|field| &field.node));
                waiting.extend(object.implements_interfaces.iter().map(|interface| interface.name.clone()));
            }
            ExtendedType::Interface(interface) => fields(&mut interface.fields.values().map(|field| &field.node)),
            ExtendedType::Union(union) => waiting.extend(union.members.iter().map(|member| member.name.clone())),
            ExtendedType::InputObject(input) => {
                waiting.extend(input.fields.values().map(|field| field.ty.inner_named_type().clone()));
            }
            ExtendedType::Scalar(_) | ExtendedType::Enum(_) => {}
        }
    }
    reached
}
