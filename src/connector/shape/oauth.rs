//! How a vendor grants access.

use super::{
    Kind::{Day, Flag, Headers, Named, Pattern, Pointer, Table, Tables, Template, Text, Values, Whole, Word, Words},
    call::{REQUEST, RULE},
    shapes,
};

const CLIENT_AUTHS: &[&str] = &["body", "basic", "basic_secret_as_user", "none"];

shapes! {
    /// OAuth, where a vendor departs from RFC 6749.
    OAUTH {
        /// `authorization_code` unless given; by `client_credentials` nobody consents, and a new token is asked for in place of
        /// a refresh
        grant: Optional Word(&["authorization_code", "client_credentials"]),
        /// the name under which the gateway's operator registers the client; the slug, or the provider's name, unless given
        app: Optional Text,
        /// with `client_secret`, in place of `app`, where each operator has a client of their own; names fields
        client_id: Optional Template,
        /// see `client_id`
        client_secret: Optional Template,
        /// `none` unless given; `supported` is used as well; always S256
        pkce: Optional Word(&["none", "supported", "required"]),
        /// what the vendor names itself in callbacks (RFC 9207, `iss`): a callback that does not is refused
        issuer: Optional Text,
        /// what the vendor does not want. Without `scope`, scopes cannot be edited
        omit: Optional Words(&["response_type", "scope", "redirect_uri"]),
        /// a space unless given
        scope_separator: Optional Text,
        /// for `authorization_code`: where the operator consents
        authorize: Optional Table(&AUTHORIZE),
        /// where tokens are given
        token: Required Table(&TOKEN),
        /// where the token answer names what was granted. Where it names nothing, what was asked for has been granted
        granted: Optional Table(&GRANTED),
        /// when the access token runs out
        expiry: Optional Table(&EXPIRY),
        /// what the vendor says beside the tokens, as `{grant.NAME}`
        captures: Optional Named(&CAPTURE),
        /// for `authorization_code` it must be there: how the access token is renewed
        refresh: Optional Table(&REFRESH),
        /// what refusals of the token endpoint mean. `expired`: the grant has run out; `revoked`: the vendor took it back;
        /// `retryable`, `rate_limited`: passing; any other: the client is not set up right
        rules: Optional Tables(&RULE),
        /// the call that gives a grant back
        revocation: Optional Table(&REVOCATION),
    }

    /// Where the operator consents.
    AUTHORIZE {
        /// knows fields
        url: Required Template,
        /// besides the usual ones
        parameters: Optional Values,
        /// as of a call
        sunset: Optional Day,
    }

    /// Where tokens are given.
    TOKEN {
        /// knows fields, derived values, and what the callback brought
        url: Required Template,
        /// of the address
        query: Optional Values,
        /// besides the usual ones
        headers: Optional Headers,
        /// besides the usual ones, in the body
        parameters: Optional Values,
        /// `form` unless given
        body: Optional Word(&["form", "json"]),
        /// how the client proves itself; by `basic_secret_as_user` there is no password, and the id is not sent
        client_auth: Required Word(CLIENT_AUTHS),
        /// the same on a refresh, where it differs
        refresh_client_auth: Optional Word(CLIENT_AUTHS),
        /// as of a call
        sunset: Optional Day,
    }

    /// What was granted.
    GRANTED {
        /// `/scope` unless given; a text, or a list
        json: Optional Pointer,
        /// a space unless given
        separator: Optional Text,
    }

    /// When an access token runs out.
    EXPIRY {
        /// `/expires_in` unless given
        json: Optional Pointer,
        /// `seconds` unless given, from now; `time` (RFC 3339) and `unix_seconds` are points in time
        form: Optional Word(&["seconds", "time", "unix_seconds"]),
        /// a zero means that it does not run out
        zero_is_never: Optional Flag,
        /// counts where the answer says nothing, which otherwise means that the token does not run out
        assumed_seconds: Optional Whole,
    }

    /// A value that comes with a grant.
    CAPTURE {
        /// of the callback's query; or
        parameter: Optional Text,
        /// into the token endpoint's answer, where a refresh that says it again replaces it; or
        json: Optional Pointer,
        /// with `json`: of the test, for a vendor that wants another call. Later steps, and deliveries, know it
        step: Optional Text,
        /// must match; its first group, or the match, is the value
        pattern: Optional Pattern,
        /// a host's name, one of `allowed_hosts`. Only such a value can be the whole host of a `url`
        host: Optional Flag,
        /// may be absent
        optional: Optional Flag,
    }

    /// How an access token is renewed.
    REFRESH {
        /// left out for `client_credentials`. `same`: the refresh token stays, and a new one is stored all the same;
        /// `rotating`: it is used up
        kind: Optional Word(&["none", "same", "rotating"]),
        /// for `rotating`: how long the old one still serves
        grace_seconds: Optional Whole,
        /// how often the vendor recommends to renew, long before the token runs out
        renew_after_seconds: Optional Whole,
        /// more refreshes of one grant are refused
        limit: Optional Table(&LIMIT),
    }

    /// How often.
    LIMIT {
        /// so many
        calls: Required Whole,
        /// within
        seconds: Required Whole,
    }

    /// How a grant is given back.
    REVOCATION {
        /// `{token.refresh_or_access}` and the like may stand anywhere in it. It carries no credential unless it names one
        request: Required Table(&REQUEST),
        /// as for `token`
        client_auth: Required Word(CLIENT_AUTHS),
        /// it ends all that the account has granted to the client, and not this grant alone: it is made for the last connection to the account only, and never for a grant that another one has replaced
        shared_grant: Optional Flag,
        /// `success`, and `gone` where there was nothing left to revoke, count as revoked. Otherwise the status decides
        rules: Optional Tables(&RULE),
    }
}
