//! The requests of an OAuth flow.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use http::{
    HeaderMap, HeaderValue, Method,
    header::{ACCEPT, AUTHORIZATION},
};
use serde_json::Value;
use url::Url;
use zeroize::Zeroizing;

use super::{
    super::{
        BuildError, CallContext, SigningKeys,
        grant::Grant,
        model::{ClientAuth, GrantKind, Omitted, TokenBody},
        request::{self, Pairs, append_query, build_url, header_value, optional, pairs, write_body},
    },
    OAuthCall,
};
use crate::domain::{
    exchange::OutboundRequest,
    secret::{Secret, SecretBytes},
};

/// What one authorization brings along.
#[derive(Clone, Copy, Debug)]
pub struct Consent<'a> {
    pub redirect_uri: &'a str,
    pub state: &'a str,
    pub scopes: &'a [String],
    /// The S256 challenge, where [`super::super::Pkce`] asks for one.
    pub code_challenge: Option<&'a str>,
}

impl OAuthCall<'_> {
    /// Where the operator's browser goes for consent.
    ///
    /// # Errors
    /// Where the flow knows no consent, or a value does not fit.
    pub fn authorize_url(&self, consent: &Consent<'_>) -> Result<Url, BuildError> {
        let authorize =
            self.oauth.authorize.as_ref().ok_or_else(|| BuildError::new("the flow asks no operator for consent"))?;
        let names = self.names(None);
        let mut url = build_url(&authorize.url, &names)?;
        let mut query: Pairs = Vec::new();
        let mut add = |name: &str, value: &str| query.push((name.to_owned(), Zeroizing::new(value.to_owned())));
        if !self.omits(Omitted::ResponseType) {
            add("response_type", "code");
        }
        add("client_id", &self.client.id);
        if !self.omits(Omitted::RedirectUri) {
            add("redirect_uri", consent.redirect_uri);
        }
        for (parameter, scopes) in self.scope_parameters(consent.scopes) {
            add(parameter, &scopes);
        }
        add("state", consent.state);
        if let Some(challenge) = consent.code_challenge {
            add("code_challenge", challenge);
            add("code_challenge_method", "S256");
        }
        query.extend(pairs(&authorize.parameters, &names)?);
        append_query(&mut url, &query);
        Ok(url)
    }

    /// Turns the code of a callback into tokens. `captured` is what [`OAuthCall::read_callback`] found.
    ///
    /// # Errors
    /// Where a value that the request needs is absent or does not fit its place.
    pub fn exchange(
        &self,
        code: &Secret,
        verifier: Option<&Secret>,
        redirect_uri: &str,
        captured: &[(String, String)],
    ) -> Result<OutboundRequest, BuildError> {
        let mut body = vec![plain("grant_type", "authorization_code"), plain("code", code.expose())];
        if !self.omits(Omitted::RedirectUri) {
            body.push(plain("redirect_uri", redirect_uri));
        }
        body.extend(verifier.map(|verifier| plain("code_verifier", verifier.expose())));
        self.token_request(body, self.oauth.token.client_auth, captured)
    }

    /// Renews the access token: by the refresh token, or by asking for a new one as at first.
    ///
    /// # Errors
    /// Where the grant has no refresh token, or a value does not fit.
    pub fn refresh(&self, grant: &Grant) -> Result<OutboundRequest, BuildError> {
        if self.oauth.grant == GrantKind::ClientCredentials {
            return self.mint(&grant.scopes);
        }
        let token = grant.refresh.as_ref().ok_or_else(|| BuildError::new("the grant has no refresh token"))?;
        let body = vec![plain("grant_type", "refresh_token"), plain("refresh_token", token.expose())];
        self.token_request(body, self.oauth.token.refresh_client_auth, &grant.captured)
    }

    /// Asks for an access token in the client's own name.
    ///
    /// # Errors
    /// Where the flow wants an operator's consent, or a value does not fit.
    pub fn mint(&self, scopes: &[String]) -> Result<OutboundRequest, BuildError> {
        if self.oauth.grant != GrantKind::ClientCredentials {
            return Err(BuildError::new("the flow needs an operator's consent"));
        }
        let mut body = vec![plain("grant_type", "client_credentials")];
        body.extend(self.scope_parameters(scopes).iter().map(|(parameter, scopes)| plain(parameter, scopes)));
        self.token_request(body, self.oauth.token.client_auth, &[])
    }

    /// Gives the grant back; `None` where the vendor has no call for it.
    ///
    /// # Errors
    /// Where a value that the request needs is absent or does not fit its place.
    pub fn revoke(&self, grant: &Grant) -> Result<Option<OutboundRequest>, BuildError> {
        let Some(revocation) = &self.oauth.revocation else { return Ok(None) };
        let signing = SigningKeys::default();
        let now = chrono::DateTime::UNIX_EPOCH;
        let context = CallContext { values: self.values, signing: &signing, grant: Some(grant), now, message_id: "" };
        let (proof, basic) = self.client_proof(revocation.client_auth)?;
        let mut request = request::build_with(&revocation.call, &self.names(Some(grant)), &context, proof)?;
        if let Some(basic) = basic {
            request.headers.insert(AUTHORIZATION, basic);
        }
        Ok(Some(request))
    }

    fn omits(&self, parameter: Omitted) -> bool {
        self.oauth.omitted.contains(&parameter)
    }

    /// The scopes in the parameters that ask for them.
    fn scope_parameters(&self, scopes: &[String]) -> Vec<(&str, String)> {
        if self.omits(Omitted::Scope) {
            return Vec::new();
        }
        let mut parameters: Vec<(&str, String)> = Vec::new();
        for scope in scopes {
            let known = self.connector.scopes.iter().find(|known| known.id == *scope);
            let parameter = known.and_then(|known| known.parameter.as_deref()).unwrap_or("scope");
            match parameters.iter_mut().find(|(name, _)| *name == parameter) {
                Some((_, list)) => {
                    list.push_str(&self.oauth.scope_separator);
                    list.push_str(scope);
                }
                None => parameters.push((parameter, scope.clone())),
            }
        }
        parameters
    }

    fn token_request(
        &self,
        mut body: Pairs,
        client_auth: ClientAuth,
        captured: &[(String, String)],
    ) -> Result<OutboundRequest, BuildError> {
        // No token may be named here: only what the vendor said beside it.
        let known = Grant {
            access: Secret::from(""),
            refresh: None,
            scopes: Vec::new(),
            expires_at: None,
            captured: captured.to_vec(),
        };
        let names = self.names(Some(&known));
        let token = &self.oauth.token;
        let mut url = build_url(&token.url, &names)?;
        append_query(&mut url, &pairs(&token.query, &names)?);
        let mut headers = HeaderMap::new();
        headers.insert(ACCEPT, HeaderValue::from_static("application/json"));
        for (name, piece) in token.headers.iter() {
            if let Some(value) = optional(piece, &names)? {
                headers.insert(name, header_value(name, &value)?);
            }
        }
        let (proof, basic) = self.client_proof(client_auth)?;
        body.extend(proof);
        body.extend(pairs(&token.parameters, &names)?);
        headers.extend(basic.map(|basic| (AUTHORIZATION, basic)));
        let body = match token.body {
            TokenBody::Form => write_body(Some(&body), None, &mut headers),
            TokenBody::Json => {
                let members = body.iter().map(|(name, value)| (name.clone(), Value::String(value.to_string())));
                write_body(None, Some(&Value::Object(members.collect())), &mut headers)
            }
        };
        Ok(OutboundRequest { method: Method::POST, url, headers, body: SecretBytes::new(body) })
    }

    /// What proves the client: members of the body, or the value of `Authorization`.
    fn client_proof(&self, by: ClientAuth) -> Result<(Pairs, Option<HeaderValue>), BuildError> {
        let (id, secret) = (self.client.id.as_str(), self.client.secret.expose());
        let basic = |user: &str, password: &str| {
            let pair = Zeroizing::new(format!("{user}:{password}"));
            let value = Zeroizing::new(format!("Basic {}", STANDARD.encode(pair.as_bytes())));
            let mut value = header_value(&AUTHORIZATION, &value)?;
            value.set_sensitive(true);
            Ok::<_, BuildError>(Some(value))
        };
        Ok(match by {
            ClientAuth::Body => (vec![plain("client_id", id), plain("client_secret", secret)], None),
            ClientAuth::Basic => (Vec::new(), basic(&form_encoded(id), &form_encoded(secret))?),
            ClientAuth::BasicSecretAsUser => (Vec::new(), basic(secret, "")?),
            ClientAuth::None => (Vec::new(), None),
        })
    }
}

/// As a client's id and secret stand in HTTP Basic (RFC 6749, section 2.3.1).
pub(super) fn form_encoded(text: &str) -> Zeroizing<String> {
    Zeroizing::new(url::form_urlencoded::byte_serialize(text.as_bytes()).collect())
}

fn plain(name: &str, value: &str) -> (String, Zeroizing<String>) {
    (name.to_owned(), Zeroizing::new(value.to_owned()))
}
