//! The client under test: a connection of one of five sizes, and beside it perhaps a second one that gets the
//! same calls and the same bytes, cut otherwise. What a conversation does with it is in `conversation.rs`.

use fastrand::Rng;
use flamingo_protocol_core::{
    Class, Config, Connection, Event, Frame, Output, Received, Ticket, Transmit,
    connection::{Cancelled, Counters, Reason},
    error::CommandError,
    time::Instant,
};

/// The calls of a connection, whatever its capacities.
pub(super) trait Core {
    /// `Connection::handle_input`.
    fn handle_input<'a>(&mut self, now: Instant, input: &'a [u8]) -> (usize, Option<Output<'a>>);
    /// `Connection::poll_transmit`.
    fn poll_transmit(&mut self, now: Instant) -> Option<Transmit<'_>>;
    /// `Connection::transmitted`.
    fn transmitted(&mut self, now: Instant, written: usize) -> Option<Ticket>;
    /// `Connection::poll_event`.
    fn poll_event(&mut self) -> Option<Event>;
    /// `Connection::poll_timeout`.
    fn poll_timeout(&self) -> Option<(Instant, Reason)>;
    /// `Connection::handle_timeout`.
    fn handle_timeout(&mut self, now: Instant);
    /// `Connection::handle_eof`.
    fn handle_eof(&mut self) -> (usize, u32);
    /// `Connection::request`.
    fn request(
        &mut self,
        now: Instant,
        command: &Frame,
        deadline: Instant,
    ) -> Result<Ticket, CommandError>;
    /// `Connection::send`.
    fn send(&mut self, now: Instant, command: &Frame) -> Result<Ticket, CommandError>;
    /// `Connection::cancel`.
    fn cancel(&mut self, now: Instant, ticket: Ticket) -> Cancelled;
    /// `Connection::counters`.
    fn counters(&self) -> Counters;
    /// `Connection::in_flight`.
    fn in_flight(&self) -> (usize, usize);
    /// `Connection::held`.
    fn held(&self) -> usize;
    /// `Connection::last_ticket`.
    fn last_ticket(&self) -> Ticket;
}

impl<const R: usize, const O: usize, const Q: usize, const S: usize> Core
    for Connection<R, O, Q, S>
{
    fn handle_input<'a>(&mut self, now: Instant, input: &'a [u8]) -> (usize, Option<Output<'a>>) {
        self.handle_input(now, input)
    }
    fn poll_transmit(&mut self, now: Instant) -> Option<Transmit<'_>> {
        self.poll_transmit(now)
    }
    fn transmitted(&mut self, now: Instant, written: usize) -> Option<Ticket> {
        self.transmitted(now, written)
    }
    fn poll_event(&mut self) -> Option<Event> {
        self.poll_event()
    }
    fn poll_timeout(&self) -> Option<(Instant, Reason)> {
        self.poll_timeout()
    }
    fn handle_timeout(&mut self, now: Instant) {
        self.handle_timeout(now);
    }
    fn handle_eof(&mut self) -> (usize, u32) {
        self.handle_eof()
    }
    fn request(
        &mut self,
        now: Instant,
        command: &Frame,
        deadline: Instant,
    ) -> Result<Ticket, CommandError> {
        self.request(now, command, deadline)
    }
    fn send(&mut self, now: Instant, command: &Frame) -> Result<Ticket, CommandError> {
        self.send(now, command)
    }
    fn cancel(&mut self, now: Instant, ticket: Ticket) -> Cancelled {
        self.cancel(now, ticket)
    }
    fn counters(&self) -> Counters {
        self.counters()
    }
    fn in_flight(&self) -> (usize, usize) {
        self.in_flight()
    }
    fn held(&self) -> usize {
        self.held()
    }
    fn last_ticket(&self) -> Ticket {
        self.last_ticket()
    }
}

