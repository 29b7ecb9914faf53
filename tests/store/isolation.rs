//! Another site's rows behave as if they were not there, for every function that takes an id.

use integrations_gateway::{
    domain::{
        activity::ActivityAction,
        capability::{Capabilities, Capability},
        id::OperatorId,
        page::PageRequest,
        query::{
            ActivityFilter, ConnectionFilter, ConnectionOrderField, DeliveryFilter, DeliveryOrderField, Order,
            OrderDirection,
        },
        settings::Settings,
        state::Observation,
    },
    store::{
        StoreError, activity,
        connection::{self, Configured, NewConnection},
        credential,
        delivery::{self, Inserted, RetryClaim},
        entry, history,
        offer::{self, NewOffer},
        operator, role, settings,
        site::{self, SiteKeyRow},
        stream,
    },
};

use super::{
    Fresh,
    fixtures::{
        self, OTHER, SITE, at, claim_all, connected, delivered, dispatch, event, failed_entry, new_connection, report,
        seal, settlement,
    },
};
use crate::support::rows;

pub async fn another_sites_rows_cannot_be_read(fresh: Fresh) {
    let db = &fresh.db;
    let connection = connected(db, "theirs").await;
    let entry = failed_entry(db, &connection, "k").await;
    let acted = fixtures::activity(ActivityAction::ConnectionTested);
    let acted = activity::insert(db, SITE, at(5), acted).await.unwrap();
    operator::note(db, SITE, OperatorId(7), Some("Ada"), at(0)).await.unwrap();
    role::save(
        db,
        SITE,
        at(0),
        "Auditor",
        Capabilities::of(&[Capability::ManageRoles]),
        fixtures::activity(ActivityAction::RoleSaved),
    )
    .await
    .unwrap();
    fixtures::save_settings(db, at(0), Settings { hold_limit_hours: 1, ..Settings::default() }).await;
    let key = SiteKeyRow {
        version: 1,
        master_key_id: "m".to_owned(),
        wrapped: vec![1],
        created_at: at(0),
        payloads_done_to: None,
    };
    site::create(db, SITE, at(0), key).await.unwrap();
    let page = PageRequest::default();

    assert!(connection::find(db, OTHER, connection.id).await.unwrap().is_none());
    assert!(connection::list_by_ids(db, OTHER, &[connection.id]).await.unwrap().is_empty());
    let order = Order { field: ConnectionOrderField::CreatedAt, direction: OrderDirection::Asc };
    let everything = ConnectionFilter::default();
    assert!(connection::list(db, OTHER, &everything, order, &page).await.unwrap().rows.is_empty());
    assert_eq!(connection::count(db, OTHER, &everything).await.unwrap(), 0);
    assert!(credential::list(db, OTHER, connection.id).await.unwrap().is_empty());
    assert!(history::list(db, OTHER, connection.id, &page).await.unwrap().rows.is_empty());
    assert!(delivery::find(db, OTHER, entry.delivery).await.unwrap().is_none());
    assert!(delivery::list_by_ids(db, OTHER, &[entry.delivery]).await.unwrap().is_empty());
    assert!(delivery::find_by_keys(db, OTHER, connection.id, "forms", &["k".to_owned()]).await.unwrap().is_empty());
    assert!(delivery::entries_of(db, OTHER, &[entry.delivery]).await.unwrap().is_empty());
    dispatch(db, SITE, event(&connection, "pending", at(9))).await;
    assert!(delivery::pending_counts(db, OTHER, &[connection.id]).await.unwrap().is_empty());
    assert!(entry::find(db, OTHER, entry.id).await.unwrap().is_none());
    assert!(entry::list_by_ids(db, OTHER, &[entry.id]).await.unwrap().is_empty());
    let filter = DeliveryFilter { connections: Some(vec![connection.id]), ..DeliveryFilter::default() };
    let order = Order { field: DeliveryOrderField::AttemptedAt, direction: OrderDirection::Asc };
    assert!(entry::list(db, OTHER, &filter, order, &page).await.unwrap().rows.is_empty());
    assert_eq!(entry::count(db, OTHER, &filter, 10).await.unwrap(), (0, false));
    assert!(activity::find(db, OTHER, acted.id).await.unwrap().is_none());
    assert!(activity::list_by_ids(db, OTHER, &[acted.id]).await.unwrap().is_empty());
    let filter = ActivityFilter { connections: Some(vec![connection.id]), ..ActivityFilter::default() };
    assert!(activity::list(db, OTHER, &filter, &page).await.unwrap().rows.is_empty());
    assert_eq!(stream::position(db, OTHER).await.unwrap(), 0);
    assert!(stream::list_after(db, OTHER, 0, 100).await.unwrap().is_empty());
    assert!(operator::list_by_ids(db, OTHER, &[OperatorId(7)]).await.unwrap().is_empty());
    assert!(role::list(db, OTHER).await.unwrap().is_empty());
    assert_eq!(settings::find(db, OTHER).await.unwrap(), Settings::default());
    assert!(site::keys(db, OTHER).await.unwrap().is_empty());
}

