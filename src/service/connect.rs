//! Creating a connection: the fields are checked, a test call proves the credential, and only then is
//! anything stored.

use std::sync::Arc;

use super::{
    credentials::{self, Opened},
    gateway::{Gateway, activity},
    test_call::reason,
    types::{Acting, CreateConnection, Creation, Failure, FieldViolation, OrInternal as _},
    validate,
};
use crate::{
    connector::{Connector, Flow, SigningKeys, Violation},
    domain::{
        activity::{ActivityAction, ActivityOutcome},
        connector::AuthFlow,
        id::OperatorId,
        principal::Actor,
    },
    store::{self, StoreError, connection::NewConnection},
};

/// A credential that has its fields, and waits for its test.
pub(super) struct Candidate {
    pub connector: Arc<Connector>,
    pub flow: AuthFlow,
    pub display_name: String,
    pub opened: Opened,
    /// The signing offer that this connection uses up.
    pub offer: Option<String>,
}

impl Gateway {
    /// Connects with an API key or basic credentials. A failed test stores nothing.
    ///
    /// # Errors
    /// [`Failure::BadInput`] for an unknown connector, a flow that it has not, or a bad name;
    /// [`Failure::Forbidden`] where the connector's family asks for more. Wrong fields are no error:
    /// they come back as [`Creation::Rejected`].
    pub async fn create_connection(&self, acting: &Acting, input: CreateConnection) -> Result<Creation, Failure> {
        let connector = self.connector_named(&input.connector_slug)?;
        let flow = flow_of(&connector, input.auth_flow)?;
        match input.auth_flow {
            AuthFlow::ApiKey | AuthFlow::Basic => {}
            AuthFlow::SignedToken => {
                return Err(Failure::bad_input("authFlow", "a signed connection begins with beginSignedConnection"));
            }
            AuthFlow::Oauth => {
                return Err(Failure::bad_input("authFlow", "an OAuth connection begins with beginOAuthConnection"));
            }
        }
        let display_name = display_name_or_default(&connector, input.display_name.as_deref())?;
        require_new(acting, &connector)?;
        let values = match flow.check(&input.fields) {
            Ok(values) => values,
            Err(violations) => return Ok(Creation::Rejected { test: None, violations: public(violations) }),
        };
        let opened = Opened::new(values, SigningKeys(Vec::new()));
        let candidate = Candidate { connector, flow: input.auth_flow, display_name, opened, offer: None };
        self.test_and_store(acting, candidate).await
    }

    /// Tests a candidate and stores it if it passes, in a task of its own.
    pub(super) async fn test_and_store(&self, acting: &Acting, candidate: Candidate) -> Result<Creation, Failure> {
        let operator = operator_of(acting)?;
        let (gateway, acting) = (self.clone(), acting.clone());
        self.in_own_task(async move { gateway.do_test_and_store(&acting, operator, candidate).await }).await
    }

    async fn do_test_and_store(
        &self,
        acting: &Acting,
        operator: OperatorId,
        candidate: Candidate,
    ) -> Result<Creation, Failure> {
        let Candidate { connector, flow, display_name, opened, offer } = candidate;
        let site = acting.site();
        let keyring = self.keyring(site).await?;
        let test = self.run_test(&connector, flow, &opened).await;
        if !test.passed() {
            let detail = format!("{}: {}", connector.display_name, reason(&test));
            let entry =
                activity(acting, ActivityAction::ConnectionCreated, None, ActivityOutcome::Rejected, Some(detail));
            self.log_activity(site, entry).await?;
            return Ok(Creation::Rejected { test: Some(test), violations: Vec::new() });
        }
        let described = flow_of(&connector, flow)?;
        let new = NewConnection {
            connector_slug: connector.slug.clone(),
            connector_name: connector.display_name.clone(),
            display_name,
            family: connector.family,
            auth_flow: flow,
            vendor_account_id: test.vendor_account_id.clone(),
            vendor_account_name: test.vendor_account_name.clone(),
            scopes_granted: Vec::new(),
            configuration: described.configuration(&opened.values),
            destination_label: described.destination_label(&connector, &opened.values, opened.grant.as_ref()),
            ordered_delivery: false,
            expires_at: None,
            test: test.clone(),
            operator,
            consume_offer: offer,
            authorization: None,
            renew_at: None,
            refreshable: None,
        };
        let seal = Box::new(move |id| credentials::seal(&keyring, id, &opened).map_err(|error| error.to_string()));
        let entry = activity(acting, ActivityAction::ConnectionCreated, None, ActivityOutcome::Succeeded, None);
        let connection = match store::connection::insert(&self.db, site, self.now(), new, seal, entry).await {
            Ok(connection) => connection,
            Err(StoreError::OfferGone) => {
                return Err(Failure::Conflict("this signing secret has been used or has expired: begin again".into()));
            }
            other => other.or_internal("storing the connection")?,
        };
        self.committed(site);
        Ok(Creation::Created { connection, test })
    }

    /// The connector of this slug.
    pub(super) fn connector_named(&self, slug: &str) -> Result<Arc<Connector>, Failure> {
        self.library().get(slug).cloned().ok_or_else(|| {
            Failure::bad_input("connectorSlug", "no connector has this slug; `connectors` lists those that there are")
        })
    }
}

/// The operator's name for a new connection, or the connector's own.
pub(super) fn display_name_or_default(connector: &Connector, given: Option<&str>) -> Result<String, Failure> {
    match given {
        Some(name) => validate::display_name("displayName", name),
        None => Ok(connector.display_name.clone()),
    }
}

/// The connector's flow of this kind.
pub(super) fn flow_of(connector: &Connector, flow: AuthFlow) -> Result<&Flow, Failure> {
    connector.flow(flow).ok_or_else(|| {
        let offered: Vec<&str> = connector.flows.iter().map(|flow| flow.flow.as_str()).collect();
        Failure::bad_input("authFlow", format!("{} connects by {} only", connector.display_name, offered.join(", ")))
    })
}

/// A connection belongs to the operator who made it: a module cannot make one.
pub(super) fn operator_of(acting: &Acting) -> Result<OperatorId, Failure> {
    match &acting.caller.principal.actor {
        Actor::Operator { id, .. } => Ok(*id),
        Actor::Module { .. } => Err(Failure::Conflict("a connection is made by an operator, not by a module".into())),
    }
}

pub(super) fn public(violations: Vec<Violation>) -> Vec<FieldViolation> {
    violations.into_iter().map(|v| FieldViolation { field: v.field, message: v.message }).collect()
}

/// Refuses a new connection that the caller may not make, or of a family that takes none.
pub(super) fn require_new(acting: &Acting, connector: &Connector) -> Result<(), Failure> {
    let extra = acting.settings.extra_capabilities(connector.family);
    if let Some(capability) = acting.capabilities.missing(extra).iter().next() {
        return Err(Failure::Forbidden(capability));
    }
    if acting.settings.is_enabled(connector.family) {
        return Ok(());
    }
    Err(Failure::Conflict(format!(
        "{} cannot be connected: this site's settings have switched its family ({}) off",
        connector.display_name, connector.family
    )))
}
