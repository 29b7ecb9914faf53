//! Finds secrets that stand as literals in a document. Documents are logged, cached and copied into tickets;
//! so a `Secret` is taken from variables only.

use apollo_compiler::{
    ExecutableDocument, Node, Schema,
    ast::{Argument, Value},
    executable::{Selection, SelectionSet},
};

const SECRET: &str = "Secret";

/// Where a secret stands as a literal: the name of the argument or variable.
pub(super) fn find_literal(schema: &Schema, document: &ExecutableDocument) -> Option<String> {
    let mut variables = document.operations.iter().flat_map(|operation| &operation.variables);
    let default = variables.find(|variable| {
        let default = variable.default_value.as_ref();
        default.is_some_and(|default| is_literal(schema, default, variable.ty.inner_named_type()))
    });
    if let Some(variable) = default {
        return Some(format!("${}", variable.name));
    }
    // Each fragment once, by its own type: spreads need not be followed.
    let fragments = document.fragments.values().map(|fragment| &fragment.selection_set);
    let mut sets = document.operations.iter().map(|operation| &operation.selection_set).chain(fragments);
    sets.find_map(|set| in_set(schema, set))
}

fn in_set(schema: &Schema, set: &SelectionSet) -> Option<String> {
    set.selections.iter().find_map(|selection| match selection {
        Selection::Field(field) => {
            let literal = |argument: &&Node<Argument>| {
                let definition = field.definition.argument_by_name(&argument.name);
                definition
                    .is_some_and(|definition| is_literal(schema, &argument.value, definition.ty.inner_named_type()))
            };
            let found = field.arguments.iter().find(literal).map(|argument| argument.name.to_string());
            found.or_else(|| in_set(schema, &field.selection_set))
        }
        Selection::InlineFragment(fragment) => in_set(schema, &fragment.selection_set),
        Selection::FragmentSpread(_) => None,
    })
}

fn is_literal(schema: &Schema, value: &Value, ty: &str) -> bool {
    match value {
        Value::Variable(_) | Value::Null => false,
        Value::List(items) => items.iter().any(|item| is_literal(schema, item, ty)),
        Value::Object(fields) if ty != SECRET => schema.get_input_object(ty).is_some_and(|input| {
            fields.iter().any(|(name, value)| {
                let field = input.fields.get(name);
                field.is_some_and(|field| is_literal(schema, value, field.ty.inner_named_type()))
            })
        }),
        _ => ty == SECRET,
    }
}
