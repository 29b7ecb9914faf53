//! A grant that another one has replaced goes back to its vendor. Until then it lies sealed in the authorization that
//! replaced it, written with the fresh one: a process that is cut off in between forgets nothing.

use serde::{Deserialize, Serialize};
use zeroize::{Zeroize, ZeroizeOnDrop};

use super::{
    callback::CUT_OFF,
    gateway::{Gateway, activity},
    granted::action_of,
    oauth_client::OAuthFlow,
    test_call::reason,
    types::{Acting, Failure, OrInternal as _},
};
use crate::{
    connector::{Grant, Revoked, Values},
    domain::{
        activity::ActivityOutcome, authorization::Authorization, connection::Connection, id::SiteId,
        secret::SecretBytes, state::Observation,
    },
    store::{
        self,
        authorization::{Replaced, StoredAuthorization},
    },
    vault::Place,
};

/// What is needed to give a grant back, as JSON in JSON.
#[derive(Serialize, Deserialize, Zeroize, ZeroizeOnDrop)]
struct Owed {
    fields: String,
    grant: String,
}

fn text(json: &SecretBytes) -> Result<String, Failure> {
    String::from_utf8(json.expose().to_vec()).or_internal("writing a grant")
}

fn bytes(text: &str) -> SecretBytes {
    SecretBytes::new(text.as_bytes().to_vec())
}

impl Gateway {
    /// Seals the grant that an authorization is about to replace.
    pub(super) async fn seal_replaced(
        &self,
        site: SiteId,
        authorization: &Authorization,
        values: &Values,
        old: &Grant,
    ) -> Result<Replaced, Failure> {
        let owed = Owed { fields: text(&values.to_json())?, grant: text(&old.to_json())? };
        let plain = SecretBytes::new(serde_json::to_vec(&owed).or_internal("writing a grant")?);
        let place = Place::Authorization { token: &authorization.token };
        let sealed = self.keyring(site).await?.seal(&place, plain.expose()).or_internal("sealing the grant before")?;
        Ok(Replaced { key_version: sealed.key_version, sealed: sealed.blob })
    }

    /// Gives the grant back that an authorization has replaced, and says so in the log where the vendor does not take it.
    pub(super) async fn let_go(
        &self,
        acting: &Acting,
        authorization: &Authorization,
        connection: Option<&Connection>,
        flow: &OAuthFlow<'_>,
        old: &Grant,
    ) -> Result<(), Failure> {
        let revoked = self.revoke_grant(flow, old).await;
        if let Some(Revoked::Failed { detail, .. }) = &revoked {
            self.log_kept(acting, authorization, connection, detail).await?;
        }
        self.settle_replaced(acting.site(), authorization).await?;
        match connection {
            Some(connection) if revoked == Some(Revoked::Done) => {
                self.test_what_is_left(acting.site(), connection).await
            }
            _ => Ok(()),
        }
    }

    /// Some vendors end all that one account has granted when one token of it is given back (RFC 7009, section 2.1):
    /// the connection must not look well until an event needs it.
    async fn test_what_is_left(&self, site: SiteId, connection: &Connection) -> Result<(), Failure> {
        let connector = self.connector_named(&connection.connector_slug)?;
        let mut test = self.test_stored(site, connection, &connector).await?;
        if test.passed() {
            return Ok(());
        }
        let observation = Observation::Tested { outcome: test.outcome, refreshable: false };
        let found = reason(&test);
        test.detail = Some(format!("{found}, since the grant before was given back: authorize again"));
        self.note_test(site, connection.id, observation, test).await.map(drop)
    }

    async fn log_kept(
        &self,
        acting: &Acting,
        authorization: &Authorization,
        connection: Option<&Connection>,
        detail: &str,
    ) -> Result<(), Failure> {
        let detail = format!("the grant before could not be given back: {detail}; remove it at the vendor");
        let action = action_of(authorization.purpose);
        let entry = activity(acting, action, connection, ActivityOutcome::Failed, Some(detail));
        self.log_activity(acting.site(), entry).await
    }

    async fn settle_replaced(&self, site: SiteId, authorization: &Authorization) -> Result<(), Failure> {
        store::authorization::settle_replaced(&self.db, site, authorization.id)
            .await
            .or_internal("ending with the grant before")
    }

    /// For the worker: gives back the replaced grants that no vendor was told of, since a process was cut off; says how
    /// many.
    ///
    /// # Errors
    /// [`Failure::Internal`] where the database fails.
    pub async fn give_back_replaced_grants(&self) -> Result<usize, Failure> {
        let before = self.now() - CUT_OFF;
        let found = store::authorization::with_replaced(&self.db, before, 100).await;
        let mut given = 0;
        for stored in found.or_internal("looking for grants to give back")? {
            let (site, id) = (stored.site, stored.authorization.id);
            let taken = store::authorization::take_replaced(&self.db, site, id, before, self.now()).await;
            // What failed has been logged, and must not keep those behind it.
            if taken.or_internal("taking a grant to give back")? && self.give_back_replaced(&stored).await.is_ok() {
                given += 1;
            }
        }
        Ok(given)
    }

    async fn give_back_replaced(&self, stored: &StoredAuthorization) -> Result<(), Failure> {
        let authorization = &stored.authorization;
        let acting = self.acting_again(stored).await?;
        let connection = match authorization.connection {
            Some(id) => {
                store::connection::find(&self.db, stored.site, id).await.or_internal("reading the connection")?
            }
            None => None,
        };
        let (values, old) = self.open_replaced(stored).await?;
        let connector = self.connector_named(&authorization.connector_slug);
        let flow = connector.as_ref().map_err(Clone::clone).and_then(|connector| self.oauth_flow(connector, &values));
        if let Ok(flow) = flow {
            return self.let_go(&acting, authorization, connection.as_ref(), &flow, &old).await;
        }
        let detail = "the connector, or its OAuth app, is not there any more";
        self.log_kept(&acting, authorization, connection.as_ref(), detail).await?;
        self.settle_replaced(stored.site, authorization).await
    }

    async fn open_replaced(&self, stored: &StoredAuthorization) -> Result<(Values, Grant), Failure> {
        let place = Place::Authorization { token: &stored.authorization.token };
        let plain = self.unseal(stored.site, &place, &stored.sealed, "opening the grant before").await?;
        let owed: Owed = serde_json::from_slice(plain.expose()).map_err(|_| "no grant").or_internal("reading it")?;
        let values = Values::from_json(&bytes(&owed.fields)).or_internal("reading the fields")?;
        let grant = Grant::from_json(&bytes(&owed.grant)).or_internal("reading the grant before")?;
        Ok((values, grant))
    }
}
