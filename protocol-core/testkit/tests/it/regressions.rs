//! What the fuzzers found: each finding as a conversation of its own, in the open.

use flamingo_protocol_core::{CommandCode, Frame, Ticket, time::Duration};
use flamingo_testkit::{Harness, Settings};

const PATIENCE: Duration = Duration::from_millis(3000);

fn halt(harness: &mut Harness) -> Ticket {
    let halt = Frame::command(CommandCode::STAGE_HALT).with_selector(1);
    harness.ask(halt, PATIENCE).expect("there is room")
}

/// Several HALTs of an axis may be on the wire, so one of their key may be ambiguous. It fell into
/// doubt with the age of the older owner, and the newer doubt of that key was forgotten: a proof
/// of the older one then settled both, and the answer to the third HALT was "proven" the fourth's.
#[test]
fn only_an_answer_after_both_settles_two_joined_doubts() {
    let mut harness = Harness::new(Settings::default());
    halt(&mut harness);
    let position = Frame::command(CommandCode::STAGE_POSITION_GET).with_selector(1);
    harness.ask(position, PATIENCE).expect("there is room");
    let third = halt(&mut harness);
    halt(&mut harness);
    harness.cancel(third);
    harness.pass(Duration::from_millis(1200)); // its grace is over
    harness.device.serve(); // the oracle compares each answer
    harness.finish();
}
