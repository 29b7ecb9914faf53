//! The words of the connector library that stored rows and the API share.

use super::vocabulary::vocabulary;

vocabulary! {
    /// Groups connectors that belong together for an operator.
    pub enum ConnectorFamily {
        Google = "google",
        Email = "email",
        Payments = "payments",
        Webhooks = "webhooks",
        Analytics = "analytics",
        Crm = "crm",
        Messaging = "messaging",
        Social = "social",
    }
}

vocabulary! {
    /// How a connection proves itself to the vendor.
    pub enum AuthFlow {
        Oauth = "oauth",
        ApiKey = "api_key",
        SignedToken = "signed_token",
        Basic = "basic",
    }
}
