//! Option 1 of the analysis: one lock for the socket. The thread that holds it sends and receives; the listener gets it only
//! when no command is in progress. A long command, such as waiting for the end of a motion, delays all events.
//!
//! It is better than the proposal in three points: the listener waits for bytes without the lock, the caller never starves
//! behind the listener, and frames of other codes that the caller receives are kept for the handlers. Handlers are called
//! after the unlock, because a handler that sends a command needs the lock.

use std::net::TcpStream;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex};
use std::time::Duration;

use flamingo_protocol_core::{CommandCode, Frame};

use super::{Waiting, fits, lock, wait_for_bytes};
use crate::strategy::{Environment, Events, Motion, Strategy};
use crate::wire::{self, FrameReader, ReaderThread};

pub(super) struct SocketLock {
    shared: Arc<Shared>,
    timeout: Duration,
    _callback_listener: ReaderThread,
}

struct Shared {
    socket_lock: Mutex<FrameReader>,
    /// Locked before the socket is unlocked, and held while handlers are called, so that events keep their order.
    handlers: Mutex<Events>,
    /// A mutex is not fair, and the listener may request it all the time: a waiting caller goes first.
    caller_waits: Mutex<bool>,
    caller_has_it: Condvar,
    /// The number of commands so far. After a command, bytes that the listener saw before may be gone.
    commands: AtomicU64,
}

impl SocketLock {
    pub(super) fn start(environment: &Environment) -> std::io::Result<Self> {
        let reader = FrameReader::new(wire::connect(environment.control, environment.timeout)?);
        let socket = reader.socket().try_clone()?;
        let shared = Arc::new(Shared {
            socket_lock: Mutex::new(reader),
            handlers: Mutex::new(environment.events.clone()),
            caller_waits: Mutex::new(false),
            caller_has_it: Condvar::new(),
            commands: AtomicU64::new(0),
        });
        let listener = {
            let (shared, timeout) = (Arc::clone(&shared), environment.timeout);
            let watched = socket.try_clone()?;
            ReaderThread::start(&socket, move || shared.listen_loop(&watched, timeout))?
        };
        Ok(Self { shared, timeout: environment.timeout, _callback_listener: listener })
    }
}

impl Shared {
    fn send_command(&self, command: &Frame, timeout: Duration) -> Option<Frame> {
        *lock(&self.caller_waits) = true;
        let mut reader = lock(&self.socket_lock);
        *lock(&self.caller_waits) = false;
        self.caller_has_it.notify_one();

        let mut others = Vec::new();
        let response = receive_full_response(&mut reader, command, timeout, &mut others);
        self.commands.fetch_add(1, Ordering::Release);
        let handlers = lock(&self.handlers);
        drop(reader);
        for frame in &others {
            handlers.deliver(frame);
        }
        response
    }

    fn listen_loop(&self, socket: &TcpStream, timeout: Duration) {
        loop {
            let commands = self.commands.load(Ordering::Acquire);
            match wait_for_bytes(socket) {
                Waiting::Bytes => {}
                Waiting::Nothing => continue,
                Waiting::Over => return,
            }
            self.let_the_caller_go_first();
            let mut reader = lock(&self.socket_lock);
            if self.commands.load(Ordering::Acquire) != commands {
                continue;
            }
            let deadline = reader.deadline(timeout);
            match reader.receive_by(deadline) {
                Ok(frame) => {
                    let handlers = lock(&self.handlers);
                    drop(reader);
                    handlers.deliver(&frame);
                }
                Err(error) if wire::is_timeout(&error) => {}
                Err(_) => return,
            }
        }
    }

    fn let_the_caller_go_first(&self) {
        let waits = lock(&self.caller_waits);
        // An error: a thread panicked, and has reported it.
        drop(self.caller_has_it.wait_while(waits, |waits| *waits));
    }
}

/// Sends a command, and receives until a frame has its code and axis.
fn receive_full_response(
    reader: &mut FrameReader,
    command: &Frame,
    timeout: Duration,
    others: &mut Vec<Frame>,
) -> Option<Frame> {
    wire::send(reader.socket(), command).ok()?;
    let deadline = reader.deadline(timeout);
    loop {
        let frame = reader.receive_by(deadline).ok()?;
        if fits(&frame, command) {
            return Some(frame);
        }
        others.push(frame);
    }
}

impl Strategy for SocketLock {
    fn query(&mut self, command: &Frame) -> Option<Frame> {
        self.shared.send_command(command, self.timeout)
    }

    /// "If a stage movement takes 10 seconds, STAGE_MOTION_STOPPED won't be received until after."
    fn wait_for_motion_end(&mut self, motion: &Motion) -> bool {
        let wait = Frame::command(CommandCode::STAGE_WAIT_FOR_MOTION_TO_STOP);
        self.shared.send_command(&wait.with_selector(motion.axis), motion.patience).is_some()
    }

    fn close(self: Box<Self>) {}
}