pub async fn another_sites_rows_cannot_be_changed(fresh: Fresh) {
    let db = &fresh.db;
    let connection = connected(db, "theirs").await;
    let entry = failed_entry(db, &connection, "k").await;
    dispatch(db, SITE, event(&connection, "queued", at(4))).await;
    let claim = claim_all(db, at(5)).await.pop().unwrap();
    let offer = NewOffer {
        token: "token".to_owned(),
        operator: OperatorId(7),
        connector_slug: "receiver".to_owned(),
        display_name: None,
        key_version: 1,
        sealed: vec![1],
        expires_at: at(600),
    };
    offer::insert(db, SITE, at(0), offer).await.unwrap();
    let before = (
        format!("{:?}", connection::find(db, SITE, connection.id).await.unwrap()),
        format!("{:?}", delivery::find(db, SITE, claim.delivery.id).await.unwrap()),
        stream::position(db, SITE).await.unwrap(),
    );
    let acted = || fixtures::activity(ActivityAction::ConnectionRenamed);

    let observed = connection::observe(db, OTHER, connection.id, at(9), report(Observation::Pause)).await.unwrap();
    assert!(observed.is_none());
    assert!(connection::rename(db, OTHER, connection.id, at(9), "mine", acted()).await.unwrap().is_none());
    let configured = Configured { ordered_delivery: Some(true), ..Configured::default() };
    assert!(connection::configure(db, OTHER, connection.id, at(9), configured, acted()).await.unwrap().is_none());
    assert!(connection::remove(db, OTHER, connection.id, at(9), acted()).await.unwrap().is_none());
    let dispatched = fixtures::hand_over(db, OTHER, event(&connection, "mine", at(9))).await;
    assert!(matches!(dispatched, Inserted::ConnectionGone));
    let retried = delivery::claim_retry(db, OTHER, entry.id, at(9), at(60), None).await.unwrap();
    assert!(matches!(retried, RetryClaim::NotFound));
    let mut settlement = settlement(&claim, at(9), delivered(at(9)));
    settlement.site = OTHER;
    assert!(delivery::settle(db, settlement).await.unwrap().is_none());
    delivery::release(db, OTHER, claim.delivery.id, claim.lease).await.unwrap();
    assert!(claim_all(db, at(10)).await.is_empty(), "the lease was not given back");
    assert!(offer::find(db, OTHER, OperatorId(7), "token", at(1)).await.unwrap().is_none());
    let signed = NewConnection { consume_offer: Some("token".to_owned()), ..new_connection("mine") };
    let refused = connection::insert(db, OTHER, at(9), signed, seal(b"x"), acted()).await;
    assert!(matches!(refused, Err(StoreError::OfferGone)));
    assert_eq!(rows::count(&fresh.url, "offers").await, 1);

    let after = (
        format!("{:?}", connection::find(db, SITE, connection.id).await.unwrap()),
        format!("{:?}", delivery::find(db, SITE, claim.delivery.id).await.unwrap()),
        stream::position(db, SITE).await.unwrap(),
    );
    assert_eq!(before, after);
    assert_eq!(stream::position(db, OTHER).await.unwrap(), 0);
}

super::on_both!(another_sites_rows_cannot_be_read, another_sites_rows_cannot_be_changed);
