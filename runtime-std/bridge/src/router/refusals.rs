//! What a client receives for a command that does not reach the instrument. A refusal must not read
//! as data: status 0 alone says little, since many handlers of the instrument leave it at 0.

use flamingo_protocol_core::{
    CommandCode, Flags, Frame,
    time::Instant,
    wire::{Effect, Kind, Selector, Timing},
};
use flamingo_runtime_std::events_on_request;

use super::permissions::expects_answer;
use super::{ClientId, Recipient, Router};
use crate::settings::WhenLost;

/// The longest text that fits into the buffer of a frame, in bytes.
const MAX_TEXT: usize = 72;

/// With this word, a program recognises that the text declines.
const REFUSED: &str = "refused: ";

impl Router {
    /// Refuses a command: it does not reach the instrument. The client learns the reason if it
    /// expects an answer.
    pub(super) fn refuse(&mut self, now: Instant, id: ClientId, frame: &Frame, reason: &str) {
        let is_told = self.is_told(frame);
        if let Some(client) = self.clients.get_mut(&id) {
            client.counters.refused += 1;
            // Without an answer, only the log tells that the command was refused.
            if !is_told && let Some(left_out) = client.quota.log_line(now) {
                let (code, address) = (frame.code, &client.address);
                let line = format!("{code} of client {id} at {address}: {reason}");
                self.log_client(match left_out {
                    0 => line,
                    _ => format!("{line} ({left_out} lines like it were left out)"),
                });
            }
        }
        self.answer_failure(id, frame, reason);
    }

    /// Refuses a command, or a part of a HALT of all axes.
    pub(super) fn refuse_recipient(
        &mut self,
        now: Instant,
        to: Recipient,
        frame: &Frame,
        reason: &str,
    ) {
        match to.halt_all {
            _ if !to.awaits => {}
            Some(number) => self.axis_not_halted(number, frame.selector(), reason),
            None => self.refuse(now, to.id, &to.own(frame), reason),
        }
    }

    /// Whether the client of a refused command learns that it was refused.
    fn is_told(&self, frame: &Frame) -> bool {
        let is_silent = self.is_away() && self.options.when_lost == WhenLost::Silence;
        let state = frame.code == CommandCode::SYSTEM_STATE_GET;
        expects_answer(frame) && !is_event(frame) && (state || !is_silent || !tells(frame))
    }

    /// Whether the instrument cannot be asked now: it is not connected, or has not reported its
    /// state.
    fn is_away(&self) -> bool {
        !self.open
    }

    /// Answers a command that failed, with status 0 and the reason in the buffer. While the
    /// instrument is not connected, its state is SYSTEM_STATE_DISCONNECTED, and the settings decide
    /// about the other queries.
    pub(super) fn answer_failure(&mut self, id: ClientId, frame: &Frame, reason: &str) {
        if !expects_answer(frame) {
            return;
        }
        if self.is_away() && frame.code == CommandCode::SYSTEM_STATE_GET {
            return self.answer_disconnected(id, frame);
        }
        if self.is_away() && tells(frame) {
            match self.options.when_lost {
                WhenLost::Silence => return,
                WhenLost::Close => {
                    return self.disconnect(id, "it asked while the instrument is away");
                }
                WhenLost::Refusal => {}
            }
        }
        if is_event(frame) {
            // A frame of this code, whatever its status, tells that the event has happened.
            return;
        }
        let answer = self.tagged(&refusal(frame, reason), true);
        self.send_to_client(id, &answer, &[]);
    }

    /// Answers a query for the state: the instrument is not connected.
    pub(super) fn answer_disconnected(&mut self, id: ClientId, frame: &Frame) {
        let mut answer = Frame { status: 1, payload_len: 0, buffer: [0; 72], ..*frame }
            .with_selector(CommandCode::SYSTEM_STATE_DISCONNECTED.0 as i32);
        let client = self.clients.get(&id);
        if client.is_some_and(|client| !client.delivery.is_all_inline()) {
            events_on_request::offer(&mut answer);
        }
        let answer = self.tagged(&answer, true);
        self.send_to_client(id, &answer, &[]);
    }
}

/// Whether the answer to a command tells something about the instrument: data, or the end of a motion.
/// Of a code that is not in the table, this is not known, so that its answer may tell something.
fn tells(command: &Frame) -> bool {
    let Some(row) = command.code.row() else { return true };
    let waits = row.timing == Timing::AtEnd && row.effect == Effect::None;
    row.kind == Kind::Query || row.kind == Kind::Event || waits
}

/// Whether only the instrument sends frames of this code of itself.
fn is_event(frame: &Frame) -> bool {
    frame.code.row().is_some_and(|row| row.kind == Kind::Event)
}

/// The refusal of a command. No number of it could be a value of the instrument: the value is NaN, and
/// the integers of a query are -1, apart from the selector and the third one, which a client may have
/// given a number of its own.
pub(super) fn refusal(command: &Frame, reason: &str) -> Frame {
    let mut answer = Frame {
        status: 0,
        payload_len: 0,
        value: f64::NAN,
        buffer: [0; 72],
        flags: command.flags.without(Flags::STAGE_POSITIONS_IN_BUFFER),
        ..*command
    };
    if tells(command) {
        let [first, _, third] = command.int32_data;
        let selects = command.code.row().is_some_and(|row| row.selector != Selector::None);
        answer.int32_data = [if selects { first } else { -1 }, -1, third];
    }
    let text = format!("{REFUSED}{reason}");
    let limit = text.len().min(MAX_TEXT);
    let end = (0..=limit).rev().find(|at| text.is_char_boundary(*at)).unwrap_or(0);
    // The text fits and has no NUL, so that setting it cannot fail.
    let _ = answer.set_text(text.get(..end).unwrap_or_default());
    answer
}
