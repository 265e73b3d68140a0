//! Answers that are counted, so that proof comes back where each key that could prove anything is in
//! doubt.

use super::recovery::Polling;
use super::setting::{Budget, Setting, Step};
use super::world::World;
use super::{FLAGGED, IN_DOUBT, ask, position, report, search, uncertain};
use crate::connection::entry::{Entry, State};
use crate::connection::key::Order;
use crate::connection::pending::Pending;
use crate::{CommandCode, Config, Ticket, time::Duration};

/// The subsystem has a single query, so nothing can be a fence. Then the answers are counted.
#[test]
fn a_key_without_a_fence_is_proven_again_by_counting() {
    let budget = Budget { requests: 4, sends: 1, cancels: 1, missing: 1, ..Budget::default() };
    let state = ask(CommandCode::SYSTEM_STATE_GET);
    let setting = Setting::new(Config::default(), FLAGGED, &[state], budget).and(state, None);
    let found = search(<World>::new(setting));
    report("a single query", &found);
    assert_eq!(uncertain(&found), IN_DOUBT);
}

/// An answer to a frame that was only sent is taken for the answer to a request of the same key. Then
/// one answer more is missing than there are requests. All is asked first.
#[test]
fn a_frame_that_is_only_sent_does_not_spoil_the_counting() {
    const SENT: Step = Step::Ask(2);
    const X: Step = Step::Ask(0);
    const Y: Step = Step::Ask(1);
    let budget = Budget { requests: 4, sends: 1, cancels: 1, ..Budget::default() };
    for order in [[SENT, X, X, X, Y], [SENT, X, Y, X, X], [Y, SENT, X, X, X]] {
        let frames = [position(1), position(2)];
        let setting = Setting::new(Config::default(), FLAGGED, &frames, budget);
        let mut world = <World>::new(setting.and(position(1), None));
        for step in order {
            world.take(step);
        }
        let found = search(world);
        report("a frame that is only sent", &found);
        assert_eq!(uncertain(&found), IN_DOUBT);
    }
}

/// The camera has two queries that can be fences. After a pause of the link both are in doubt. A poll
/// waits until the answers of a fence are counted, and is proven itself.
#[test]
fn a_poll_in_doubt_is_proven_within_seven_round_trips() {
    let budget = Budget { lost: 3, ..Budget::default() };
    let keys =
        [CommandCode::CAMERA_IMAGE_SIZE_GET, CommandCode::CAMERA_PIXEL_FIELD_OF_VIEW_GET].map(ask);
    let mut setting = Setting::new(Config::default(), FLAGGED, &keys, budget);
    let round_trip = Config::default().presumed_grace;
    let within = Duration::from_micros(7 * round_trip.as_micros());
    setting.proof = Some(Polling { round_trip, within });
    let found = search(<World>::new(setting));
    report("two queries of the camera", &found);
}

/// A frame may answer a request that the table has forgotten. Then the newer one still misses its
/// answer, also after the forgotten one is settled.
#[test]
fn a_forgotten_request_is_counted_before_those_in_the_table() {
    let entry = |number, order| {
        let ticket = Ticket::from_number(number);
        let mut entry = Entry::new(ticket, CommandCode::STAGE_POSITION_GET, 1, &Config::default());
        (entry.order, entry.state) = (Order::new(order), State::Sent);
        entry
    };
    let (forgotten, newer) = (entry(1, 1), entry(2, 3));
    let mut pending = Pending::<6>::NEW;
    pending.forgotten.add(&forgotten);
    pending.push(&newer);
    let at = pending.oldest(|_| true).unwrap();
    pending.count_answer(at, newer.order);
    pending.settle(newer.domain, Order::new(2));
    assert_eq!(pending.missing(newer.key, newer.domain), 1);
}
