//! Calls, the test, operations and rules.

use super::{
    Kind::{
        Conditions, Day, Flag, Headers, Identifier, Json, JsonText, MediaType, Named, Pattern, Pointers, Sources,
        Statuses, Table, Tables, Template, Text, Texts, Values, Whole, Word, Words,
    },
    connect::{DERIVED, FLOWS, PROOFS},
    shapes,
};

const CLASSES: &[&str] = &[
    "success",
    "expired",
    "revoked",
    "invalid",
    "insufficient_scope",
    "rate_limited",
    "plan",
    "config_error",
    "gone",
    "retryable",
    "rejected",
];

shapes! {
    /// A call.
    REQUEST {
        /// of HTTP
        method: Required Word(&["GET", "POST", "PUT", "PATCH", "DELETE"]),
        /// a path after `base_url`, `https://` and a literal host, or an address field and a path. Of a host, values can be
        /// single labels before a literal domain; or the host is one value, `https://{grant.host}/path`, and must be among
        /// `allowed_hosts` whenever a call is made. No query
        url: Required Template,
        /// of the address
        query: Optional Values,
        /// all but those of credentials and of the connection
        headers: Optional Headers,
        /// the body, as a form
        form: Optional Values,
        /// or: the body, as JSON. The content type follows, unless a header sets it
        json: Optional Json,
        /// or: the body, in parts, as `multipart/related`
        related: Optional Tables(&PART),
        /// one of the flow's credentials, or `none`
        credential: Optional Text,
        /// the day on which the vendor switches the call off: `connectors check` warns 90 days before
        sunset: Optional Day,
    }

    /// A part of a body.
    PART {
        /// of the part
        content_type: Required MediaType,
        /// what it holds; or
        json: Optional Json,
        /// as it is
        text: Optional Template,
    }

    /// A step of the test.
    STEP {
        /// of the step
        name: Required Identifier,
        /// the flows that take this step; all unless given
        flows: Optional Words(FLOWS),
        /// begins only where one of them has been granted, else the next step does
        scopes: Optional Texts,
        /// the call
        request: Required Table(&REQUEST),
        /// where the account's id and name stand
        account: Optional Table(&ACCOUNT),
        /// what this step shows, instead of the flow's
        proof: Optional Word(PROOFS),
        /// tried before the connector's own
        rules: Optional Tables(&RULE),
    }

    /// Where an account stands.
    ACCOUNT {
        /// of several the first that gives something counts
        id: Optional Sources,
        /// of several the first that gives something counts
        name: Optional Sources,
    }

    /// What modules can send.
    OPERATION {
        /// such as `submission.created`, or `*` for any that has no operation of its own
        event_type: Required Text,
        /// for operators
        title: Required Text,
        /// without them an event is refused. For connections by `oauth` only
        required_scopes: Optional Texts,
        /// JSON Schema 2020-12; `$ref` only within itself, formats are checked. One event type has one shape in all connectors;
        /// they differ in `required` only
        payload_schema: Required JsonText,
        /// fits the schema
        example_payload: Required JsonText,
        /// may name the payload and the message
        derived: Optional Named(&DERIVED),
        /// the call
        request: Required Table(&REQUEST),
        /// tried before the connector's own
        rules: Optional Tables(&RULE),
        /// what to do where nobody can tell whether the vendor has acted (no answer, 408, 425, or 5xx without a rule): `retry`
        /// unless given, or `fail` where a repetition would do harm
        when_unsure: Optional Word(&["retry", "fail"]),
    }

    /// What an answer means.
    RULE {
        /// the flows for whose connections it is; all unless given
        flows: Optional Words(FLOWS),
        /// condition: the status, a number, a text such as `"5xx"`, or any of a list
        status: Optional Statuses,
        /// condition: from pointers to what must be there
        json: Optional Conditions,
        /// condition: from names to what must be there
        headers: Optional Conditions,
        /// condition: this media type, whatever its parameters
        content_type: Optional Text,
        /// condition: found in the first 64 KiB
        body: Optional Pattern,
        /// what the answer means, see below
        then: Optional Word(CLASSES),
        /// instead, in a test: the later step that decides
        next: Optional Text,
        /// in words for an operator: in reports of tests, and in the log before the vendor's own words
        detail: Optional Text,
        /// where the missing permissions are named
        missing_scopes: Optional Table(&MISSING_SCOPES),
        /// for `rate_limited` and `retryable`: how long to wait where the vendor does not say it
        wait_seconds: Optional Whole,
        /// in a test: as in a step, before the step's own
        account: Optional Table(&ACCOUNT),
        /// in a test: as in a step
        proof: Optional Word(PROOFS),
    }

    /// Permissions that are missing.
    MISSING_SCOPES {
        /// each leads to a text, or a list of them
        json: Required Pointers,
        /// every match (its first group, if it has one) is a permission; without it, every text
        pattern: Optional Pattern,
    }

    /// What must be there, besides a value and a list of possible values.
    MATCHER {
        /// it matches
        matches: Optional Pattern,
        /// it is there, or not; null counts as not there
        present: Optional Flag,
    }

    /// A text of an answer.
    SOURCE {
        /// where it stands
        json: Required super::Kind::Pointer,
        /// its first group, or the match, counts
        pattern: Required Pattern,
    }
}
