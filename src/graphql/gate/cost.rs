//! What an operation may cost, computed before it runs: each fragment once, and saturating, so that neither nested
//! fragments nor nested pages make the computation itself long.
//!
//! A field costs 1. What stands below a page counts once for each row that the page may have; below another list,
//! as often as the list of ids that was given, or [`LIST_ASSUMED`]. Introspection reads from memory and counts
//! a hundredth.

use std::collections::HashMap;

use apollo_compiler::{
    ExecutableDocument, Name,
    ast::Value,
    executable::{Field, Operation, Selection, SelectionSet},
};
use serde_json::Map;

use crate::domain::page::{PAGE_DEFAULT, PAGE_MAX};

/// How many things a list is taken to hold of which nothing is said.
const LIST_ASSUMED: u64 = 10;
/// How many things the lists of introspection hold, by their fields' names; generous for this schema.
const INTROSPECTION_LISTS: [(&str, u64); 3] = [("types", 100), ("fields", 15), ("directives", 10)];
/// What a field of introspection costs, as a part of 1.
const INTROSPECTION_PART: u64 = 100;

/// The cost of one operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Cost {
    Known(u64),
    /// A page's size comes by a variable: [`with_variables`] tells.
    ByVariables,
}

/// What is known of a document's operations without their variables.
#[derive(Debug)]
pub(super) struct Costs {
    /// The most fields below each other, of all operations.
    pub depth: u64,
    /// The anonymous operation, then the named ones.
    operations: HashMap<Option<Name>, Cost>,
}

impl Costs {
    pub fn of(document: &ExecutableDocument) -> Self {
        let mut depths = HashMap::new();
        let mut depth = 0;
        let mut operations = HashMap::new();
        let mut reader = Reader { document, variables: None, fragments: HashMap::new(), by_variables: false };
        for operation in document.operations.iter() {
            depth = depth.max(depth_of(document, &operation.selection_set, &mut depths));
            let cost = reader.set(&operation.selection_set);
            // Fragments are shared: once one of them asks a variable, all operations are taken to.
            let cost = if reader.by_variables { Cost::ByVariables } else { Cost::Known(cost.total()) };
            operations.insert(operation.name.clone(), cost);
        }
        Self { depth, operations }
    }

    pub fn of_operation(&self, operation: &Operation) -> Cost {
        self.operations.get(&operation.name).copied().unwrap_or(Cost::ByVariables)
    }
}

/// The cost of an operation whose variables have been coerced.
pub(super) fn with_variables(
    document: &ExecutableDocument,
    operation: &Operation,
    variables: &Map<String, serde_json::Value>,
) -> u64 {
    let mut reader = Reader { document, variables: Some(variables), fragments: HashMap::new(), by_variables: false };
    reader.set(&operation.selection_set).total()
}

fn depth_of<'a>(
    document: &'a ExecutableDocument,
    set: &'a SelectionSet,
    fragments: &mut HashMap<&'a Name, u64>,
) -> u64 {
    let depths = set.selections.iter().map(|selection| match selection {
        Selection::Field(field) => 1 + depth_of(document, &field.selection_set, fragments),
        Selection::InlineFragment(fragment) => depth_of(document, &fragment.selection_set, fragments),
        Selection::FragmentSpread(spread) => {
            if let Some(known) = fragments.get(&spread.fragment_name) {
                return *known;
            }
            let Some(fragment) = document.fragments.get(&spread.fragment_name) else { return 0 };
            let depth = depth_of(document, &fragment.selection_set, fragments);
            fragments.insert(&spread.fragment_name, depth);
            depth
        }
    });
    depths.max().unwrap_or(0)
}

/// Costs of two kinds, so that a hundredth is not lost to rounding.
#[derive(Clone, Copy, Default)]
struct Sum {
    fields: u64,
    introspection: u64,
}

impl Sum {
    fn total(self) -> u64 {
        self.fields.saturating_add(self.introspection / INTROSPECTION_PART)
    }

