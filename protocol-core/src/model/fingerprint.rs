//! What tells two states of the model apart.
//!
//! Tickets and orders are counted from the oldest that is left, times from now. The fingerprint
//! leaves out the counters, the content of free entries, the position of an entry in the table, and
//! the time of an entry that does not end by time.

use core::cmp::Ordering;
use std::format;
use std::string::{String, ToString};
use std::vec::Vec;

use super::world::World;
use crate::connection::entry::{Entry, Outcome, State, States};
use crate::connection::key::{Key, Order};
use crate::{Ticket, time::Instant};

/// Equal for equal states.
#[derive(Debug, PartialEq, Eq, Hash)]
pub(super) struct Fingerprint {
    words: Vec<u64>,
    rest: String,
}

impl<const REQUESTS: usize, const OWED: usize, const QUEUE: usize, const STOPS: usize>
    World<REQUESTS, OWED, QUEUE, STOPS>
{
    pub(super) fn fingerprint(&self) -> Fingerprint {
        let pending = &self.client.requests.pending;
        let kept = |entry: &&Entry| entry.state != State::Over || entry.outcome != Outcome::None;
        let mut entries: Vec<&Entry> = pending.entries.iter().filter(kept).collect();
        entries.sort_by_key(|entry| entry.ticket.number());
        let queues = self.device.tickets();

        let mut tickets: Vec<u32> = entries.iter().map(|entry| entry.ticket.number()).collect();
        tickets.extend(queues.iter().flatten().map(|ticket| ticket.number()));
        tickets.extend(self.asked.iter().map(|asked| asked.ticket.number()));
        tickets.sort_unstable();
        tickets.dedup();
        let rank = |ticket: Ticket| tickets.binary_search(&ticket.number()).unwrap() as u64;
        let beside = format!("{:?} {:?}", pending.forgotten, pending.recovery);
        let mut orders: Vec<Order> = entries.iter().map(|entry| entry.order).collect();
        orders.extend(split_at_orders(&beside).filter_map(|(_, order)| order));
        sort(&mut orders);
        let order = |of: Order| orders.iter().position(|order| *order == of).unwrap();

        let left = |until: Instant| match until {
            Instant::FAR_FUTURE => u64::MAX,
            until => until.since(self.now).as_micros(),
        };
        let mut words = Vec::with_capacity(64);
        words.extend([
            self.budget.word(),
            self.wire as u64,
            entries.len() as u64,
            self.asked.len() as u64,
        ]);
        for entry in entries {
            words.push(rank(entry.ticket) << 1 | u64::from(entry.ticket.is_fence()));
            words.extend(words_of(entry, left));
            words.push(order(entry.order) as u64);
        }
        for asked in &self.asked {
            words.push(rank(asked.ticket));
            words.extend(key_words(Key::of(&asked.frame)));
            words.extend([u64::from(asked.started), left(asked.earliest), left(asked.latest)]);
        }
        for stop in &self.stops {
            words.extend([rank(stop.ticket), left(stop.blocked)]);
        }
        // The token of an older command may come round again.
        let next = self.client.last_ticket().next().number();
        let round = |ticket: &Ticket| ticket.number() % (1 << 24) == next % (1 << 24);
        for queue in queues {
            words.push(u64::MAX);
            for ticket in queue {
                let told = self.told.contains(&ticket);
                words.extend([rank(ticket), u64::from(told), u64::from(round(&ticket))]);
            }
        }
        let half_sent = self.half_sent.map(|(frame, left)| (Key::of(&frame), left));
        let mut rest = format!("{half_sent:?} {:?} {:?}", pending.long_holds, pending.silent);
        for (text, of) in split_at_orders(&beside) {
            rest.push_str(text);
            rest.extend(of.map(order).map(|rank| rank.to_string()));
        }
        Fingerprint { words, rest }
    }
}

/// The pieces of a debug text, each with the order that follows it.
fn split_at_orders(debug: &str) -> impl Iterator<Item = (&str, Option<Order>)> {
    debug.split("Order(").map(|piece| {
        let number = piece.split(')').next().and_then(|number| number.parse().ok());
        (piece.trim_start_matches(|of: char| of.is_ascii_digit()), number.map(Order::new))
    })
}

fn sort(orders: &mut Vec<Order>) {
    orders.sort_by(|one, other| match one.is_before(*other) {
        _ if one == other => Ordering::Equal,
        true => Ordering::Less,
        false => Ordering::Greater,
    });
    orders.dedup();
}

fn key_words(Key { code, selector }: Key) -> [u64; 2] {
    [u64::from(code.0), selector as u64]
}

/// An entry without its ticket and its order.
fn words_of(entry: &Entry, left: impl Fn(Instant) -> u64) -> [u64; 8] {
    let Entry { ticket: _, order: _, state, outcome, domain, certain, key, .. } = *entry;
    let Entry { until, patience, uploads, original, expected, received, missing, .. } = *entry;
    let [code, selector] = key_words(key);
    let until = if state.is(States::ENDS_BY_TIME) { left(until) } else { 0 };
    let facts = state as u64 | (outcome as u64) << 8 | u64::from(certain) << 16;
    let facts = facts | (domain.number() as u64) << 24 | u64::from(uploads) << 32;
    let payload = u64::from(expected) << 32 | u64::from(received);
    [
        facts,
        code,
        selector,
        until,
        patience.as_micros(),
        original as u64,
        payload,
        u64::from(missing),
    ]
}
