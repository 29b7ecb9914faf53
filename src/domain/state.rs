//! How a connection's state follows from what was observed: one pure function.
//!
//! State is observed, never asserted: only pause and resume are set by hand. Whoever learns
//! something about a connection (a test, a refresh, a delivery, an operator) says so as an
//! [`Observation`]; [`decide`] says what becomes of the state.

use super::{
    connection::{ConnectionState, StateChangeCause},
    test_report::TestOutcome,
};
use ConnectionState::{Active, AuthExpired, AuthRevoked, Error, Paused};

/// Something that was learnt about a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Observation {
    /// A test call ended. `refreshable`: the credential can be refreshed without an operator.
    Tested { outcome: TestOutcome, refreshable: bool },
    /// A delivery was told that the credential has expired.
    DeliverySaidExpired { refreshable: bool },
    /// A delivery was told that the grant is gone.
    DeliverySaidRevoked,
    /// A refresh brought a new access record.
    RefreshSucceeded,
    /// The vendor refused the refresh; `revoked` where it says that the grant is gone.
    RefreshRefused { revoked: bool },
    /// The refresh did not get through; `still_valid` while the access record has not run out.
    RefreshInTransit { still_valid: bool },
    /// A re-authorization or scope edit succeeded and its test passed.
    Reauthorized,
    /// Too many attempts in a row have failed.
    ErrorPattern,
    /// A webhook answered 410 Gone.
    DestinationGone,
    /// The operator pauses.
    Pause,
    /// The operator resumes, and this is what the test call found.
    Resume { test: TestOutcome },
}

/// What becomes of the state.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Decision {
    /// Nothing changes.
    Keep,
    /// Nothing changes but the reason: a paused connection keeps what was learnt meanwhile.
    KeepWithReason,
    /// The state changes. `probe`: whether the platform may find the way back by test calls of its own.
    Become { state: ConnectionState, cause: StateChangeCause, probe: bool },
    /// The access record is refreshed first; how that ends decides.
    RefreshFirst,
    /// A test call follows and decides.
    TestFollows,
    /// The action is not possible in this state.
    Conflict,
}

const fn become_(state: ConnectionState, cause: StateChangeCause) -> Decision {
    Decision::Become { state, cause, probe: false }
}

/// The same state again is no change.
fn unless_already(from: ConnectionState, state: ConnectionState, cause: StateChangeCause) -> Decision {
    if from == state { Decision::Keep } else { become_(state, cause) }
}

