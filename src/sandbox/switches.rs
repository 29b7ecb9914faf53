//! Switches for faults: a page without script, and JSON for tests.

use std::time::Duration;

use axum::{
    body::Body,
    extract::State,
    response::{IntoResponse as _, Response},
};
use chrono::{DateTime, SecondsFormat, Utc};
use http::{HeaderMap, HeaderValue, StatusCode, header};
use serde_json::{Value, json};

use super::{
    answer::{self, Refusal, escape},
    faults::{Endpoint, Fault},
    grants::{Grant, RevokedBy, Standing},
    parameters::{Parameters, media_type},
    terms::Scope,
    vendor::{State as Memory, Vendor},
};

/// How many grants the page shows.
const SHOWN: usize = 100;
/// The most answers that can be made to fail by one switch.
const TIMES_MAX: u32 = 100_000;
/// How long a slow answer takes, and after how long 429 says to come back, unless said otherwise.
const SECONDS: u32 = 5;
const SECONDS_MAX: u32 = 600;

/// Why a switch cannot be turned.
type Refused = (StatusCode, String);

fn wrong(problem: impl Into<String>) -> Refused {
    (StatusCode::BAD_REQUEST, problem.into())
}

/// Every grant, as the vendor sees it. No token is in it.
pub(super) async fn grants(State(vendor): State<Vendor>) -> Response {
    let list: Value = vendor.state().grants.list().map(|(id, grant)| shown(id, grant)).collect();
    answer::json(StatusCode::OK, &list)
}

/// The faults that are still to come.
pub(super) async fn planned(State(vendor): State<Vendor>) -> Response {
    answer::json(StatusCode::OK, &vendor.state().faults.to_json())
}

/// Turns a switch: by JSON, or by the page's forms.
pub(super) async fn turn(State(vendor): State<Vendor>, headers: HeaderMap, body: Body) -> Response {
    // Browsers say from where a form comes: other sites turn nothing here.
    let from = headers.get("sec-fetch-site").map_or("none", |from| from.to_str().unwrap_or_default());
    if !matches!(from, "none" | "same-origin") {
        return Refusal::new(StatusCode::FORBIDDEN, "access_denied", "switches are turned from /sandbox only")
            .into_response();
    }
    let by_form = media_type(&headers) != "application/json";
    let given = if by_form { Parameters::from_form(&headers, body).await } else { Parameters::from_json(body).await };
    let turned = given.map_err(wrong).and_then(|given| apply(&given, &mut vendor.state()));
    match turned {
        Err((status, problem)) => Refusal::new(status, "invalid_request", problem).into_response(),
        Ok(()) if by_form => match HeaderValue::from_str(vendor.path()) {
            Ok(page) => (StatusCode::SEE_OTHER, [(header::LOCATION, page)]).into_response(),
            Err(_) => StatusCode::NO_CONTENT.into_response(),
        },
        Ok(()) => StatusCode::NO_CONTENT.into_response(),
    }
}

fn apply(given: &Parameters, memory: &mut Memory) -> Result<(), Refused> {
    let known = ["grant", "do", "scope", "next", "answer", "at", "seconds"];
    if let Some(stranger) = given.stranger(&known) {
        return Err(wrong(format!("{stranger:?} is none of {}", known.join(", "))));
    }
    match (given.one("grant").map_err(wrong)?, given.one("next").map_err(wrong)?) {
        (Some(grant), None) => {
            let id: u64 = grant.parse().map_err(|_| wrong("grant: its id, a number"))?;
            let grant = memory.grants.get_mut(id);
            let grant = grant.ok_or_else(|| (StatusCode::NOT_FOUND, format!("grant: there is none of the id {id}")))?;
            match given.need("do").map_err(wrong)? {
                "expire" => grant.expire(),
                "revoke" => grant.revoke(RevokedBy::Switch),
                "drop_scope" => {
                    let scope = Scope::parse(given.need("scope").map_err(wrong)?);
                    grant.drop_scope(scope.ok_or_else(|| wrong(format!("scope: {}", Scope::join(&Scope::ALL))))?);
                }
                _ => return Err(wrong("do: expire, revoke or drop_scope")),
            }
        }
        (None, Some(times)) => {
            let times = number("next", times, TIMES_MAX)?;
            let seconds = given.one("seconds").map_err(wrong)?.map(|text| number("seconds", text, SECONDS_MAX));
            let wait = Duration::from_secs(seconds.transpose()?.unwrap_or(SECONDS).into());
            let fault = match given.need("answer").map_err(wrong)? {
                "429" => Fault::TooMany(wait),
                "500" => Fault::Broken,
                "slow" => Fault::Slow(wait),
                "cut" => Fault::Cut,
                _ => return Err(wrong("answer: 429, 500, slow or cut")),
            };
            let endpoints = match given.one("at").map_err(wrong)? {
                None => vec![Endpoint::Token, Endpoint::Api],
                Some(at) => {
                    let found = Endpoint::ALL.into_iter().find(|endpoint| endpoint.as_str() == at);
                    vec![found.ok_or_else(|| wrong("at: token, revocation or api"))?]
                }
            };
            for endpoint in endpoints {
                memory.faults.plan(endpoint, times, fault);
            }
        }
        _ => return Err(wrong("give `grant` and `do`, or `next` and `answer`")),
    }
    Ok(())
}

