//! Pages by keyset: a page begins behind a place, found by a row comparison that an index answers.
//!
//! Nulls come last in both directions. For that an order by a column that can be null sorts by an
//! expression that puts the last possible value of the direction in their place, and has an index on
//! that expression for each direction.

use chrono::DateTime;

use super::{
    error::{Result, StoreError},
    fragment::{Condition, Statement},
};
use crate::domain::{
    page::{Page, PageRequest, Place, SortKey},
    query::{OrderDirection, Placed},
};

/// What an order sorts by.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum KeyKind {
    Number,
    Text,
    Moment,
}

/// The expression that an order sorts by, ahead of the id.
#[derive(Clone, Copy)]
pub(super) struct KeySql {
    sqlite: &'static str,
    postgres: &'static str,
    kind: KeyKind,
    /// What stands for null on SQLite and on PostgreSQL; `None` where the column cannot be null.
    null: Option<(&'static str, &'static str)>,
}

impl KeySql {
    /// An order by a column that is never null.
    pub(super) const fn column(sql: &'static str, kind: KeyKind) -> Self {
        Self { sqlite: sql, postgres: sql, kind, null: None }
    }

    /// An order by an expression, and what that expression gives for null.
    pub(super) const fn nullable(
        (sqlite, null_sqlite): (&'static str, &'static str),
        (postgres, null_postgres): (&'static str, &'static str),
        kind: KeyKind,
    ) -> Self {
        Self { sqlite, postgres, kind, null: Some((null_sqlite, null_postgres)) }
    }

    fn bind(&self, to: Condition, key: &SortKey) -> Result<Condition> {
        match (self.kind, key) {
            (_, SortKey::Null) => {
                let (sqlite, postgres) = self.null.ok_or(StoreError::PlaceMismatch)?;
                Ok(to.each(sqlite, postgres))
            }
            (KeyKind::Number, SortKey::Number(value)) => Ok(to.integer(*value)),
            (KeyKind::Text, SortKey::Text(value)) => Ok(to.text(value)),
            (KeyKind::Moment, SortKey::Number(micros)) => {
                Ok(to.moment(DateTime::from_timestamp_micros(*micros).ok_or(StoreError::PlaceMismatch)?))
            }
            _ => Err(StoreError::PlaceMismatch),
        }
    }
}

/// An order that pages can be read in.
#[derive(Clone, Copy)]
pub(super) struct Keyset {
    /// `None`: by the id alone.
    pub(super) key: Option<KeySql>,
    /// The id's column, which decides between equals.
    pub(super) id: &'static str,
    pub(super) direction: OrderDirection,
}

impl Keyset {
    /// Narrows a condition to the rows between the places that a request names.
    pub(super) fn within(&self, mut condition: Condition, request: &PageRequest<Place>) -> Result<Condition> {
        let (behind, ahead) = match self.direction {
            OrderDirection::Asc => ((" > ", " >= "), (" < ", " <= ")),
            OrderDirection::Desc => ((" < ", " <= "), (" > ", " >= ")),
        };
        for (place, (comparison, or_equal)) in [(&request.after, behind), (&request.before, ahead)] {
            let Some(place) = place else { continue };
            condition = match &self.key {
                None => condition.and(self.id).sql(comparison).integer(place.id),
                Some(key) => {
                    if key.null.is_some() {
                        // SQLite takes the range on an expression's index from a plain comparison only.
                        let plain = condition.and("").each(key.sqlite, key.postgres).sql(or_equal);
                        condition = key.bind(plain, &place.key)?;
                    }
                    let row = condition.and("(").each(key.sqlite, key.postgres).sql(", ").sql(self.id);
                    key.bind(row.sql(")").sql(comparison).sql("("), &place.key)?.sql(", ").integer(place.id).sql(")")
                }
            };
        }
        Ok(condition)
    }

    /// The ORDER BY in which a page is read: the list's, or its reverse for a page from the end.
    pub(super) fn order(&self, backwards: bool) -> Statement {
        let direction = if (self.direction == OrderDirection::Asc) == backwards { " DESC" } else { " ASC" };
        let start = match &self.key {
            None => Statement::new(""),
            Some(key) => Statement::new("").each(key.sqlite, key.postgres).sql(direction).sql(", "),
        };
        start.sql(self.id).sql(direction)
    }
}

/// How many rows to read for a page: one more than it holds, to know whether there are more.
pub(super) const fn rows_to_read(request: &PageRequest<Place>) -> u32 {
    request.size.saturating_add(1)
}

/// Makes a page of rows as they were read.
pub(super) fn page<R, T>(
    rows: Vec<R>,
    request: &PageRequest<Place>,
    placed: impl Fn(R) -> Result<Placed<T>>,
) -> Result<Page<Placed<T>>> {
    let rows = rows.into_iter().map(placed).collect::<Result<Vec<_>>>()?;
    Ok(Page::from_read(rows, request))
}
