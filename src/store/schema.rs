//! The tables, as both databases have them. Kept by hand beside `migrations/`; a test selects every
//! table on both.

diesel::table! {
    use diesel::sql_types::BigInt;
    use crate::store::moment::Moment;

    sites (site_id) {
        site_id -> BigInt,
        created_at -> Moment,
    }
}

diesel::table! {
    use diesel::sql_types::{BigInt, Binary, Integer, Nullable, Text};
    use crate::store::moment::Moment;

    site_keys (site_id, version) {
        site_id -> BigInt,
        version -> Integer,
        master_key_id -> Text,
        wrapped -> Binary,
        created_at -> Moment,
        payloads_done_to -> Nullable<BigInt>,
    }
}

diesel::table! {
    use diesel::sql_types::{BigInt, Nullable, Text};
    use crate::store::moment::Moment;

    operators (site_id, operator_id) {
        site_id -> BigInt,
        operator_id -> BigInt,
        name -> Nullable<Text>,
        noted_at -> Moment,
    }
}

diesel::table! {
    use diesel::sql_types::{BigInt, Text};
    use crate::store::moment::Moment;

    roles (site_id, name_folded) {
        site_id -> BigInt,
        name_folded -> Text,
        name -> Text,
        capabilities -> Text,
        updated_at -> Moment,
    }
}

diesel::table! {
    use diesel::sql_types::{BigInt, Text};
    use crate::store::moment::Moment;

    site_settings (site_id) {
        site_id -> BigInt,
        settings -> Text,
        updated_at -> Moment,
    }
}

diesel::table! {
    use diesel::sql_types::BigInt;
    use crate::store::moment::Moment;

    stream_counters (site_id) {
        site_id -> BigInt,
        number -> BigInt,
    }
}

diesel::table! {
    use diesel::sql_types::{BigInt, Nullable, Text};
    use crate::store::moment::Moment;

    stream_events (site_id, number) {
        site_id -> BigInt,
        number -> BigInt,
        check_mark -> BigInt,
        occurred_at -> Moment,
        kind -> Text,
        connection_id -> Nullable<BigInt>,
        connector_slug -> Nullable<Text>,
        change -> Nullable<Text>,
        previous_state -> Nullable<Text>,
        state -> Nullable<Text>,
        cause -> Nullable<Text>,
        reason -> Nullable<Text>,
        entry_id -> Nullable<BigInt>,
    }
}

diesel::table! {
    use diesel::sql_types::{BigInt, Bool, Integer, Nullable, Text};
    use crate::store::moment::Moment;

    connections (id) {
        id -> BigInt,
        site_id -> BigInt,
        connector_slug -> Text,
        connector_name_folded -> Text,
        display_name -> Text,
        display_name_folded -> Text,
        state -> Text,
        state_reason -> Nullable<Text>,
        state_changed_at -> Moment,
        probe -> Bool,
        auth_flow -> Text,
        vendor_account_id -> Nullable<Text>,
        vendor_account_id_folded -> Nullable<Text>,
        vendor_account_name -> Nullable<Text>,
        vendor_account_name_folded -> Nullable<Text>,
        scopes_granted -> Text,
        scopes_joined -> Text,
        configuration -> Text,
        destination_label -> Nullable<Text>,
        ordered_delivery -> Bool,
        expires_at -> Nullable<Moment>,
        last_test -> Nullable<Text>,
        last_delivery_at -> Nullable<Moment>,
        failed_in_row -> Integer,
        failing_since -> Nullable<Moment>,
        operator_of_record -> BigInt,
        created_at -> Moment,
        updated_at -> Moment,
        switched_off_at -> Nullable<Moment>,
        refreshable -> Nullable<Bool>,
        not_before -> Nullable<Moment>,
    }
}

diesel::table! {
    use diesel::sql_types::{BigInt, Text};
    use crate::store::moment::Moment;

    connection_scopes (connection_id, scope) {
        connection_id -> BigInt,
        site_id -> BigInt,
        scope -> Text,
    }
}

diesel::table! {
    use diesel::sql_types::{BigInt, Binary, Integer, Text};
    use crate::store::moment::Moment;

    credentials (connection_id, name) {
        connection_id -> BigInt,
        site_id -> BigInt,
        name -> Text,
        key_version -> Integer,
        sealed -> Binary,
    }
}

diesel::table! {
    use diesel::sql_types::{BigInt, Nullable, Text};
    use crate::store::moment::Moment;

    state_history (id) {
        id -> BigInt,
        site_id -> BigInt,
        connection_id -> BigInt,
        state -> Text,
        previous_state -> Nullable<Text>,
        cause -> Text,
        reason -> Nullable<Text>,
        occurred_at -> Moment,
    }
}

diesel::table! {
    use diesel::sql_types::{BigInt, Binary, Integer, Nullable, Text};
    use crate::store::moment::Moment;

    offers (id) {
        id -> BigInt,
        site_id -> BigInt,
        token -> Text,
        operator_id -> BigInt,
        connector_slug -> Text,
        display_name -> Nullable<Text>,
        key_version -> Integer,
        sealed -> Binary,
        created_at -> Moment,
        expires_at -> Moment,
    }
}