fn number(name: &str, text: &str, max: u32) -> Result<u32, Refused> {
    let found = text.parse().ok().filter(|number| *number <= max);
    found.ok_or_else(|| wrong(format!("{name}: a number from 0 to {max}")))
}

const fn standing(grant: &Grant) -> (&'static str, Option<&'static str>) {
    match grant.standing {
        Standing::Pending => ("pending", None),
        Standing::Active => ("active", None),
        Standing::Revoked(RevokedBy::Client) => ("revoked", Some("client")),
        Standing::Revoked(RevokedBy::Reuse) => ("revoked", Some("reuse")),
        Standing::Revoked(RevokedBy::Switch) => ("revoked", Some("switch")),
    }
}

fn time(at: DateTime<Utc>) -> String {
    at.to_rfc3339_opts(SecondsFormat::Millis, true)
}

fn shown(id: u64, grant: &Grant) -> Value {
    let (state, revoked_by) = standing(grant);
    json!({
        "id": id,
        "account": grant.account.id,
        "accountName": grant.account.name,
        "scopes": grant.scopes.iter().map(|scope| scope.as_str()).collect::<Vec<_>>(),
        "state": state,
        "revokedBy": revoked_by,
        "lifetimeSeconds": grant.lifetime,
        "createdAt": time(grant.created_at),
        "accessExpiresAt": grant.access_expires_at.map(time),
        "exchanged": grant.exchanged(),
        "refreshed": grant.refreshed,
        "reused": grant.reused,
    })
}

/// The page of the sandbox: the newest grants, and the switches.
pub(super) async fn page(State(vendor): State<Vendor>) -> Response {
    let path = escape(vendor.path());
    let memory = vendor.state();
    let rows: Vec<String> = memory.grants.list().rev().take(SHOWN).map(|(id, grant)| row(&path, id, grant)).collect();
    let planned = memory.faults.to_json();
    let planned: Vec<String> =
        planned.as_array().into_iter().flatten().map(|it| format!("<li>{}</li>\n", escape(&said(it)))).collect();
    drop(memory);
    let main = format!(
        "<p>A made-up vendor inside this gateway. The connector Sandbox connects to it; it forgets everything when the \
         gateway stops.</p>\n\
         <h2>Grants</h2>\n<p>The newest {SHOWN}; <a href=\"{path}/grants\">all, as JSON</a>.</p>\n\
         <table>\n<tr><th>Grant</th><th>Account</th><th>Scopes</th><th>State</th><th>Serves</th><th>Refreshed</th>\
         <th>Reused</th><th>Switches</th></tr>\n{}</table>\n\
         <h2>Answers that fail</h2>\n<ul>\n{}</ul>\n\
         <form method=\"post\" action=\"{path}/switches\">\n\
         <label>The next <input type=\"number\" name=\"next\" value=\"1\" min=\"0\" max=\"{TIMES_MAX}\" required></label>\n\
         <label>answers of <select name=\"at\"><option value=\"api\">calls</option>\
         <option value=\"token\">the token endpoint</option><option value=\"revocation\">the revocation</option>\
         </select></label>\n\
         <label>are <select name=\"answer\"><option value=\"429\">429</option><option value=\"500\">500</option>\
         <option value=\"slow\">slow</option><option value=\"cut\">cut off</option></select></label>\n\
         <label>seconds (429, slow) <input type=\"number\" name=\"seconds\" value=\"{SECONDS}\" min=\"0\" \
         max=\"{SECONDS_MAX}\"></label>\n<button>Plan</button></form>\n\
         <h2>Webhooks</h2>\n<p><a href=\"{path}/inbox\">What the receiver has seen</a></p>\n",
        rows.concat(),
        planned.concat(),
    );
    answer::page(StatusCode::OK, vendor.path(), "Sandbox", &main)
}

fn said(planned: &Value) -> String {
    let text = |name: &str| planned[name].as_str().unwrap_or_default().to_owned();
    format!("{}: {} more will be {}", text("at"), planned["next"], text("answer"))
}

fn row(path: &str, id: u64, grant: &Grant) -> String {
    let (state, revoked_by) = standing(grant);
    let by = revoked_by.map_or_else(String::new, |by| format!(" (by {by})"));
    let form = |content: &str| {
        format!(
            "<form method=\"post\" action=\"{path}/switches\"><input type=\"hidden\" name=\"grant\" value=\"{id}\">\
             {content}</form> "
        )
    };
    let mut switches = String::new();
    if revoked_by.is_none() {
        for (word, title) in [("expire", "Expire now"), ("revoke", "Revoke")] {
            switches += &form(&format!("<button name=\"do\" value=\"{word}\">{title}</button>"));
        }
        let options: Vec<String> =
            grant.scopes.iter().map(|scope| format!("<option>{}</option>", scope.as_str())).collect();
        if !options.is_empty() {
            switches += &form(&format!(
                "<input type=\"hidden\" name=\"do\" value=\"drop_scope\">\
                 <select name=\"scope\" aria-label=\"Scope of grant {id}\">{}</select> <button>Drop scope</button>",
                options.concat()
            ));
        }
    }
    format!(
        "<tr><td>{id}</td><td>{}</td><td>{}</td><td>{state}{by}</td><td>{} s</td><td>{}</td><td>{}</td>\
         <td>{switches}</td></tr>\n",
        escape(grant.account.name),
        Scope::join(&grant.scopes),
        grant.lifetime,
        grant.refreshed,
        grant.reused,
    )
}
