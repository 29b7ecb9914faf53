//! Families that are switched off.

use integrations_gateway::{
    domain::{
        capability::Capabilities,
        connector::ConnectorFamily,
        delivery::DeliveryStatus,
        settings::{FamilyOverride, Settings},
    },
    store::delivery,
};

use super::{
    Fresh,
    fixtures::{self, SITE, at, connected, dispatch, event},
};

/// Also where its family was switched off after the connection was begun.
pub async fn a_new_connection_of_a_family_that_is_off_is_held(fresh: Fresh) {
    let db = &fresh.db;
    let own =
        FamilyOverride { family: ConnectorFamily::Webhooks, extra_capabilities: Capabilities::NONE, enabled: false };
    fixtures::save_settings(db, at(0), Settings { family_overrides: vec![own], ..Settings::default() }).await;
    let connection = connected(db, "late").await;
    let taken = dispatch(db, SITE, event(&connection, "k", at(1))).await;
    let held = delivery::find(db, SITE, taken.id).await.unwrap().expect("it is there");
    assert_eq!(held.status, DeliveryStatus::Held);
    assert!(delivery::claim(db, at(60), at(120), 10, 8, &[]).await.unwrap().is_empty());
}

super::on_both!(a_new_connection_of_a_family_that_is_off_is_held);
