//! The OAuth side of a flow: endpoints, client, captured values, renewal and revocation.

use std::sync::Arc;

use super::{
    super::{
        fault::Faults,
        model::{
            Authorize, Capture, CaptureFrom, ClientAuth, Expiry, ExpiryForm, Flow, GrantKind, OAuth, Omitted, Piece,
            Pkce, RefreshKind, RefreshLimit, Revocation, TokenBody, TokenCall, UrlTemplate,
        },
        reader::{Table, Text, table},
        shape::CAPTURE,
    },
    body::pieces,
    call, check_identifier,
    names::{Names, Place, Stage},
    rule, url_template,
};

const GRANTS: [(&str, GrantKind); 2] =
    [("authorization_code", GrantKind::AuthorizationCode), ("client_credentials", GrantKind::ClientCredentials)];
const PKCE: [(&str, Pkce); 3] = [("none", Pkce::None), ("supported", Pkce::Supported), ("required", Pkce::Required)];
const OMITTED: [(&str, Omitted); 3] =
    [("response_type", Omitted::ResponseType), ("scope", Omitted::Scope), ("redirect_uri", Omitted::RedirectUri)];
const CLIENT_AUTHS: [(&str, ClientAuth); 4] = [
    ("body", ClientAuth::Body),
    ("basic", ClientAuth::Basic),
    ("basic_secret_as_user", ClientAuth::BasicSecretAsUser),
    ("none", ClientAuth::None),
];
const EXPIRY_FORMS: [(&str, ExpiryForm); 3] =
    [("seconds", ExpiryForm::Seconds), ("time", ExpiryForm::Time), ("unix_seconds", ExpiryForm::UnixSeconds)];

/// What the gateway puts into requests by itself.
const OWN_PARAMETERS: [&str; 12] = [
    "client_id",
    "client_secret",
    "code",
    "code_challenge",
    "code_challenge_method",
    "code_verifier",
    "grant_type",
    "redirect_uri",
    "refresh_token",
    "response_type",
    "scope",
    "state",
];

/// The values that come with a grant, and the steps of the test that some of them come from.
pub(super) fn captures(oauth: &mut Table<'_, '_>, faults: &mut Faults<'_>) -> (Vec<Capture>, Vec<Text>) {
    let (mut captures, mut steps) = (Vec::new(), Vec::new());
    let Some(all) = oauth.table(faults, "captures") else { return (captures, steps) };
    for (name, value) in all.entries() {
        check_identifier(faults, &name, "the name of a captured value");
        let Some(mut table) = table(faults, value, "a captured value", Some(&CAPTURE)) else { continue };
        let parameter = table.text(faults, "parameter");
        let json = table.text(faults, "json");
        let step = table.text(faults, "step");
        let pattern = table.text(faults, "pattern").and_then(|text| rule::pattern(faults, &text, "`pattern`"));
        let host = table.flag(faults, "host");
        let optional = table.flag(faults, "optional");
        let from = match (parameter, json, step) {
            (Some(parameter), None, None) => Some(CaptureFrom::Callback(parameter.value)),
            (None, Some(json), None) => rule::pointer(faults, json).map(CaptureFrom::Token),
            (None, Some(json), Some(step)) => {
                steps.push(step.clone());
                rule::pointer(faults, json).map(|pointer| CaptureFrom::Step(step.value, pointer))
            }
            _ => {
                faults.add(
                    &table.span,
                    "give `parameter` (of the callback), `json` (of the token answer), or `step` and `json`",
                );
                None
            }
        };
        table.finish(faults);
        captures.extend(from.map(|from| Capture { name: name.value, from, pattern, host, optional }));
    }
    (captures, steps)
}

