//! Option 2 of the analysis: the listener is paused while a command is in progress. The caller pauses the listener, sends,
//! receives until its answer arrives, and resumes the listener. Other frames that arrive meanwhile are lost, as the analysis
//! says.
//!
//! Pausing takes no time: a listener that waits for bytes reads none, so it counts as paused.

use std::net::TcpStream;
use std::sync::{Arc, Condvar, Mutex};
use std::time::Duration;

use flamingo_protocol_core::Frame;

use super::handler::{Handler, Stops, handler};
use super::{Waiting, fits, lock, wait_for_bytes};
use crate::strategy::{Environment, Motion, Strategy};
use crate::wire::{self, FrameReader, ReaderThread};

pub(super) struct PausedListener {
    command_socket: FrameReader,
    timeout: Duration,
    stops: Stops,
    pause: Arc<Pause>,
    _callback_listener: ReaderThread,
}

impl PausedListener {
    pub(super) fn start(environment: &Environment) -> std::io::Result<Self> {
        let command_socket =
            FrameReader::new(wire::connect(environment.control, environment.timeout)?);
        let (handler, stops) = handler(&environment.events);
        let pause = Arc::new(Pause::default());
        let listener = {
            let (pause, timeout) = (Arc::clone(&pause), environment.timeout);
            let reader = FrameReader::new(command_socket.socket().try_clone()?);
            let watched = command_socket.socket().try_clone()?;
            let listen_loop = move || listen_loop(&watched, reader, &pause, &handler, timeout);
            ReaderThread::start(command_socket.socket(), listen_loop)?
        };
        let timeout = environment.timeout;
        Ok(Self { command_socket, timeout, stops, pause, _callback_listener: listener })
    }

    fn send_and_receive(&mut self, command: &Frame) -> Option<Frame> {
        wire::send(self.command_socket.socket(), command).ok()?;
        let deadline = self.command_socket.deadline(self.timeout);
        loop {
            let frame = self.command_socket.receive_by(deadline).ok()?;
            if fits(&frame, command) {
                return Some(frame);
            }
        }
    }
}

impl Strategy for PausedListener {
    fn query(&mut self, command: &Frame) -> Option<Frame> {
        self.stops.arm(command);
        self.pause.pause();
        let answer = self.send_and_receive(command);
        self.pause.resume();
        answer
    }

    fn wait_for_motion_end(&mut self, motion: &Motion) -> bool {
        self.stops.wait(motion)
    }

    fn close(self: Box<Self>) {}
}

fn listen_loop(
    socket: &TcpStream,
    mut reader: FrameReader,
    pause: &Pause,
    handler: &Handler,
    timeout: Duration,
) {
    loop {
        let pauses = pause.count();
        match wait_for_bytes(socket) {
            Waiting::Bytes => {}
            Waiting::Nothing => continue,
            Waiting::Over => return,
        }
        if !pause.begin_reading(pauses) {
            continue;
        }
        let deadline = reader.deadline(timeout);
        let received = reader.receive_by(deadline);
        pause.end_reading();
        match received {
            Ok(frame) => handler.call(&frame),
            Err(error) if wire::is_timeout(&error) => {}
            Err(_) => return,
        }
    }
}

/// Decides which thread may read: the caller between `pause` and `resume`, otherwise the listener.
#[derive(Default)]
struct Pause {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    paused: bool,
    /// The listener reads a frame.
    reading: bool,
    /// The number of pauses so far. After a pause, bytes that the listener saw before may be gone.
    count: u64,
}

impl Pause {
    /// Waits until the listener is paused.
    fn pause(&self) {
        let mut state = lock(&self.state);
        state.paused = true;
        // An error: a thread panicked, and has reported it.
        drop(self.changed.wait_while(state, |state| state.reading));
    }

    fn resume(&self) {
        let mut state = lock(&self.state);
        state.paused = false;
        state.count += 1;
        self.changed.notify_all();
    }

    fn count(&self) -> u64 {
        lock(&self.state).count
    }

    /// For the listener: waits for the end of a pause. Gives whether the bytes that it saw after `count` pauses are still
    /// there.
    fn begin_reading(&self, count: u64) -> bool {
        let state = lock(&self.state);
        let state = self.changed.wait_while(state, |state| state.paused);
        let Ok(mut state) = state else { return false };
        state.reading = state.count == count;
        state.reading
    }

    fn end_reading(&self) {
        lock(&self.state).reading = false;
        self.changed.notify_all();
    }
}
