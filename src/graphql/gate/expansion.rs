//! What a document becomes with its fragments put in place, computed before it is validated: validation walks fragments
//! in each other, and can be made to take long by them. Each fragment is looked at once.

use std::collections::HashMap;

use apollo_compiler::{
    Name,
    ast::{Definition, Document, Selection},
};

/// How large the largest operation becomes, and how deeply fragments name each other.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Expansion {
    /// Fields, saturating.
    pub fields: u64,
    /// Fragments below each other. One that names itself, however indirectly, counts once: validation refuses it.
    pub chain: usize,
}

impl Expansion {
    pub fn of(document: &Document) -> Self {
        let mut fragments = HashMap::new();
        for definition in &document.definitions {
            if let Definition::FragmentDefinition(fragment) = definition {
                fragments.entry(&fragment.name).or_insert(&fragment.selection_set);
            }
        }
        let mut reader = Reader { fragments, known: HashMap::new() };
        let operations = document.definitions.iter().filter_map(|definition| match definition {
            Definition::OperationDefinition(operation) => Some(&operation.selection_set),
            _ => None,
        });
        operations.fold(Self::default(), |most, set| {
            let found = reader.set(set);
            Self { fields: most.fields.max(found.fields), chain: most.chain.max(found.chain) }
        })
    }
}

struct Reader<'a> {
    fragments: HashMap<&'a Name, &'a Vec<Selection>>,
    /// `None` while a fragment is being read.
    known: HashMap<&'a Name, Option<Expansion>>,
}

impl<'a> Reader<'a> {
    fn set(&mut self, set: &'a [Selection]) -> Expansion {
        let mut sum = Expansion::default();
        for selection in set {
            let (own, below) = match selection {
                Selection::Field(field) => (1, self.set(&field.selection_set)),
                Selection::InlineFragment(fragment) => (0, self.set(&fragment.selection_set)),
                Selection::FragmentSpread(spread) => (0, self.fragment(&spread.fragment_name)),
            };
            sum.fields = sum.fields.saturating_add(own).saturating_add(below.fields);
            sum.chain = sum.chain.max(below.chain);
        }
        sum
    }

    fn fragment(&mut self, name: &'a Name) -> Expansion {
        if let Some(known) = self.known.get(name) {
            return known.unwrap_or_default();
        }
        let Some(set) = self.fragments.get(name).copied() else { return Expansion::default() };
        self.known.insert(name, None);
        let mut found = self.set(set);
        found.chain += 1;
        self.known.insert(name, Some(found));
        found
    }
}