/// Reads the rest of the block. `app` is the usual name of its client.
pub(super) fn read(table: &mut Table<'_, '_>, faults: &mut Faults<'_>, flow: &Flow, app: &str) -> Option<OAuth> {
    let flows = [flow];
    let names = &Names::of_connection(&flows);
    let grant = table.word(faults, "grant", &GRANTS).unwrap_or(GrantKind::AuthorizationCode);
    let client = client(table, faults, names);
    let app_name = table.text(faults, "app");
    if let (Some(app), Some(_)) = (&app_name, &client) {
        faults.add(&app.span, "give either `app`, or `client_id` and `client_secret`");
    }
    let pkce = table.word(faults, "pkce", &PKCE).unwrap_or(Pkce::None);
    let issuer = table.text(faults, "issuer");
    let omitted = table.words(faults, "omit", &OMITTED);
    let scope_separator = separator(table, faults, "scope_separator");
    let authorize = authorize(table, faults, names, grant);
    let token = token(table, faults, names);
    let granted = granted(table, faults);
    let expiry = expiry(table, faults);
    let (refresh, renew_after, refresh_limit) = refresh(table, faults, grant);
    let rules = rule::read_all(table, faults, "rules", rule::Place { names, later_steps: None });
    let revocation = revocation(table, faults, &flows);
    if pkce != Pkce::None && grant == GrantKind::ClientCredentials {
        faults.add(&table.span, "`pkce` is for an operator's consent, which client_credentials has not");
    }
    Some(OAuth {
        grant,
        app: client.is_none().then(|| app_name.map_or_else(|| app.to_owned(), |app| app.value)),
        pkce,
        issuer: issuer.map(|issuer| issuer.value),
        refresh,
        renew_after,
        refresh_limit,
        shared_grant: revocation.as_ref().is_some_and(|(_, shared)| *shared),
        client,
        authorize,
        omitted,
        scope_separator,
        token: token?,
        granted,
        expiry,
        rules,
        revocation: revocation.map(|(revocation, _)| revocation),
    })
}

type Templates = (super::super::template::Template, super::super::template::Template);

fn client(table: &mut Table<'_, '_>, faults: &mut Faults<'_>, names: &Names<'_>) -> Option<Templates> {
    let (id, secret) = (table.text(faults, "client_id"), table.text(faults, "client_secret"));
    match (id, secret) {
        (Some(id), Some(secret)) => {
            let names = Names { stage: Stage::Consent, ..*names };
            let id = names.template(faults, &id, Place::PLAIN);
            id.zip(names.template(faults, &secret, Place::SECRET))
        }
        (None, None) => None,
        (Some(given), None) | (None, Some(given)) => {
            faults.add(&given.span, "`client_id` and `client_secret` belong together");
            None
        }
    }
}

fn separator(table: &mut Table<'_, '_>, faults: &mut Faults<'_>, key: &'static str) -> String {
    let Some(text) = table.text(faults, key) else { return " ".to_owned() };
    if text.value.is_empty() {
        faults.add(&text.span, format!("`{key}` is empty"));
        return " ".to_owned();
    }
    text.value
}

fn parameters(table: &mut Table<'_, '_>, faults: &mut Faults<'_>, names: &Names<'_>) -> Vec<(String, Piece)> {
    let found = pieces(table, faults, "parameters", names);
    for (name, _) in found.iter().filter(|(name, _)| OWN_PARAMETERS.contains(&name.as_str())) {
        faults.add(&table.span, format!("the parameter `{name}` is set by the gateway itself"));
    }
    found
}

fn url(table: &mut Table<'_, '_>, faults: &mut Faults<'_>, names: &Names<'_>) -> Option<Arc<UrlTemplate>> {
    let text = table.need_text(faults, "url")?;
    url_template::read(faults, &text, None, names).map(Arc::new)
}

fn authorize(
    oauth: &mut Table<'_, '_>,
    faults: &mut Faults<'_>,
    names: &Names<'_>,
    grant: GrantKind,
) -> Option<Authorize> {
    let found = oauth.table(faults, "authorize");
    match (grant, found) {
        (GrantKind::AuthorizationCode, Some(mut table)) => {
            let names = &Names { stage: Stage::Consent, ..*names };
            let url = url(&mut table, faults, names);
            let parameters = Arc::new(parameters(&mut table, faults, names));
            call::sunset(&mut table, faults);
            table.finish(faults);
            Some(Authorize { url: url?, parameters })
        }
        (GrantKind::AuthorizationCode, None) => {
            if !oauth.has("authorize") {
                oauth.missing("authorize", "`authorize` is missing: where does the operator consent?".to_owned());
            }
            None
        }
        (GrantKind::ClientCredentials, Some(table)) => {
            faults.add(&table.span, "`authorize` is for an operator's consent, which client_credentials has not");
            None
        }
        (GrantKind::ClientCredentials, None) => None,
    }
}

fn token(oauth: &mut Table<'_, '_>, faults: &mut Faults<'_>, names: &Names<'_>) -> Option<TokenCall> {
    let Some(mut table) = oauth.table(faults, "token") else {
        if !oauth.has("token") {
            oauth.missing("token", "`token` is missing: where are tokens given?".to_owned());
        }
        return None;
    };
    let names = &Names { stage: Stage::Exchange, ..*names };
    let url = url(&mut table, faults, names);
    let query = Arc::new(pieces(&mut table, faults, "query", names));
    let headers = Arc::new(call::headers(&mut table, faults, names));
    let parameters = Arc::new(parameters(&mut table, faults, names));
    let body = table.word(faults, "body", &[("form", TokenBody::Form), ("json", TokenBody::Json)]);
    let client_auth = table.need_word(faults, "client_auth", &CLIENT_AUTHS);
    let on_refresh = table.word(faults, "refresh_client_auth", &CLIENT_AUTHS);
    call::sunset(&mut table, faults);
    table.finish(faults);
    let client_auth = client_auth?;
    Some(TokenCall {
        url: url?,
        query,
        headers,
        parameters,
        body: body.unwrap_or(TokenBody::Form),
        client_auth,
        refresh_client_auth: on_refresh.unwrap_or(client_auth),
    })
}

