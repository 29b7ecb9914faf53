//! Rotation: a key, a password or a signing secret takes the place of another one. The old one serves until the new one
//! has passed its test; an old signing secret signs on beside the new one for a while.

use std::sync::Arc;

use chrono::{DateTime, TimeDelta, Utc};

use super::{
    connect::flow_of,
    credentials::{self, Held, Opened},
    gateway::{Gateway, activity},
    test_call::{other_account, reason},
    types::{Acting, Failure, OrInternal as _, RotateCredentials, Rotation},
};
use crate::{
    connector::{Connector, Flow, SigningKeys, new_signing_secret},
    domain::{
        action::ConnectionAction,
        activity::{ActivityAction, ActivityOutcome},
        clock::random,
        connection::Connection,
        connector::AuthFlow,
        secret::Secret,
    },
    store::{SealedCredential, connection::Configured},
};

/// How long an old signing secret signs on unless the caller says otherwise, in seconds.
const OVERLAP: i32 = 86_400;
/// The longest that it may.
const OVERLAP_MAX: i32 = 604_800;
/// How many secrets sign one message at most: each is a signature more in a header.
const SECRETS_MAX: usize = 5;

/// A credential that waits for its test.
struct Replacement {
    opened: Opened,
    /// The part of the credential that changes, and what it was.
    sealed: SealedCredential,
    replaces: Option<SealedCredential>,
    new_secret: Option<(Secret, DateTime<Utc>)>,
}

impl Gateway {
    /// Replaces a connection's key, user and password, or signing secret. The new one is tested; where that fails, or
    /// it belongs to another account at the vendor, the old one serves on.
    ///
    /// # Errors
    /// [`Failure::NotFound`]; [`Failure::BadInput`] for a value that does not fit, with the field `fields.NAME`;
    /// [`Failure::Conflict`] for an OAuth connection, and where somebody else has changed the credential meanwhile;
    /// [`Failure::Forbidden`] where the connector's family asks for more.
    pub async fn rotate(&self, acting: &Acting, input: RotateCredentials) -> Result<Rotation, Failure> {
        let (gateway, acting) = (self.clone(), acting.clone());
        self.in_own_task(async move {
            let (connection, connector) =
                gateway.permitted_with_connector(&acting, input.connection, ConnectionAction::Rotate).await?;
            let flow = flow_of(&connector, connection.auth_flow)?;
            let replacement = if connection.auth_flow == AuthFlow::SignedToken {
                gateway.new_secret(&acting, &connection, &input).await?
            } else {
                gateway.new_fields(&acting, &connection, flow, &input).await?
            };
            gateway.test_and_replace(&acting, connection, &connector, flow, replacement).await
        })
        .await
    }

    async fn new_fields(
        &self,
        acting: &Acting,
        connection: &Connection,
        flow: &Flow,
        input: &RotateCredentials,
    ) -> Result<Replacement, Failure> {
        let Some(given) = &input.fields else {
            let names: Vec<&str> =
                flow.fields.iter().filter(|field| field.secret).map(|field| field.name.as_str()).collect();
            return Err(Failure::bad_input("fields", format!("must be given, with {}", names.join(" or "))));
        };
        if input.overlap_seconds.is_some() {
            return Err(Failure::bad_input("overlapSeconds", "is for signing secrets only: leave it out"));
        }
        let held = self.open_to_replace(acting.site(), connection.id).await?;
        let values = flow.replace(&held.opened.values, given).map_err(|violations| {
            let first = violations.into_iter().next();
            first.map_or(Failure::Internal, |v| Failure::bad_input(format!("fields.{}", v.field), v.message))
        })?;
        let keyring = self.keyring(acting.site()).await?;
        let sealed = credentials::seal_fields(&keyring, connection.id, &values).or_internal("sealing the fields")?;
        let replaces = held.sealed_fields();
        Ok(Replacement { opened: Opened { values, ..held.opened }, sealed, replaces, new_secret: None })
    }

    async fn new_secret(
        &self,
        acting: &Acting,
        connection: &Connection,
        input: &RotateCredentials,
    ) -> Result<Replacement, Failure> {
        if input.fields.is_some() {
            return Err(Failure::bad_input("fields", "must be left out: the new signing secret is made here"));
        }
        let overlap = input.overlap_seconds.unwrap_or(OVERLAP);
        if !(0..=OVERLAP_MAX).contains(&overlap) {
            return Err(Failure::bad_input("overlapSeconds", format!("must be from 0 to {OVERLAP_MAX}")));
        }
        let held = self.open_to_replace(acting.site(), connection.id).await?;
        let replaces = held.sealed_secrets();
        let Held { opened, secrets, .. } = held;
        let now = self.now();
        if let Some(until) = secrets.next_end(now)
            && opened.signing.0.len() >= SECRETS_MAX
        {
            let count = opened.signing.0.len();
            let until = until.to_rfc3339();
            return Err(Failure::Conflict(format!("{count} secrets sign already; one of them stops at {until}")));
        }
        let new = new_signing_secret(random(&*self.entropy));
        let until = now + TimeDelta::seconds(overlap.into());
        let keyring = self.keyring(acting.site()).await?;
        let sealed = credentials::seal_secrets(&keyring, connection.id, &secrets.replace(&new, now, until))
            .or_internal("sealing the signing secret")?;
        // The receiver does not know the new one yet: it accepts the test by an old one, or it does not accept
        // messages with several signatures.
        let signing = std::iter::once(new.clone()).chain(opened.signing.0.iter().cloned()).collect();
        let opened = Opened { signing: SigningKeys(signing), ..opened };
        Ok(Replacement { opened, sealed, replaces, new_secret: Some((new, until)) })
    }

    async fn test_and_replace(
        &self,
        acting: &Acting,
        connection: Connection,
        connector: &Arc<Connector>,
        flow: &Flow,
        replacement: Replacement,
    ) -> Result<Rotation, Failure> {
        let Replacement { opened, sealed, replaces, new_secret } = replacement;
        let mut test = self.run_test(connector, connection.auth_flow, &opened).await;
        let entry =
            |outcome, detail| activity(acting, ActivityAction::CredentialsRotated, Some(&connection), outcome, detail);
        let other = other_account("new credential", &connection, &test).filter(|_| test.passed());
        if other.is_some() || !test.passed() {
            let why = other.clone().unwrap_or_else(|| reason(&test));
            test.detail = other.or(test.detail);
            self.log_activity(acting.site(), entry(ActivityOutcome::Rejected, Some(why))).await?;
            return Ok(Rotation { connection, test, new_secret: None, rotated: false });
        }
        let configured = Configured {
            configuration: Some(flow.configuration(&opened.values)),
            destination_label: Some(flow.destination_label(connector, &opened.values, None)),
            sealed: vec![sealed],
            replaces,
            ordered_delivery: None,
            test: Some(test.clone()),
        };
        let detail = new_secret.as_ref().map(|(_, until)| format!("the old secret signs until {}", until.to_rfc3339()));
        let succeeded = entry(ActivityOutcome::Succeeded, detail);
        let connection = self.store_change(acting.site(), connection.id, configured, succeeded).await?;
        Ok(Rotation { connection, test, new_secret, rotated: true })
    }
}
