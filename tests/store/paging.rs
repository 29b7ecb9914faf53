//! Reads a list in pages, every way there is, and compares with a sort in memory.

use std::cmp::Ordering;

use integrations_gateway::domain::{
    page::{Page, PageRequest, Place},
    query::{OrderDirection, Placed},
};

/// A row's value in an order, and its id.
pub type Keyed<K> = (Option<K>, i64);

/// The ids in their order: nulls last in both directions, the id deciding in the order's direction.
pub fn sorted<K: Ord>(mut rows: Vec<Keyed<K>>, direction: OrderDirection) -> Vec<i64> {
    let turn = |ordering: Ordering| match direction {
        OrderDirection::Asc => ordering,
        OrderDirection::Desc => ordering.reverse(),
    };
    rows.sort_by(|(a, a_id), (b, b_id)| {
        let by_key = match (a, b) {
            (Some(a), Some(b)) => turn(a.cmp(b)),
            (None, None) => Ordering::Equal,
            (Some(_), None) => Ordering::Less,
            (None, Some(_)) => Ordering::Greater,
        };
        by_key.then(turn(a_id.cmp(b_id)))
    });
    rows.into_iter().map(|(_, id)| id).collect()
}

/// Reads the list forwards, backwards and between places, in pages of several sizes.
pub async fn reads_like<T>(expected: &[i64], read: impl AsyncFn(PageRequest<Place>) -> Page<Placed<T>>, what: &str) {
    let ids = |page: &Page<Placed<T>>| page.rows.iter().map(|row| row.place.id).collect::<Vec<_>>();
    let mut places = Vec::new();
    for size in [1, 7, 100] {
        let (mut after, mut seen) = (None, Vec::new());
        loop {
            let page = read(PageRequest { size, after: after.clone(), ..PageRequest::default() }).await;
            assert_eq!(page.has_previous, after.is_some(), "{what}");
            seen.extend(ids(&page));
            if size == 1 {
                places.extend(page.rows.iter().map(|row| row.place.clone()));
            }
            after = page.rows.last().map(|row| row.place.clone());
            if !page.has_next {
                break;
            }
            assert_eq!(page.rows.len(), size as usize, "{what}: a page with a next one is full");
        }
        assert_eq!(seen, expected, "{what}, forwards by {size}");

        let (mut before, mut seen) = (None, Vec::new());
        loop {
            let page = read(PageRequest { size, backwards: true, before: before.clone(), after: None }).await;
            assert_eq!(page.has_next, before.is_some(), "{what}");
            seen.splice(0..0, ids(&page));
            before = page.rows.first().map(|row| row.place.clone());
            if !page.has_previous {
                break;
            }
            assert_eq!(page.rows.len(), size as usize, "{what}: a page with a previous one is full");
        }
        assert_eq!(seen, expected, "{what}, backwards by {size}");
    }
    let (from, until) = (places.len() / 4, places.len() * 3 / 4);
    for backwards in [false, true] {
        let request = PageRequest {
            size: 100,
            backwards,
            after: Some(places[from].clone()),
            before: Some(places[until].clone()),
        };
        assert_eq!(ids(&read(request).await), expected[from + 1..until], "{what}, between two places");
    }
}
