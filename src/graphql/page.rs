//! Relay pages: arguments, cursors, and the page types (Relay's cursor connections specification).

use std::borrow::Cow;

use async_graphql::SimpleObject;
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};

use super::plain::{List, Plain};
use crate::{
    domain::{
        page::{PAGE_DEFAULT, PAGE_MAX, Page, PageRequest, Place, SortKey},
        query::Placed,
    },
    service::Failure,
};

/// The longest cursor that is read: sort keys are bounded by what is stored.
const CURSOR_MAX: usize = 4_096;

/// Where a page stands in its list.
#[derive(SimpleObject)]
pub struct PageInfo {
    has_next_page: bool,
    has_previous_page: bool,
    start_cursor: Option<String>,
    end_cursor: Option<String>,
}

/// The arguments of a page.
pub(super) struct PageArguments {
    pub first: Option<i32>,
    pub after: Option<String>,
    pub last: Option<i32>,
    pub before: Option<String>,
}

impl PageArguments {
    /// Checks the arguments for the list of this kind. `kind` names list and order: a cursor of another one is
    /// refused.
    pub fn read(self, kind: &str) -> Result<PageRequest<Place>, Failure> {
        let backwards = self.last.is_some();
        let size = match (self.first, self.last) {
            (Some(_), Some(_)) => return Err(Failure::bad_input("last", "cannot stand beside first")),
            (Some(first), None) => size("first", first)?,
            (None, Some(last)) => size("last", last)?,
            (None, None) => PAGE_DEFAULT,
        };
        let place = |field: &str, cursor: Option<String>| {
            cursor
                .map(|cursor| {
                    read_cursor(kind, &cursor)
                        .ok_or_else(|| Failure::bad_input(field, "is not a cursor of this list in this order"))
                })
                .transpose()
        };
        Ok(PageRequest { size, backwards, after: place("after", self.after)?, before: place("before", self.before)? })
    }
}

fn size(field: &str, size: i32) -> Result<u32, Failure> {
    match u32::try_from(size) {
        Ok(0) | Err(_) => Err(Failure::bad_input(field, format!("is {size}; a page has 1 to {PAGE_MAX} rows"))),
        Ok(size) if size > PAGE_MAX => {
            Err(Failure::LimitExceeded(format!("{field} is {size}; a page has at most {PAGE_MAX} rows")))
        }
        Ok(size) => Ok(size),
    }
}

/// The cursor of a place in the list of this kind.
fn cursor(kind: &str, place: &Place) -> String {
    let json = serde_json::to_vec(&(kind, &place.key, place.id)).expect("texts and numbers are JSON");
    URL_SAFE_NO_PAD.encode(json)
}

fn read_cursor(kind: &str, cursor: &str) -> Option<Place> {
    if cursor.len() > CURSOR_MAX {
        return None;
    }
    let json = URL_SAFE_NO_PAD.decode(cursor).ok()?;
    let (own, key, id): (String, SortKey, i64) = serde_json::from_slice(&json).ok()?;
    (own == kind).then_some(Place { key, id })
}

/// A page's rows, each with its place.
pub(super) struct Rows<T> {
    pub nodes: Vec<T>,
    places: Vec<Place>,
    /// Names list and order.
    kind: Cow<'static, str>,
    has_next: bool,
    has_previous: bool,
}

impl<T> Rows<T> {
    /// The rows of a page, which `nodes` makes nodes of.
    pub fn new<R>(
        kind: impl Into<Cow<'static, str>>,
        page: Page<Placed<R>>,
        nodes: impl FnOnce(Vec<R>) -> Vec<T>,
    ) -> Self {
        let (rows, places) = page.rows.into_iter().map(|placed| (placed.row, placed.place)).unzip();
        let (has_next, has_previous) = (page.has_next, page.has_previous);
        Self { nodes: nodes(rows), places, kind: kind.into(), has_next, has_previous }
    }

    /// The cursors of the rows, made where they are asked for.
    pub fn cursors(&self) -> impl DoubleEndedIterator<Item = String> {
        self.places.iter().map(|place| cursor(&self.kind, place))
    }

    pub fn info(&self) -> PageInfo {
        PageInfo {
            has_next_page: self.has_next,
            has_previous_page: self.has_previous,
            start_cursor: self.cursors().next(),
            end_cursor: self.cursors().next_back(),
        }
    }
}

/// The rows of a page.
pub(super) fn nodes<T: Clone + Plain>(rows: &Rows<T>) -> List<T> {
    List(rows.nodes.clone())
}

/// Declares the edge type of a list.
macro_rules! edge {
    ($edge:ident of $node:ident) => {
        /// A row of a page, with its cursor.
        #[derive(async_graphql::SimpleObject)]
        pub struct $edge {
            node: $node,
            cursor: String,
        }

        impl $edge {
            fn all(rows: &crate::graphql::page::Rows<$node>) -> crate::graphql::plain::List<Self> {
                let edges = rows.nodes.iter().cloned().zip(rows.cursors());
                crate::graphql::plain::List(edges.map(|(node, cursor)| Self { node, cursor }).collect())
            }
        }

        impl crate::graphql::plain::Plain for $edge {
            fn writer(field: &async_graphql::parser::types::Field) -> Option<crate::graphql::plain::Writer<Self>> {
                match field.name.node.as_str() {
                    "node" => {
                        let writer = crate::graphql::plain::writer(&field.selection_set.node)?;
                        Some(Box::new(move |edge: &Self, out| writer(&edge.node, out)))
                    }
                    "cursor" => Some(Box::new(|edge, out| crate::graphql::plain::write(&edge.cursor, out))),
                    _ => None,
                }
            }
        }
    };
}
pub(super) use edge;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn keys() -> impl Strategy<Value = SortKey> {
        prop_oneof![Just(SortKey::Null), any::<i64>().prop_map(SortKey::Number), ".{0,40}".prop_map(SortKey::Text)]
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2_000))]

        #[test]
        fn a_cursor_is_read_as_it_was_written(key in keys(), id: i64) {
            let place = Place { key, id };
            prop_assert_eq!(read_cursor("a:b:asc", &cursor("a:b:asc", &place)), Some(place.clone()));
            prop_assert_eq!(read_cursor("a:b:desc", &cursor("a:b:asc", &place)), None);
        }

        #[test]
        fn garbage_is_no_cursor(text in ".{0,80}") {
            let _ = read_cursor("a", &text);
        }
    }
}
