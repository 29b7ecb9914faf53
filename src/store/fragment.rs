//! SQL text with its bound values, for what diesel's own language does not say alike for both
//! databases: row comparisons, lists as one value, the queue's claim.
//!
//! The text is made of constants and whole numbers only; everything else is bound. Lists are bound as
//! one value, so that the text, and with it the prepared statement, stays the same for every length.

use std::{borrow::Cow, fmt::Write as _, marker::PhantomData};

use chrono::{DateTime, Utc};
use diesel::{
    AppearsOnTable, Expression, QueryResult, RunQueryDsl, SelectableExpression,
    backend::Backend,
    expression::{TypedExpressionType, ValidGrouping, is_aggregate},
    pg::Pg,
    query_builder::{AstPass, Query, QueryFragment, QueryId},
    sql_types::{Array, BigInt, Bool, HasSqlType, Text, Untyped},
    sqlite::Sqlite,
};

use super::{
    moment::{At, Moment},
    rows::storable,
};

/// SQL text with its bound values, of the SQL type `ST` where it stands in an expression.
#[derive(Clone)]
pub(super) struct Fragment<ST> {
    pieces: Vec<Piece>,
    sql_type: PhantomData<ST>,
}

/// A statement, or a part of one that has no type.
pub(super) type Statement = Fragment<Untyped>;

/// A filter.
pub(super) type Condition = Fragment<Bool>;

#[derive(Clone)]
enum Piece {
    Sql(Cow<'static, str>),
    /// Text that differs.
    Each {
        sqlite: Cow<'static, str>,
        postgres: Cow<'static, str>,
    },
    Integer(i64),
    Text(String),
    Moment(At),
    /// An array on PostgreSQL, JSON on SQLite.
    Integers {
        values: Vec<i64>,
        json: String,
    },
    Texts {
        values: Vec<String>,
        json: String,
    },
}

impl<ST> Fragment<ST> {
    pub(super) fn new(sql: impl Into<Cow<'static, str>>) -> Self {
        Self { pieces: vec![Piece::Sql(sql.into())], sql_type: PhantomData }
    }

    fn push(mut self, piece: Piece) -> Self {
        self.pieces.push(piece);
        self
    }

    pub(super) fn sql(self, sql: impl Into<Cow<'static, str>>) -> Self {
        self.push(Piece::Sql(sql.into()))
    }

    /// Another text with its values, behind this one.
    pub(super) fn append<T>(mut self, other: Fragment<T>) -> Self {
        self.pieces.extend(other.pieces);
        self
    }

    /// Text that differs between the databases.
    pub(super) fn each(self, sqlite: impl Into<Cow<'static, str>>, postgres: impl Into<Cow<'static, str>>) -> Self {
        self.push(Piece::Each { sqlite: sqlite.into(), postgres: postgres.into() })
    }

    pub(super) fn integer(self, value: i64) -> Self {
        self.push(Piece::Integer(value))
    }

    pub(super) fn text(self, value: &str) -> Self {
        self.push(Piece::Text(storable(value)))
    }

    pub(super) fn moment(self, value: DateTime<Utc>) -> Self {
        self.push(Piece::Moment(At(value)))
    }

    /// `column` is one of these; of none, where the list is empty.
    pub(super) fn any_integer(self, column: &str, values: Vec<i64>) -> Self {
        // Said as what it is, the planner can read one value's rows in their order from an index.
        if let [value] = values[..] {
            return self.sql(format!("{column} = ")).integer(value);
        }
        let json = serde_json::json!(values).to_string();
        self.each(format!("{column} IN (SELECT value FROM json_each("), format!("{column} = ANY ("))
            .push(Piece::Integers { values, json })
            .each("))", ")")
    }

    /// `column` is one of these; of none, where the list is empty.
    pub(super) fn any_text(self, column: &str, values: &[String]) -> Self {
        if let [value] = values {
            return self.sql(format!("{column} = ")).text(value);
        }
        let values: Vec<String> = values.iter().map(|value| storable(value)).collect();
        let json = serde_json::json!(values).to_string();
        self.each(format!("{column} IN (SELECT value FROM json_each("), format!("{column} = ANY ("))
            .push(Piece::Texts { values, json })
            .each("))", ")")
    }