    fn add(self, other: Self) -> Self {
        Self {
            fields: self.fields.saturating_add(other.fields),
            introspection: self.introspection.saturating_add(other.introspection),
        }
    }

    fn times(self, factor: u64) -> Self {
        Self { fields: self.fields.saturating_mul(factor), introspection: self.introspection.saturating_mul(factor) }
    }
}

struct Reader<'a> {
    document: &'a ExecutableDocument,
    variables: Option<&'a Map<String, serde_json::Value>>,
    fragments: HashMap<&'a Name, Sum>,
    /// Whether a variable was asked for that is not known yet.
    by_variables: bool,
}

impl<'a> Reader<'a> {
    fn set(&mut self, set: &'a SelectionSet) -> Sum {
        let mut sum = Sum::default();
        for selection in &set.selections {
            sum = sum.add(match selection {
                Selection::Field(field) => self.field(field, set.ty.as_str()),
                Selection::InlineFragment(fragment) => self.set(&fragment.selection_set),
                Selection::FragmentSpread(spread) => self.fragment(&spread.fragment_name),
            });
        }
        sum
    }

    fn fragment(&mut self, name: &'a Name) -> Sum {
        if let Some(known) = self.fragments.get(name) {
            return *known;
        }
        let document = self.document;
        let Some(fragment) = document.fragments.get(name) else { return Sum::default() };
        let sum = self.set(&fragment.selection_set);
        self.fragments.insert(name, sum);
        sum
    }

    fn field(&mut self, field: &'a Field, parent: &str) -> Sum {
        let introspection = parent.starts_with("__") || field.name.starts_with("__");
        let own = if introspection { Sum { fields: 0, introspection: 1 } } else { Sum { fields: 1, introspection: 0 } };
        if field.selection_set.selections.is_empty() {
            return own;
        }
        let below = self.set(&field.selection_set);
        let factor = if introspection { introspected(field) } else { self.rows(field, parent) };
        own.add(below.times(factor))
    }

    /// How many things the field answers with, at most.
    fn rows(&mut self, field: &'a Field, parent: &str) -> u64 {
        let takes = |name: &str| field.definition.argument_by_name(name).is_some();
        if takes("first") && takes("last") {
            return [self.size(field, "first"), self.size(field, "last")]
                .into_iter()
                .flatten()
                .max()
                .unwrap_or(PAGE_DEFAULT.into());
        }
        // The lists in a page are as long as the page says.
        if !field.definition.ty.is_list() || parent.ends_with("Connection") {
            return 1;
        }
        let given = field.arguments.iter().filter(|argument| {
            field.definition.argument_by_name(&argument.name).is_some_and(|definition| definition.ty.is_list())
        });
        let given: Vec<_> = given.collect();
        let lengths = given.into_iter().filter_map(|argument| match &*argument.value {
            Value::List(items) => Some(items.len() as u64),
            Value::Variable(name) => self.variable(name)?.as_array().map(|items| items.len() as u64),
            _ => Some(1),
        });
        lengths.max().unwrap_or(LIST_ASSUMED)
    }

    fn variable(&mut self, name: &str) -> Option<&'a serde_json::Value> {
        self.by_variables |= self.variables.is_none();
        self.variables?.get(name)
    }

    /// What the argument says of a page's size. A wrong size is refused when the page is read.
    fn size(&mut self, field: &Field, name: &str) -> Option<u64> {
        let size = match &**field.specified_argument_by_name(name)? {
            Value::Int(size) => size.as_str().parse::<i64>().ok(),
            Value::Variable(name) => self.variable(name)?.as_i64(),
            _ => None,
        };
        size.map(|size| u64::try_from(size).unwrap_or(0).clamp(1, PAGE_MAX.into()))
    }
}

fn introspected(field: &Field) -> u64 {
    if !field.definition.ty.is_list() {
        return 1;
    }
    let known = INTROSPECTION_LISTS.iter().find(|(name, _)| *name == field.name.as_str());
    known.map_or(LIST_ASSUMED / 2, |(_, length)| *length)
}
