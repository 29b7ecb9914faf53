//! Flows, fields and credentials.

use super::{
    Kind::{
        Choices, Flag, Groups, Identifier, Name, Named, Pattern, Table, Tables, Template, Templates, Text, Word, Words,
    },
    oauth::OAUTH,
    shapes,
};

pub(super) const FLOWS: &[&str] = &["api_key", "basic", "signed_token", "oauth"];
pub(super) const PROOFS: &[&str] = &["account", "credential", "reachable", "syntax"];

shapes! {
    /// A way to connect.
    FLOW {
        /// for `signed_token` the gateway makes the secret
        flow: Required Word(FLOWS),
        /// what a passing test shows: `account` (the account answered for itself), `credential` (accepted, no account named),
        /// `reachable` (the destination answered), `syntax` (only the form was checked)
        proof: Required Word(PROOFS),
        /// the credential can run out by itself
        expires: Optional Flag,
        /// for `signed_token`: how to register the secret with the vendor
        instructions: Optional Text,
        /// where deliveries go, in a few words for a list. May name fields that are no secret; left out where one is absent
        destination: Optional Template,
        /// what the operator enters, in the order to ask for it
        fields: Optional Tables(&FIELD),
        /// groups of fields, such as `[["user", "password"], ["token"]]`: exactly one group is given, and all of it. Its
        /// fields are `optional`
        one_of: Optional Groups,
        /// values made from others
        derived: Optional Named(&DERIVED),
        /// for `oauth`, unless a provider has it: how the vendor grants access
        oauth: Optional Table(&OAUTH),
        /// where a credential stands in a call. A call carries the one named `default` unless it says otherwise
        credentials: Optional Named(&CREDENTIAL),
    }

    /// What an operator enters.
    FIELD {
        /// lower-case letters, digits, `_`
        name: Required Identifier,
        /// for the form
        label: Required Text,
        /// for the form
        help: Optional Text,
        /// for the form
        placeholder: Optional Text,
        /// `text` unless given
        kind: Optional Word(&["text", "url", "select", "multiline"]),
        /// part of the credential. Sealed, never shown, no setting, and only a credential may carry it into a call
        secret: Optional Flag,
        /// may be left out
        optional: Optional Flag,
        /// not for secrets
        default: Optional Text,
        /// anchored by `^` and `$`. A form checks it too, so it is the part of ECMA-262 that means the same here: no flags,
        /// names, lookaround, back references, `\d`, `\w` or `\b`
        pattern: Optional Pattern,
        /// for `select`: what there is
        options: Optional Tables(&OPTION),
        /// for `url`: `base` (default; no query, slashes at the end are taken away) or `whole` (called as it is)
        address: Optional Word(&["base", "whole"]),
        /// for `text`: stands as a number in JSON bodies
        integer: Optional Flag,
        /// for `text` and `select`: a host's name, one of `allowed_hosts`. Only such a field can be the whole host of a `url`
        host: Optional Flag,
    }

    /// A choice.
    OPTION {
        /// what is kept
        value: Required Text,
        /// for the form
        label: Required Text,
    }

    /// A value made from others.
    DERIVED {
        /// the first counts whose values are all there
        first_of: Optional Templates,
        /// instead: from which the value is made by one of the next three. The value of a field must fit, unless `optional`
        from: Optional Name,
        /// its one group is the value
        pattern: Optional Pattern,
        /// besides `pattern`, or in its place; the hashes are hexadecimal digits. Applied in their order. `number`, as the last:
        /// a decimal number, which stands as one in JSON bodies; what is none counts as absent
        transform: Optional Words(&["lower_case", "md5", "sha256", "number"]),
        /// from what the source may be to what this value is then
        values: Optional Choices,
        /// instead of all these: a mail message (RFC 5322) in Base64 for addresses
        mail: Optional Table(&MAIL),
        /// may be absent. Implied where its sources may be
        optional: Optional Flag,
        /// made from a secret, but none itself (a region in a key's end)
        public: Optional Flag,
    }

    /// A mail message. One of `text` and `html` is always there.
    MAIL {
        /// one address, with a name before it or without; the first counts whose values are all there
        to: Required Templates,
        /// in any script
        subject: Required Template,
        /// likewise; left out where a value is absent, as are the rest
        from: Optional Templates,
        /// likewise: where answers go
        reply_to: Optional Templates,
        /// plain
        text: Optional Template,
        /// the same in HTML
        html: Optional Template,
    }

    /// Where a credential stands.
    CREDENTIAL {
        /// `header`: any header, the scheme's word in the value (`Bearer {field.key}`). `basic`: HTTP Basic. `query`, `form`,
        /// `json`: by a name there, for `json` a pointer in an object body. `path`: where the call's `url` says
        /// `{credential}`. `signature`: `webhook-id`, `webhook-timestamp`, `webhook-signature`; for `signed_token`
        in: Required Word(&["header", "basic", "query", "form", "json", "path", "signature"]),
        /// for `header`, `query`, `form`, `json`
        name: Optional Text,
        /// for all of them and `path`
        value: Optional Template,
        /// for `basic`; may be a literal, or empty
        user: Optional Template,
        /// for `basic`; may be a literal, or empty
        password: Optional Template,
        /// for `signature`
        scheme: Optional Word(&["standard_webhooks"]),
    }
}
