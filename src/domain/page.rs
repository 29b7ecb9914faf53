//! Pages by keyset: where a page begins is a place in the order, never a count of rows.

/// The largest page.
pub const PAGE_MAX: u32 = 100;
/// The page size where the caller names none.
pub const PAGE_DEFAULT: u32 = 20;

/// A request for one page of a list. `C` is the place of a row in the list's order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PageRequest<C> {
    /// How many rows, 1 to [`PAGE_MAX`].
    pub size: u32,
    /// From the end of the list backwards (`last`/`before`); the rows still come in the list's order.
    pub backwards: bool,
    /// Only rows behind this place.
    pub after: Option<C>,
    /// Only rows ahead of this place.
    pub before: Option<C>,
}

impl<C> Default for PageRequest<C> {
    fn default() -> Self {
        Self { size: PAGE_DEFAULT, backwards: false, after: None, before: None }
    }
}

/// One page, in the list's order.
#[derive(Clone, Debug)]
pub struct Page<T> {
    pub rows: Vec<T>,
    pub has_next: bool,
    pub has_previous: bool,
}

impl<T> Page<T> {
    /// Makes a page of rows as they were read: in reading direction, with one row more than asked for
    /// where there are more.
    #[must_use]
    pub fn from_read<C>(mut rows: Vec<T>, request: &PageRequest<C>) -> Self {
        let more = rows.len() > request.size as usize;
        rows.truncate(request.size as usize);
        if request.backwards {
            rows.reverse();
        }
        Self {
            rows,
            has_next: if request.backwards { request.before.is_some() } else { more },
            has_previous: if request.backwards { more } else { request.after.is_some() },
        }
    }
}

/// The value of a row in one order, as a keyset needs it. Nulls come last in both directions.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(untagged)]
pub enum SortKey {
    Null,
    /// Whole numbers, and times in microseconds since 1970.
    Number(i64),
    Text(String),
}

/// A row's place: its value in the order, and its id, which decides between equals.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    pub key: SortKey,
    pub id: i64,
}
