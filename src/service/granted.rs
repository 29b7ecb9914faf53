//! A fresh grant that has passed its test becomes a connection, or the connection's own; one that is not kept is given
//! back.

use super::{
    connect::display_name_or_default,
    credentials::{self, Opened},
    gateway::{Gateway, activity},
    oauth_client::OAuthFlow,
    refresh::{can_renew, renew_at},
    types::{Acting, Failure, OrInternal as _},
};
use crate::{
    connector::{Connector, Grant, Revoked, SigningKeys},
    domain::{
        activity::{ActivityAction, ActivityOutcome},
        authorization::{Authorization, AuthorizationPurpose, AuthorizationStep},
        connection::Connection,
        connector::AuthFlow,
        test_report::TestReport,
    },
    store::{
        self,
        connection::{Granted, NewConnection, Regranted},
    },
};

/// Why an authorization came to nothing.
pub(super) struct Refused {
    /// In words for an operator.
    pub error: String,
    pub test: Option<TestReport>,
}

impl From<String> for Refused {
    fn from(error: String) -> Self {
        Self { error, test: None }
    }
}

/// What makes an exchange end without a connection: a reason, or a fault of ours.
pub(super) enum Ending {
    Refused(Refused),
    Broken(Failure),
}

impl From<Failure> for Ending {
    fn from(failure: Failure) -> Self {
        match failure {
            Failure::Internal => Self::Broken(failure),
            Failure::Forbidden(_) => Self::Refused("the operator's role does not allow it any more".to_owned().into()),
            Failure::BadInput { message, .. } | Failure::Conflict(message) | Failure::LimitExceeded(message) => {
                Self::Refused(message.into())
            }
            Failure::NotFound(what) => Self::Refused(format!("there is no such {what} any more").into()),
        }
    }
}

impl From<String> for Ending {
    fn from(error: String) -> Self {
        Self::Refused(error.into())
    }
}

impl Gateway {
    /// Gives a grant that is not kept back to the vendor, and says what came of it.
    pub(super) async fn give_back(
        &self,
        acting: &Acting,
        authorization: &Authorization,
        flow: &OAuthFlow<'_>,
        opened: &Opened,
        test: &TestReport,
        error: String,
    ) -> String {
        let Some(grant) = &opened.grant else { return error };
        let account = test.vendor_account_id.as_deref();
        let shared = self.shares_grant(acting.site(), flow, account, None).await;
        if shared.unwrap_or(true) {
            // To give it back would end the access of connections that are well.
            return format!("{error} (the fresh grant was not given back: other connections share it)");
        }
        let outcome = match self.revoke_grant(flow, grant).await {
            Some(Revoked::Done | Revoked::AlreadyGone) => return error,
            None => "the vendor has no call to give the fresh grant back".to_owned(),
            Some(Revoked::Failed { detail, .. }) => format!("the fresh grant could not be given back: {detail}"),
        };
        tracing::warn!(authorization = authorization.id.0, "a grant that is not kept stays at the vendor");
        format!("{error} ({outcome}; remove it at the vendor)")
    }

    pub(super) async fn store_connection(
        &self,
        acting: &Acting,
        authorization: &Authorization,
        connector: &Connector,
        flow: &OAuthFlow<'_>,
        opened: Opened,
        test: TestReport,
    ) -> Result<(), Ending> {
        let site = acting.site();
        let keyring = self.keyring(site).await?;
        let Some(grant) = opened.grant.clone() else { return Err(Failure::Internal.into()) };
        let new = NewConnection {
            connector_slug: connector.slug.clone(),
            connector_name: connector.display_name.clone(),
            display_name: display_name_or_default(connector, authorization.display_name.as_deref())?,
            family: connector.family,
            auth_flow: AuthFlow::Oauth,
            vendor_account_id: test.vendor_account_id.clone(),
            vendor_account_name: test.vendor_account_name.clone(),
            scopes_granted: grant.scopes.clone(),
            configuration: flow.flow.configuration(&opened.values),
            destination_label: flow.flow.destination_label(connector, &opened.values, Some(&grant)),
            ordered_delivery: false,
            expires_at: grant.expires_at,
            test: test.clone(),
            operator: authorization.operator,
            consume_offer: None,
            authorization: Some(authorization.id),
            renew_at: renew_at(self, flow.oauth, &grant, self.now()),
            refreshable: Some(can_renew(flow.oauth, &grant)),
        };
        let entry = activity(acting, ActivityAction::ConnectionCreated, None, ActivityOutcome::Succeeded, None);
        let seal = {
            let opened = Opened { values: opened.values.clone(), signing: SigningKeys(Vec::new()), grant: Some(grant) };
            Box::new(move |id| credentials::seal(&keyring, id, &opened).map_err(|error| error.to_string()))
        };
        match store::connection::insert(&self.db, site, self.now(), new, seal, entry).await {
            Ok(_) => {
                self.committed(site);
                Ok(())
            }
            Err(error) => {
                tracing::error!(%error, "storing the connection failed");
                self.too_late(acting, authorization, flow, &opened, &test).await
            }
        }
    }

