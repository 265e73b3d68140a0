//! What may happen in a search: the settings of the connection, the commands of the program, the
//! steps, and how often each may be taken.
//!
//! What a step does is in `world.rs`.

use std::vec::Vec;

use super::device::Peer;
use super::recovery::Polling;
use crate::{Config, Frame, Ticket, time::Duration};

/// What may be asked in a search, and of whom.
#[derive(Debug)]
pub(super) struct Setting {
    pub(super) config: Config,
    pub(super) peer: Peer,
    pub(super) commands: Vec<Ask>,
    pub(super) budget: Budget,
    /// Commands that go out at once in every state, unless the window is full.
    pub(super) passing: Vec<Frame>,
    /// The ways of polling that recover from every state.
    pub(super) polling: Vec<Polling>,
    /// While the program polls one of the commands, it is proven again after that time.
    pub(super) proof: Option<Polling>,
    /// While the program polls all commands in turn, each is proven again after that time.
    pub(super) proof_in_turns: Option<Polling>,
    /// The search leaves the assumptions. It reports a wrong proof instead of failing.
    pub(super) outside: bool,
}

impl Setting {
    /// Requests of these commands with a deadline of three seconds.
    pub(super) fn new(config: Config, peer: Peer, frames: &[Frame], budget: Budget) -> Self {
        let patience = Some(Duration::from_millis(3000));
        let commands = frames.iter().map(|frame| Ask { frame: *frame, patience }).collect();
        Self {
            config,
            peer,
            commands,
            budget,
            passing: Vec::new(),
            polling: Vec::new(),
            proof: None,
            proof_in_turns: None,
            outside: budget.doubled > 0,
        }
    }

    /// Adds a command with another deadline, or with none.
    pub(super) fn and(mut self, frame: Frame, patience: Option<Duration>) -> Self {
        self.commands.push(Ask { frame, patience });
        self
    }
}

/// A command of the program.
#[derive(Debug, Clone, Copy)]
pub(super) struct Ask {
    pub(super) frame: Frame,
    /// How long the program waits for the answer; `None`: it sends the frame and does not wait.
    pub(super) patience: Option<Duration>,
}

/// How many more of each event may happen.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Budget {
    pub(super) requests: u8,
    /// Frames that are sent without waiting for an answer.
    pub(super) sends: u8,
    pub(super) cancels: u8,
    pub(super) pushes: u8,
    pub(super) missing: u8,
    pub(super) doubled: u8,
    /// How often the wire may stand still in the middle of a frame.
    pub(super) stalls: u8,
    /// Requests that stay unanswered until everything about them has ended by time.
    pub(super) lost: u8,
    /// Commands, in the order of the setting, whose answers come after all timers have ended.
    pub(super) overdue: u8,
    /// How often the connection may be lost and made again.
    pub(super) reconnects: u8,
    /// How often so many tickets may pass that a token comes round again.
    pub(super) rounds: u8,
}

impl Budget {
    pub(super) fn word(self) -> u64 {
        let Self { requests, sends, cancels, pushes, missing, doubled, stalls, lost, .. } = self;
        let Self { overdue, reconnects, rounds, .. } = self;
        let all = [requests, sends, cancels, pushes, missing, doubled, stalls, lost, overdue];
        let all = all.into_iter().chain([reconnects, rounds]);
        all.fold(0, |word, of| word * 16 + u64::from(of))
    }
}

/// A step that may happen next.
#[derive(Debug, Clone, Copy)]
pub(super) enum Step {
    Ask(usize),
    Cancel(Ticket),
    /// The device answers the oldest command of this queue.
    Answer(usize),
    /// The device will never answer this command.
    Miss(usize),
    /// The device answers this command, and will answer it once more.
    Double(usize),
    Push(usize),
    /// The program asks, the device never answers, and all timers end.
    Lose(usize),
    /// The program asks the next command that is overdue, and all timers end. The device may still
    /// answer it.
    Overdue,
    /// One byte of the next frame goes out, and no more.
    Stall,
    /// More bytes go out, but not the last one.
    Drip,
    /// Everything goes out.
    Flow,
    /// The connection is lost. The next one begins with the next ticket.
    Reconnect,
    /// So many tickets pass that the next one has the token of this command.
    Round(Ticket),
    /// Time passes until a timer is due.
    Wait,
}
