//! Where the operator's browser comes for consent, and what it answers.

use axum::{
    body::Body,
    extract::{RawQuery, State},
    response::{IntoResponse as _, Response},
};
use http::{HeaderMap, HeaderValue, StatusCode, header};
use url::Url;

use super::super::{
    answer::{self, escape},
    grants::{Asked, Consent},
    parameters::Parameters,
    terms::{ACCOUNTS, LIFETIMES, Scope},
    vendor::Vendor,
};

/// The longest `state` that is carried along, in bytes.
const STATE_MAX: usize = 1_024;
/// The length of an S256 challenge: 32 bytes in Base64 for addresses.
const CHALLENGE: usize = 43;

/// A request that is sent back to the client (RFC 6749, section 4.1.2.1).
struct SentBack {
    error: &'static str,
    description: String,
}

fn invalid(description: impl Into<String>) -> SentBack {
    SentBack { error: "invalid_request", description: description.into() }
}

/// Shows the consent page. Whoever names another client or callback is sent nowhere.
pub(in crate::sandbox) async fn ask(State(vendor): State<Vendor>, RawQuery(query): RawQuery) -> Response {
    let given = Parameters::from_query(&query.unwrap_or_default());
    let known = given.and_then(|given| {
        if given.need("client_id")? != vendor.app().id {
            return Err(format!("client_id: the client is {:?}", vendor.app().id));
        }
        if given.need("redirect_uri")? != vendor.redirect_uri() {
            return Err(format!("redirect_uri: codes are sent to {} only", vendor.redirect_uri()));
        }
        Ok(given)
    });
    let given = match known {
        Ok(given) => given,
        Err(problem) => return refused(&vendor, &problem),
    };
    // Which of two is meant cannot be known, so that neither is sent back.
    let state = given.one("state").ok().flatten().filter(|state| state.len() <= STATE_MAX);
    match read(&given) {
        Ok(asked) => {
            let scopes = asked.scopes.clone();
            let now = vendor.clock().now();
            let ticket = vendor.state().grants.ask(asked, now);
            page(&vendor, ticket.expose(), &scopes)
        }
        Err(SentBack { error, description }) => {
            send_back(&vendor, state, &[("error", error), ("error_description", &description)])
        }
    }
}

fn read(given: &Parameters) -> Result<Asked, SentBack> {
    let state = given.one("state").map_err(invalid)?;
    if state.is_some_and(|state| state.len() > STATE_MAX) {
        return Err(invalid(format!("state is longer than {STATE_MAX} bytes")));
    }
    if given.need("response_type").map_err(invalid)? != "code" {
        return Err(SentBack { error: "unsupported_response_type", description: "response_type: code".to_owned() });
    }
    let challenge = given.need("code_challenge").map_err(invalid)?;
    if given.one("code_challenge_method").map_err(invalid)? != Some("S256") {
        return Err(invalid("code_challenge_method: S256"));
    }
    if challenge.len() != CHALLENGE || !challenge.chars().all(|c| c.is_ascii_alphanumeric() || "-_".contains(c)) {
        return Err(invalid("code_challenge: the verifier's SHA-256 in Base64 for addresses, without padding"));
    }
    let scopes = given.one("scope").map_err(invalid)?.unwrap_or_default();
    let known = || Scope::join(&Scope::ALL);
    let wrong = |description| SentBack { error: "invalid_scope", description };
    let mut asked: Vec<Scope> = Vec::new();
    for word in scopes.split(' ').filter(|word| !word.is_empty()) {
        let scope = Scope::parse(word).ok_or_else(|| wrong(format!("scope: there are {}", known())))?;
        if !asked.contains(&scope) {
            asked.push(scope);
        }
    }
    if asked.is_empty() {
        return Err(wrong(format!("scope: at least one of {}", known())));
    }
    Ok(Asked { scopes: asked, state: state.map(str::to_owned), challenge: challenge.to_owned() })
}

/// Takes the operator's answer, and sends the browser back to the client.
pub(in crate::sandbox) async fn answer(State(vendor): State<Vendor>, headers: HeaderMap, body: Body) -> Response {
    match decide(&vendor, &headers, body).await {
        Ok((state, said)) => {
            let said: Vec<(&str, &str)> = said.iter().map(|(name, value)| (*name, value.as_str())).collect();
            send_back(&vendor, state.as_deref(), &said)
        }
        Err(problem) => refused(&vendor, &problem),
    }
}

