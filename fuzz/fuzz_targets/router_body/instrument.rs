//! The instrument: which frames may reach it, above all which stops, and when it answers.

use flamingo_runtime_std::protocol::{
    CommandCode, Frame, Incoming,
    responder::is_answered,
    time::{Duration, Instant},
};

use super::{STOP_US, World};

impl World {
    /// The instrument answers a command; answers keep their order within a subsystem.
    pub(super) fn answer(&mut self, which: usize) {
        let now = self.now;
        let open = self.router.is_open();
        self.commands.retain(|(since, command)| {
            // Only clients number their commands. The core waits for a fence as long as its grace.
            let is_fence = open && command.int32_data[2] == 0;
            let limit = if is_fence { 900 } else { 4900 };
            now.since(*since) < Duration::from_millis(limit)
        });
        let Some((_, first)) = self.commands.get(which % self.commands.len().max(1)) else {
            return;
        };
        let subsystem = first.code.subsystem();
        let same = |(_, command): &(Instant, Frame)| command.code.subsystem() == subsystem;
        let oldest = self.commands.iter().position(same);
        let (_, command) = self.commands.remove(oldest.expect("at least that command"));
        if command.code.0 == 0xBEEF {
            return;
        }
        let mut answer = Frame { status: 1, payload_len: 0, ..command };
        if command.code == CommandCode::SYSTEM_STATE_GET {
            answer.int32_data[0] = CommandCode::SYSTEM_STATE_IDLE.0 as i32;
        }
        self.router.upstream_input(self.now, &answer.encode());
    }

    pub(super) fn arrive(&mut self, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            let (consumed, incoming) = self.instrument.handle_input(bytes);
            bytes = &bytes[consumed..];
            if let Some(Incoming::Command { frame, skipped }) = incoming {
                assert_eq!(skipped, 0, "the instrument receives nothing but frames");
                let row = frame.code.row();
                if row.is_some_and(|row| row.effect.is_emergency()) {
                    self.stop_reached(&frame);
                }
                let answered = row.is_none_or(|_| is_answered(&frame));
                // The lights are answered although the table does not expect that.
                if answered || frame.code == CommandCode::LED_SET {
                    self.commands.push((self.now, frame));
                }
            }
        }
    }

    pub(super) fn stop_reached(&mut self, stop: &Frame) {
        assert!(self.stops.budget >= STOP_US, "more stops than the rates of the clients allow");
        self.stops.budget -= STOP_US;
        if stop.code == CommandCode::STAGE_HALT {
            assert_eq!((stop.payload_len, stop.value), (0, 0.0), "a stop is clean");
            let axis = usize::try_from(stop.selector()).expect("an axis");
            self.stops.reached[axis - 1] = Some(self.now);
        }
    }
}
