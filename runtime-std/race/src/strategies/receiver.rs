//! A single receiver thread that dispatches each frame. `tagged.rs`, `sequence.rs`, `code_match.rs` and `raw.rs` use it; they
//! differ in how they find the owner of a frame.

use std::net::TcpStream;
use std::sync::mpsc::{Sender, channel};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use flamingo_protocol_core::Frame;

use super::handler::{Handler, Stops, handler};
use super::lock;
use crate::strategy::{Environment, Motion, Strategy};
use crate::wire::{self, FrameReader, ReaderThread};

/// Owner a frame is.
pub(super) enum Owner {
    /// It is the answer to the pending query.
    Pending,
    /// It is the answer to a query that was given up. It is dropped.
    Late,
    /// It is unsolicited.
    Event,
    /// It may be either: both the handler and the pending query get it.
    Both,
}

/// Finds the owner of a frame, given the command of the pending query.
pub(super) type Decide = fn(&Frame, Option<&Frame>) -> Owner;

pub(super) struct Receiver {
    socket: TcpStream,
    timeout: Duration,
    state: Arc<Mutex<QueryState>>,
    stops: Stops,
    _thread: ReaderThread,
}

/// What the caller and the receiver thread share.
#[derive(Default)]
struct QueryState {
    pending: Option<(Frame, Sender<Frame>)>,
    /// The receiver thread has ended.
    over: bool,
}

impl Receiver {
    pub(super) fn start(environment: &Environment, decide: Decide) -> std::io::Result<Self> {
        let socket = wire::connect(environment.control, environment.timeout)?;
        socket.set_read_timeout(None)?;
        let (handler, stops) = handler(&environment.events);
        let state = Arc::new(Mutex::new(QueryState::default()));
        let thread = {
            let (reader, state) = (FrameReader::new(socket.try_clone()?), Arc::clone(&state));
            ReaderThread::start(&socket, move || receive_loop(reader, &state, &handler, decide))?
        };
        Ok(Self { socket, timeout: environment.timeout, state, stops, _thread: thread })
    }
}

impl Strategy for Receiver {
    fn query(&mut self, command: &Frame) -> Option<Frame> {
        self.stops.arm(command);
        let (to, answer) = channel();
        {
            let mut state = lock(&self.state);
            if state.over {
                return None;
            }
            state.pending = Some((*command, to));
        }
        if wire::send(&self.socket, command).is_ok()
            && let Ok(frame) = answer.recv_timeout(self.timeout)
        {
            return Some(frame);
        }
        // The query is given up. Its answer may have arrived just now.
        lock(&self.state).pending = None;
        answer.try_recv().ok()
    }

    fn wait_for_motion_end(&mut self, motion: &Motion) -> bool {
        self.stops.wait(motion)
    }

    fn close(self: Box<Self>) {}
}

fn receive_loop(
    mut reader: FrameReader,
    state: &Mutex<QueryState>,
    handler: &Handler,
    decide: Decide,
) {
    while let Ok(frame) = reader.receive() {
        let mut locked = lock(state);
        let command = locked.pending.as_ref().map(|(command, _)| command);
        let owner = decide(&frame, command);
        let answers = matches!(owner, Owner::Pending | Owner::Both);
        let to = locked.pending.take_if(|_| answers);
        drop(locked);
        if matches!(owner, Owner::Event | Owner::Both) {
            handler.call(&frame);
        }
        if let Some((_, to)) = to {
            // An error: the query was given up just now.
            let _ = to.send(frame);
        }
    }
    *lock(state) = QueryState { pending: None, over: true };
}
