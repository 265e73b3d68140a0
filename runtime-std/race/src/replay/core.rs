//! The same query in this project: one task owns the socket and the core's connection. It takes requests from the main
//! thread and gives unsolicited frames to the listener. Only the clock and the socket buffer are simulated: the core itself
//! classifies the frames.

use std::collections::VecDeque;

use flamingo_microscope::field_words::data_meaning;
use flamingo_protocol_core::{
    Class, Connection, Ended, Event, Frame, Output, Ticket, Transmit,
    time::{Duration, Instant},
    wire::FRAME_LEN,
};

use super::{
    CLICK, Column, Program, Replay, Sent, Simulation, Step, TIMEOUT, has_handler, name, query,
};

/// The main thread.
#[derive(Debug)]
enum Main {
    Idle,
    /// Waits for the answer to this request, or for its end.
    Waits(Ticket),
    Notified(Result<(Frame, bool), Ended>),
    Done(Result<(Frame, bool), Ended>),
}

#[derive(Debug)]
struct Core {
    connection: Connection,
    main: Main,
    /// Events that the listener has not handled yet.
    events: VecDeque<Frame>,
    main_column: Column,
    owner_column: Column,
    listener_column: Column,
    handled: Vec<Frame>,
}

pub(super) fn play(script: &[(Duration, Sent)]) -> Replay {
    let mut program = Core {
        connection: Connection::default(),
        main: Main::Idle,
        events: VecDeque::new(),
        main_column: Column::default(),
        owner_column: Column::default(),
        listener_column: Column::default(),
        handled: Vec::new(),
    };
    program.main_column.add("[Idle]");
    let rows = Simulation::new(script).play(&mut program);
    Replay {
        strategy: program.strategy(),
        title: "One task owns the socket, the core classifies each frame",
        rows,
        result: program.result(),
    }
}

impl Program for Core {
    fn strategy(&self) -> &'static str {
        "flamingo"
    }

    fn step(&mut self, simulation: &mut Simulation) -> Step {
        let begins = self.owner_column.rest.is_empty();
        if begins {
            self.owner_column.block("Waits for bytes and requests");
            self.listener_column.block("Waits for events [BLOCKING]");
        }
        let done = begins
            || self.write(simulation)
            || self.read(simulation)
            || self.step_main(simulation.now)
            || self.step_listener();
        if done { Step::Row } else { self.expire(simulation.now) }
    }

    fn due(&self) -> Option<Instant> {
        let click = matches!(self.main, Main::Idle).then_some(CLICK);
        click.into_iter().chain(self.connection.poll_timeout().map(|(due, _)| due)).min()
    }

    fn columns(&mut self) -> (String, Option<String>, String) {
        let owner = self.owner_column.take();
        (self.main_column.take(), Some(owner), self.listener_column.take())
    }
}

impl Core {
    /// The owner sends the bytes that the core has ready.
    fn write(&mut self, simulation: &mut Simulation) -> bool {
        let Some(Transmit::Bytes(bytes)) = self.connection.poll_transmit(simulation.now) else {
            return false;
        };
        let written = bytes.len();
        simulation.send(bytes);
        self.connection.transmitted(simulation.now, written);
        self.owner_column.add(format!("Sends {written} bytes"));
        true
    }

    /// The owner reads, and passes on the frames that the core has classified.
    fn read(&mut self, simulation: &mut Simulation) -> bool {
        if simulation.buffer.is_empty() {
            return false;
        }
        let bytes = simulation.receive(FRAME_LEN);
        let mut input = bytes.as_slice();
        loop {
            let (consumed, output) = self.connection.handle_input(simulation.now, input);
            input = input.get(consumed..).unwrap_or_default();
            match output {
                Some(Output::Frame(received)) => self.dispatch(received.frame, received.class),
                None if input.is_empty() => return true,
                Some(Output::Payload { .. }) | None => {}
            }
        }
    }

    fn dispatch(&mut self, frame: Frame, class: Class) {
        let code = frame.code.0;
        match (class, &self.main) {
            (Class::Solicited { ticket, proven }, Main::Waits(asked)) if ticket == *asked => {
                let how = if proven { "proven" } else { "presumed" };
                let mark = if code == query().code.0 { '✓' } else { '✗' };
                self.owner_column.add(format!("{code}: solicited, {how}, to its query {mark}"));
                self.main = Main::Notified(Ok((frame, proven)));
            }
            (class, _) => {
                let unsolicited = matches!(class, Class::Unsolicited { .. });
                let class = if unsolicited { "unsolicited" } else { "late or ambiguous" };
                let mark = if code == query().code.0 { '✗' } else { '✓' };
                self.owner_column.add(format!("{code}: {class}, to the listener {mark}"));
                self.events.push_back(frame);
            }
        }
    }

    /// The owner reports a timeout.
    fn expire(&mut self, now: Instant) -> Step {
        if self.connection.poll_timeout().is_none_or(|(due, _)| now < due) {
            return Step::Nothing;
        }
        self.connection.handle_timeout(now);
        while let Some(event) = self.connection.poll_event() {
            match (event, &self.main) {
                (Event::Ended { ticket, ended }, Main::Waits(query)) if ticket == *query => {
                    self.owner_column.add("Reports the timeout of the query");
                    self.main = Main::Notified(Err(ended));
                }
                _ => {}
            }
        }
        // The end of a grace time is not visible.
        if matches!(self.main, Main::Notified(_)) { Step::Row } else { Step::Quiet }
    }

    fn step_main(&mut self, now: Instant) -> bool {
        match &self.main {
            Main::Idle if CLICK <= now => {
                let asked = self.connection.request(now, &query(), now + TIMEOUT);
                let Ok(ticket) = asked else { return false };
                self.main_column.add("Asks for IMAGE_SIZE_GET");
                self.main_column.rest = super::STILL_BLOCKED;
                self.main = Main::Waits(ticket);
            }
            Main::Notified(outcome) => {
                self.main_column.add(match outcome {
                    Ok((frame, _)) => format!("Gets its answer: {} ✓", data_meaning(frame)),
                    Err(ended) => format!("[{ended:?}] ✗"),
                });
                self.main_column.rest = "";
                self.main = Main::Done(*outcome);
            }
            _ => return false,
        }
        true
    }

    fn step_listener(&mut self) -> bool {
        let Some(frame) = self.events.pop_front() else {
            return false;
        };
        if has_handler(&frame) {
            self.listener_column.add(format!("Handles {} ✓", name(&frame)));
            self.handled.push(frame);
        } else {
            self.listener_column.add(format!("Ignores {}", name(&frame)));
        }
        true
    }

    fn result(&self) -> Vec<String> {
        let (main, user) = match &self.main {
            Main::Done(Ok((frame, proven))) => (
                format!("has its answer ({})", if *proven { "proven" } else { "presumed" }),
                format!("Image size: {}", data_meaning(frame)),
            ),
            _ => ("times out with error".into(), "Failed to get image size: timeout".into()),
        };
        let mut result = vec![format!("Main thread {main}")];
        result.extend(self.handled.iter().map(|frame| format!("Listener handles {}", name(frame))));
        result.push(format!("User sees: \"{user}\""));
        result
    }
}
