//! The list of connections: orders, pages, filters, search.

use integrations_gateway::{
    domain::{
        activity::ActivityAction,
        connection::{Connection, ConnectionState},
        connector::AuthFlow,
        id::OperatorId,
        page::{PageRequest, Place, SortKey},
        query::{Accepting, ConnectionFilter, ConnectionOrderField, Order, OrderDirection},
        state::Observation,
        test_report::TestOutcome,
    },
    store::{
        Db, StoreError,
        connection::{self, NewConnection},
    },
};

use super::{
    Fresh,
    fixtures::{
        Dice, OTHER, SITE, activity, at, claim_all, delivered, dispatch, event, insert, new_connection, observe,
        report, settle, settlement, test_report,
    },
    paging::{Keyed, reads_like, sorted},
};

const EVERYTHING: ConnectionFilter = ConnectionFilter {
    states: None,
    connector_slugs: None,
    scopes_granted: Vec::new(),
    accepting: None,
    operator_of_record: None,
    search: None,
};

/// Sixty connections with few different values, many of them missing.
async fn crowd(db: &Db) -> Vec<Connection> {
    let mut dice = Dice::new(11);
    for _ in 0..60 {
        let second = i64::try_from(dice.below(4)).unwrap();
        let new = NewConnection {
            connector_name: dice.pick(&["Plain", "Ärger", "zeta", "_under", "Zeta"]).to_owned(),
            operator: OperatorId(dice.pick(&[1, 2, 30])),
            scopes_granted: texts(dice.pick(&[&[] as &[&str], &["a"], &["a", "b"], &["B"]])),
            ..new_connection(dice.pick(&["Émile", "emile", "a-b", "a b", "AB", "日本", "Zed"]))
        };
        let connection = insert(db, SITE, at(second), new).await;
        insert(db, OTHER, at(second), new_connection("another site's")).await;
        match dice.below(4) {
            0 => {
                let delivery = event(&connection, "k", at(10));
                dispatch(db, SITE, delivery).await;
                let now = at(10 + i64::try_from(dice.below(3)).unwrap());
                for claim in claim_all(db, now).await {
                    settle(db, settlement(&claim, now, delivered(now))).await;
                }
            }
            1 => drop(observe(db, connection.id, Observation::Pause).await),
            2 => drop(observe(db, connection.id, Observation::DeliverySaidRevoked).await),
            _ => {
                let name = connection.display_name.clone();
                let renamed = connection::rename(
                    db,
                    SITE,
                    connection.id,
                    at(70 + second),
                    &name,
                    activity(ActivityAction::ConnectionRenamed),
                );
                renamed.await.unwrap().unwrap();
            }
        }
    }
    let page = PageRequest { size: 100, ..PageRequest::default() };
    let order = Order { field: ConnectionOrderField::CreatedAt, direction: OrderDirection::Asc };
    let all = connection::list(db, SITE, &EVERYTHING, order, &page).await.unwrap();
    assert_eq!(all.rows.len(), 60);
    all.rows.into_iter().map(|placed| placed.row).collect()
}

/// What an order sorts by, said once more.
fn key(field: ConnectionOrderField, connection: &Connection, connector_name: &str) -> Option<(i64, String)> {
    let text = |text: &str| Some((0, text.to_owned()));
    let number = |number: i64| Some((number, String::new()));
    let fold = integrations_gateway::domain::fold::fold;
    match field {
        ConnectionOrderField::DisplayName => text(&fold(&connection.display_name)),
        ConnectionOrderField::Connector => text(&fold(connector_name)),
        ConnectionOrderField::State => text(connection.state.as_str()),
        ConnectionOrderField::Scopes => text(&connection.scopes_granted.join(" ")),
        ConnectionOrderField::LastDeliveryAt => {
            connection.last_delivery_at.and_then(|at| number(at.timestamp_micros()))
        }
        ConnectionOrderField::OperatorOfRecord => number(connection.operator_of_record.0),
        ConnectionOrderField::CreatedAt => number(connection.created_at.timestamp_micros()),
        ConnectionOrderField::UpdatedAt => number(connection.updated_at.timestamp_micros()),
    }
}

