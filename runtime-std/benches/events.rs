//! How many events per second reach all of 1, 8 or 64 subscribers, beside how many frames per second a bare socket
//! reads, in one run. The subscribers are tasks on the thread of the caller, and take their events one by one. The
//! driver runs on the same thread (`Client::open`) or where `Client::connect` puts it. No event may be lost: as many
//! may wait for a subscriber as are sent in a turn.

use std::process::ExitCode;

use flamingo_runtime_std::Options;
use flamingo_runtime_std::protocol::wire::FRAME_LEN;
use flamingo_runtime_testkit::bench::clients::{Caller, Way, mean};
use flamingo_runtime_testkit::bench::limits::{
    EventServer, Events, READ_LEN, event_server, open, read_raw,
};
use flamingo_runtime_testkit::bench::{
    Contender, Figure, Report, Stopwatch, Target, alternate, caller_on_first, run,
};

const ROUNDS: usize = 5;
const TURNS: usize = 8;
/// Events in a turn, divided by the square root of the number of subscribers.
const EVENTS: usize = 40_000;

/// Each event goes to so many subscribers.
fn subscribers(way: Way, count: usize, events: usize) -> Contender<'static> {
    let EventServer { address, send } = event_server();
    let options = Options::new(address.to_string()).event_capacity(events);
    let caller = Caller::connect(way, options);
    let mut all: Vec<_> = (0..count).map(|_| caller.client.subscribe(&[])).collect();
    let order = Events { count: events, payload: 0 };
    Box::new(move |times| {
        let send = || send.send(order).expect("the server runs");
        times.push(caller.take_events(&mut all, events, send));
    })
}

/// The same frames are read from a socket, and nobody looks at them.
fn raw(events: usize) -> Contender<'static> {
    let EventServer { address, send } = event_server();
    let (mut socket, mut buffer) = (open(address), vec![0; READ_LEN]);
    Box::new(move |times| {
        let took = Stopwatch::time(|| {
            send.send(Events { count: events, payload: 0 }).expect("the server runs");
            read_raw(&mut socket, events * FRAME_LEN, &mut buffer);
        });
        times.push(mean(took, events));
    })
}

fn measure(report: &mut Report) {
    let turns = report.repetitions(TURNS);
    let loads = [(1, 4.0), (8, 1.0), (64, 0.15)].map(|(count, least)| {
        let events = report.repetitions(EVENTS / usize::isqrt(count));
        let client = |way| subscribers(way, count, events);
        (count, least, vec![raw(events), client(Way::Open), client(Way::Connect)])
    });
    caller_on_first();
    for (count, least, contenders) in loads {
        let rounds = alternate(ROUNDS, turns, contenders);
        let figure = |at| Figure::new(rounds.rate(at) / 1e6, "M/s").ratio(rounds.rate_ratio(at, 0));
        if count == 1 {
            report.line("frames per second, blocking socket", figure(0), Target::None);
        }
        for (at, way) in [(1, Way::Open), (2, Way::Connect)] {
            let name = format!("events per second, {}, subscribers: {count}", way.name());
            report.line(&name, figure(at), Target::ValueAtLeast(least));
        }
    }
}

fn main() -> ExitCode {
    run("events", measure)
}
