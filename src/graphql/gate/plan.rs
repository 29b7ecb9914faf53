//! From a checked operation to what the executor runs: fragments put in place, `@skip` and `@include` decided, and
//! fields that have one response key merged into one (GraphQL, section 6.3.2, `CollectFields`), so that a field that
//! is asked for twice runs once. Introspection is taken out: it has its own executor.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex},
};

use super::{coerce::number, refusal};
use apollo_compiler::{
    ExecutableDocument, Name as ApolloName, Node, Schema,
    ast::{self, OperationType as ApolloOperation, Type as ApolloType, Value as ApolloValue},
    collections::IndexMap,
    executable::{Field, Operation, Selection, SelectionSet},
    schema::ExtendedType,
};
use async_graphql::{
    Name, Pos, Positioned,
    parser::types::{
        BaseType, DocumentOperations, ExecutableDocument as Executable, Field as PlannedField, InlineFragment,
        OperationDefinition, OperationType, Selection as PlannedSelection, SelectionSet as PlannedSet, Type,
        TypeCondition, VariableDefinition,
    },
};
use async_graphql_value::Value;
use serde_json::Map;

/// How many plans of one document are kept: as many as its conditions have been decided in ways.
const PLANS_MAX: usize = 8;

/// What the executors run.
pub struct Plan {
    /// The root fields' response keys, in their order.
    pub keys: Vec<String>,
    /// The operation without introspection; `None` where nothing else was asked for.
    pub executable: Option<Executable>,
    /// Whether the schema is asked for.
    pub introspection: bool,
}

/// The plans of one document, by operation and by how the conditions in it were decided.
#[derive(Default)]
pub(super) struct Plans(Mutex<Vec<(Key, Arc<Plan>)>>);

type Key = (Option<ApolloName>, Vec<(ApolloName, bool)>);
type Variables = Map<String, serde_json::Value>;

impl Plans {
    /// The plan of this operation with these variables, made if need be.
    pub fn get(
        &self,
        schema: &Schema,
        document: &ExecutableDocument,
        operation: &Operation,
        variables: &Variables,
    ) -> Arc<Plan> {
        // All Boolean variables: which of them decide anything is not worth finding out.
        let decided = operation.variables.iter().filter_map(|variable| {
            let value = variables.get(variable.name.as_str())?.as_bool()?;
            Some((variable.name.clone(), value))
        });
        let key = (operation.name.clone(), decided.collect());
        let lock = || self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        if let Some((_, known)) = lock().iter().find(|(known, _)| *known == key) {
            return Arc::clone(known);
        }
        let plan = Arc::new(Planner { schema, document, variables }.plan(operation));
        let mut plans = lock();
        if plans.len() < PLANS_MAX {
            plans.push((key, Arc::clone(&plan)));
        }
        plan
    }
}

struct Planner<'a> {
    schema: &'a Schema,
    document: &'a ExecutableDocument,
    variables: &'a Variables,
}

/// Fields by response key, each with all that stands under it, in the order of their first mention.
type Collected<'a> = IndexMap<&'a ApolloName, Vec<&'a Node<Field>>>;

impl<'a> Planner<'a> {
    fn plan(&self, operation: &'a Operation) -> Plan {
        let root = operation.object_type();
        let mut collected = Collected::default();
        self.collect(&operation.selection_set, root, &mut collected);
        let keys = collected.keys().map(ToString::to_string).collect();
        let own = |field: &Node<Field>| !matches!(field.name.as_str(), "__schema" | "__type");
        let introspection = collected.values().any(|fields| !own(fields[0]));
        collected.retain(|_, fields| own(fields[0]));
        let executable = (!collected.is_empty()).then(|| {
            let definition = OperationDefinition {
                ty: match operation.operation_type {
                    ApolloOperation::Query => OperationType::Query,
                    ApolloOperation::Mutation => OperationType::Mutation,
                    ApolloOperation::Subscription => OperationType::Subscription,
                },
                variable_definitions: operation.variables.iter().map(|variable| self.variable(variable)).collect(),
                directives: Vec::new(),
                selection_set: Positioned::new(self.set(&collected), Pos::default()),
            };
            Executable {
                operations: DocumentOperations::Single(Positioned::new(definition, Pos::default())),
                fragments: HashMap::new(),
            }
        });
        Plan { keys, executable, introspection }
    }

    /// Collects the fields that an object of this type answers.
    fn collect(&self, set: &'a SelectionSet, object: &ApolloName, into: &mut Collected<'a>) {
        for selection in &set.selections {
            if self.is_left_out(selection) {
                continue;
            }
            match selection {
                Selection::Field(field) => into.entry(field.response_key()).or_default().push(field),
                Selection::InlineFragment(fragment) => {
                    if fragment.type_condition.as_ref().is_none_or(|condition| self.applies(condition, object)) {
                        self.collect(&fragment.selection_set, object, into);
                    }
                }
                Selection::FragmentSpread(spread) => {
                    if let Some(fragment) = self.document.fragments.get(&spread.fragment_name)
                        && self.applies(fragment.type_condition(), object)
                    {
                        self.collect(&fragment.selection_set, object, into);
                    }
                }
            }
        }
    }

