//! An OAuth flow beside the calls that carry its token: consent, callback, token endpoint, revocation.

use integrations_gateway::{
    connector::{
        Consent, Grant, OAuthCall, OAuthClient, Pkce, RefreshKind, Revoked, TokenRefusal, TokenRefused, Values,
    },
    domain::secret::Secret,
};
use serde_json::{Value, json};

use super::{
    document::OAuthDocument,
    walk::{Walk, Walked, all, assert_facts, same, same_json, same_request},
};

impl Walk<'_> {
    pub(super) fn oauth(&self, document: &OAuthDocument) -> Walked {
        let place = self.place;
        same_json(place, &self.oauth_says()?, &document.says)?;
        let client =
            OAuthClient { id: document.client.id.clone(), secret: Secret::new(document.client.secret.clone()) };
        self.with_context(|context| {
            let failed = |error: &dyn std::fmt::Display| format!("{place}: {error}");
            self.entered_client(context.values, &client)?;
            let call = OAuthCall::new(self.connector, context.values, &client).map_err(|error| failed(&error))?;
            let consented = document.consent.as_ref().map(|consent| &consent.scopes);
            let minted = document.mint.as_ref().map(|mint| &mint.scopes);
            let requested = consented.or(minted).cloned().unwrap_or_default();
            if let Some(consent) = &document.consent {
                let url = call
                    .authorize_url(&Consent {
                        redirect_uri: &consent.redirect_uri,
                        state: &consent.state,
                        scopes: &consent.scopes,
                        code_challenge: consent.code_challenge.as_deref(),
                    })
                    .map_err(|error| failed(&error))?;
                same(place, &url.as_str(), &consent.url.as_str())?;
            }
            let mut captured = Vec::new();
            if let Some(callback) = &document.callback {
                let pairs = |map: &std::collections::BTreeMap<String, String>| -> Vec<(String, String)> {
                    map.iter().map(|(name, value)| (name.clone(), value.clone())).collect()
                };
                captured = call.read_callback(&pairs(&callback.query)).map_err(|error| failed(&error))?;
                captured.sort();
                same(place, &captured, &pairs(&callback.captured))?;
            }
            let mut first = None;
            if let (Some(code), Some(consent)) = (&document.code, &document.consent) {
                let verifier = code.verifier.clone().map(Secret::new);
                let request = call
                    .exchange(&Secret::new(code.code.clone()), verifier.as_ref(), &consent.redirect_uri, &captured)
                    .map_err(|error| failed(&error))?;
                same_request(place, &request, &code.request)?;
                first = Some(request);
            }
            if let Some(mint) = &document.mint {
                let request = call.mint(&mint.scopes).map_err(|error| failed(&error))?;
                same_request(place, &request, &mint.request)?;
                first = Some(request);
            }
            let (grant, mut refresh) = (context.grant, None);
            if let Some(expected) = &document.refresh {
                let grant = grant.ok_or_else(|| format!("{place}: no grant to refresh"))?;
                let request = call.refresh(grant).map_err(|error| failed(&error))?;
                same_request(place, &request, expected)?;
                refresh = Some(request);
            }
            assert!(!document.tokens.is_empty(), "{place}: no answer of the token endpoint");
            all(document.tokens.iter().map(|token| {
                let place = format!("{place}: {}", token.name);
                assert_facts(&place, &token.facts);
                let renewed = grant.filter(|_| token.renews);
                let request = if token.renews { &refresh } else { &first };
                let request = request.as_ref().ok_or_else(|| format!("{place}: no request that it answers"))?;
                let answer = self.transport.send(&place, request, &token.answer)?;
                let read = call.read_token(answer.as_ref(), &requested, &captured, renewed, self.exchange.now);
                same_json(&place, &found(read), &token.found)
            }))?;
            match (&document.revoke, grant.map(|grant| call.revoke(grant)).transpose()) {
                (_, Err(error)) => Err(failed(&error)),
                (None, Ok(None | Some(None))) => Ok(()),
                (Some(expected), Ok(Some(Some(request)))) => {
                    same_request(place, &request, &expected.request)?;
                    assert!(!expected.answers.is_empty(), "{place}: no answer to the revocation");
                    all(expected.answers.iter().map(|answer| {
                        let place = format!("{place}: {}", answer.name);
                        assert_facts(&place, &answer.facts);
                        let answered = self.transport.send(&place, &request, &answer.answer)?;
                        let revoked = call.read_revocation(answered.as_ref());
                        same_json(&place, &ended(&revoked), &answer.found)
                    }))
                }
                (expected, _) => Err(format!("{place}: a revocation is expected: {}", expected.is_some())),
            }
        })
    }

    /// Where the operator enters the client among the fields, it is the one that the exchange names.
    fn entered_client(&self, values: &Values, named: &OAuthClient) -> Walked {
        let flow = self.connector.flow(self.flow()).ok_or_else(|| format!("{}: no such flow", self.place))?;
        let Some(oauth) = flow.oauth.as_ref().filter(|oauth| oauth.app.is_none()) else { return Ok(()) };
        let entered = oauth.entered_client(flow, values);
        let shown = |client: &OAuthClient| (client.id.clone(), client.secret.expose().to_owned());
        same(self.place, &entered.as_ref().map(shown), &Some(shown(named)))
    }

    fn oauth_says(&self) -> Walked<Value> {
        let oauth = self.connector.flow(self.flow()).and_then(|flow| flow.oauth.as_ref());
        let oauth = oauth.ok_or_else(|| format!("{}: no OAuth flow", self.place))?;
        Ok(json!({
            "app": oauth.app,
            "pkce": match oauth.pkce {
                Pkce::None => "none",
                Pkce::Supported => "supported",
                Pkce::Required => "required",
            },
            "refresh": match oauth.refresh {
                RefreshKind::None => json!("none"),
                RefreshKind::Same => json!("same"),
                RefreshKind::Rotating { grace } => json!({"rotating": {"grace": grace}}),
                RefreshKind::Mint => json!("mint"),
            },
            "renew_after": oauth.renew_after,
            "refresh_limit": oauth.refresh_limit.map(|limit| json!([limit.calls, limit.seconds])),
            "shared_grant": oauth.shared_grant,
        }))
    }
}

/// What came of a revocation, as exchanges say it.
pub(super) fn ended(revoked: &Revoked) -> Value {
    match revoked {
        Revoked::Done => json!("done"),
        Revoked::AlreadyGone => json!("already_gone"),
        Revoked::Failed { again, detail } => json!({"again": again, "detail": detail}),
    }
}

/// What the token endpoint's answer means, as exchanges say it.
pub(super) fn found(read: Result<Grant, TokenRefused>) -> Value {
    match read {
        Ok(grant) => json!({
            "access": grant.access.expose(),
            "refresh": grant.refresh.as_ref().map(|token| token.expose().to_owned()),
            "scopes": grant.scopes,
            "expires_at": grant.expires_at,
            "captured": grant.captured.into_iter().collect::<std::collections::BTreeMap<_, _>>(),
        }),
        Err(refused) => json!({
            "refused": match refused.refusal {
                TokenRefusal::Expired => "expired",
                TokenRefusal::Revoked => "revoked",
                TokenRefusal::Misconfigured => "misconfigured",
                TokenRefusal::Passing { .. } | TokenRefusal::Lost => "passing",
            },
            "after_seconds": match refused.refusal {
                TokenRefusal::Passing { after } => after.map(|after| after.as_secs()),
                _ => None,
            },
            "detail": refused.detail,
            "vendor_error_code": refused.vendor_error_code,
        }),
    }
}
