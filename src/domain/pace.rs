//! How fast the gateway asks one vendor for renewals: a bucket of turns that fills with time, slower after each answer
//! that says "later", and how far ahead of a crowd to begin.

use chrono::{DateTime, TimeDelta, Utc};

/// The most turns a second.
pub const RATE_MAX: f64 = 10.0;
/// The fewest.
const RATE_MIN: f64 = 0.2;
/// By how much the rate grows with each renewal that went well.
const GROWTH: f64 = 0.05;
/// The shortest pause after an answer that says "later".
const PAUSE: TimeDelta = TimeDelta::seconds(1);
/// The longest that a single turn is waited for.
const WAIT_MAX: TimeDelta = TimeDelta::seconds(10);

/// The distances at which a crowd is looked for.
pub const HORIZONS: [TimeDelta; 7] = [
    TimeDelta::minutes(80),
    TimeDelta::minutes(40),
    TimeDelta::minutes(20),
    TimeDelta::minutes(10),
    TimeDelta::minutes(5),
    TimeDelta::minutes(2),
    TimeDelta::minutes(1),
];

/// The pace that one vendor is asked at.
#[derive(Clone, Debug)]
pub struct Pace {
    /// Turns a second.
    rate: f64,
    /// Turns that can be taken at once; below zero where some are waited for.
    turns: f64,
    counted_at: DateTime<Utc>,
    /// From when to when there is no turn, since the vendor said so.
    pause: Option<(DateTime<Utc>, DateTime<Utc>)>,
}

impl Pace {
    /// That of a vendor that was not asked yet.
    #[must_use]
    pub const fn new(now: DateTime<Utc>) -> Self {
        Self { rate: RATE_MAX, turns: RATE_MAX, counted_at: now, pause: None }
    }

    fn count(&mut self, now: DateTime<Utc>) {
        let passed = seconds(now - self.counted_at).max(0.0);
        // At most those of one second gather.
        self.turns = passed.mul_add(self.rate, self.turns).min(self.rate.max(1.0));
        self.counted_at = now;
    }

    /// Turns a second, as of now.
    #[must_use]
    pub const fn rate(&self) -> f64 {
        self.rate
    }

    /// How many turns can be taken without a wait.
    pub fn room(&mut self, now: DateTime<Utc>) -> u32 {
        self.count(now);
        if self.paused_until(now).is_some() {
            return 0;
        }
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "between 0 and the rate")]
        let room = self.turns.max(0.0) as u32;
        room
    }

    /// When there will be a turn to take.
    pub fn next(&mut self, now: DateTime<Utc>) -> DateTime<Utc> {
        self.count(now);
        let turn = now + span((1.0 - self.turns) / self.rate);
        self.paused_until(now).map_or(turn, |until| turn.max(until))
    }

    /// Takes a turn, and says when it is; `None` where that is too far off to wait for it.
    pub fn take(&mut self, now: DateTime<Utc>) -> Option<DateTime<Utc>> {
        let at = self.next(now).max(now);
        if at - now > WAIT_MAX {
            return None;
        }
        self.turns -= 1.0;
        Some(at)
    }

    /// A renewal went well.
    pub fn went(&mut self) {
        self.rate = (self.rate + GROWTH).min(RATE_MAX);
    }

    /// The vendor said "later", and perhaps when.
    pub fn slow_down(&mut self, now: DateTime<Utc>, after: Option<TimeDelta>) {
        // What was asked together is told so together: that counts once.
        let paused = self.paused_until(now);
        if paused.is_none() {
            self.count(now);
            self.rate = (self.rate / 2.0).max(RATE_MIN);
            self.turns = self.turns.min(0.0);
        }
        let until = now + after.unwrap_or_default().max(PAUSE);
        self.pause = Some((now, paused.map_or(until, |paused| paused.max(until))));
    }

    /// A pause from a time that has not come yet was made before the clock was put back.
    fn paused_until(&self, now: DateTime<Utc>) -> Option<DateTime<Utc>> {
        self.pause.filter(|(from, until)| *from <= now && now < *until).map(|(_, until)| until)
    }
}

