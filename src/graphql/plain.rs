//! Rows that write themselves.
//!
//! Most fields are plain: they lie in their row, and need no argument, no capability besides the list's own and
//! nothing that would have to be loaded. A list that is asked for plain fields only is written as JSON at once; the
//! executor would make a future and a value for each field of each row.

use async_graphql::{
    ContextSelectionSet, OutputType, Positioned, ServerResult, Value,
    parser::types::{Field, Selection, SelectionSet},
    registry::Registry,
};
use serde::Serialize;

/// Writes a field of an object as JSON.
pub(super) type Writer<T> = Box<dyn Fn(&T, &mut Vec<u8>) + Send + Sync>;

/// An object with plain fields.
pub(super) trait Plain: OutputType {
    /// How a field is written; `None` where it is not plain. What it writes is what its resolver gives.
    fn writer(field: &Field) -> Option<Writer<Self>>;
}

/// Declares the plain fields of an object, each with a value that serializes as its resolver's does.
macro_rules! plain {
    ($object:ty, $row:ident = $get:path => { $($name:literal: $value:expr,)+ }) => {
        impl $crate::graphql::plain::Plain for $object {
            fn writer(
                field: &async_graphql::parser::types::Field,
            ) -> Option<$crate::graphql::plain::Writer<Self>> {
                match field.name.node.as_str() {
                    $($name => Some(Box::new(|object: &Self, out| {
                        let $row = $get(object);
                        $crate::graphql::plain::write(&$value, out);
                    })),)+
                    _ => None,
                }
            }
        }
    };
}
pub(super) use plain;

/// Writes a value as JSON.
pub(super) fn write(value: &impl Serialize, out: &mut Vec<u8>) {
    serde_json::to_writer(out, value).expect("texts, numbers and lists of them have a JSON text");
}

/// How an object is written with these fields; `None` where one of them is not plain.
pub(super) fn writer<T: Plain + 'static>(selected: &SelectionSet) -> Option<Writer<T>> {
    let mut fields = Vec::with_capacity(selected.items.len());
    for (at, item) in selected.items.iter().enumerate() {
        // The gate's plan has nothing but fields in an object, each response key once.
        let Selection::Field(field) = &item.node else { return None };
        let mut key = vec![if at == 0 { b'{' } else { b',' }];
        write(&field.node.response_key().node, &mut key);
        key.push(b':');
        let writer = match field.node.name.node.as_str() {
            "__typename" => typename(),
            _ => T::writer(&field.node)?,
        };
        fields.push((key, writer));
    }
    Some(Box::new(move |object, out| {
        for (key, writer) in &fields {
            out.extend_from_slice(key);
            writer(object, out);
        }
        out.push(b'}');
    }))
}

fn typename<T: Plain>() -> Writer<T> {
    let name = T::type_name();
    Box::new(move |_, out| write(&name, out))
}

/// A list whose rows write themselves where they can.
pub(super) struct List<T>(pub Vec<T>);

impl<T: Plain + 'static> List<T> {
    fn written(&self, selected: &SelectionSet) -> Option<Value> {
        let writer = writer(selected)?;
        let mut out = vec![b'['];
        for (at, object) in self.0.iter().enumerate() {
            if at > 0 {
                out.push(b',');
            }
            writer(object, &mut out);
        }
        out.push(b']');
        // See `answer`.
        Some(Value::Binary(out.into()))
    }
}

impl<T: Plain + 'static> OutputType for List<T> {
    fn type_name() -> std::borrow::Cow<'static, str> {
        Vec::<T>::type_name()
    }

    fn create_type_info(registry: &mut Registry) -> String {
        Vec::<T>::create_type_info(registry)
    }

    async fn resolve(&self, context: &ContextSelectionSet<'_>, field: &Positioned<Field>) -> ServerResult<Value> {
        match self.written(&context.item.node) {
            Some(rows) => Ok(rows),
            None => self.0.resolve(context, field).await,
        }
    }
}

#[cfg(test)]
mod tests {
    use async_graphql::parser::{parse_query, types::DocumentOperations};

    use super::super::connection::{ConnectionRecord, ConnectionRecordEdge};
    use super::*;

    fn has_writer<T: Plain + 'static>(selected: &str) -> bool {
        let document = parse_query(selected).expect("a document");
        let DocumentOperations::Single(operation) = document.operations else { panic!("one operation") };
        writer::<T>(&operation.node.selection_set.node).is_some()
    }

    #[test]
    fn an_object_writes_itself_where_all_its_fields_are_plain() {
        for (selected, expected) in [
            ("{ id name: displayName __typename createdAt }", true),
            ("{ id connector { slug } }", false),
            ("{ id pendingDeliveries }", false),
            ("{ id ... { displayName } }", false),
        ] {
            assert_eq!(has_writer::<ConnectionRecord>(selected), expected, "{selected}");
            let edge = format!("{{ cursor node {selected} }}");
            assert_eq!(has_writer::<ConnectionRecordEdge>(&edge), expected, "{edge}");
        }
    }
}
