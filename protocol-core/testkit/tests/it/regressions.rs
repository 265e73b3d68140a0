//! Bugs that the fuzzers found, each as a readable conversation.

use flamingo_protocol_core::{CommandCode, Frame, Ticket, time::Duration};
use flamingo_testkit::{Harness, HarnessOptions};

const TIMEOUT: Duration = Duration::from_millis(3000);

fn halt(harness: &mut Harness) -> Ticket {
    let halt = Frame::command(CommandCode::STAGE_HALT).with_selector(1);
    harness.ask(halt, TIMEOUT).expect("there is room")
}

/// Several HALTs of one axis may be in flight, so an answer with their key may be ambiguous. The core joined
/// two doubts about this key and kept the age of the older owner only. A proof for the older owner then
/// settled both doubts, and the answer to the third HALT was "proven" to belong to the fourth.
#[test]
fn only_an_answer_after_both_settles_two_joined_doubts() {
    let mut harness = Harness::new(HarnessOptions::default());
    halt(&mut harness);
    let position = Frame::command(CommandCode::STAGE_POSITION_GET).with_selector(1);
    harness.ask(position, TIMEOUT).expect("there is room");
    let third = halt(&mut harness);
    halt(&mut harness);
    harness.cancel(third);
    harness.pass(Duration::from_millis(1200)); // the grace of the third has ended
    harness.device.serve(); // the oracle checks each answer
    harness.finish();
}