type Said = Vec<(&'static str, String)>;

async fn decide(vendor: &Vendor, headers: &HeaderMap, body: Body) -> Result<(Option<String>, Said), String> {
    let gone = || "this page was used already, or is too old: begin again where you came from".to_owned();
    let form = Parameters::from_form(headers, body).await?;
    let ticket = form.need("ticket")?;
    let now = vendor.clock().now();
    let grants = &mut vendor.state().grants;
    match form.need("decision")? {
        "allow" => {
            let asked = grants.asked(ticket, now).ok_or_else(gone)?;
            // A wrong choice does not use the page up.
            let consent = choice(&form, asked)?;
            let (asked, code) = grants.allow(ticket, consent, now).ok_or_else(gone)?;
            Ok((asked.state, vec![("code", code.expose().to_owned())]))
        }
        "deny" => {
            let asked = grants.deny(ticket, now).ok_or_else(gone)?;
            let denied = [("error", "access_denied"), ("error_description", "the operator has refused")];
            Ok((asked.state, denied.map(|(name, value)| (name, value.to_owned())).into()))
        }
        _ => Err("decision: allow or deny".to_owned()),
    }
}

fn choice(form: &Parameters, asked: &Asked) -> Result<Consent, String> {
    let account = form.need("account")?;
    let account = ACCOUNTS.iter().find(|known| known.id == account).ok_or("account: there is none of this id")?;
    let seconds = form.need("lifetime")?;
    let lifetime = LIFETIMES.iter().map(|(known, _)| *known).find(|known| known.to_string() == seconds);
    let lifetime = lifetime.ok_or("lifetime: 60, 600 or 3600 seconds")?;
    let mut ticked = form.all("scope");
    if !ticked.all(|scope| Scope::parse(scope).is_some_and(|scope| asked.scopes.contains(&scope))) {
        return Err("scope: only what was asked for can be granted".to_owned());
    }
    let granted = |scope: &&Scope| form.all("scope").any(|ticked| ticked == scope.as_str());
    let scopes: Vec<Scope> = asked.scopes.iter().filter(granted).copied().collect();
    if scopes.is_empty() {
        return Err("scope: tick at least one, or deny".to_owned());
    }
    Ok(Consent { account, scopes, lifetime })
}

/// Redirects to the client's callback, with its state and the issuer.
fn send_back(vendor: &Vendor, state: Option<&str>, said: &[(&str, &str)]) -> Response {
    let Ok(mut callback) = Url::parse(&vendor.redirect_uri()) else {
        return refused(vendor, "the public URL of this gateway makes no callback");
    };
    let issuer = vendor.issuer();
    let more = state.map(|state| ("state", state)).into_iter().chain([("iss", issuer.as_str())]);
    callback.query_pairs_mut().extend_pairs(said.iter().copied().chain(more));
    match HeaderValue::from_str(callback.as_str()) {
        Ok(location) => {
            let no_store = HeaderValue::from_static("no-store");
            (StatusCode::FOUND, [(header::LOCATION, location), (header::CACHE_CONTROL, no_store)]).into_response()
        }
        Err(_) => refused(vendor, "the callback makes no header"),
    }
}

fn refused(vendor: &Vendor, problem: &str) -> Response {
    let said = format!("<p>{}</p>\n", escape(problem));
    answer::page(StatusCode::BAD_REQUEST, vendor.path(), "This cannot be answered", &said)
}

fn page(vendor: &Vendor, ticket: &str, scopes: &[Scope]) -> Response {
    let accounts: Vec<String> = ACCOUNTS
        .iter()
        .enumerate()
        .map(|(n, account)| {
            let checked = if n == 0 { " checked" } else { "" };
            let (id, name) = (escape(account.id), escape(account.name));
            format!("<label><input type=\"radio\" name=\"account\" value=\"{id}\"{checked}> {name}</label>\n")
        })
        .collect();
    let scopes: Vec<String> = scopes
        .iter()
        .map(|scope| {
            let (id, title) = (scope.as_str(), escape(scope.title()));
            format!(
                "<label><input type=\"checkbox\" name=\"scope\" value=\"{id}\" checked> {title} \
                 (<code>{id}</code>)</label>\n"
            )
        })
        .collect();
    let lifetimes: Vec<String> = LIFETIMES
        .iter()
        .map(|(seconds, words)| {
            let selected = if *seconds == 3_600 { " selected" } else { "" };
            format!("<option value=\"{seconds}\"{selected}>{words}</option>\n")
        })
        .collect();
    let form = format!(
        "<p>The integrations gateway asks for access to an account at the sandbox, a made-up vendor.</p>\n\
         <form method=\"post\" action=\"{path}/oauth/authorize\">\n\
         <input type=\"hidden\" name=\"ticket\" value=\"{ticket}\">\n\
         <fieldset>\n<legend>Account</legend>\n{accounts}</fieldset>\n\
         <fieldset>\n<legend>What it may do</legend>\n{scopes}</fieldset>\n\
         <p><label>Access tokens serve for <select name=\"lifetime\">\n{lifetimes}</select></label></p>\n\
         <p><button name=\"decision\" value=\"allow\">Allow</button>\n\
         <button name=\"decision\" value=\"deny\">Deny</button></p>\n</form>\n",
        path = escape(vendor.path()),
        ticket = escape(ticket),
        accounts = accounts.concat(),
        scopes = scopes.concat(),
        lifetimes = lifetimes.concat(),
    );
    answer::page(StatusCode::OK, vendor.path(), "Allow access?", &form)
}
