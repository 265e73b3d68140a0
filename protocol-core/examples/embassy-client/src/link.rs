//! The task that owns the UART and the connection, and its interface for the other tasks: [`ask`] sends
//! a command and returns its answer, and [`EVENTS`] has the unsolicited frames. `main.rs` decides which
//! commands to send.

use core::convert::Infallible;
use core::sync::atomic::{AtomicU32, Ordering};

use embassy_futures::select::{Either3, select3};
use embassy_sync::blocking_mutex::raw::CriticalSectionRawMutex;
use embassy_sync::channel::Channel;
use embassy_sync::pubsub::PubSubChannel;
use embassy_sync::signal::Signal;
use embassy_time::Timer;
use flamingo_protocol_core::{
    Class, Config, Connection, Ended, Event, Frame, Output, Ticket,
    connection::ConfigSource,
    error::CommandError,
    pump::{PumpError, asynchronous},
    time::{Duration, Instant},
};
use heapless::LinearMap;
use static_cell::ConstStaticCell;

use crate::board::Port;

/// The number of requests in flight.
const REQUESTS: usize = 4;
/// Additional requests for HALT: one for each axis.
const STOPS: usize = 4;
/// The time that the stage has for an answer, and the time that a command may wait to be sent.
const REQUEST_TIMEOUT: Duration = Duration::from_millis(1000);
/// After this silence the rest of a frame or a payload is not expected, because a UART does not report
/// that its cable was unplugged.
const LINE_SILENCE: Duration = Duration::from_millis(500);

/// Frames that are not, or not certainly, answers. A subscriber that is too slow loses its oldest frames
/// and learns how many.
pub(crate) static EVENTS: PubSubChannel<CriticalSectionRawMutex, Frame, 16, 1, 0> =
    PubSubChannel::new();
static COMMANDS: Channel<CriticalSectionRawMutex, Command, 4> = Channel::new();

/// Why a command has no answer.
pub(crate) enum Failed {
    /// The connection refused the command, and nothing was sent.
    Refused(#[allow(dead_code)] CommandError), // visible in a debugger
    /// The request ended without an answer.
    Ended(#[allow(dead_code)] Ended),
}

type Outcome = Result<Frame, Failed>;

/// Carries the answers for one task, which has one command in flight at a time.
pub(crate) struct ReplySlot(Signal<CriticalSectionRawMutex, (u32, Outcome)>);

impl ReplySlot {
    pub(crate) const fn new() -> Self {
        Self(Signal::new())
    }
}

/// A command of a task, on its way to the connection.
struct Command {
    number: u32,
    frame: Frame,
    slot: &'static ReplySlot,
}

/// Sends a command and waits for its answer: at most a second after it is sent, and at most two seconds
/// before. If the future is dropped, the next call ignores the answer to this one.
pub(crate) async fn ask(slot: &'static ReplySlot, frame: Frame) -> Outcome {
    static NEXT_NUMBER: AtomicU32 = AtomicU32::new(0);
    let number = NEXT_NUMBER.fetch_add(1, Ordering::Relaxed);
    COMMANDS.send(Command { number, frame, slot }).await;
    loop {
        let (answered, outcome) = slot.0.wait().await;
        if answered == number {
            return outcome;
        }
    }
}

/// The command and the task of each request in flight.
type Waiting = LinearMap<Ticket, (u32, &'static ReplySlot), { REQUESTS + STOPS + 1 }>;

/// The configuration of the connection, known at compile time.
struct StageConfig;

impl ConfigSource for StageConfig {
    fn config(&self) -> &Config {
        const { &Config::DEFAULT }
    }
}

struct Link {
    connection: Connection<REQUESTS, 12, 9, STOPS, StageConfig>,
    waiting: Waiting,
    /// When bytes were last read.
    last_read: Instant,
}

/// The initial value is all zero, so it takes no flash. It is never on the stack.
static LINK: ConstStaticCell<Link> = ConstStaticCell::new(Link::NEW);

/// Runs forever and owns the only port.
#[embassy_executor::task]
pub(crate) async fn run(mut port: Port) {
    let Some(link) = LINK.try_take() else { return };
    loop {
        if link.step(&mut port).await.is_err() {
            // All requests end, and a new connection starts.
            link.connection.handle_eof();
            link.report_ended_requests();
            *link = Link::NEW;
        }
    }
}

impl Link {
    const NEW: Self = Self {
        connection: Connection::with(StageConfig),
        waiting: LinearMap::new(),
        last_read: Instant::from_micros(0),
    };

    /// Waits for bytes, a command or the next deadline and handles it. Then writes what the connection has
    /// to send.
    async fn step(&mut self, port: &mut Port) -> Result<(), PumpError<Infallible>> {
        let Self { connection, waiting, .. } = self;
        let due = to_tick(connection.poll_timeout().map_or(Instant::FAR_FUTURE, |(due, _)| due));
        let mut scratch = [0; 128];
        let received = asynchronous::receive(port, connection, now, &mut scratch, |output| {
            deliver(waiting, output);
        });
        match select3(received, COMMANDS.receive(), Timer::at(due)).await {
            Either3::First(received) => {
                received?;
                self.last_read = now();
            }
            Either3::Second(command) => self.request(&command),
            Either3::Third(()) => self.connection.handle_timeout(now()),
        }
        if now().since(self.last_read) >= LINE_SILENCE {
            self.connection.abandon_input(now());
        }
        self.report_ended_requests();
        while asynchronous::transmit(port, &mut self.connection, now, |_, _| &[]).await?.is_some() {
        }
        Ok(())
    }

    fn request(&mut self, command: &Command) {
        let Command { number, frame, slot } = command;
        match self.connection.request(now(), frame, now() + REQUEST_TIMEOUT) {
            // The map has room for every request that the connection accepts.
            Ok(ticket) => drop(self.waiting.insert(ticket, (*number, slot))),
            Err(error) => slot.0.signal((*number, Err(Failed::Refused(error)))),
        }
    }

    fn report_ended_requests(&mut self) {
        while let Some(event) = self.connection.poll_event() {
            if let Event::Ended { ticket, ended } = event
                && let Some((number, slot)) = self.waiting.remove(&ticket)
            {
                slot.0.signal((number, Err(Failed::Ended(ended))));
            }
        }
    }
}

/// Gives an answer to its task, and other frames to the subscribers. Payloads are dropped, because the
/// tasks send no command whose answer has one.
fn deliver(waiting: &mut Waiting, output: Output<'_>) {
    let Output::Frame(received) = output else { return };
    let owner = match received.class {
        Class::Solicited { ticket, .. } => waiting.remove(&ticket),
        _ => None,
    };
    if let Some((number, slot)) = owner {
        slot.0.signal((number, Ok(received.frame)));
    }
    if !matches!(received.class, Class::Solicited { proven: true, .. }) {
        EVENTS.immediate_publisher().publish_immediate(received.frame);
    }
}

fn now() -> Instant {
    Instant::from_micros(embassy_time::Instant::now().as_micros())
}

/// Rounds a time up to the next tick.
fn to_tick(due: Instant) -> embassy_time::Instant {
    embassy_time::Instant::from_millis(due.as_micros().div_ceil(1000))
}
