//! The example of the analysis: a main thread that queries and a CallbackListener, both in `recv(128)` on the same socket.
//! On a real system the scheduler chooses which of them gets the bytes. Here it is the one that has waited longest, as in the
//! analysis; so the timeline is always the same.

use std::collections::VecDeque;

use flamingo_microscope::field_words::data_meaning;
use flamingo_protocol_core::{
    Frame,
    time::{Duration, Instant},
    wire::FRAME_LEN,
};

use super::{
    CLICK, Column, Program, Replay, Sent, Simulation, Step, TIMEOUT, has_handler, name, query,
};

const RECV: &str = "recv(128) [BLOCKING]";

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum ReaderName {
    Main,
    Listener,
}

/// The main thread: `_query_command`.
#[derive(Debug)]
enum Main {
    Idle,
    Sent,
    Receiving { deadline: Instant },
    Received(Vec<u8>),
    Answered(Frame),
    TimedOut,
}

/// The thread of the CallbackListener: `_listen_loop`.
#[derive(Debug)]
enum Listener {
    Listens,
    Receiving,
    Received(Vec<u8>),
    Dispatching(Frame),
}

#[derive(Debug)]
struct TwoReaders {
    main: Main,
    listener: Listener,
    /// The readers that are blocked in `recv`, the longest waiting first.
    waiting: VecDeque<ReaderName>,
    main_column: Column,
    listener_column: Column,
    handled: Vec<Frame>,
    log: Vec<String>,
}

pub(super) fn play(script: &[(Duration, Sent)]) -> Replay {
    let mut program = TwoReaders {
        main: Main::Idle,
        listener: Listener::Listens,
        waiting: VecDeque::new(),
        main_column: Column::default(),
        listener_column: Column::default(),
        handled: Vec::new(),
        log: Vec::new(),
    };
    program.main_column.add("[Idle]");
    let rows = Simulation::new(script).play(&mut program);
    Replay {
        strategy: program.strategy(),
        title: "Two readers on one socket (the longest waiting reader gets the bytes)",
        rows,
        result: program.result(),
    }
}

impl Program for TwoReaders {
    fn strategy(&self) -> &'static str {
        "two-readers"
    }

    fn step(&mut self, simulation: &mut Simulation) -> Step {
        if self.hand_over(simulation) || self.step_main(simulation) {
            return Step::Row;
        }
        self.step_listener()
    }

    fn due(&self) -> Option<Instant> {
        match self.main {
            Main::Idle => Some(CLICK),
            Main::Receiving { deadline } => Some(deadline),
            _ => None,
        }
    }

    fn columns(&mut self) -> (String, Option<String>, String) {
        (self.main_column.take(), None, self.listener_column.take())
    }
}

impl TwoReaders {
    /// The kernel wakes the reader that has waited longest.
    fn hand_over(&mut self, simulation: &mut Simulation) -> bool {
        if simulation.buffer.is_empty() {
            return false;
        }
        let Some(reader) = self.waiting.pop_front() else {
            return false;
        };
        let bytes = simulation.receive(FRAME_LEN);
        // The readers do not know this: it is only for the mark.
        let for_main = Frame::decode(&bytes).is_ok_and(|frame| frame.code == query().code);
        let mark = if for_main == (reader == ReaderName::Main) { '✓' } else { '✗' };
        let text = format!("← GETS DATA! {mark}");
        match reader {
            ReaderName::Main => {
                self.main_column.add(text);
                self.main = Main::Received(bytes);
            }
            ReaderName::Listener => {
                self.listener_column.add(text);
                self.listener = Listener::Received(bytes);
            }
        }
        true
    }

    /// Makes the next step of the main thread. False: there is none.
    fn step_main(&mut self, simulation: &mut Simulation) -> bool {
        match &self.main {
            Main::Idle if CLICK <= simulation.now => {
                simulation.send(&query().encode());
                self.main_column.add("Send IMAGE_SIZE_GET");
                self.main = Main::Sent;
            }
            Main::Sent => {
                self.main_column.block(RECV);
                self.waiting.push_back(ReaderName::Main);
                self.main = Main::Receiving { deadline: simulation.now + TIMEOUT };
            }
            Main::Received(bytes) => {
                // It takes the next 128 bytes for the answer, without a check.
                let Ok(frame) = Frame::decode(bytes) else { return false };
                self.main_column.add(format!("Takes {} for the answer", name(&frame)));
                self.main_column.rest = "";
                self.main = Main::Answered(frame);
            }
            Main::Receiving { deadline } if *deadline <= simulation.now => {
                self.main_column
                    .add(format!("[Timeout after {}s] ✗", TIMEOUT.as_micros() / 1_000_000));
                self.waiting.retain(|reader| *reader != ReaderName::Main);
                self.main = Main::TimedOut;
            }
            _ => return false,
        }
        true
    }

    fn step_listener(&mut self) -> Step {
        match &self.listener {
            Listener::Listens => {
                self.waiting.push_back(ReaderName::Listener);
                let first = self.listener_column.rest.is_empty();
                self.listener_column.block(RECV);
                self.listener = Listener::Receiving;
                if first { Step::Row } else { Step::Quiet }
            }
            Listener::Received(bytes) => {
                let Ok(frame) = Frame::decode(bytes) else { return Step::Nothing };
                self.listener_column.add("Dispatches as \"unsolicited\"");
                self.listener = Listener::Dispatching(frame);
                Step::Row
            }
            Listener::Dispatching(frame) => {
                if has_handler(frame) {
                    self.listener_column.add(format!("Handles {}", name(frame)));
                    self.handled.push(*frame);
                } else {
                    let line = format!("no handler for {}", frame.code.0);
                    self.listener_column.add(format!("Logs \"{line}\""));
                    self.log.push(line);
                }
                self.listener = Listener::Listens;
                Step::Quiet
            }
            Listener::Receiving => Step::Nothing,
        }
    }

    fn result(&self) -> Vec<String> {
        let mut result = Vec::new();
        match &self.main {
            Main::Answered(frame) if frame.code == query().code => {
                result.push("Main thread has its answer".into());
            }
            Main::Answered(frame) => {
                result.push(format!("Main thread has {} for its answer", name(frame)));
            }
            _ => result.push("Main thread times out with error".into()),
        }
        result.extend(self.log.iter().map(|line| format!("CallbackListener logs \"{line}\"")));
        let handled = self.handled.iter().map(name);
        result.extend(handled.map(|name| format!("CallbackListener handles {name}")));
        result.push(match &self.main {
            Main::Answered(frame) => format!("User sees: \"Image size: {}\"", data_meaning(frame)),
            _ => "User sees: \"Failed to get image size: timeout\"".into(),
        });
        result
    }
}
