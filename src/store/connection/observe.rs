//! What an observation makes of a connection: the row is locked, the state function decides, and what
//! follows commits together.

use chrono::{DateTime, Utc};

use super::row::{ConnectionRow, lock, save};
use crate::{
    domain::{
        connection::{Connection, ConnectionChange, ConnectionState},
        event::EventBody,
        id::{ConnectionId, SiteId},
        state::{Decision, Observation, decide},
        test_report::TestReport,
    },
    store::{
        activity::{self, NewActivity},
        check,
        database::{Conn, Db},
        error::Result,
        history::{self, NewStep},
        moment::At,
        rows::{folded, storable_or_none, test_to_json},
        stream,
        transaction::transaction,
    },
};

/// Something learnt about a connection, and what is to be kept of it.
#[derive(Clone, Debug)]
pub struct Report {
    pub observation: Observation,
    /// Stored as the connection's last test, whatever comes of it.
    pub test: Option<TestReport>,
    /// In words for an operator.
    pub reason: Option<String>,
    pub activity: Option<NewActivity>,
    /// Whether a change of state moves `updated_at`: for what the reference names (pause, resume,
    /// refresh, scope change) and for nothing else.
    pub touch: bool,
}

/// What came of a report.
#[derive(Clone, Debug)]
pub struct Observed {
    /// As it is now.
    pub connection: Connection,
    pub decision: Decision,
    /// The state before.
    pub previous: ConnectionState,
}

/// Applies a report to a connection; `None` where the site has no such connection. A conflict writes
/// nothing at all.
pub async fn observe(
    db: &Db,
    site: SiteId,
    id: ConnectionId,
    now: DateTime<Utc>,
    report: Report,
) -> Result<Option<Observed>> {
    transaction!(db, conn => {
        let Some(mut row) = lock(conn, site, id, false).await? else { return Ok(None) };
        let previous = row.state()?;
        let change = apply(&mut row, now, report.observation, report.reason.as_deref(), report.test.as_ref(), report.touch)?;
        let decision = change.decision;
        if decision != Decision::Conflict {
            save(conn, &row).await?;
            let mut events = change.write(conn, site, now, &row).await?;
            if let Some(activity) = &report.activity {
                let entry = activity::write(conn, site, now, &row.activity(activity)).await?;
                events.push(EventBody::ActivityLogged { entry: entry.id });
            }
            stream::append(conn, db, site, now, &events).await?;
        }
        Ok(Some(Observed { connection: Connection::try_from(row)?, decision, previous }))
    })
}

/// What one observation did to a locked row, and what is to be written besides the row.
pub(in crate::store) struct Change {
    pub(in crate::store) decision: Decision,
    step: Option<NewStep>,
}

/// Applies an observation to a row in memory.
pub(in crate::store) fn apply(
    row: &mut ConnectionRow,
    now: DateTime<Utc>,
    observation: Observation,
    reason: Option<&str>,
    test: Option<&TestReport>,
    touch: bool,
) -> Result<Change> {
    let reason = storable_or_none(reason);
    let reason = reason.as_deref();
    let previous = row.state()?;
    let decision = decide(previous, observation);
    let mut step = None;
    match decision {
        Decision::Conflict => return Ok(Change { decision, step }),
        Decision::Become { state, cause, probe } => {
            let active = state == ConnectionState::Active;
            state.as_str().clone_into(&mut row.state);
            row.state_reason = reason.filter(|_| !active).map(str::to_owned);
            row.state_changed_at = At(now);
            row.probe = probe;
            if active {
                end_failure_run(row);
            }
            if touch {
                row.updated_at = At(now);
            }
            step = Some(NewStep { previous_state: Some(previous), state, cause, reason: reason.map(str::to_owned) });
        }
        Decision::KeepWithReason => {
            if let Some(reason) = reason {
                row.state_reason = Some(reason.to_owned());
            }
        }
        Decision::Keep | Decision::RefreshFirst | Decision::TestFollows => {}
    }
    if let Some(test) = test {
        note_test(row, test);
    }
    Ok(Change { decision, step })
}

fn note_test(row: &mut ConnectionRow, test: &TestReport) {
    row.last_test = Some(test_to_json(test));
    if row.vendor_account_id.is_none() {
        row.vendor_account_id = storable_or_none(test.vendor_account_id.as_deref());
        row.vendor_account_id_folded = test.vendor_account_id.as_deref().map(folded);
    }
    if row.vendor_account_name.is_none() {
        row.vendor_account_name = storable_or_none(test.vendor_account_name.as_deref());
        row.vendor_account_name_folded = test.vendor_account_name.as_deref().map(folded);
    }
    if test.passed() {
        end_failure_run(row);
    }
}

/// The next failure is the first of a new run.
pub(in crate::store) const fn end_failure_run(row: &mut ConnectionRow) {
    row.failed_in_row = 0;
    row.failing_since = None;
}

impl Change {
    /// Writes the history row, and gives the event that tells of it.
    pub(in crate::store) async fn write(
        self,
        conn: &mut Conn,
        site: SiteId,
        now: DateTime<Utc>,
        row: &ConnectionRow,
    ) -> Result<Vec<EventBody>> {
        let Some(step) = self.step else { return Ok(Vec::new()) };
        history::write(conn, site, row.id(), now, &step).await?;
        if row.probe {
            check::probe(conn, site, row.id(), now).await?;
        }
        Ok(vec![EventBody::Connection {
            connection: row.id(),
            connector_slug: row.connector_slug.clone(),
            change: ConnectionChange::StateChanged,
            previous_state: step.previous_state,
            state: Some(step.state),
            cause: step.cause,
            reason: step.reason,
        }])
    }
}
