//! The one task that owns the UART and the connection, and what the other tasks call: [`ask`] for
//! an answer, [`EVENTS`] for what nobody asked for. What is asked, and why, is `main.rs`.

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

/// Requests in flight.
const REQUESTS: usize = 4;
/// More of them, for stops.
const STOPS: usize = 2;
const PATIENCE: Duration = Duration::from_millis(1000);
/// After so long a silence the rest of a frame or a payload is not expected any more: a UART does not
/// say that its cable was pulled.
const SILENCE: Duration = Duration::from_millis(500);

/// Frames that were not, or not for certain, somebody's answer. A subscriber that is too slow loses
/// its oldest ones, and is told how many.
pub(crate) static EVENTS: PubSubChannel<CriticalSectionRawMutex, Frame, 16, 1, 0> =
    PubSubChannel::new();
static ORDERS: Channel<CriticalSectionRawMutex, Order, 4> = Channel::new();

/// Why there is no answer.
pub(crate) enum Failed {
    /// Nothing was sent.
    Refused(#[allow(dead_code)] CommandError), // for a debugger
    /// It was sent, or was to be.
    Ended(#[allow(dead_code)] Ended),
}

type Outcome = Result<Frame, Failed>;

/// Where the answers to one task come in. It has one question at a time.
pub(crate) struct Desk(Signal<CriticalSectionRawMutex, (u32, Outcome)>);

impl Desk {
    pub(crate) const fn new() -> Self {
        Self(Signal::new())
    }
}

struct Order {
    number: u32,
    frame: Frame,
    desk: &'static Desk,
}

/// Asks, and waits for the answer for a second at most. Dropping the future misplaces no answer.
pub(crate) async fn ask(desk: &'static Desk, frame: Frame) -> Outcome {
    static NUMBERS: AtomicU32 = AtomicU32::new(0);
    let number = NUMBERS.fetch_add(1, Ordering::Relaxed);
    ORDERS.send(Order { number, frame, desk }).await;
    loop {
        let (of, outcome) = desk.0.wait().await;
        if of == number {
            return outcome;
        }
    }
}

/// Who waits for which answer.
type Waiting = LinearMap<Ticket, (u32, &'static Desk), { REQUESTS + STOPS }>;

/// What is known of the stage when this is compiled.
struct OurStage;

impl ConfigSource for OurStage {
    fn config(&self) -> &Config {
        const { &Config::DEFAULT }
    }
}

struct Link {
    connection: Connection<REQUESTS, 8, 7, STOPS, OurStage>,
    waiting: Waiting,
    /// When bytes last came.
    heard: Instant,
}

/// All zero: it takes no flash, and is never on the stack.
static LINK: ConstStaticCell<Link> = ConstStaticCell::new(Link::NEW);

/// Runs for ever: there is one port, and this owns it.
#[embassy_executor::task]
pub(crate) async fn run(mut port: Port) {
    let Some(link) = LINK.try_take() else { return };
    loop {
        if link.turn(&mut port).await.is_err() {
            // Everything that waits ends, and a new connection begins.
            link.connection.handle_eof();
            link.tell_ends();
            *link = Link::NEW;
        }
    }
}

impl Link {
    const NEW: Self = Self {
        connection: Connection::with(OurStage),
        waiting: LinearMap::new(),
        heard: Instant::from_micros(0),
    };

    /// Waits for bytes, an order or the next deadline, does what follows, writes what is to go.
    async fn turn(&mut self, port: &mut Port) -> Result<(), PumpError<Infallible>> {
        let Self { connection, waiting, .. } = self;
        let due = at(connection.poll_timeout().map_or(Instant::FAR_FUTURE, |(due, _)| due));
        let mut scratch = [0; 128];
        let received = asynchronous::receive(port, connection, now, &mut scratch, |output| {
            deliver(waiting, output);
        });
        match select3(received, ORDERS.receive(), Timer::at(due)).await {
            Either3::First(received) => {
                received?;
                self.heard = now();
            }
            Either3::Second(order) => self.order(&order),
            Either3::Third(()) => self.connection.handle_timeout(now()),
        }
        if now().since(self.heard) >= SILENCE {
            self.connection.abandon_input(now());
        }
        self.tell_ends();
        while asynchronous::transmit(port, &mut self.connection, now, |_, _| &[]).await?.is_some() {
        }
        Ok(())
    }

    fn order(&mut self, order: &Order) {
        let Order { number, frame, desk } = order;
        match self.connection.request(now(), frame, now() + PATIENCE) {
            // There is a place for each request that the connection takes.
            Ok(ticket) => drop(self.waiting.insert(ticket, (*number, desk))),
            Err(error) => desk.0.signal((*number, Err(Failed::Refused(error)))),
        }
    }

    fn tell_ends(&mut self) {
        while let Some(event) = self.connection.poll_event() {
            if let Event::Ended { ticket, ended } = event
                && let Some((number, desk)) = self.waiting.remove(&ticket)
            {
                desk.0.signal((number, Err(Failed::Ended(ended))));
            }
        }
    }
}

/// To whom it belongs. Payloads are nobody's: nothing is asked here whose answer has one.
fn deliver(waiting: &mut Waiting, output: Output<'_>) {
    let Output::Frame(received) = output else { return };
    let owner = match received.class {
        Class::Solicited { ticket, .. } => waiting.remove(&ticket),
        _ => None,
    };
    if let Some((number, desk)) = owner {
        desk.0.signal((number, Ok(received.frame)));
    }
    if !matches!(received.class, Class::Solicited { proven: true, .. }) {
        EVENTS.immediate_publisher().publish_immediate(received.frame);
    }
}

fn now() -> Instant {
    Instant::from_micros(embassy_time::Instant::now().as_micros())
}

/// That time or up to a tick later, never before it.
fn at(due: Instant) -> embassy_time::Instant {
    embassy_time::Instant::from_millis(due.as_micros().div_ceil(1000))
}
