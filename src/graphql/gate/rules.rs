//! The rules of validation that the library misses: duplicate fields of an input object (GraphQL, section 5.6.3), the
//! rules of `@oneOf` (sections 3.10 and 5.6.1), variables within lists and input objects, in the place of
//! which their types must fit (section 5.8.5), and variables within a scalar's value, which must be defined (5.8.3).
//! And what it refuses by mistake: values within a scalar's list, which may be of any kind, and a subscription that
//! names its one root field more than once (section 5.2.4.1: what must be one is the response key).

use std::collections::{HashMap, HashSet};

use apollo_compiler::{
    ExecutableDocument, Name, Node, Schema,
    ast::{Argument, Directive, InputValueDefinition, Type, Value, VariableDefinition},
    diagnostic::ToCliReport as _,
    executable::{Operation, Selection, SelectionSet},
    parser::SourceSpan,
    validation::DiagnosticList,
};

/// A rule that a document breaks.
#[derive(Debug)]
pub(super) struct Broken {
    pub message: String,
    pub at: Option<SourceSpan>,
}

/// Every break of these rules in a document that the library takes for valid.
pub(super) fn check(schema: &Schema, document: &ExecutableDocument) -> Vec<Broken> {
    Reader::read(schema, document).broken
}

/// Whether all that the library has found is found by mistake, so that [`check`] alone decides.
pub(super) fn are_mistaken(schema: &Schema, document: &ExecutableDocument, errors: &DiagnosticList) -> bool {
    const MISTAKEN: [&str; 2] = ["UnsupportedValueType", "SubscriptionUsesMultipleFields"];
    let mut names = errors.iter().map(|found| found.error.unstable_error_name());
    if !names.all(|name| name.is_some_and(|name| MISTAKEN.contains(&name))) {
        return false;
    }
    let within = Reader::read(schema, document).within_scalars;
    errors.iter().all(|found| {
        found.error.unstable_error_name() == Some("SubscriptionUsesMultipleFields")
            || found.error.location().is_some_and(|at| within.contains(&at))
    })
}

type Variables<'a> = HashMap<&'a str, &'a VariableDefinition>;

struct Reader<'a> {
    schema: &'a Schema,
    document: &'a ExecutableDocument,
    broken: Vec<Broken>,
    /// Where values stand that are a part of a custom scalar's value.
    within_scalars: HashSet<SourceSpan>,
}

/// What a place asks of the value that stands there.
struct Place<'a> {
    ty: &'a Type,
    /// Whether the schema has a value for the place where none is given.
    has_default: bool,
    /// Whether it is a field of a `@oneOf` input object.
    one_of: bool,
}

impl<'a> Reader<'a> {
    fn read(schema: &'a Schema, document: &'a ExecutableDocument) -> Self {
        let mut reader = Self { schema, document, broken: Vec::new(), within_scalars: HashSet::new() };
        for operation in document.operations.iter() {
            reader.operation(operation);
        }
        reader
    }

    fn operation(&mut self, operation: &'a Node<Operation>) {
        if operation.is_subscription() {
            self.single_root(operation);
        }
        for variable in &operation.variables {
            if let Some(default) = &variable.default_value {
                let place = Place { ty: &variable.ty, has_default: false, one_of: false };
                self.value(default, &place, &Variables::new());
            }
        }
        let variables: Variables<'_> =
            operation.variables.iter().map(|variable| (variable.name.as_str(), &**variable)).collect();
        self.directives(&operation.directives, &variables);
        self.set(&operation.selection_set, &variables, &mut HashSet::new());
    }

    /// GraphQL, section 5.2.4.1.
    fn single_root(&mut self, operation: &'a Node<Operation>) {
        let mut keys = HashSet::new();
        let mut waiting = vec![&operation.selection_set];
        let mut seen = HashSet::new();
        while let Some(set) = waiting.pop() {
            for selection in &set.selections {
                match selection {
                    Selection::Field(field) => {
                        keys.insert(field.response_key());
                    }
                    Selection::InlineFragment(fragment) => waiting.push(&fragment.selection_set),
                    Selection::FragmentSpread(spread) if seen.insert(&spread.fragment_name) => {
                        let fragment = self.document.fragments.get(&spread.fragment_name);
                        waiting.extend(fragment.map(|fragment| &fragment.selection_set));
                    }
                    Selection::FragmentSpread(_) => {}
                }
            }
        }
        if keys.len() > 1 {
            let message = format!("a subscription has exactly one root field; this one has {}", keys.len());
            self.broken.push(Broken { message, at: operation.location() });
        }
    }

    fn set(&mut self, set: &'a SelectionSet, variables: &Variables<'a>, seen: &mut HashSet<&'a Name>) {
        for selection in &set.selections {
            self.directives(selection.directives(), variables);
            match selection {
                Selection::Field(field) => {
                    self.arguments(&field.arguments, &field.definition.arguments, variables);
                    self.set(&field.selection_set, variables, seen);
                }
                Selection::InlineFragment(fragment) => self.set(&fragment.selection_set, variables, seen),
                Selection::FragmentSpread(spread) => {
                    if let Some(fragment) = self.document.fragments.get(&spread.fragment_name)
                        && seen.insert(&spread.fragment_name)
                    {
                        self.directives(&fragment.directives, variables);
                        self.set(&fragment.selection_set, variables, seen);
                    }
                }
            }
        }
    }

