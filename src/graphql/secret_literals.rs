//! Finds secrets that stand as literals in a document. Documents are logged, cached and copied into tickets;
//! so a `Secret` is taken from variables only.

use std::collections::HashMap;

use async_graphql::{
    Name,
    parser::types::{
        BaseType, ExecutableDocument, FieldDefinition, InputValueDefinition, Selection, SelectionSet, ServiceDocument,
        Type, TypeKind, TypeSystemDefinition,
    },
};
use async_graphql_value::Value;

const SECRET: &str = "Secret";

/// What the search needs of the schema.
#[derive(Debug, Default)]
pub(super) struct SecretPositions {
    /// Output types: field to its own type and its arguments' types.
    outputs: HashMap<String, HashMap<String, Field>>,
    /// Input types: field to its type.
    inputs: HashMap<String, HashMap<String, String>>,
    roots: [Option<String>; 3],
}

#[derive(Debug)]
struct Field {
    ty: String,
    arguments: HashMap<String, String>,
}

fn base(ty: &Type) -> String {
    match &ty.base {
        BaseType::Named(name) => name.to_string(),
        BaseType::List(inner) => base(inner),
    }
}

fn arguments(definitions: &[async_graphql::Positioned<InputValueDefinition>]) -> HashMap<String, String> {
    definitions.iter().map(|argument| (argument.node.name.node.to_string(), base(&argument.node.ty.node))).collect()
}

fn fields(definitions: &[async_graphql::Positioned<FieldDefinition>]) -> HashMap<String, Field> {
    let fields = definitions.iter().map(|field| &field.node);
    fields
        .map(|field| {
            let read = Field { ty: base(&field.ty.node), arguments: arguments(&field.arguments) };
            (field.name.node.to_string(), read)
        })
        .collect()
}

impl SecretPositions {
    /// Reads the schema.
    pub fn of(schema: &ServiceDocument) -> Self {
        let mut positions =
            Self { roots: ["Query", "Mutation", "Subscription"].map(|root| Some(root.to_owned())), ..Self::default() };
        for definition in &schema.definitions {
            let TypeSystemDefinition::Type(definition) = definition else { continue };
            let name = definition.node.name.node.to_string();
            match &definition.node.kind {
                TypeKind::Object(object) => {
                    positions.outputs.insert(name, fields(&object.fields));
                }
                TypeKind::Interface(interface) => {
                    positions.outputs.insert(name, fields(&interface.fields));
                }
                TypeKind::InputObject(input) => {
                    positions.inputs.insert(name, arguments(&input.fields));
                }
                TypeKind::Scalar | TypeKind::Union(_) | TypeKind::Enum(_) => {}
            }
        }
        positions
    }

    /// Where a secret stands as a literal: the name of the argument or variable.
    pub fn find_literal(&self, document: &ExecutableDocument) -> Option<String> {
        for (_, operation) in document.operations.iter() {
            for variable in &operation.node.variable_definitions {
                let default = variable.node.default_value.as_ref().map(|value| value.node.clone().into_value());
                let ty = base(&variable.node.var_type.node);
                if default.is_some_and(|default| self.is_literal(&default, &ty)) {
                    return Some(format!("${}", variable.node.name.node));
                }
            }
            let root = match operation.node.ty {
                async_graphql::parser::types::OperationType::Query => &self.roots[0],
                async_graphql::parser::types::OperationType::Mutation => &self.roots[1],
                async_graphql::parser::types::OperationType::Subscription => &self.roots[2],
            };
            if let Some(found) = self.in_selection(&operation.node.selection_set.node, root.as_deref()) {
                return Some(found);
            }
        }
        // Each fragment once, by its own type: spreads need not be followed.
        document.fragments.values().find_map(|fragment| {
            let ty = fragment.node.type_condition.node.on.node.as_str();
            self.in_selection(&fragment.node.selection_set.node, Some(ty))
        })
    }

    fn in_selection(&self, selection: &SelectionSet, parent: Option<&str>) -> Option<String> {
        selection.items.iter().find_map(|item| match &item.node {
            Selection::Field(field) => {
                let known = self.outputs.get(parent?)?.get(field.node.name.node.as_str())?;
                let literal = field.node.arguments.iter().find(|(name, value)| {
                    known.arguments.get(name.node.as_str()).is_some_and(|ty| self.is_literal(&value.node, ty))
                });
                match literal {
                    Some((name, _)) => Some(name.node.to_string()),
                    None => self.in_selection(&field.node.selection_set.node, Some(&known.ty)),
                }
            }
            Selection::InlineFragment(fragment) => {
                let condition = fragment.node.type_condition.as_ref().map(|condition| condition.node.on.node.as_str());
                self.in_selection(&fragment.node.selection_set.node, condition.or(parent))
            }
            Selection::FragmentSpread(_) => None,
        })
    }

    fn is_literal(&self, value: &Value, ty: &str) -> bool {
        match value {
            Value::Variable(_) | Value::Null => false,
            Value::List(items) => items.iter().any(|item| self.is_literal(item, ty)),
            Value::Object(object) if ty != SECRET => self.inputs.get(ty).is_some_and(|fields| {
                let field = |(name, value): (&Name, &Value)| {
                    fields.get(name.as_str()).is_some_and(|ty| self.is_literal(value, ty))
                };
                object.iter().any(field)
            }),
            _ => ty == SECRET,
        }
    }
}

#[cfg(test)]
mod tests {
    use async_graphql::parser::{parse_query, parse_schema};

    use super::*;

    const SCHEMA: &str = "
        scalar Secret
        input Pair { name: String value: Secret }
        input Outer { pairs: [Pair!]! note: String }
        interface Thing { a(s: Secret): Thing }
        type Other implements Thing { a(s: Secret): Thing }
        type Query { a(s: Secret): Thing o(input: Outer): Thing }
        type Mutation { m(input: Outer): Thing }
    ";

    fn found(document: &str) -> Option<String> {
        let schema = parse_schema(SCHEMA).expect("a schema");
        SecretPositions::of(&schema).find_literal(&parse_query(document).expect("a document"))
    }

    #[test]
    fn literals_are_found_wherever_they_stand() {
        for document in [
            "{ a(s: \"x\") { a } }",
            "{ a(s: 1) { a } }",
            "{ a(s: ENUM) { a } }",
            "{ a { a(s: \"x\") { a } } }",
            "mutation($v: Secret) { m(input: {pairs: [{name: \"n\", value: $v}, {name: \"n\", value: \"x\"}]}) { a } }",
            "mutation { m(input: {pairs: {value: \"x\"}}) { a } }",
            "{ ...f } fragment f on Query { a(s: \"x\") { a } }",
            "{ a { ... on Other { a(s: \"x\") { a } } } }",
            "{ a { ... { a(s: \"x\") { a } } } }",
            "query($s: Secret = \"x\") { a(s: $s) { a } }",
            "query($o: Outer = {pairs: [{value: \"x\"}]}) { o(input: $o) { a } }",
            "{ a(s: [\"x\"]) { a } }",
            "{ a(s: {x: 1}) { a } }",
        ] {
            assert!(found(document).is_some(), "{document}");
        }
    }

    #[test]
    fn variables_and_other_literals_are_fine() {
        for document in [
            "query($s: Secret) { a(s: $s) { a } }",
            "{ a(s: null) { a } }",
            "mutation($o: Outer) { m(input: $o) { a } }",
            "mutation($v: Secret) { m(input: {note: \"x\", pairs: [{name: \"n\", value: $v}]}) { a } }",
            "{ unknown(s: \"x\") }",
        ] {
            assert_eq!(found(document), None, "{document}");
        }
    }
}
