//! OAuth 2 as a manifest describes it: the address for the operator's browser, the requests to the token
//! endpoint, and what its answers mean. Pure: state, code challenge and time are handed in.

mod answer;
mod request;

use zeroize::Zeroizing;

use super::{
    BuildError, SigningKeys, Values,
    grant::Grant,
    mask::mask_with,
    model::{Connector, Flow, OAuth},
    placeholders::Placeholders,
};
use crate::domain::{connector::AuthFlow, secret::Secret};

pub use self::{
    answer::{CallbackRefused, Revoked, TokenRefusal, TokenRefused},
    request::Consent,
};

/// The gateway as a client of the vendor.
#[derive(Clone, Debug)]
pub struct OAuthClient {
    pub id: String,
    pub secret: Secret,
}

/// One OAuth flow of a connector with a client and the operator's fields: what requests are built from.
#[derive(Clone, Copy)]
pub struct OAuthCall<'a> {
    connector: &'a Connector,
    flow: &'a Flow,
    oauth: &'a OAuth,
    values: &'a Values,
    client: &'a OAuthClient,
}

impl<'a> OAuthCall<'a> {
    /// The OAuth flow of this connector.
    ///
    /// # Errors
    /// Where the connector offers none.
    pub fn new(connector: &'a Connector, values: &'a Values, client: &'a OAuthClient) -> Result<Self, BuildError> {
        let flow = connector.flow(AuthFlow::Oauth);
        let found = flow.and_then(|flow| Some((flow, flow.oauth.as_ref()?)));
        let (flow, oauth) = found.ok_or_else(|| BuildError::new("the connector does not offer OAuth"))?;
        Ok(Self { connector, flow, oauth, values, client })
    }

    /// Keeps the secrets of the client, the fields and the grant out of a vendor's text.
    #[must_use]
    pub fn mask(&self, text: &str, grant: Option<&Grant>) -> String {
        use base64::{Engine as _, engine::general_purpose::STANDARD};
        let (id, secret) = (&self.client.id, self.client.secret.expose());
        let (id, encoded) = (request::form_encoded(id), request::form_encoded(secret));
        let basic = Zeroizing::new(STANDARD.encode(format!("{}:{}", *id, *encoded)));
        let alone = Zeroizing::new(STANDARD.encode(format!("{secret}:")));
        mask_with(text, self.values, &SigningKeys::default(), grant, &[secret, &basic, &alone])
    }

    fn names<'n>(&'n self, grant: Option<&'n Grant>) -> Placeholders<'n> {
        Placeholders {
            flow: self.flow,
            values: self.values,
            event: None,
            derived: &[],
            message_id: "",
            now: chrono::DateTime::UNIX_EPOCH,
            credential: None,
            grant,
            client: Some(self.client),
            hosts: &self.connector.hosts,
            mark: None,
        }
    }
}

impl OAuth {
    /// Client id and secret, where the operator of the site enters them among the fields.
    #[must_use]
    pub fn entered_client(&self, flow: &Flow, values: &Values) -> Option<OAuthClient> {
        let (id, secret) = self.client.as_ref()?;
        let names = flow.of_connection(values);
        let id = names.render(id).ok()??.to_string();
        Some(OAuthClient { id, secret: Secret::new(names.render(secret).ok()??.to_string()) })
    }
}