    fn directives(&mut self, directives: &'a [Node<Directive>], variables: &Variables<'a>) {
        for directive in directives {
            if let Some(definition) = self.schema.directive_definitions.get(&directive.name) {
                self.arguments(&directive.arguments, &definition.arguments, variables);
            }
        }
    }

    fn arguments(
        &mut self,
        arguments: &'a [Node<Argument>],
        definitions: &'a [Node<InputValueDefinition>],
        variables: &Variables<'a>,
    ) {
        for argument in arguments {
            if let Some(definition) = definitions.iter().find(|definition| definition.name == argument.name) {
                let place =
                    Place { ty: &definition.ty, has_default: definition.default_value.is_some(), one_of: false };
                self.value(&argument.value, &place, variables);
            }
        }
    }

    fn value(&mut self, value: &'a Node<Value>, place: &Place<'a>, variables: &Variables<'a>) {
        let is_scalar = |name: &Name| self.schema.get_scalar(name).is_some_and(|scalar| !scalar.is_built_in());
        if !place.ty.is_list() && is_scalar(place.ty.inner_named_type()) {
            match &**value {
                Value::List(items) => items.iter().for_each(|item| self.within_scalar(item, variables)),
                Value::Object(fields) => {
                    self.within_object(fields, variables);
                }
                _ => {}
            }
        }
        match &**value {
            Value::Variable(name) => {
                if let Some(variable) = variables.get(name.as_str()) {
                    self.usage(value, variable, place);
                }
            }
            Value::List(items) if place.ty.is_list() => {
                let place = Place { ty: place.ty.item_type(), has_default: false, one_of: false };
                for item in items {
                    self.value(item, &place, variables);
                }
            }
            Value::Object(fields) => {
                let schema = self.schema;
                let Some(input) = schema.get_input_object(place.ty.inner_named_type()) else {
                    return;
                };
                self.unique(fields);
                let one_of = input.directives.has("oneOf");
                if one_of && (fields.len() != 1 || fields[0].1.is_null()) {
                    let message = format!("exactly one field of `{}` must be given, and not null", input.name);
                    self.broken.push(Broken { message, at: value.location() });
                }
                for (name, value) in fields {
                    if let Some(field) = input.fields.get(name) {
                        let place = Place { ty: &field.ty, has_default: field.default_value.is_some(), one_of };
                        self.value(value, &place, variables);
                    }
                }
            }
            Value::List(_)
            | Value::Null
            | Value::Enum(_)
            | Value::String(_)
            | Value::Float(_)
            | Value::Int(_)
            | Value::Boolean(_) => {}
        }
    }

    /// A part of a custom scalar's value: of any kind, and with any variable that is defined.
    fn within_scalar(&mut self, value: &'a Node<Value>, variables: &Variables<'a>) {
        self.within_scalars.extend(value.location());
        match &**value {
            Value::Variable(name) if !variables.contains_key(name.as_str()) => {
                let message = format!("variable `${name}` is not defined");
                self.broken.push(Broken { message, at: value.location() });
            }
            Value::List(items) => items.iter().for_each(|item| self.within_scalar(item, variables)),
            Value::Object(fields) => {
                self.within_object(fields, variables);
            }
            _ => {}
        }
    }

    fn within_object(&mut self, fields: &'a [(Name, Node<Value>)], variables: &Variables<'a>) {
        self.unique(fields);
        for (_, value) in fields {
            self.within_scalar(value, variables);
        }
    }

    fn unique(&mut self, fields: &[(Name, Node<Value>)]) {
        let mut seen = HashSet::new();
        for (name, _) in fields {
            if !seen.insert(name) {
                let message = format!("there can be only one input field named `{name}`");
                self.broken.push(Broken { message, at: name.location() });
            }
        }
    }

    /// GraphQL, section 5.8.5: `AreTypesCompatible` and `IsVariableUsageAllowed`.
    fn usage(&mut self, value: &Node<Value>, variable: &VariableDefinition, place: &Place<'_>) {
        let mut needed = place.ty.clone();
        let default = variable.default_value.as_ref().is_some_and(|default| !default.is_null());
        if needed.is_non_null() && !variable.ty.is_non_null() && (default || place.has_default) {
            needed = needed.nullable();
        }
        if place.one_of && !variable.ty.is_non_null() {
            let message = format!("the variable `${}` must not be nullable where it stands", variable.name);
            self.broken.push(Broken { message, at: value.location() });
        } else if !variable.ty.is_assignable_to(&needed) {
            let message = format!(
                "the variable `${}` is a {}, and stands where a {} is expected",
                variable.name, variable.ty, place.ty
            );
            self.broken.push(Broken { message, at: value.location() });
        }
    }
}