/// Decides what an observation makes of a state.
#[must_use]
pub fn decide(from: ConnectionState, observed: Observation) -> Decision {
    use StateChangeCause as Cause;
    match observed {
        Observation::Pause => match from {
            Paused => Decision::Keep,
            Active | AuthExpired | AuthRevoked | Error => become_(Paused, Cause::Operator),
        },
        Observation::Resume { test } => match (from, test) {
            (Paused, TestOutcome::Connected) => become_(Active, Cause::Operator),
            (Paused, _) => become_(Error, Cause::Operator),
            _ => Decision::Conflict,
        },
        // Whatever else is learnt while paused is kept for the operator, and changes nothing.
        _ if from == Paused => Decision::KeepWithReason,
        Observation::Tested { outcome, refreshable } => match outcome {
            TestOutcome::Connected => unless_already(from, Active, Cause::Test),
            TestOutcome::CredentialExpired if refreshable && from != AuthRevoked => Decision::RefreshFirst,
            TestOutcome::CredentialExpired => unless_already(from, AuthExpired, Cause::Test),
            TestOutcome::CredentialRevoked => unless_already(from, AuthRevoked, Cause::Test),
            TestOutcome::ScopeInsufficient | TestOutcome::VendorError | TestOutcome::NetworkError => Decision::Keep,
        },
        Observation::DeliverySaidExpired { refreshable: true } if from != AuthRevoked => Decision::RefreshFirst,
        Observation::DeliverySaidExpired { .. } => unless_already(from, AuthExpired, Cause::Delivery),
        Observation::DeliverySaidRevoked => unless_already(from, AuthRevoked, Cause::Delivery),
        Observation::RefreshSucceeded => match from {
            Active => Decision::Keep,
            AuthExpired => become_(Active, Cause::Refresh),
            Paused | AuthRevoked | Error => Decision::TestFollows,
        },
        Observation::RefreshRefused { revoked } => {
            unless_already(from, if revoked { AuthRevoked } else { AuthExpired }, Cause::Refresh)
        }
        Observation::RefreshInTransit { still_valid } => match from {
            Active | Error if !still_valid => become_(AuthExpired, Cause::Refresh),
            _ => Decision::Keep,
        },
        Observation::Reauthorized => unless_already(from, Active, Cause::Operator),
        Observation::ErrorPattern => match from {
            Active => Decision::Become { state: Error, cause: Cause::Delivery, probe: true },
            _ => Decision::Keep,
        },
        Observation::DestinationGone => match from {
            Active => become_(Error, Cause::Delivery),
            _ => Decision::Keep,
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use StateChangeCause as Cause;
    use TestOutcome as T;

    const KEEP: Decision = Decision::Keep;
    const NOTE: Decision = Decision::KeepWithReason;

    const fn to(state: ConnectionState, cause: Cause) -> Decision {
        Decision::Become { state, cause, probe: false }
    }

    /// Every observation, with what it makes of active, paused, `auth_expired`, `auth_revoked` and error.
    fn table() -> Vec<(Observation, [Decision; 5])> {
        let tested = |outcome, refreshable| Observation::Tested { outcome, refreshable };
        let mut rows = vec![
            (
                Observation::Pause,
                [
                    to(Paused, Cause::Operator),
                    KEEP,
                    to(Paused, Cause::Operator),
                    to(Paused, Cause::Operator),
                    to(Paused, Cause::Operator),
                ],
            ),
            (
                tested(T::CredentialExpired, true),
                [
                    Decision::RefreshFirst,
                    NOTE,
                    Decision::RefreshFirst,
                    to(AuthExpired, Cause::Test),
                    Decision::RefreshFirst,
                ],
            ),
            (
                tested(T::CredentialExpired, false),
                [to(AuthExpired, Cause::Test), NOTE, KEEP, to(AuthExpired, Cause::Test), to(AuthExpired, Cause::Test)],
            ),
            (
                Observation::DeliverySaidExpired { refreshable: true },
                [
                    Decision::RefreshFirst,
                    NOTE,
                    Decision::RefreshFirst,
                    to(AuthExpired, Cause::Delivery),
                    Decision::RefreshFirst,
                ],
            ),
            (
                Observation::DeliverySaidExpired { refreshable: false },
                [
                    to(AuthExpired, Cause::Delivery),
                    NOTE,
                    KEEP,
                    to(AuthExpired, Cause::Delivery),
                    to(AuthExpired, Cause::Delivery),
                ],
            ),
            (
                Observation::DeliverySaidRevoked,
                [
                    to(AuthRevoked, Cause::Delivery),
                    NOTE,
                    to(AuthRevoked, Cause::Delivery),
                    KEEP,
                    to(AuthRevoked, Cause::Delivery),
                ],
            ),
            (
                Observation::RefreshSucceeded,
                [KEEP, NOTE, to(Active, Cause::Refresh), Decision::TestFollows, Decision::TestFollows],
            ),
            (
                Observation::RefreshRefused { revoked: false },
                [
                    to(AuthExpired, Cause::Refresh),
                    NOTE,
                    KEEP,
                    to(AuthExpired, Cause::Refresh),
                    to(AuthExpired, Cause::Refresh),
                ],
            ),
            (
                Observation::RefreshRefused { revoked: true },
                [
                    to(AuthRevoked, Cause::Refresh),
                    NOTE,
                    to(AuthRevoked, Cause::Refresh),
                    KEEP,
                    to(AuthRevoked, Cause::Refresh),
                ],
            ),
            (Observation::RefreshInTransit { still_valid: true }, [KEEP, NOTE, KEEP, KEEP, KEEP]),
            (
                Observation::RefreshInTransit { still_valid: false },
                [to(AuthExpired, Cause::Refresh), NOTE, KEEP, KEEP, to(AuthExpired, Cause::Refresh)],
            ),
            (
                Observation::Reauthorized,
                [KEEP, NOTE, to(Active, Cause::Operator), to(Active, Cause::Operator), to(Active, Cause::Operator)],
            ),
            (
                Observation::ErrorPattern,
                [Decision::Become { state: Error, cause: Cause::Delivery, probe: true }, NOTE, KEEP, KEEP, KEEP],
            ),
            (Observation::DestinationGone, [to(Error, Cause::Delivery), NOTE, KEEP, KEEP, KEEP]),
        ];
        for refreshable in [true, false] {
            rows.push((
                tested(T::Connected, refreshable),
                [KEEP, NOTE, to(Active, Cause::Test), to(Active, Cause::Test), to(Active, Cause::Test)],
            ));
            rows.push((
                tested(T::CredentialRevoked, refreshable),
                [to(AuthRevoked, Cause::Test), NOTE, to(AuthRevoked, Cause::Test), KEEP, to(AuthRevoked, Cause::Test)],
            ));
            for outcome in [T::ScopeInsufficient, T::VendorError, T::NetworkError] {
                rows.push((tested(outcome, refreshable), [KEEP, NOTE, KEEP, KEEP, KEEP]));
            }
        }
        for test in T::ALL.iter().copied() {
            let resumed = to(if test == T::Connected { Active } else { Error }, Cause::Operator);
            let no = Decision::Conflict;
            rows.push((Observation::Resume { test }, [no, resumed, no, no, no]));
        }
        rows
    }

    #[test]
    fn every_pair_of_state_and_observation() {
        let rows = table();
        assert_eq!(rows.len(), 14 + 2 * 5 + 6, "every observation stands in the table once");
        for (i, (observed, _)) in rows.iter().enumerate() {
            assert!(rows[..i].iter().all(|(other, _)| other != observed), "{observed:?} stands twice");
        }
        for (observed, expected) in rows {
            for (from, expected) in [Active, Paused, AuthExpired, AuthRevoked, Error].into_iter().zip(expected) {
                assert_eq!(decide(from, observed), expected, "{from} and {observed:?}");
            }
        }
    }

    #[test]
    fn no_change_leads_to_the_same_state() {
        for (observed, _) in table() {
            for from in ConnectionState::ALL.iter().copied() {
                if let Decision::Become { state, .. } = decide(from, observed) {
                    assert_ne!(state, from, "{observed:?}");
                }
            }
        }
    }
}
