//! What a steady connection does not allocate. The engine runs on the thread of the test, without a
//! socket; the memory that is allocated once and used again is warmed up first.

use std::pin::pin;
use std::task::{Context, Poll, Waker};
use std::time::SystemTime;

use flamingo_protocol_core::{CommandCode, Frame};
use flamingo_runtime_std::{Event, Subscription};

use crate::bench::Bench;
use flamingo_runtime_testkit::allocator::allocations;

const GAUGE: CommandCode = CommandCode::UI_SET_GAUGE_VALUE;
const IDLE: CommandCode = CommandCode::SYSTEM_STATE_IDLE;

/// So many events of two codes in turn, each with a payload of this length.
fn events(count: usize, payload: usize) -> Vec<u8> {
    let frame = |code| Frame::new(code).with_payload_len(u32::try_from(payload).unwrap());
    let event = |code| [&frame(code).encode()[..], &vec![7; payload]].concat();
    [event(GAUGE), event(IDLE)].concat().repeat(count / 2)
}

impl Bench {
    /// Reads these bytes in pieces that end within frames.
    fn read(&mut self, bytes: &[u8]) {
        for piece in bytes.chunks(1000) {
            self.engine.handle_input(self.now, SystemTime::UNIX_EPOCH, piece);
        }
    }
}

/// Takes all frames that have come, and waits for the next. Returns their number.
fn take_all(events: &mut Subscription) -> usize {
    let mut context = Context::from_waker(Waker::noop());
    let mut count = 0;
    while let Poll::Ready(event) = pin!(events.next()).poll(&mut context) {
        assert!(matches!(event, Some(Event::Frame(_))), "expected a frame, got {event:?}");
        count += 1;
    }
    count
}

#[test]
fn events_without_a_payload_allocate_nothing() {
    let (mut bench, client) = Bench::open(|options| options.event_capacity = 64);
    let mut quick: Vec<_> = (0..8).map(|_| client.subscribe(&[])).collect();
    let mut some = client.subscribe(&[IDLE]);
    let mut stalled = client.subscribe(&[]);
    let input = events(40, 0);
    let mut rounds = |bench: &mut Bench, count| {
        for _ in 0..count {
            bench.read(&input);
            for events in &mut quick {
                assert_eq!(take_all(events), 40);
            }
            assert_eq!(take_all(&mut some), 20);
        }
    };
    rounds(&mut bench, 100);
    assert_eq!(allocations(|| rounds(&mut bench, 1000)), 0);
    let lost = stalled.try_next();
    assert!(matches!(lost, Some(Event::Lagged(43_936))), "1100 x 40 - 64, but {lost:?}");
}

/// What 1000 events with payloads allocate for so many subscribers.
fn with_payloads(subscribers: usize) -> u64 {
    let (mut bench, client) = Bench::open(|_| {});
    let mut subscriptions: Vec<_> = (0..subscribers).map(|_| client.subscribe(&[])).collect();
    let input = events(1000, 100);
    let mut count = 0;
    for waiting in [0, 1000, 1000] {
        for events in &mut subscriptions {
            assert_eq!(take_all(events), waiting);
        }
        // The last time counts.
        count = allocations(|| bench.read(&input));
    }
    count
}

#[test]
fn an_event_is_allocated_once_for_all_subscribers() {
    // The bytes of the payload, the number of their holders, and the event.
    assert_eq!([with_payloads(1), with_payloads(64)], [3000; 2]);
}
