//! The same query in this project: one task owns the socket and the core's connection; the main
//! thread asks it, and the listener is told by it what nobody asked for. Only the virtual clock
//! and the socket buffer are not real: the frames are classified by the core itself.

use std::collections::VecDeque;

use flamingo_microscope::meaning::data_meaning;
use flamingo_protocol_core::{
    Class, Connection, Duration, Ended, Event, FRAME_LEN, Frame, Instant, Output, Ticket, Transmit,
};

use super::{CLICK, Column, Program, Replay, Sent, Step, TIMEOUT, World, has_handler, name, query};

/// The main thread.
#[derive(Debug)]
enum Main {
    Idle,
    /// Until the answer to this, or its end, is told.
    Waits(Ticket),
    Told(Result<(Frame, bool), Ended>),
    Done(Result<(Frame, bool), Ended>),
}

#[derive(Debug)]
struct Core {
    connection: Connection,
    main: Main,
    /// What the listener was given and has not handled.
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
    program.main_column.say("[Idle]");
    let rows = World::new(script).play(&mut program);
    Replay {
        strategy: program.strategy(),
        title: "One task owns the socket, the core says whose each frame is",
        rows,
        result: program.result(),
    }
}

impl Program for Core {
    fn strategy(&self) -> &'static str {
        "flamingo"
    }

    fn step(&mut self, world: &mut World) -> Step {
        let begins = self.owner_column.rest.is_empty();
        if begins {
            self.owner_column.block("Waits for bytes and orders");
            self.listener_column.block("Waits for events [BLOCKING]");
        }
        let done = begins
            || self.write(world)
            || self.read(world)
            || self.step_main(world.now)
            || self.step_listener();
        if done { Step::Row } else { self.expire(world.now) }
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
    /// The owner sends what may go.
    fn write(&mut self, world: &mut World) -> bool {
        let Some(Transmit::Bytes(bytes)) = self.connection.poll_transmit(world.now) else {
            return false;
        };
        let written = bytes.len();
        world.send(bytes);
        self.connection.transmitted(world.now, written);
        self.owner_column.say(format!("Sends {written} bytes"));
        true
    }

    /// The owner reads, and hands over what the core has classified.
    fn read(&mut self, world: &mut World) -> bool {
        if world.buffer.is_empty() {
            return false;
        }
        let bytes = world.receive(FRAME_LEN);
        let mut input = bytes.as_slice();
        loop {
            let (consumed, output) = self.connection.handle_input(world.now, input);
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
                self.owner_column.say(format!("{code}: solicited, {how}, to its query {mark}"));
                self.main = Main::Told(Ok((frame, proven)));
            }
            (class, _) => {
                let unsolicited = matches!(class, Class::Unsolicited { .. });
                let class = if unsolicited { "unsolicited" } else { "late or ambiguous" };
                let mark = if code == query().code.0 { '✗' } else { '✓' };
                self.owner_column.say(format!("{code}: {class}, to the listener {mark}"));
                self.events.push_back(frame);
            }
        }
    }

    /// The owner tells who has waited too long.
    fn expire(&mut self, now: Instant) -> Step {
        if self.connection.poll_timeout().is_none_or(|(due, _)| now < due) {
            return Step::Nothing;
        }
        self.connection.handle_timeout(now);
        while let Some(event) = self.connection.poll_event() {
            match (event, &self.main) {
                (Event::Ended { ticket, ended }, Main::Waits(query)) if ticket == *query => {
                    self.owner_column.say("Tells the query that its time is over");
                    self.main = Main::Told(Err(ended));
                }
                _ => {}
            }
        }
        // The end of a grace is nothing that anybody sees.
        if matches!(self.main, Main::Told(_)) { Step::Row } else { Step::Quiet }
    }

    fn step_main(&mut self, now: Instant) -> bool {
        match &self.main {
            Main::Idle if CLICK <= now => {
                let asked = self.connection.request(now, &query(), now + TIMEOUT);
                let Ok(ticket) = asked else { return false };
                self.main_column.say("Asks for IMAGE_SIZE_GET");
                self.main_column.rest = super::STILL_BLOCKED;
                self.main = Main::Waits(ticket);
            }
            Main::Told(outcome) => {
                self.main_column.say(match outcome {
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
            self.listener_column.say(format!("Handles {} ✓", name(&frame)));
            self.handled.push(frame);
        } else {
            self.listener_column.say(format!("Leaves {} alone", name(&frame)));
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
