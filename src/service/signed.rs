//! Connections whose secret is made here: it is shown once, the operator registers it with the vendor,
//! and then the connection is completed.

use chrono::TimeDelta;
use serde::{Deserialize, Serialize};
use zeroize::{Zeroize, ZeroizeOnDrop};

use super::{
    connect::{Candidate, display_name_or_default, flow_of, operator_of, require_new},
    credentials::Opened,
    gateway::Gateway,
    types::{Acting, BeginSigned, Creation, Failure, OrInternal as _, SigningOffer},
    validate,
};
use crate::{
    connector::{SigningKeys, Values, new_signing_secret},
    domain::{
        clock::random,
        connector::AuthFlow,
        secret::{Secret, SecretBytes},
    },
    store::{self, offer::NewOffer},
    vault::Place,
};

/// How long a shown secret waits to be registered.
const OFFER_LIFETIME: TimeDelta = TimeDelta::hours(1);

/// What is sealed of an offer: the fields as JSON, and the secret.
#[derive(Serialize, Deserialize, Zeroize, ZeroizeOnDrop)]
struct Offered {
    fields: String,
    secret: String,
}

impl Gateway {
    /// Makes a signing secret for a connection to come. Nobody can read it again.
    ///
    /// # Errors
    /// [`Failure::BadInput`] for an unknown connector, one without the flow, a bad name or field.
    pub async fn begin_signed(&self, acting: &Acting, input: BeginSigned) -> Result<SigningOffer, Failure> {
        let connector = self.connector_named(&input.connector_slug)?;
        let flow = connector.flow(AuthFlow::SignedToken).ok_or_else(|| {
            Failure::bad_input(
                "connectorSlug",
                format!("{} does not connect by a signing secret", connector.display_name),
            )
        })?;
        if let Some(name) = input.display_name.as_deref() {
            validate::display_name("displayName", name)?;
        }
        require_new(acting, &connector)?;
        let operator = operator_of(acting)?;
        let values = flow.check(&input.fields).map_err(|violations| {
            let first = violations.into_iter().next();
            first.map_or(Failure::Internal, |v| Failure::bad_input(format!("fields.{}", v.field), v.message))
        })?;
        let site = acting.site();
        let now = self.now();
        let token = format!("{:032x}", u128::from_be_bytes(random(&*self.entropy)));
        let secret = new_signing_secret(random(&*self.entropy));
        let fields = String::from_utf8(values.to_json().expose().to_vec()).or_internal("writing the fields")?;
        let offered = Offered { fields, secret: secret.expose().to_owned() };
        let plain = SecretBytes::new(serde_json::to_vec(&offered).or_internal("writing the offer")?);
        let sealed = self
            .keyring(site)
            .await?
            .seal(&Place::Offer { token: &token }, plain.expose())
            .or_internal("sealing the offer")?;
        let expires_at = now + OFFER_LIFETIME;
        let new = NewOffer {
            token: token.clone(),
            operator,
            connector_slug: connector.slug.clone(),
            display_name: input.display_name,
            key_version: sealed.key_version,
            sealed: sealed.blob,
            expires_at,
        };
        store::offer::insert(&self.db, site, now, new).await.or_internal("storing the offer")?;
        let instructions = flow.instructions.clone().unwrap_or_else(|| {
            format!("Register this secret with {}, then complete the connection.", connector.display_name)
        });
        Ok(SigningOffer { token, secret, instructions, expires_at })
    }

    /// For the worker: removes signing secrets that were shown and have expired; says how many.
    ///
    /// # Errors
    /// [`Failure::Internal`] where the database fails.
    pub async fn purge_expired_offers(&self) -> Result<u64, Failure> {
        store::offer::purge_expired(&self.db, self.now()).await.or_internal("removing expired offers")
    }

    /// Completes a signed connection: one signed test message must be accepted. A failed one leaves the
    /// offer as it was, so that the operator can register the secret and try again.
    ///
    /// # Errors
    /// [`Failure::NotFound`] for an offer that is not this operator's, has been used or has expired.
    pub async fn complete_signed(&self, acting: &Acting, token: &str) -> Result<Creation, Failure> {
        let operator = operator_of(acting)?;
        let site = acting.site();
        let offer = store::offer::find(&self.db, site, operator, token, self.now())
            .await
            .or_internal("reading the offer")?
            .ok_or(Failure::NotFound("signing offer"))?;
        let connector = self.connector_named(&offer.connector_slug)?;
        flow_of(&connector, AuthFlow::SignedToken)?;
        require_new(acting, &connector)?;
        let plain = self.unseal(site, &Place::Offer { token }, &offer.sealed, "opening the offer").await?;
        let offered: Offered =
            serde_json::from_slice(plain.expose()).map_err(|_| "no offer").or_internal("reading the offer")?;
        let values = Values::from_json(&SecretBytes::new(offered.fields.clone().into_bytes()))
            .or_internal("reading the offer")?;
        let opened = Opened::new(values, SigningKeys(vec![Secret::from(offered.secret.as_str())]));
        let display_name = display_name_or_default(&connector, offer.display_name.as_deref())?;
        let candidate =
            Candidate { connector, flow: AuthFlow::SignedToken, display_name, opened, offer: Some(token.to_owned()) };
        self.test_and_store(acting, candidate).await
    }
}