    fn applies(&self, condition: &ApolloName, object: &ApolloName) -> bool {
        condition == object || self.schema.is_subtype(condition, object)
    }

    /// GraphQL, sections 3.13.1 and 3.13.2.
    fn is_left_out(&self, selection: &Selection) -> bool {
        let condition = |directive: &str| {
            let value = selection.directives().get(directive)?.specified_argument_by_name("if")?;
            match &**value {
                ApolloValue::Boolean(value) => Some(*value),
                ApolloValue::Variable(name) => self.variables.get(name.as_str())?.as_bool(),
                _ => None,
            }
        };
        condition("skip") == Some(true) || condition("include") == Some(false)
    }

    fn set(&self, collected: &Collected<'a>) -> PlannedSet {
        let fields = collected.values().map(|fields| {
            let first = fields[0];
            let pos = self.position(first);
            Positioned::new(PlannedSelection::Field(Positioned::new(self.field(fields, pos), pos)), pos)
        });
        PlannedSet { items: fields.collect() }
    }

    fn field(&self, fields: &[&'a Node<Field>], pos: Pos) -> PlannedField {
        let first = fields[0];
        let arguments = first.arguments.iter().map(|argument| {
            let name = Positioned::new(Name::new(&argument.name), pos);
            (name, Positioned::new(value(&argument.value), pos))
        });
        PlannedField {
            alias: first.alias.as_ref().map(|alias| Positioned::new(Name::new(alias), pos)),
            name: Positioned::new(Name::new(&first.name), pos),
            arguments: arguments.collect(),
            directives: Vec::new(),
            selection_set: Positioned::new(self.below(fields), pos),
        }
    }

    /// What stands below fields of one response key, merged.
    fn below(&self, fields: &[&'a Node<Field>]) -> PlannedSet {
        let sets = || fields.iter().map(|field| &field.selection_set);
        let ty = fields[0].definition.ty.inner_named_type();
        let possible: Vec<&ApolloName> = match self.schema.types.get(ty) {
            Some(ExtendedType::Interface(_)) => {
                let objects = self.schema.types.iter().filter(|(_, other)| other.is_object());
                objects.map(|(name, _)| name).filter(|name| self.schema.is_subtype(ty, name)).collect()
            }
            Some(ExtendedType::Union(union)) => union.members.iter().map(|member| &member.name).collect(),
            _ => {
                let mut collected = Collected::default();
                sets().for_each(|set| self.collect(set, ty, &mut collected));
                return self.set(&collected);
            }
        };
        let each = possible.into_iter().filter_map(|object| {
            let mut collected = Collected::default();
            sets().for_each(|set| self.collect(set, object, &mut collected));
            let pos = self.position(collected.values().next()?[0]);
            let condition = TypeCondition { on: Positioned::new(Name::new(object), pos) };
            let fragment = InlineFragment {
                type_condition: Some(Positioned::new(condition, pos)),
                directives: Vec::new(),
                selection_set: Positioned::new(self.set(&collected), pos),
            };
            Some(Positioned::new(PlannedSelection::InlineFragment(Positioned::new(fragment, pos)), pos))
        });
        PlannedSet { items: each.collect() }
    }

    fn position<T>(&self, node: &Node<T>) -> Pos {
        refusal::place(self.document, node.location()).unwrap_or_default()
    }

    /// A variable as the executor knows it: defaults have been put in already.
    fn variable(&self, variable: &Node<ast::VariableDefinition>) -> Positioned<VariableDefinition> {
        let pos = self.position(variable);
        let definition = VariableDefinition {
            name: Positioned::new(Name::new(&variable.name), pos),
            var_type: Positioned::new(ty(&variable.ty), pos),
            directives: Vec::new(),
            default_value: None,
        };
        Positioned::new(definition, pos)
    }
}

fn ty(from: &ApolloType) -> Type {
    let base = match from {
        ApolloType::Named(name) | ApolloType::NonNullNamed(name) => BaseType::Named(Name::new(name)),
        ApolloType::List(item) | ApolloType::NonNullList(item) => BaseType::List(Box::new(ty(item))),
    };
    Type { base, nullable: !from.is_non_null() }
}

fn value(from: &ApolloValue) -> Value {
    match from {
        ApolloValue::Null => Value::Null,
        ApolloValue::Enum(name) => Value::Enum(Name::new(name)),
        ApolloValue::Variable(name) => Value::Variable(Name::new(name)),
        ApolloValue::String(text) => Value::String(text.clone()),
        ApolloValue::Boolean(boolean) => Value::Boolean(*boolean),
        ApolloValue::Int(int) => Value::Number(number(int.as_str())),
        ApolloValue::Float(float) => Value::Number(number(float.as_str())),
        ApolloValue::List(items) => Value::List(items.iter().map(|item| value(item)).collect()),
        ApolloValue::Object(fields) => {
            Value::Object(fields.iter().map(|(name, field)| (Name::new(name), value(field))).collect())
        }
    }
}