/// How far ahead of its time to renew, where so many renewals are due within each of these times from now: a crowd that
/// comes at once is spread over as long as the rate needs for it.
#[must_use]
pub fn lead(rate: f64, crowds: impl IntoIterator<Item = (TimeDelta, u32)>) -> TimeDelta {
    let behind = crowds.into_iter().map(|(within, count)| f64::from(count) / rate - seconds(within));
    span(behind.fold(0.0, f64::max))
}

#[expect(clippy::cast_precision_loss, reason = "milliseconds of days, not of ages")]
fn seconds(span: TimeDelta) -> f64 {
    span.num_milliseconds() as f64 / 1_000.0
}

#[expect(clippy::cast_possible_truncation, reason = "it saturates, and is bounded then")]
fn span(seconds: f64) -> TimeDelta {
    TimeDelta::milliseconds((seconds.clamp(0.0, 1e9) * 1_000.0).ceil() as i64)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(ms: i64) -> DateTime<Utc> {
        DateTime::from_timestamp_millis(1_900_000_000_000 + ms).expect("a time")
    }

    #[test]
    fn no_more_turns_are_given_than_the_rate_allows() {
        let mut pace = Pace::new(at(0));
        let mut given = 0;
        for step in 0..600 {
            while pace.room(at(step * 100)) > 0 {
                assert_eq!(pace.take(at(step * 100)), Some(at(step * 100)));
                given += 1;
            }
        }
        assert!((590..=610).contains(&given), "{given} in a minute, 10 of them at once");
    }

    #[test]
    fn who_waits_gets_a_turn_of_its_own_or_none() {
        let mut pace = Pace::new(at(0));
        let turns: Vec<_> = std::iter::from_fn(|| pace.take(at(0))).collect();
        assert_eq!(turns.iter().filter(|turn| **turn == at(0)).count(), 10);
        assert!(turns.is_sorted() && (109..=110).contains(&turns.len()), "{}", turns.len());
        assert!(turns.last().is_some_and(|last| at(9_800) < *last && *last <= at(10_000)), "{turns:?}");
    }

    #[test]
    fn a_vendor_that_says_later_is_asked_later_and_slower() {
        let mut pace = Pace::new(at(0));
        for _ in 0..5 {
            pace.slow_down(at(0), Some(TimeDelta::seconds(3)));
        }
        assert!((pace.rate() - 5.0).abs() < 1e-9, "{}", pace.rate());
        assert_eq!((pace.room(at(2_999)), pace.next(at(2_999))), (0, at(3_000)));
        assert_eq!(pace.room(at(4_000)), 5);
        for _ in 0..20 {
            pace.slow_down(at(10_000_000), None);
            pace.slow_down(at(20_000_000), None);
        }
        assert!(pace.rate() >= RATE_MIN);
        for _ in 0..1_000 {
            pace.went();
        }
        assert!((pace.rate() - RATE_MAX).abs() < 1e-9);
    }

    #[test]
    fn a_clock_that_jumps_back_gives_nothing_away_and_stops_nothing() {
        let mut pace = Pace::new(at(100_000));
        while pace.room(at(100_000)) > 0 {
            pace.take(at(100_000));
        }
        pace.slow_down(at(100_000), Some(TimeDelta::hours(1)));
        assert_eq!(pace.room(at(0)), 0);
        assert_eq!(pace.room(at(1_000)), 5);
    }

    #[test]
    fn the_lead_grows_with_the_crowd() {
        let crowd = |count| HORIZONS.map(|within| (within, if within > TimeDelta::minutes(15) { count } else { 0 }));
        assert_eq!(lead(10.0, crowd(100)), TimeDelta::zero());
        assert_eq!(lead(10.0, crowd(12_000)), TimeDelta::zero(), "20 minutes are enough for it");
        assert_eq!(lead(10.0, crowd(18_000)), TimeDelta::minutes(10));
        assert_eq!(lead(5.0, crowd(18_000)), TimeDelta::minutes(40));
    }
}
