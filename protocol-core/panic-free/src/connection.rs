//! The client's side of a connection. Each call finds a state of which nothing is known, so the
//! order of the calls makes no difference.

use flamingo_protocol_core::{Class, Connection, Endpoint, Output, Owners};

use crate::any::{any, bytes, frame, now, sink};
use crate::streams::Device;
use crate::values;

pub type Client = Connection<4, 8, 4, 2>;

pub fn client() -> Client {
    any(Connection::new(any(flamingo_protocol_core::Config::default())))
}

pub fn all() {
    sink(<Client as Default>::default());
    let client = &mut client();
    asks(client);
    moves_bytes(any(client));
    waits(any(client));
    tells(any(client));
    endpoint(any(client));
    endpoint(any(&mut Device::default()));
}

fn asks(client: &mut Client) {
    let asked = Connection::request(any(client), now(), &frame(), now());
    if let Ok(ticket) = asked {
        values::ticket(ticket);
        sink(Connection::cancel(any(client), now(), any(ticket)));
    }
    sink(asked);
    sink(Connection::send(any(client), now(), &frame()));
}

fn moves_bytes(client: &mut Client) {
    let (consumed, output) = Connection::handle_input(any(client), now(), bytes());
    if let Some(Output::Frame(received)) = &output
        && let Class::Ambiguous { owners } = &received.class
    {
        sink(Owners::tickets(owners));
    }
    sink((consumed, output));
    sink(Connection::poll_transmit(any(client), now()));
    sink(Connection::transmitted(any(client), now(), any(0)));
    sink(Connection::handle_eof(any(client)));
}

fn waits(client: &mut Client) {
    sink(Connection::poll_event(any(client)));
    sink(Connection::poll_timeout(any(client)));
    Connection::handle_timeout(any(client), now());
}

fn tells(client: &mut Client) {
    sink(Connection::counters(any(client)));
    sink((Connection::last_rejected(client), Connection::held(client)));
    sink((Connection::in_flight(client), Connection::config(client)));
}

fn endpoint<E: Endpoint>(end: &mut E) {
    sink(Endpoint::handle_input(any(&mut *end), now(), bytes()));
    sink(Endpoint::poll_transmit(any(&mut *end), now()));
    sink(Endpoint::transmitted(any(&mut *end), now(), any(0)));
    sink(Endpoint::handle_eof(any(&mut *end)));
    Endpoint::deliver(any(&mut *end), now(), bytes(), sink);
}