fn granted(oauth: &mut Table<'_, '_>, faults: &mut Faults<'_>) -> (String, String) {
    let usual = || "/scope".to_owned();
    let Some(mut table) = oauth.table(faults, "granted") else { return (usual(), " ".to_owned()) };
    let json = table.text(faults, "json").and_then(|text| rule::pointer(faults, text));
    let separator = separator(&mut table, faults, "separator");
    table.finish(faults);
    (json.unwrap_or_else(usual), separator)
}

fn expiry(oauth: &mut Table<'_, '_>, faults: &mut Faults<'_>) -> Expiry {
    let usual = |pointer: Option<String>| pointer.unwrap_or_else(|| "/expires_in".to_owned());
    let Some(mut table) = oauth.table(faults, "expiry") else {
        return Expiry { pointer: usual(None), form: ExpiryForm::Seconds, zero_is_never: false, assumed: None };
    };
    let json = table.text(faults, "json").and_then(|text| rule::pointer(faults, text));
    let expiry = Expiry {
        pointer: usual(json),
        form: table.word(faults, "form", &EXPIRY_FORMS).unwrap_or(ExpiryForm::Seconds),
        zero_is_never: table.flag(faults, "zero_is_never"),
        assumed: table.number(faults, "assumed_seconds"),
    };
    table.finish(faults);
    expiry
}

fn refresh(
    oauth: &mut Table<'_, '_>,
    faults: &mut Faults<'_>,
    grant: GrantKind,
) -> (RefreshKind, Option<u32>, Option<RefreshLimit>) {
    const KINDS: [(&str, RefreshKind); 3] =
        [("none", RefreshKind::None), ("same", RefreshKind::Same), ("rotating", RefreshKind::Rotating { grace: 0 })];
    let minted = grant == GrantKind::ClientCredentials;
    let Some(mut table) = oauth.table(faults, "refresh") else {
        if !minted && !oauth.has("refresh") {
            oauth.missing("refresh", "`refresh` is missing: `kind` is none, same or rotating".to_owned());
        }
        return (if minted { RefreshKind::Mint } else { RefreshKind::None }, None, None);
    };
    let kind = if minted {
        if table.has("kind") {
            faults.add(&table.span, "`kind` is left out: client_credentials ask for a new token each time");
        }
        RefreshKind::Mint
    } else {
        table.need_word(faults, "kind", &KINDS).unwrap_or(RefreshKind::None)
    };
    let kind = match (kind, table.number(faults, "grace_seconds")) {
        (RefreshKind::Rotating { .. }, Some(grace)) => RefreshKind::Rotating { grace },
        (kind, Some(_)) => {
            faults.add(&table.span, "`grace_seconds` is for `kind = \"rotating\"` only");
            kind
        }
        (kind, None) => kind,
    };
    let renew_after = table.number(faults, "renew_after_seconds");
    let limit = table.table(faults, "limit").and_then(|mut limit| {
        let (calls, seconds) = (limit.number(faults, "calls"), limit.number(faults, "seconds"));
        if calls.is_none() || seconds.is_none() {
            faults.add(&limit.span, "`limit` has `calls` and `seconds`");
        }
        limit.finish(faults);
        Some(RefreshLimit { calls: calls?, seconds: seconds? })
    });
    table.finish(faults);
    (kind, renew_after, limit)
}

fn revocation(oauth: &mut Table<'_, '_>, faults: &mut Faults<'_>, flows: &[&Flow]) -> Option<(Revocation, bool)> {
    let mut table = oauth.table(faults, "revocation")?;
    let names = Names { client: true, ..Names::of_connection(flows) };
    let call = call::read_bare(&mut table, faults, &names);
    let client_auth = table.need_word(faults, "client_auth", &CLIENT_AUTHS);
    let shared = table.flag(faults, "shared_grant");
    let of_connection = Names::of_connection(flows);
    let rules = rule::read_all(&mut table, faults, "rules", rule::Place { names: &of_connection, later_steps: None });
    table.finish(faults);
    Some((Revocation { call: Arc::new(call?), client_auth: client_auth?, rules }, shared))
}