/// The capacities of a connection.
#[derive(Debug, Clone, Copy)]
pub(super) struct Capacity {
    /// Requests in flight.
    pub(super) requests: usize,
    /// Stops in flight in addition.
    pub(super) stops: usize,
    /// The caller's own frames in the queue, stops not counted.
    pub(super) queue: usize,
    /// What the survey calls it.
    pub(super) name: &'static str,
    make: fn(Config, Ticket) -> Box<dyn Core>,
}

fn make<const R: usize, const O: usize, const Q: usize, const S: usize>(
    config: Config,
    start: Ticket,
) -> Box<dyn Core> {
    Box::new(Connection::<R, O, Q, S>::new(config).starting_after(start))
}

/// The five sizes, smallest first. The second is the client of a microcontroller, the last the adapter's.
pub(super) const CAPACITIES: [Capacity; 5] = [
    Capacity { requests: 1, stops: 4, queue: 1, name: "size 1-6-7-4", make: make::<1, 6, 7, 4> },
    Capacity { requests: 4, stops: 4, queue: 3, name: "size 4-12-9-4", make: make::<4, 12, 9, 4> },
    Capacity { requests: 3, stops: 5, queue: 5, name: "size 3-9-12-5", make: make::<3, 9, 12, 5> },
    Capacity {
        requests: 16,
        stops: 8,
        queue: 15,
        name: "size 16-64-25-8",
        make: make::<16, 64, 25, 8>,
    },
    Capacity {
        requests: 64,
        stops: 16,
        queue: 63,
        name: "size 64-256-81-16",
        make: make::<64, 256, 81, 16>,
    },
];

/// What came out of some input; neighbouring slices of a payload are joined.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Heard {
    /// A frame.
    Frame(Box<Received>),
    /// Payload bytes, and how many are still to come.
    Payload(Vec<u8>, u32),
}

/// What to write next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Next {
    /// These bytes of a frame: the first `usize` of them.
    Bytes([u8; 128], usize),
    /// The payload of that ticket, from there on, so many bytes.
    Payload(Ticket, u32, u32),
}

/// The connection under test and its twin.
pub(super) struct Client {
    first: Box<dyn Core>,
    twin: Option<Box<dyn Core>>,
    /// Cuts the input of both.
    rng: Rng,
    /// The first difference between the two.
    pub(super) difference: Option<String>,
}

impl Client {
    /// A new client; `start` is the ticket number before its first.
    pub(super) fn new(
        capacity: Capacity,
        config: Config,
        start: Ticket,
        with_twin: bool,
        rng: Rng,
    ) -> Self {
        let first = (capacity.make)(config, start);
        let twin = with_twin.then(|| (capacity.make)(config, start));
        Self { first, twin, rng, difference: None }
    }

    /// Calls both and compares what they return.
    fn both<T: PartialEq + std::fmt::Debug>(
        &mut self,
        name: &str,
        mut call: impl FnMut(&mut dyn Core) -> T,
    ) -> T {
        let result = call(self.first.as_mut());
        if let Some(twin) = &mut self.twin {
            let other = call(twin.as_mut());
            if other != result && self.difference.is_none() {
                self.difference = Some(format!("{name}: {result:?}, cut otherwise {other:?}"));
            }
        }
        result
    }

    /// Gives `input` to both, cut into pieces of at most `most` bytes, and returns what came out.
    pub(super) fn input(&mut self, now: Instant, input: &[u8], most: usize) -> Vec<Heard> {
        let Self { first, twin, rng, difference } = self;
        let heard = feed(first.as_mut(), now, input, most, rng);
        if let Some(twin) = twin {
            let most = [1, 7, 127, 128, 129, usize::MAX][rng.usize(0..6)];
            let other = feed(twin.as_mut(), now, input, most, rng);
            if other != heard && difference.is_none() {
                *difference = Some(format!("input: {heard:?}, cut otherwise {other:?}"));
            }
        }
        heard
    }