pub async fn every_order_pages_like_a_sort_in_memory(fresh: Fresh) {
    let db = &fresh.db;
    let all = crowd(db).await;
    assert!(all.iter().any(|c| c.last_delivery_at.is_none()) && all.iter().any(|c| c.last_delivery_at.is_some()));
    // The connector's name is not part of a record: it is found again by searching for it.
    let mut names = std::collections::HashMap::new();
    for name in ["Plain", "Ärger", "Zeta", "_under"] {
        let filter = ConnectionFilter { search: Some(name.to_owned()), ..EVERYTHING };
        let order = Order { field: ConnectionOrderField::CreatedAt, direction: OrderDirection::Asc };
        let page = PageRequest { size: 100, ..PageRequest::default() };
        for placed in connection::list(db, SITE, &filter, order, &page).await.unwrap().rows {
            names.insert(placed.row.id, name);
        }
    }
    for field in ConnectionOrderField::ALL.iter().copied() {
        for direction in OrderDirection::ALL.iter().copied() {
            let keyed: Vec<Keyed<_>> = all.iter().map(|c| (key(field, c, names[&c.id]), c.id.0)).collect();
            let expected = sorted(keyed, direction);
            let order = Order { field, direction };
            let read = async |page| connection::list(db, SITE, &EVERYTHING, order, &page).await.unwrap();
            reads_like(&expected, read, &format!("{field} {direction}")).await;
        }
    }
}

pub async fn a_place_of_another_order_is_refused(fresh: Fresh) {
    let place = |key| PageRequest { after: Some(Place { key, id: 1 }), ..PageRequest::default() };
    for (field, key) in [
        (ConnectionOrderField::DisplayName, SortKey::Number(1)),
        (ConnectionOrderField::DisplayName, SortKey::Null),
        (ConnectionOrderField::CreatedAt, SortKey::Text("x".to_owned())),
        (ConnectionOrderField::CreatedAt, SortKey::Number(i64::MAX)),
        (ConnectionOrderField::OperatorOfRecord, SortKey::Null),
    ] {
        let order = Order { field, direction: OrderDirection::Asc };
        let refused = connection::list(&fresh.db, SITE, &EVERYTHING, order, &place(key)).await;
        assert!(matches!(refused, Err(StoreError::PlaceMismatch)), "{field}");
    }
}

/// The names of what a filter finds, in order; the count must agree.
async fn found(db: &Db, filter: ConnectionFilter) -> Vec<String> {
    let order = Order { field: ConnectionOrderField::DisplayName, direction: OrderDirection::Asc };
    let page = PageRequest { size: 100, ..PageRequest::default() };
    let rows = connection::list(db, SITE, &filter, order, &page).await.unwrap().rows;
    assert_eq!(connection::count(db, SITE, &filter).await.unwrap(), i64::try_from(rows.len()).unwrap());
    rows.into_iter().map(|placed| placed.row.display_name).collect()
}

fn texts(list: &[&str]) -> Vec<String> {
    list.iter().map(|text| (*text).to_owned()).collect()
}

pub async fn filters_narrow_and_an_empty_list_finds_nothing(fresh: Fresh) {
    let db = &fresh.db;
    let one = NewConnection {
        auth_flow: AuthFlow::Oauth,
        scopes_granted: texts(&["read", "write"]),
        ..new_connection("one")
    };
    let two = NewConnection {
        connector_slug: "mailer".to_owned(),
        auth_flow: AuthFlow::Oauth,
        operator: OperatorId(9),
        scopes_granted: texts(&["read"]),
        ..new_connection("two")
    };
    insert(db, SITE, at(0), one).await;
    insert(db, SITE, at(0), two).await;
    let paused = insert(db, SITE, at(0), new_connection("three")).await;
    observe(db, paused.id, Observation::Pause).await;
    insert(db, OTHER, at(0), new_connection("elsewhere")).await;

    let states = |states: &[ConnectionState]| ConnectionFilter { states: Some(states.to_vec()), ..EVERYTHING };
    let slugs = |list: &[&str]| ConnectionFilter { connector_slugs: Some(texts(list)), ..EVERYTHING };
    let scopes = |list: &[&str]| ConnectionFilter { scopes_granted: texts(list), ..EVERYTHING };
    let accepting = |list: &[(&str, &[&str])]| ConnectionFilter {
        accepting: Some(
            list.iter()
                .map(|(slug, scopes)| Accepting { connector_slug: (*slug).to_owned(), scopes: texts(scopes) })
                .collect(),
        ),
        ..EVERYTHING
    };
    assert_eq!(found(db, EVERYTHING).await, ["one", "three", "two"]);
    assert_eq!(found(db, states(&[ConnectionState::Paused])).await, ["three"]);
    assert_eq!(found(db, states(&[ConnectionState::Paused, ConnectionState::Active])).await, ["one", "three", "two"]);
    assert!(found(db, states(&[])).await.is_empty());
    assert_eq!(found(db, slugs(&["mailer", "unknown"])).await, ["two"]);
    assert!(found(db, slugs(&[])).await.is_empty());
    assert_eq!(found(db, scopes(&["read"])).await, ["one", "two"]);
    assert_eq!(found(db, scopes(&["read", "write"])).await, ["one"]);
    assert!(found(db, scopes(&["rea"])).await.is_empty());
    // The third is by a key, which has no scopes.
    assert_eq!(found(db, accepting(&[("receiver", &["write"]), ("mailer", &[])])).await, ["one", "three", "two"]);
    assert_eq!(
        found(db, accepting(&[("receiver", &["write", "delete"]), ("mailer", &["read"])])).await,
        ["three", "two"]
    );
    assert_eq!(found(db, accepting(&[("receiver", &[]), ("mailer", &["write"])])).await, ["one", "three"]);
    assert!(found(db, accepting(&[])).await.is_empty());
    let by_operator = ConnectionFilter { operator_of_record: Some(OperatorId(9)), ..EVERYTHING };
    assert_eq!(found(db, by_operator.clone()).await, ["two"]);
    let both = ConnectionFilter { states: Some(vec![ConnectionState::Paused]), ..by_operator };
    assert!(found(db, both).await.is_empty());
}

