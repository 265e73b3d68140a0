//! Option 1 of the analysis: one lock for the socket. Whoever holds it sends and receives; the
//! listener can have it only when no command is in progress. A command that takes long, as waiting
//! for the end of a motion does, keeps all events from their handlers for so long.
//!
//! Better than the analysis has it in three points: the listener waits for bytes without the lock,
//! the caller never starves behind it, and frames of other codes that the caller meets are kept
//! for the handlers. They are called after the unlock: one that sends a command needs the lock.

use std::net::TcpStream;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex};
use std::time::Duration;

use flamingo_protocol_core::{CommandCode, Frame};

use super::{Waiting, fits, lock, wait_for_bytes};
use crate::strategy::{Events, Motion, Scene, Strategy};
use crate::wire::{self, Reader, ReadingThread};

pub(super) struct SocketLock {
    shared: Arc<Shared>,
    timeout: Duration,
    _callback_listener: ReadingThread,
}

struct Shared {
    socket_lock: Mutex<Reader>,
    /// Taken before the unlock and held while handlers are called: events keep their order.
    handlers: Mutex<Events>,
    /// A mutex is not fair, and the listener may want it without a pause: a caller that waits
    /// goes first.
    caller_waits: Mutex<bool>,
    caller_has_it: Condvar,
    /// Commands that are over. If there was one since bytes were seen, they may be gone.
    commands: AtomicU64,
}

impl SocketLock {
    pub(super) fn start(scene: &Scene) -> std::io::Result<Self> {
        let reader = Reader::new(wire::connect(scene.control, scene.timeout)?);
        let socket = reader.socket().try_clone()?;
        let shared = Arc::new(Shared {
            socket_lock: Mutex::new(reader),
            handlers: Mutex::new(scene.events.clone()),
            caller_waits: Mutex::new(false),
            caller_has_it: Condvar::new(),
            commands: AtomicU64::new(0),
        });
        let listener = {
            let (shared, timeout) = (Arc::clone(&shared), scene.timeout);
            let watched = socket.try_clone()?;
            ReadingThread::start(&socket, move || shared.listen_loop(&watched, timeout))?
        };
        Ok(Self { shared, timeout: scene.timeout, _callback_listener: listener })
    }
}

impl Shared {
    fn send_command(&self, command: &Frame, timeout: Duration) -> Option<Frame> {
        *lock(&self.caller_waits) = true;
        let mut reader = lock(&self.socket_lock);
        *lock(&self.caller_waits) = false;
        self.caller_has_it.notify_one();

        let mut met = Vec::new();
        let response = receive_full_response(&mut reader, command, timeout, &mut met);
        self.commands.fetch_add(1, Ordering::Release);
        let handlers = lock(&self.handlers);
        drop(reader);
        for frame in &met {
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
        // An error: a thread panicked, which it has reported.
        drop(self.caller_has_it.wait_while(waits, |waits| *waits));
    }
}

/// Sends, and receives until there is a frame of the command's code, and of its axis.
fn receive_full_response(
    reader: &mut Reader,
    command: &Frame,
    timeout: Duration,
    met: &mut Vec<Frame>,
) -> Option<Frame> {
    wire::send(reader.socket(), command).ok()?;
    let deadline = reader.deadline(timeout);
    loop {
        let frame = reader.receive_by(deadline).ok()?;
        if fits(&frame, command) {
            return Some(frame);
        }
        met.push(frame);
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