    /// A FROM item named `alias`, with these columns, of rows that are given as a JSON array of objects.
    /// The types are PostgreSQL's.
    pub(super) fn rows(self, alias: &str, columns: &[(&str, &str)], rows: &serde_json::Value) -> Self {
        let (mut selected, mut declared) = (String::new(), String::new());
        for (i, (name, kind)) in columns.iter().enumerate() {
            let comma = if i == 0 { "" } else { ", " };
            write!(selected, "{comma}value ->> '$.{name}' AS {name}").expect("a string takes text");
            write!(declared, "{comma}{name} {kind}").expect("a string takes text");
        }
        self.each(format!("(SELECT {selected} FROM json_each("), "jsonb_to_recordset(CAST(")
            .text(&rows.to_string())
            .each(format!(")) AS {alias}"), format!(" AS jsonb)) AS {alias} ({declared})"))
    }

    fn walk<'b, DB>(
        &'b self,
        mut out: AstPass<'_, 'b, DB>,
        list: impl Fn(&'b Piece, &mut AstPass<'_, 'b, DB>) -> QueryResult<()>,
        choose: impl Fn(&'b str, &'b str) -> &'b str,
    ) -> QueryResult<()>
    where
        DB: Backend + HasSqlType<Moment>,
        i64: diesel::serialize::ToSql<BigInt, DB>,
        str: diesel::serialize::ToSql<Text, DB>,
        String: diesel::serialize::ToSql<Text, DB>,
        At: diesel::serialize::ToSql<Moment, DB>,
    {
        for piece in &self.pieces {
            match piece {
                Piece::Sql(sql) => out.push_sql(sql),
                Piece::Each { sqlite, postgres } => out.push_sql(choose(sqlite, postgres)),
                Piece::Integer(value) => out.push_bind_param::<BigInt, _>(value)?,
                Piece::Text(value) => out.push_bind_param::<Text, _>(value)?,
                Piece::Moment(value) => out.push_bind_param::<Moment, _>(value)?,
                Piece::Integers { .. } | Piece::Texts { .. } => list(piece, &mut out)?,
            }
        }
        Ok(())
    }
}

impl Condition {
    /// Also only rows of which this holds.
    pub(super) fn and(self, sql: impl Into<Cow<'static, str>>) -> Self {
        self.sql(" AND ").sql(sql)
    }
}

impl<ST> QueryFragment<Sqlite> for Fragment<ST> {
    fn walk_ast<'b>(&'b self, out: AstPass<'_, 'b, Sqlite>) -> QueryResult<()> {
        self.walk(
            out,
            |piece, out| match piece {
                Piece::Integers { json, .. } | Piece::Texts { json, .. } => out.push_bind_param::<Text, _>(json),
                _ => Ok(()),
            },
            |sqlite, _| sqlite,
        )
    }
}

impl<ST> QueryFragment<Pg> for Fragment<ST> {
    fn walk_ast<'b>(&'b self, out: AstPass<'_, 'b, Pg>) -> QueryResult<()> {
        self.walk(
            out,
            |piece, out| match piece {
                Piece::Integers { values, .. } => out.push_bind_param::<Array<BigInt>, _>(values),
                Piece::Texts { values, .. } => out.push_bind_param::<Array<Text>, _>(values),
                _ => Ok(()),
            },
            |_, postgres| postgres,
        )
    }
}

impl<ST> QueryId for Fragment<ST> {
    type QueryId = ();
    const HAS_STATIC_QUERY_ID: bool = false;
}

impl<ST, Conn> RunQueryDsl<Conn> for Fragment<ST> {}

impl<ST: TypedExpressionType> Expression for Fragment<ST> {
    type SqlType = ST;
}

impl<ST> Query for Fragment<ST> {
    type SqlType = Untyped;
}

impl<ST, QS> SelectableExpression<QS> for Fragment<ST> where Self: Expression {}
impl<ST, QS> AppearsOnTable<QS> for Fragment<ST> where Self: Expression {}

impl<ST, GB> ValidGrouping<GB> for Fragment<ST> {
    type IsAggregate = is_aggregate::Never;
}

/// A query with a LIMIT that stands in its text: SQLite prepares a statement with a bound one anew at every run.
pub(super) struct Limited<Q> {
    pub(super) query: Q,
    pub(super) limit: u32,
}

impl<Q: Query> Query for Limited<Q> {
    type SqlType = Q::SqlType;
}

impl<Q, Conn> RunQueryDsl<Conn> for Limited<Q> {}

impl<Q> QueryId for Limited<Q> {
    type QueryId = ();
    const HAS_STATIC_QUERY_ID: bool = false;
}

impl<Q: QueryFragment<DB>, DB: Backend> QueryFragment<DB> for Limited<Q> {
    fn walk_ast<'b>(&'b self, mut out: AstPass<'_, 'b, DB>) -> QueryResult<()> {
        self.query.walk_ast(out.reborrow())?;
        out.push_sql(&format!(" LIMIT {}", self.limit));
        Ok(())
    }
}
