//! The top level, and what stands right below it.

use super::{
    Kind::{
        Flag, HttpsAddress, Identifier, Pattern, Pointer, Pointers, Table, Tables, Template, Text, Texts, Version, Word,
    },
    call::{OPERATION, RULE, STEP},
    connect::FLOW,
    oauth::OAUTH,
    shapes,
};

/// How a point in time, or the way to it, is written.
const UNITS: &[&str] = &["seconds", "milliseconds", "unix_seconds", "time"];

shapes! {
    /// A connector.
    MANIFEST {
        /// `1`, this format
        version: Required Version,
        /// lower-case letters, digits, `_`; callers store it, so it never changes
        slug: Required Identifier,
        /// for operators
        display_name: Required Text,
        /// where operators look for it
        family: Required Word(&["google", "email", "payments", "webhooks", "analytics", "crm", "messaging", "social"]),
        /// for operators: what it does, in a sentence or two
        description: Required Text,
        /// of the vendor's interface
        documentation_url: Optional HttpsAddress,
        /// what connectors of one authorization server share, see [Providers](#providers)
        provider: Optional Identifier,
        /// `api.example.com`, or `*.example.com` for any name below it: the hosts that a field, a derived value, a callback or
        /// a token answer may name. Nothing else is called
        allowed_hosts: Optional Texts,
        /// without a slash at its end: what comes before a `url` that begins with `/`
        base_url: Optional Template,
        /// where the vendor's error code and text stand, for test reports
        error: Optional Table(&ERROR),
        /// where the vendor says when to come back, besides `Retry-After`, which is always read first
        retry_after: Optional Tables(&RETRY_AFTER),
        /// what an operator can consent to
        scopes: Optional Tables(&SCOPE),
        /// the ways to connect, one of a kind at most
        flows: Required Tables(&FLOW),
        /// the steps of the test call
        test: Required Tables(&STEP),
        /// what modules can send
        operations: Optional Tables(&OPERATION),
        /// what answers mean, for all calls; tried after a call's own
        rules: Optional Tables(&RULE),
    }

    /// What connectors share.
    PROVIDER {
        /// `1`, this format
        version: Required Version,
        /// as connectors call it
        name: Required Identifier,
        /// all that `[flows.oauth]` has
        oauth: Required Table(&OAUTH),
        /// as in a manifest, whose own list grows by it
        allowed_hosts: Optional Texts,
        /// as in a manifest, whose own come first
        error: Optional Table(&ERROR),
        /// as in a manifest, whose own come first
        retry_after: Optional Tables(&RETRY_AFTER),
        /// as in a manifest, whose own are listed after them
        scopes: Optional Tables(&SCOPE),
        /// as in a manifest, whose own come first
        rules: Optional Tables(&RULE),
    }

    /// The vendor's own words.
    ERROR {
        /// the first that leads somewhere counts
        code: Optional Pointers,
        /// the first that leads somewhere counts
        message: Optional Pointers,
    }

    /// When to come back.
    RETRY_AFTER {
        /// its name; or
        header: Optional Text,
        /// a pointer into the answer
        json: Optional Pointer,
        /// its first group, or the match, is what counts
        pattern: Optional Pattern,
        /// `seconds` and `milliseconds` count from now; `unix_seconds` and `time` (RFC 3339) are points in time
        unit: Required Word(UNITS),
    }

    /// Something to consent to.
    SCOPE {
        /// as the vendor calls it
        id: Required Text,
        /// for operators
        title: Required Text,
        /// asked for unless the operator says otherwise
        default: Optional Flag,
        /// more than most operators mean to give
        sensitive: Optional Flag,
        /// how else the vendor names it where it says what was granted
        aliases: Optional Texts,
        /// the authorize parameter that asks for it, in place of `scope`
        parameter: Optional Text,
    }
}
