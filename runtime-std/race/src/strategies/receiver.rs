//! A single receiver thread that dispatches each frame, as `tagged.rs`, `sequence.rs`,
//! `code_match.rs` and `raw.rs` have it. They differ in how they see whose a frame is.

use std::net::TcpStream;
use std::sync::mpsc::{Sender, channel};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use flamingo_protocol_core::Frame;

use super::handler::{Handler, Stops, handler};
use super::lock;
use crate::strategy::{Motion, Scene, Strategy};
use crate::wire::{self, Reader, ReadingThread};

/// Whose a frame is.
pub(super) enum Whose {
    /// The answer of the query that is pending.
    Pending,
    /// The answer of a query that was given up: it is dropped.
    Late,
    /// Nobody asked for it.
    Event,
    /// It may be either: the handler gets it, and the query that is pending, too.
    Both,
}

/// Says whose a frame is, given the command of the query that is pending.
pub(super) type Decide = fn(&Frame, Option<&Frame>) -> Whose;

pub(super) struct Receiver {
    socket: TcpStream,
    timeout: Duration,
    desk: Arc<Mutex<Desk>>,
    stops: Stops,
    _thread: ReadingThread,
}

/// Where the caller leaves word that it waits.
#[derive(Default)]
struct Desk {
    pending: Option<(Frame, Sender<Frame>)>,
    /// Nobody receives any more.
    over: bool,
}

impl Receiver {
    pub(super) fn start(scene: &Scene, decide: Decide) -> std::io::Result<Self> {
        let socket = wire::connect(scene.control, scene.timeout)?;
        socket.set_read_timeout(None)?;
        let (handler, stops) = handler(&scene.events);
        let desk = Arc::new(Mutex::new(Desk::default()));
        let thread = {
            let (reader, desk) = (Reader::new(socket.try_clone()?), Arc::clone(&desk));
            ReadingThread::start(&socket, move || receive_loop(reader, &desk, &handler, decide))?
        };
        Ok(Self { socket, timeout: scene.timeout, desk, stops, _thread: thread })
    }
}

impl Strategy for Receiver {
    fn query(&mut self, command: &Frame) -> Option<Frame> {
        self.stops.arm(command);
        let (to, answer) = channel();
        {
            let mut desk = lock(&self.desk);
            if desk.over {
                return None;
            }
            desk.pending = Some((*command, to));
        }
        if wire::send(&self.socket, command).is_ok()
            && let Ok(frame) = answer.recv_timeout(self.timeout)
        {
            return Some(frame);
        }
        // Given up. It may have come just now.
        lock(&self.desk).pending = None;
        answer.try_recv().ok()
    }

    fn wait_for_motion_end(&mut self, motion: &Motion) -> bool {
        self.stops.wait(motion)
    }

    fn close(self: Box<Self>) {}
}

fn receive_loop(mut reader: Reader, desk: &Mutex<Desk>, handler: &Handler, decide: Decide) {
    while let Ok(frame) = reader.receive() {
        let mut waiting = lock(desk);
        let command = waiting.pending.as_ref().map(|(command, _)| command);
        let whose = decide(&frame, command);
        let answers = matches!(whose, Whose::Pending | Whose::Both);
        let to = waiting.pending.take_if(|_| answers);
        drop(waiting);
        if matches!(whose, Whose::Event | Whose::Both) {
            handler.call(&frame);
        }
        if let Some((_, to)) = to {
            // Nobody hears it when the query was given up just now.
            let _ = to.send(frame);
        }
    }
    *lock(desk) = Desk { pending: None, over: true };
}