diesel::table! {
    use diesel::sql_types::{BigInt, Binary, Integer, Nullable, Text};
    use crate::store::moment::Moment;

    deliveries (id) {
        id -> BigInt,
        site_id -> BigInt,
        connection_id -> BigInt,
        connection_name -> Text,
        connector_slug -> Text,
        module -> Text,
        event_type -> Text,
        event_identifier -> Text,
        event_identifier_folded -> Text,
        idempotency_key -> Text,
        request_digest -> Binary,
        message_id -> Text,
        payload -> Nullable<Binary>,
        status -> Text,
        attempts -> Integer,
        accepted_at -> Moment,
        next_attempt_at -> Nullable<Moment>,
        waiting_for -> Nullable<Text>,
        ended_at -> Nullable<Moment>,
        lease_token -> Nullable<BigInt>,
        lease_until -> Nullable<Moment>,
        retry_of -> Nullable<BigInt>,
        retry_key -> Nullable<Text>,
        last_entry_id -> Nullable<BigInt>,
        retry_batch -> Nullable<BigInt>,
    }
}

diesel::table! {
    use diesel::sql_types::{BigInt, Integer, Nullable, Text};
    use crate::store::moment::Moment;

    delivery_entries (id) {
        id -> BigInt,
        site_id -> BigInt,
        delivery_id -> BigInt,
        connection_id -> BigInt,
        connection_name -> Text,
        connector_slug -> Text,
        attempt -> Integer,
        module -> Text,
        event_type -> Text,
        event_identifier -> Text,
        event_identifier_folded -> Text,
        outcome -> Text,
        failure -> Nullable<Text>,
        vendor_response_code -> Nullable<Integer>,
        vendor_message -> Nullable<Text>,
        latency_ms -> Nullable<BigInt>,
        attempted_at -> Moment,
        retry_of -> Nullable<BigInt>,
        retry_key -> Nullable<Text>,
    }
}

diesel::table! {
    use diesel::sql_types::{BigInt, Nullable, Text};
    use crate::store::moment::Moment;

    activity_entries (id) {
        id -> BigInt,
        site_id -> BigInt,
        action -> Text,
        operator_id -> Nullable<BigInt>,
        module -> Nullable<Text>,
        connection_id -> Nullable<BigInt>,
        connection_name -> Nullable<Text>,
        connector_slug -> Nullable<Text>,
        outcome -> Text,
        detail -> Nullable<Text>,
        occurred_at -> Moment,
    }
}

diesel::table! {
    use diesel::sql_types::{BigInt, Binary, Integer, Nullable, Text};
    use crate::store::moment::Moment;

    authorizations (id) {
        id -> BigInt,
        site_id -> BigInt,
        token -> Text,
        operator_id -> BigInt,
        operator_name -> Nullable<Text>,
        role -> Text,
        purpose -> Text,
        status -> Text,
        connector_slug -> Text,
        display_name -> Nullable<Text>,
        connection_id -> Nullable<BigInt>,
        scopes_requested -> Text,
        return_to -> Nullable<Text>,
        ticket_hash -> Text,
        ticket_until -> Moment,
        state_hash -> Text,
        browser_hash -> Nullable<Text>,
        key_version -> Integer,
        sealed -> Binary,
        test -> Nullable<Text>,
        error -> Nullable<Text>,
        created_at -> Moment,
        changed_at -> Moment,
        expires_at -> Moment,
    }
}

diesel::table! {
    use diesel::sql_types::{BigInt, Integer, Nullable, Text};
    use crate::store::moment::Moment;

    renewals (connection_id) {
        connection_id -> BigInt,
        site_id -> BigInt,
        due_at -> Nullable<Moment>,
        lease_token -> Nullable<BigInt>,
        lease_until -> Nullable<Moment>,
        begun_at -> Nullable<Moment>,
        failed_at -> Nullable<Moment>,
        failures -> Integer,
        outcome -> Nullable<Text>,
        closing -> Nullable<Text>,
        closing_since -> Nullable<Moment>,
        generation -> BigInt,
        connector_slug -> Text,
        renewed_at -> Nullable<Moment>,
    }
}

diesel::table! {
    use diesel::sql_types::{BigInt, Integer};
    use crate::store::moment::Moment;

    checks (connection_id) {
        connection_id -> BigInt,
        site_id -> BigInt,
        due_at -> Moment,
        failures -> Integer,
    }
}

diesel::table! {
    use diesel::sql_types::{BigInt, Text};
    use crate::store::moment::Moment;

    delivery_rollups (connection_id, hour, module, outcome, latency) {
        site_id -> BigInt,
        connection_id -> BigInt,
        hour -> BigInt,
        module -> Text,
        outcome -> Text,
        latency -> BigInt,
        entries -> BigInt,
        events -> BigInt,
        last_event_at -> Moment,
    }
}

diesel::table! {
    use diesel::sql_types::BigInt;
    use crate::store::moment::Moment;

    retry_batches (id) {
        id -> BigInt,
        site_id -> BigInt,
        total -> BigInt,
        done -> BigInt,
        failed -> BigInt,
        begun_at -> Moment,
    }
}