    pub(super) async fn store_regrant(
        &self,
        acting: &Acting,
        authorization: &Authorization,
        connection: &Connection,
        flow: &OAuthFlow<'_>,
        opened: Opened,
        test: TestReport,
    ) -> Result<(), Ending> {
        let site = acting.site();
        let keyring = self.keyring(site).await?;
        let Some(grant) = &opened.grant else { return Err(Failure::Internal.into()) };
        // One that does not open cannot be given back either.
        let old = self.open(site, connection.id).await.ok().and_then(|held| held.grant);
        let old = old.filter(|old| !flow.oauth.shared_grant && !is_same(old, grant));
        let replaced = match &old {
            Some(old) => Some(self.seal_replaced(site, authorization, &opened.values, old).await?),
            None => None,
        };
        let granted = Granted {
            // The fields are as they were when it began: settings may have changed since.
            sealed: vec![credentials::seal_grant(&keyring, connection.id, grant).or_internal("sealing the grant")?],
            scopes: grant.scopes.clone(),
            expires_at: grant.expires_at,
            renew_at: renew_at(self, flow.oauth, grant, self.now()),
            refreshable: can_renew(flow.oauth, grant),
        };
        let action = action_of(authorization.purpose);
        let entry = activity(acting, action, Some(connection), ActivityOutcome::Succeeded, None);
        let regranted =
            Regranted { authorization: authorization.id, granted, replaced, test: test.clone(), activity: entry };
        let stored = store::connection::regrant(&self.db, site, connection.id, self.now(), regranted);
        if !matches!(Box::pin(stored).await.or_internal("storing the grant"), Ok(Some(_))) {
            // The connection is gone, or the database does not answer.
            self.too_late(acting, authorization, flow, &opened, &test).await?;
        }
        self.committed(site);
        self.bus.wake_deliveries();
        if let Some(old) = old {
            self.let_go(acting, authorization, Some(connection), flow, &old).await?;
        }
        Ok(())
    }

    /// What cannot be stored is not kept at the vendor either; but what has been stored, although the database did not
    /// say so any more, is.
    async fn too_late(
        &self,
        acting: &Acting,
        authorization: &Authorization,
        flow: &OAuthFlow<'_>,
        opened: &Opened,
        test: &TestReport,
    ) -> Result<(), Ending> {
        let site = acting.site();
        let open = store::authorization::is_open(&self.db, site, authorization.id, self.now()).await;
        if !open.or_internal("looking for what became of the authorization")? {
            let found = store::authorization::find(&self.db, site, authorization.operator, &authorization.token).await;
            let found = found.or_internal("reading the authorization")?;
            if found.is_some_and(|stored| stored.authorization.step == AuthorizationStep::Succeeded) {
                self.committed(site);
                return Ok(());
            }
        }
        let error = "the grant could not be stored".to_owned();
        let error = self.give_back(acting, authorization, flow, opened, test, error).await;
        Err(Ending::Refused(Refused { error, test: Some(test.clone()) }))
    }
}

/// Whether two grants are one at the vendor.
fn is_same(one: &Grant, other: &Grant) -> bool {
    one.access == other.access || (one.refresh.is_some() && one.refresh == other.refresh)
}

/// What the activity log calls it.
pub(super) const fn action_of(purpose: AuthorizationPurpose) -> ActivityAction {
    match purpose {
        AuthorizationPurpose::Connect => ActivityAction::ConnectionCreated,
        AuthorizationPurpose::EditScopes => ActivityAction::ScopesEdited,
        AuthorizationPurpose::Reauthorize => ActivityAction::ConnectionReauthorized,
    }
}
