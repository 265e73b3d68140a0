//! How many events per second reach all of 1, 8 or 64 subscribers, beside how many frames per second a bare socket
//! reads, in one run. The subscribers are tasks on the thread of the caller, and take their events one by one. The
//! driver runs on the same thread (`Client::open`) or where `Client::connect` puts it. No event may be lost: as many
//! may wait for a subscriber as are sent in a turn.

use std::process::ExitCode;

use flamingo_runtime_std::{Client, Event, Options, Subscription};
use flamingo_runtime_testkit::bench::limits::{EventServer, event_server, open, read_raw};
use flamingo_runtime_testkit::bench::{
    Contender, Figure, Report, Stopwatch, Target, alternate, caller_on_first, run,
};
use smol::LocalExecutor;

const ROUNDS: usize = 5;
const TURNS: usize = 8;
/// Events in a turn, divided by the square root of the number of subscribers.
const EVENTS: usize = 40_000;

/// Where the driver runs.
#[derive(Debug, Clone, Copy)]
enum Way {
    Open,
    Connect,
}

#[allow(clippy::cast_precision_loss)] // a few thousand
fn mean(took: f64, count: usize) -> f64 {
    took / count as f64
}

/// Takes so many events. Fails if one was lost.
async fn take(mut subscription: Subscription, count: usize) -> Subscription {
    for _ in 0..count {
        match subscription.next().await {
            Some(Event::Frame(_)) => {}
            other => panic!("expected an event, got {other:?}"),
        }
    }
    subscription
}

/// Each event goes to so many subscribers.
fn subscribers(way: Way, count: usize, events: usize) -> Contender<'static> {
    let EventServer { address, send } = event_server();
    let executor = LocalExecutor::new();
    let options = Options::new(address.to_string()).event_capacity(events);
    let client = match way {
        Way::Open => {
            let opened = smol::block_on(Client::open(options));
            let (client, driver) = opened.expect("the server answers");
            executor.spawn(driver).detach();
            client
        }
        Way::Connect => smol::block_on(Client::connect(options)).expect("the server answers"),
    };
    let mut all: Vec<_> = (0..count).map(|_| client.subscribe(&[])).collect();
    Box::new(move |times| {
        let _ = &client; // it lives as long as the contender
        let tasks: Vec<_> = all.drain(..).map(|one| executor.spawn(take(one, events))).collect();
        let took = Stopwatch::time(|| {
            send.send(events).expect("the server runs");
            smol::block_on(executor.run(async {
                for task in tasks {
                    all.push(task.await);
                }
            }));
        });
        times.push(mean(took, events));
    })
}

/// The same frames are read from a socket, and nobody looks at them.
fn raw(events: usize) -> Contender<'static> {
    let EventServer { address, send } = event_server();
    let mut socket = open(address);
    Box::new(move |times| {
        let took = Stopwatch::time(|| {
            send.send(events).expect("the server runs");
            read_raw(&mut socket, events);
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
        for (at, way) in [(1, "Client::open"), (2, "Client::connect")] {
            let name = format!("events per second, {way}, subscribers: {count}");
            report.line(&name, figure(at), Target::ValueAtLeast(least));
        }
    }
}

fn main() -> ExitCode {
    run("events", measure)
}