pub async fn search_folds_and_takes_wildcards_as_they_are(fresh: Fresh) {
    let db = &fresh.db;
    insert(db, SITE, at(0), new_connection("ÉCOLE straße")).await;
    insert(db, SITE, at(0), new_connection("100%_sure")).await;
    let account = NewConnection {
        connector_name: "Ünderlying".to_owned(),
        vendor_account_id: Some("acct_ÄB12".to_owned()),
        vendor_account_name: Some("Müller & Söhne".to_owned()),
        ..new_connection("plain")
    };
    insert(db, SITE, at(0), account).await;
    let search = |text: &str| ConnectionFilter { search: Some(text.to_owned()), ..EVERYTHING };
    for (text, names) in [
        ("école", vec!["ÉCOLE straße"]),
        ("E\u{301}COLE", vec!["ÉCOLE straße"]),
        ("STRASSE", vec![]),
        ("Straße", vec!["ÉCOLE straße"]),
        ("%", vec!["100%_sure"]),
        ("0%_S", vec!["100%_sure"]),
        ("0_%", vec![]),
        ("\\", vec![]),
        ("ÜNDER", vec!["plain"]),
        ("äb1", vec!["plain"]),
        ("SÖHNE", vec!["plain"]),
        ("signed RECEIVER", vec!["100%_sure", "ÉCOLE straße"]),
        ("\0", vec![]),
    ] {
        assert_eq!(found(db, search(text)).await, names, "{text}");
    }
}

pub async fn search_finds_a_vendor_account_that_a_later_test_named(fresh: Fresh) {
    let db = &fresh.db;
    let connection = insert(db, SITE, at(0), new_connection("late")).await;
    let mut test = test_report(TestOutcome::Connected);
    test.vendor_account_name = Some("GRÜN AG".to_owned());
    let report = connection::Report {
        test: Some(test),
        ..report(Observation::Tested { outcome: TestOutcome::Connected, refreshable: false })
    };
    connection::observe(db, SITE, connection.id, at(1), report).await.unwrap();
    let filter = ConnectionFilter { search: Some("grün".to_owned()), ..EVERYTHING };
    assert_eq!(found(db, filter).await, ["late"]);
}

pub async fn a_name_that_folding_makes_long_is_stored(fresh: Fresh) {
    let db = &fresh.db;
    // One character that folds to eighteen, as often as a name may be long.
    let long = "\u{fdfa}".repeat(120);
    let stored = insert(db, SITE, at(0), new_connection(&long)).await;
    assert_eq!(stored.display_name, long);
    let order = Order { field: ConnectionOrderField::DisplayName, direction: OrderDirection::Asc };
    let page = connection::list(db, SITE, &EVERYTHING, order, &PageRequest::default()).await.unwrap();
    assert_eq!(page.rows.len(), 1);
}

super::on_both!(
    every_order_pages_like_a_sort_in_memory,
    a_place_of_another_order_is_refused,
    filters_narrow_and_an_empty_list_finds_nothing,
    search_folds_and_takes_wildcards_as_they_are,
    search_finds_a_vendor_account_that_a_later_test_named,
    a_name_that_folding_makes_long_is_stored,
);