    /// What to write next.
    pub(super) fn next(&mut self, now: Instant) -> Option<Next> {
        self.both("poll_transmit", |core| {
            core.poll_transmit(now).map(|transmit| match transmit {
                Transmit::Bytes(bytes) => {
                    let mut copy = [0; 128];
                    copy[..bytes.len()].copy_from_slice(bytes);
                    Next::Bytes(copy, bytes.len())
                }
                Transmit::Payload { ticket, offset, remaining } => {
                    Next::Payload(ticket, offset, remaining)
                }
            })
        })
    }

    /// So many bytes of it are written.
    pub(super) fn written(&mut self, now: Instant, bytes: usize) -> Option<Ticket> {
        self.both("transmitted", |core| core.transmitted(now, bytes))
    }

    /// The next event.
    pub(super) fn event(&mut self) -> Option<Event> {
        self.both("poll_event", |core| core.poll_event())
    }

    /// The next timer.
    pub(super) fn timer(&mut self) -> Option<Instant> {
        self.both("poll_timeout", |core| core.poll_timeout()).map(|(at, _)| at)
    }

    /// Time has passed.
    pub(super) fn handle_timeout(&mut self, now: Instant) {
        self.both("handle_timeout", |core| core.handle_timeout(now));
    }

    /// The stream has ended.
    pub(super) fn eof(&mut self) -> (usize, u32) {
        self.both("handle_eof", |core| core.handle_eof())
    }

    /// Asks, or with no deadline sends.
    pub(super) fn enter(
        &mut self,
        now: Instant,
        frame: &Frame,
        deadline: Option<Instant>,
    ) -> Result<Ticket, CommandError> {
        self.both("request", |core| match deadline {
            Some(deadline) => core.request(now, frame, deadline),
            None => core.send(now, frame),
        })
    }

    /// Cancels.
    pub(super) fn cancel(&mut self, now: Instant, ticket: Ticket) -> Cancelled {
        self.both("cancel", |core| core.cancel(now, ticket))
    }

    /// The counters.
    pub(super) fn counters(&mut self) -> Counters {
        self.both("counters", |core| core.counters())
    }

    /// Requests in flight and tombstones.
    pub(super) fn in_flight(&mut self) -> (usize, usize) {
        self.both("in_flight", |core| core.in_flight())
    }

    /// The last ticket.
    pub(super) fn last_ticket(&mut self) -> Ticket {
        self.both("last_ticket", |core| core.last_ticket())
    }

    /// Bytes that may still become a frame.
    pub(super) fn held(&mut self) -> usize {
        self.both("held", |core| core.held())
    }
}

/// Feeds one connection, with the input cut.
fn feed(
    core: &mut dyn Core,
    now: Instant,
    mut input: &[u8],
    most: usize,
    rng: &mut Rng,
) -> Vec<Heard> {
    let mut heard: Vec<Heard> = Vec::new();
    while !input.is_empty() {
        let len = input.len().min(rng.usize(1..=most.min(input.len())));
        let (mut piece, rest) = input.split_at(len);
        input = rest;
        loop {
            let (consumed, output) = core.handle_input(now, piece);
            piece = &piece[consumed..];
            match output {
                Some(Output::Frame(received)) => heard.push(Heard::Frame(Box::new(received))),
                Some(Output::Payload { bytes, remaining }) => match heard.last_mut() {
                    Some(Heard::Payload(joined, left)) => {
                        joined.extend_from_slice(bytes);
                        *left = remaining;
                    }
                    _ => heard.push(Heard::Payload(bytes.to_vec(), remaining)),
                },
                None => {
                    assert!(piece.is_empty(), "nothing came out, but input is left");
                    break;
                }
            }
        }
    }
    heard
}

/// The ticket of a class that names one.
pub(super) fn owner(class: &Class) -> Option<(Ticket, bool)> {
    match class {
        Class::Solicited { ticket, proven } | Class::Late { ticket, proven } => {
            Some((*ticket, *proven))
        }
        _ => None,
    }
}
