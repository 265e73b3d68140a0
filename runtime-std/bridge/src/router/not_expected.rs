//! Commands that were sent and that, by the table, the instrument does not answer: lights, lasers,
//! and commands without TRIGGER_CALL_BACK. If the instrument answers all the same, the answer must
//! not be lost: it goes to the client that asked, if no other client has sent such a command.

use std::collections::VecDeque;

use flamingo_protocol_core::{
    CommandCode, Frame,
    time::{Duration, Instant},
    wire::{Kind, Selector},
};

use super::{ClientId, Recipient};

/// How many commands are remembered. The oldest are forgotten.
const MAX_REMEMBERED: usize = 1024;

/// A command that was sent.
#[derive(Debug)]
struct Sent {
    at: Instant,
    by: Recipient,
    key: Key,
}

/// What an answer has in common with its command: the code, and the selector if there is one.
type Key = (CommandCode, Option<i32>);

/// The commands whose answers are not expected, the oldest first.
#[derive(Debug, Default)]
pub(super) struct NotExpected(VecDeque<Sent>);

impl NotExpected {
    /// A client's command that is not expected to be answered was sent.
    pub(super) fn sent(&mut self, now: Instant, by: Recipient, command: &Frame) {
        let Some(key) = answerable(command) else { return };
        if self.0.len() >= MAX_REMEMBERED {
            self.0.pop_front();
        }
        self.0.push_back(Sent { at: now, by, key });
    }

    /// The client that sent the command which this unsolicited frame may answer: within the last
    /// `within`, this client and no other has sent a command of its code and selector that has no
    /// answer yet. The oldest such command is used up.
    pub(super) fn take_sender(
        &mut self,
        now: Instant,
        frame: &Frame,
        within: Duration,
    ) -> Option<Recipient> {
        while self.0.front().is_some_and(|sent| now.since(sent.at) > within) {
            self.0.pop_front();
        }
        let key = key_of(frame);
        let same = |sent: &&Sent| sent.key == key;
        let mut clients = self.0.iter().filter(same).map(|sent| sent.by.id);
        let first: ClientId = clients.next()?;
        if clients.any(|client| client != first) {
            return None;
        }
        let oldest = self.0.iter().position(|sent| sent.key == key)?;
        self.0.remove(oldest).map(|sent| sent.by)
    }

    /// The clients that have sent a command of this code within the last `within` that has no answer
    /// yet.
    pub(super) fn senders(
        &self,
        now: Instant,
        code: CommandCode,
        within: Duration,
    ) -> impl Iterator<Item = ClientId> {
        let recent = self.0.iter().filter(move |sent| now.since(sent.at) <= within);
        recent.filter(move |sent| sent.key.0 == code).map(|sent| sent.by.id)
    }

    /// The connection to the instrument has ended: no answer comes any more.
    pub(super) fn clear(&mut self) {
        self.0.clear();
    }
}

/// The key of a command that the instrument may answer. Only the instrument sends events.
fn answerable(command: &Frame) -> Option<Key> {
    let is_event = command.code.row().is_some_and(|row| row.kind == Kind::Event);
    (!is_event).then(|| key_of(command))
}

fn key_of(frame: &Frame) -> Key {
    let code = frame.code.row().map_or(frame.code, |row| row.answers);
    let selects = code.row().is_some_and(|row| row.selector != Selector::None);
    (code, selects.then(|| frame.selector()))
}

#[cfg(test)]
mod tests {
    use super::*;

    const WITHIN: Duration = Duration::from_millis(5000);

    fn at(ms: u64) -> Instant {
        Instant::from_micros(ms * 1000)
    }

    fn led(colour: i32) -> Frame {
        Frame::new(CommandCode::LED_SET).with_selector(colour)
    }

    #[test]
    fn an_answer_belongs_to_the_only_client_that_sent_its_command() {
        let mut sent = NotExpected::default();
        sent.sent(at(0), Recipient::new(1, 7), &led(0));
        sent.sent(at(0), Recipient::new(2, 0), &led(1));
        assert_eq!(sent.take_sender(at(1), &led(2), WITHIN), None);
        assert_eq!(sent.take_sender(at(1), &led(0), WITHIN), Some(Recipient::new(1, 7)));
        assert_eq!(sent.take_sender(at(1), &led(0), WITHIN), None, "it is used up");
        assert_eq!(sent.take_sender(at(5001), &led(1), WITHIN), None, "it is too old");
    }

    #[test]
    fn an_answer_with_two_possible_owners_belongs_to_none() {
        let mut sent = NotExpected::default();
        sent.sent(at(0), Recipient::new(1, 0), &led(0));
        sent.sent(at(0), Recipient::new(2, 0), &led(0));
        assert_eq!(sent.take_sender(at(1), &led(0), WITHIN), None);
        assert_eq!(sent.take_sender(at(1), &led(0), WITHIN), None, "no command is used up");
    }

    #[test]
    fn an_event_answers_no_command_but_an_alias_does() {
        let mut sent = NotExpected::default();
        sent.sent(at(0), Recipient::new(1, 0), &Frame::new(CommandCode::SYSTEM_STATE_IDLE));
        let idle = Frame::new(CommandCode::SYSTEM_STATE_IDLE);
        assert_eq!(sent.take_sender(at(1), &idle, WITHIN), None);
        sent.sent(
            at(0),
            Recipient::new(1, 0),
            &Frame::new(CommandCode::COMMON_SCOPE_SETTINGS_LOAD),
        );
        let settings = Frame::new(CommandCode::COMMON_SCOPE_SETTINGS);
        assert_eq!(sent.take_sender(at(1), &settings, WITHIN), Some(Recipient::new(1, 0)));
    }

    #[test]
    fn the_memory_of_sent_commands_is_bounded() {
        let mut sent = NotExpected::default();
        for number in 0..3000 {
            sent.sent(at(0), Recipient::new(1, number), &led(0));
        }
        assert_eq!(sent.0.len(), MAX_REMEMBERED);
    }
}
