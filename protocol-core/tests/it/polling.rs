//! Polling without a pause: after a lost answer, after a push that was taken for an answer, and over a
//! link that is slower than the grace of a presumed answer.

use crate::common::*;
use flamingo_protocol_core::{
    CommandCode, Config, Ended, Frame, Ticket,
    connection::UnmarkedPushes,
    time::{Duration, Instant},
};

fn level(laser: i32) -> Frame {
    ask(CommandCode::LASER_LEVEL_GET).with_selector(laser)
}

/// A client that asks for one value after the other, and a peer that answers after a round trip. An
/// answer carries the number of its query.
struct Polling {
    client: Client,
    round_trip: Duration,
    patience: Duration,
    /// The answers that are under way.
    under_way: Vec<(Instant, Frame)>,
    seen: usize,
    ticket: Ticket,
    number: f64,
    /// When each poll ended, its number, and the number in its answer.
    ends: Vec<(Instant, f64, Option<f64>)>,
}

impl Polling {
    fn new(round_trip: Duration, patience: Duration) -> Self {
        let mut polling = Self {
            client: Client::new(),
            round_trip,
            patience,
            under_way: Vec::new(),
            seen: 0,
            ticket: Ticket::from_number(0),
            number: 0.0,
            ends: Vec::new(),
        };
        polling.ask();
        polling
    }

    fn ask(&mut self) {
        let query = level(1).with_value(self.number);
        self.ticket = self.client.queue(&query, self.patience).unwrap();
        self.client.write();
    }

    /// One millisecond. `lost` frames that are sent in it get no answer.
    fn tick(&mut self, lost: bool) {
        let due = self.client.now + self.round_trip;
        for frame in &self.client.wire[self.seen..] {
            if !lost {
                self.under_way.push((due, answer(frame, frame.value)));
            }
        }
        self.seen = self.client.wire.len();
        self.client.pass(ms(1));
        while let Some((at, frame)) = self.under_way.first().copied() {
            if at > self.client.now {
                break;
            }
            self.under_way.remove(0);
            self.client.hear(&frame);
        }
        if self.client.outcomes(self.ticket) > 0 {
            let got = self.client.answers(self.ticket).first().map(|frame| frame.value);
            self.ends.push((self.client.now, self.number, got));
            self.client.frames.clear();
            self.number += 1.0;
            self.ask();
        }
    }
}

#[test]
fn one_lost_answer_locks_no_deadline_out() {
    let grace = Config::default().grace;
    for millis in (60..=1500).step_by(10) {
        let patience = ms(millis);
        let mut polling = Polling::new(ms(20), patience);
        polling.tick(true);
        let begin = polling.client.now;
        let bound = grace + patience + grace + patience;
        while polling.client.now.since(begin) <= bound {
            polling.tick(false);
        }
        let answered = polling.ends.iter().any(|(_, number, got)| *got == Some(*number));
        assert!(answered, "no answer with a deadline of {millis} ms");
    }
}

#[test]
fn a_request_that_waited_has_the_whole_of_its_time() {
    let mut client = Client::new();
    let lost = client.ask(&level(1));
    client.cancel(lost);
    client.pass(ms(700));
    let held = client.queue(&level(1), ms(340)).unwrap();
    client.pass(ms(339));
    assert_eq!(client.outcomes(held), 0, "it was sent 39 ms ago");
    assert_eq!(client.wire.len(), 2);
    client.pass(ms(300));
    assert_eq!(client.outcomes(held), 0);
    client.pass(ms(1));
    assert_eq!(client.ends(held), [Ended::TimedOut { sent: true }]);
}

#[test]
fn a_hold_uses_up_no_time_of_the_request_that_it_holds() {
    let mut client = Client::new();
    let lost = client.ask(&level(1));
    client.cancel(lost);
    let held = client.queue(&level(1), ms(50)).unwrap();
    client.pass(ms(999));
    assert_eq!((client.outcomes(held), client.wire.len()), (0, 1));
    client.pass(ms(1));
    assert_eq!(client.wire.len(), 2);
    assert_eq!(client.hear(&answer(&level(1), 0.0)), presumed(held));
}

#[test]
fn without_an_older_request_the_deadline_bounds_the_wait() {
    let mut client = Client::new();
    for axis in 1..=4 {
        client.ask(&position(axis));
    }
    let held = client.queue(&velocity(1), ms(50)).unwrap();
    client.pass(ms(50));
    assert_eq!(client.ends(held), [Ended::TimedOut { sent: false }]);
}

#[test]
fn late_answers_that_are_only_presumed_free_the_window() {
    let mut client = Client::new();
    for laser in 1..=4 {
        let ticket = client.ask(&level(laser));
        client.cancel(ticket);
    }
    client.pass(ms(5));
    for laser in 1..=4 {
        client.hear(&answer(&level(laser), 1.0));
    }
    let moves = client.queue(&go(1, 1.0), ms(500)).unwrap();
    client.write();
    assert_eq!(client.last_sent(), Some((go(1, 1.0).code, 1)));
    assert_eq!(client.hear(&answer(&go(1, 1.0), 0.0)), solicited(moves));
}

/// The wrong values of 200 polls whose first was answered by a push.
fn wrong_after_a_push(round_trip: Duration) -> usize {
    let mut polling = Polling::new(round_trip, ms(3000));
    polling.tick(false);
    polling.client.hear(&answer(&level(1), -1.0));
    while polling.ends.len() < 200 {
        polling.tick(false);
    }
    polling.ends.iter().filter(|(_, number, got)| *got != Some(*number)).count()
}

#[test]
fn a_shift_ends_also_where_the_round_trip_is_long() {
    for millis in (10..=1000).step_by(45) {
        let wrong = wrong_after_a_push(ms(millis));
        assert!(wrong <= 8, "{wrong} of 200 are wrong with a round trip of {millis} ms");
    }
}

#[test]
fn another_key_does_not_take_all_the_long_holds() {
    let unmarked = UnmarkedPushes::default().with_positions(true);
    for between in 2..=16 {
        let mut polling = Polling::new(ms(400), ms(3000));
        polling.client = Client::with(Config::default().with_unmarked(unmarked));
        polling.ask();
        let mut other = polling.client.ask(&position(3));
        polling.tick(false);
        polling.client.hear(&answer(&level(1), -1.0));
        while polling.ends.len() < 200 {
            polling.tick(false);
            let due = polling.ends.len().is_multiple_of(between);
            if due && polling.client.outcomes(other) > 0 {
                other = polling.client.ask(&position(3));
            }
        }
        let right = |(_, number, got): &(Instant, f64, Option<f64>)| *got == Some(*number);
        assert!(polling.ends[100..].iter().all(right), "another key after each {between}");
    }
}
