//! The interface of a strategy: what it can do, what it is given, and where it reports events. The strategies themselves
//! are in `strategies/`.

use std::net::SocketAddr;
use std::sync::mpsc::Sender;
use std::time::Duration;

use flamingo_protocol_core::{Frame, time::Instant};
use flamingo_runtime_std::Clock;

/// A way of sharing the socket, with one caller: the program that queries, moves and waits. A strategy starts the threads
/// that it needs.
pub(super) trait Strategy: Send {
    /// Sends a command and returns the frame that it takes for the answer. `None`: none arrived in time, or the connection
    /// is lost.
    fn query(&mut self, command: &Frame) -> Option<Frame>;

    /// Waits until it believes that a motion, which a query has started, has ended. `false`: it gave up.
    fn wait_for_motion_end(&mut self, motion: &Motion) -> bool;

    /// Ends all of its threads and connections.
    fn close(self: Box<Self>);
}

/// A requested motion.
#[derive(Debug, Clone, Copy)]
pub(super) struct Motion {
    /// 1 to 4.
    pub(super) axis: i32,
    /// Its target in mm.
    pub(super) target: f64,
    /// How long to wait for its end.
    pub(super) patience: Duration,
}

/// The addresses and times of a run. All times are scaled.
#[derive(Debug, Clone)]
pub(super) struct Environment {
    /// The control port of the instrument, or of the bridge.
    pub(super) control: SocketAddr,
    /// The callback port of the bridge, if there is one.
    pub(super) callback: Option<SocketAddr>,
    /// The timeout of a query: 3 s, scaled.
    pub(super) timeout: Duration,
    /// The period of a program that polls: 100 ms, scaled.
    pub(super) poll: Duration,
    /// Takes the events.
    pub(super) events: Events,
}

/// Takes each frame that a strategy gives to an event handler, at the time when the handler gets it.
#[derive(Debug, Clone)]
pub(super) struct Events {
    clock: Clock,
    to: Sender<(Instant, Frame)>,
}

impl Events {
    /// `clock` gives the times of the events.
    pub(super) fn new(clock: Clock, to: Sender<(Instant, Frame)>) -> Self {
        Self { clock, to }
    }

    /// The event handler of the program gets this frame now.
    pub(super) fn deliver(&self, frame: &Frame) {
        // An error: the run has ended, and events do not count any more.
        let _ = self.to.send((self.clock.now(), *frame));
    }
}
