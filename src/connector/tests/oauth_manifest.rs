//! A made-up vendor that has every oddity of OAuth at once.

use std::sync::Arc;

use super::{Connector, shown};
use crate::connector::{Library, LoadOptions, Source};

pub(super) const MANIFEST: &str = r#"version = 1
slug = "sample"
display_name = "Sample"
family = "crm"
description = "For tests."
allowed_hosts = ["login.example.com", "test.example.com", "accounts.example.eu", "*.my.example.com"]
base_url = "https://{grant.instance}/api"

[[scopes]]
id = "contacts.read"
title = "Read contacts"
default = true
aliases = ["https://example.com/auth/contacts.read"]

[[scopes]]
id = "contacts.write"
title = "Write contacts"
sensitive = true

[[scopes]]
id = "events"
title = "Send events"
parameter = "optional_scope"

[[flows]]
flow = "oauth"
proof = "account"
expires = true
destination = "{grant.instance}"

[[flows.fields]]
name = "login_host"
label = "Login host"
default = "login.example.com"
host = true

[flows.derived.accounts]
first_of = ["{grant.accounts}", "{field.login_host}"]

[flows.oauth]
app = "sample_app"
pkce = "required"
scope_separator = ","
granted = { json = "/scopes", separator = "," }
expiry = { json = "/expires_at", form = "time", assumed_seconds = 7200 }
refresh = { kind = "rotating", grace_seconds = 60, renew_after_seconds = 604800, limit = { calls = 10, seconds = 600 } }

[flows.oauth.authorize]
url = "https://{field.login_host}/oauth/authorize"
parameters = { access_type = "offline", prompt = "consent" }

[flows.oauth.token]
url = "https://{derived.accounts}/oauth/token"
query = { version = 2 }
headers = { "X-Version" = "2026-01-01" }
parameters = { audience = "api" }
body = "json"
client_auth = "basic"
refresh_client_auth = "body"
sunset = "2027-02-16"

[flows.oauth.captures.accounts]
parameter = "accounts-server"
pattern = "^https://([^/]+)$"
host = true
optional = true

[flows.oauth.captures.instance]
json = "/instance_url"
pattern = "^https://([^/]+)/?$"
host = true

[flows.oauth.captures.account]
json = "/id"
pattern = "/id/([0-9A-Z]+)$"
optional = true

[flows.oauth.captures.centre]
step = "metadata"
json = "/dc"
pattern = "^[a-z]+[0-9]+$"

[[flows.oauth.rules]]
json = { "/error" = "invalid_code" }
then = "expired"
detail = "the grant has run out"

[[flows.oauth.rules]]
status = 400
json = { "/error_description" = { matches = "too many requests" } }
then = "rate_limited"
wait_seconds = 600

[[flows.oauth.rules]]
json = { "/error" = "user_disabled" }
then = "revoked"

[flows.oauth.revocation]
client_auth = "none"
shared_grant = true

[flows.oauth.revocation.request]
method = "POST"
url = "https://{grant.instance}/oauth/revoke"
credential = "client"
json = { client_id = "{client.id}", "account?" = "{grant.account}", token = "{token.refresh_or_access}" }

[[flows.oauth.revocation.rules]]
status = 400
json = { "/error" = "invalid_token" }
then = "gone"

[flows.credentials.default]
in = "header"
name = "Authorization"
value = "Sample-token {token.access}"

[flows.credentials.client]
in = "header"
name = "Authorization"
value = "Client {client.secret}"

[[test]]
name = "narrow"
scopes = ["events"]
request = { method = "GET", url = "https://login.example.com/whoami" }
account = { id = "/sub" }

[[test]]
name = "metadata"
request = { method = "GET", url = "https://login.example.com/metadata" }

[[test.rules]]
json = { "/dc" = { present = true } }
next = "account"

[[test.rules]]
status = 200
then = "invalid"

[[test]]
name = "account"
request = { method = "GET", url = "https://{grant.centre}.data.example.com/account" }
account = { id = "/id", name = "{grant.instance}" }

[[operations]]
event_type = "submission.created"
title = "Make a contact"
required_scopes = ["contacts.write"]
example_payload = { email = "ada@example.com" }
payload_schema = { type = "object", required = ["email"], properties = { email = { type = "string" } } }
request = { method = "POST", url = "/contacts", json = { email = "{payload.email}" } }
"#;

pub(super) const SHARED: &str = r#"version = 1
name = "shared"

[[scopes]]
id = "openid"
title = "Who you are"
default = true

[oauth]
pkce = "supported"
authorize = { url = "https://accounts.example.com/auth", parameters = { access_type = "offline" } }
token = { url = "https://accounts.example.com/token", client_auth = "body" }
refresh = { kind = "same" }

[oauth.revocation]
client_auth = "none"
shared_grant = true
request = { method = "POST", url = "https://accounts.example.com/revoke", form = { token = "{token.refresh_or_access}" } }

[[rules]]
status = 403
json = { "/error/status" = "PERMISSION_DENIED" }
then = "insufficient_scope"
"#;

pub(super) const SHARING: &str = r#"version = 1
slug = "sharing"
display_name = "Sharing"
family = "crm"
description = "For tests."
provider = "shared"

[[scopes]]
id = "files"
title = "Your files"

[[flows]]
flow = "oauth"
proof = "account"

[flows.credentials.default]
in = "header"
name = "Authorization"
value = "Bearer {token.access}"

[[test]]
name = "who"
request = { method = "GET", url = "https://api.example.com/me" }
"#;

/// The connector that shares a provider.
pub(super) fn sharing(provider: &str, manifest: &str) -> Result<Arc<Connector>, String> {
    let source = |file: &str, text: &str| Source { file: file.to_owned(), text: text.to_owned() };
    let sources = [source("sharing.toml", manifest), source("providers/shared.toml", provider)];
    let library = Library::load(sources, LoadOptions::default()).map_err(|faults| shown(&faults).join("\n"))?;
    Ok(Arc::clone(&library.list()[0]))
}

/// Two flows that make a value of one name: of the key, and of what the test of a grant says.
pub(super) const TWO_FLOWS: &str = r#"version = 1
slug = "two"
display_name = "Two"
family = "email"
description = "For tests."
base_url = "https://{derived.centre}.api.example.com"

[[flows]]
flow = "api_key"
proof = "account"
fields = [{ name = "key", label = "Key", secret = true }]
derived = { centre = { from = "field.key", pattern = "-([a-z]+)$", public = true } }
credentials = { default = { in = "header", name = "Authorization", value = "Bearer {field.key}" } }

[[flows]]
flow = "oauth"
proof = "account"
derived = { centre = { first_of = ["{grant.centre}"] } }
credentials = { default = { in = "header", name = "Authorization", value = "Bearer {token.access}" } }

[flows.oauth]
authorize = { url = "https://login.example.com/authorize" }
token = { url = "https://login.example.com/token", client_auth = "body" }
refresh = { kind = "none" }
captures = { centre = { step = "metadata", json = "/centre" } }

[[test]]
name = "metadata"
flows = ["oauth"]
request = { method = "GET", url = "https://login.example.com/metadata" }
rules = [{ status = 200, next = "account" }]

[[test]]
name = "account"
request = { method = "GET", url = "/account" }
account = { id = "/id" }

[[operations]]
event_type = "submission.created"
title = "Add a contact"
example_payload = { email = "ada@example.com" }
payload_schema = { type = "object", required = ["email"], properties = { email = { type = "string" } } }
request = { method = "POST", url = "/contacts", json = { email = "{payload.email}" } }
"#;
