//! The client's side of a connection, and both sides as endpoints. The state before each call is
//! unknown to the optimiser, so the order of the calls does not matter.

use flamingo_protocol_core::{
    Class, Config, Connection, Output, Responder,
    connection::{ConfigSource, Key, Order, Owners, Recovery},
    pump::Endpoint,
};

use crate::any::{any, bytes, frame, now, sink};
use crate::values;

pub fn all() {
    each(&mut <Connection as Default>::default());
    let settings = any(<Config as Default>::default());
    let large: &mut Connection<300, 700, 602, 300> = &mut Connection::new(settings);
    each(large);
    let last = Connection::last_ticket(any(&*large));
    let mut next = Connection::starting_after(any(<Connection as Default>::default()), any(last));
    each(&mut next);
    let known: &mut Connection<4, 12, 9, 4, Known> = &mut Connection::with(any(Known));
    each(known);
    sink(<Config as ConfigSource>::config(&settings));
    counts();
    endpoint::<Connection>(&mut Connection::default());
    endpoint::<Responder>(&mut Responder::default());
}

fn counts() {
    let mut recovery = any(<Recovery as Default>::default());
    sink(Recovery::new());
    Recovery::end_turn(any(&mut recovery));
    let (key, newest) = (any(Key::of(&frame())), any(Order::new(any(0))));
    sink(Recovery::count(any(&mut recovery), key, newest, any(0)));
}

/// Settings that are known at compile time.
struct Known;

impl ConfigSource for Known {
    fn config(&self) -> &Config {
        const { &Config::DEFAULT }
    }
}

fn each<const R: usize, const O: usize, const Q: usize, const S: usize, C: ConfigSource>(
    client: &mut Connection<R, O, Q, S, C>,
) {
    asks(client);
    moves_bytes(client);
    sink(Connection::poll_event(any(&mut *client)));
    sink(Connection::poll_timeout(any(&*client)));
    Connection::handle_timeout(any(&mut *client), now());
    tells(client);
}

fn asks<const R: usize, const O: usize, const Q: usize, const S: usize, C: ConfigSource>(
    client: &mut Connection<R, O, Q, S, C>,
) {
    if let Ok(ticket) = Connection::request(any(&mut *client), now(), &frame(), now()) {
        values::ticket(ticket);
        sink(Connection::cancel(any(&mut *client), now(), any(ticket)));
    }
    sink(Connection::send(any(&mut *client), now(), &frame()));
}

fn moves_bytes<const R: usize, const O: usize, const Q: usize, const S: usize, C: ConfigSource>(
    client: &mut Connection<R, O, Q, S, C>,
) {
    let (consumed, output) = Connection::handle_input(any(&mut *client), now(), bytes());
    if let Some(Output::Frame(received)) = &output
        && let Class::Ambiguous { owners } = &received.class
    {
        sink(Owners::tickets(owners));
    }
    sink((consumed, output));
    sink(Connection::poll_transmit(any(&mut *client), now()));
    sink(Connection::transmitted(any(&mut *client), now(), any(0)));
    sink(Connection::abandon_input(any(&mut *client), now()));
    sink(Connection::handle_eof(any(&mut *client)));
}

fn tells<const R: usize, const O: usize, const Q: usize, const S: usize, C: ConfigSource>(
    client: &mut Connection<R, O, Q, S, C>,
) {
    let client = &*any(client);
    sink(Connection::counters(client));
    sink((Connection::last_rejected(client), Connection::held(client)));
    sink((Connection::in_flight(client), ConfigSource::config(Connection::config(client))));
}

fn endpoint<E: Endpoint>(end: &mut E) {
    sink(Endpoint::handle_input(any(&mut *end), now(), bytes()));
    sink(Endpoint::poll_transmit(any(&mut *end), now()));
    sink(Endpoint::transmitted(any(&mut *end), now(), any(0)));
    sink(Endpoint::handle_eof(any(&mut *end)));
    Endpoint::deliver(any(&mut *end), now(), bytes(), sink);
}
