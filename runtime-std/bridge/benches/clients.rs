//! How the answers per second grow with the number of clients, straight at the simulator and through the
//! bridge, all in one run. With 60 clients, the bridge must answer at least 0.9 times as much as with one. Each client has one query in flight. One thread plays all clients of a load over
//! non-blocking sockets, with one client as with 256. So the limit is the same load straight at the
//! simulator.
//!
//! The limits of the bridge are open: `limits.commands_per_s`, `limits.clients` and
//! `limits.clients_per_address`. `upstream.window` is the default. In the load `mixed`, the queries of the
//! clients have eight different codes and selectors. In the load `same`, all clients send the same query: the
//! bridge then has one query on its way at a time, since an answer does not tell which of two equal queries it
//! belongs to.

use std::io::{ErrorKind, Read, Write};
use std::net::SocketAddr;
use std::process::ExitCode;

use flamingo_bridge::{Bridge, BridgeSettings};
use flamingo_runtime_std::protocol::{CommandCode, Frame};
use flamingo_runtime_testkit::bench::{
    Contender, Figure, Point, Report, Stopwatch, Target, alternate, run,
};
use flamingo_simulator::{Scenario, Simulator, SimulatorOptions};
use mio::net::TcpStream;
use mio::{Events, Interest, Poll, Token};

const ROUNDS: usize = 5;
/// Answers of a turn; a tenth of them is warm-up.
const ANSWERS: usize = 3000;
const GROWTH: [usize; 6] = [1, 4, 16, 60, 128, 256];

type Query = [u8; 128];

/// The queries that the clients send.
fn queries(mixed: bool) -> Vec<Query> {
    let of_axis = |code, axis| Frame::command(code).with_selector(axis).encode();
    let position = CommandCode::STAGE_POSITION_GET;
    if !mixed {
        return vec![of_axis(position, 1)];
    }
    let positions = (1..=4).map(|axis| of_axis(position, axis));
    let others = [
        CommandCode::SYSTEM_STATE_GET,
        CommandCode::CAMERA_IMAGE_SIZE_GET,
        CommandCode::CAMERA_PIXEL_FIELD_OF_VIEW_GET,
        CommandCode::CAMERA_EXPOSURE_GET,
    ];
    positions.chain(others.map(|code| Frame::command(code).encode())).collect()
}

struct Client {
    socket: TcpStream,
    received: usize,
    nth: usize,
}

impl Client {
    fn ask(&mut self, queries: &[Query]) {
        let query = &queries[self.nth % queries.len()];
        self.nth += 1;
        assert_eq!(self.socket.write(query).expect("it accepts a query"), query.len());
    }

    /// Reads once. Returns whether a whole answer has come.
    fn read(&mut self) -> bool {
        let mut buffer = [0; 256];
        match self.socket.read(&mut buffer) {
            Ok(0) => panic!("the connection has ended"),
            Ok(count) => self.received += count,
            Err(error) if error.kind() == ErrorKind::WouldBlock => {}
            Err(error) => panic!("{error}"),
        }
        let whole = self.received >= 128;
        self.received -= 128 * usize::from(whole);
        whole
    }
}

/// The clients of one load. They connect anew for each turn: the clients of the other loads must not be
/// there.
fn connect(address: SocketAddr, clients: usize, poll: &Poll) -> Vec<Client> {
    let connect = |nth| {
        let stream = std::net::TcpStream::connect(address).expect("the port is open");
        stream.set_nodelay(true).expect("a socket");
        stream.set_nonblocking(true).expect("a socket");
        let mut socket = TcpStream::from_std(stream);
        let interest = Interest::READABLE;
        poll.registry().register(&mut socket, Token(nth), interest).expect("a socket");
        Client { socket, received: 0, nth }
    };
    (0..clients).map(connect).collect()
}

/// The time of an answer in nanoseconds, of `answers` answers to so many clients together.
fn time(address: SocketAddr, clients: usize, queries: &[Query], answers: u32) -> f64 {
    let mut poll = Poll::new().expect("a poll");
    let mut all = connect(address, clients, &poll);
    for client in &mut all {
        client.ask(queries);
    }
    let mut events = Events::with_capacity(256);
    let (mut came, mut begin) = (0, Stopwatch::start());
    let mut is_warm = false;
    loop {
        poll.poll(&mut events, None).expect("a poll");
        for event in &events {
            let client = &mut all[event.token().0];
            if client.read() {
                came += 1;
                client.ask(queries);
            }
        }
        if !is_warm && came >= answers / 10 {
            (is_warm, came, begin) = (true, 0, Stopwatch::start());
        } else if is_warm && came >= answers {
            return begin.nanos() / f64::from(came);
        }
    }
}

fn load(address: SocketAddr, clients: usize, is_mixed: bool, answers: u32) -> Contender<'static> {
    let queries = queries(is_mixed);
    Box::new(move |times| times.push(time(address, clients, &queries, answers)))
}

fn measure(report: &mut Report) {
    let answers = u32::try_from(report.repetitions(ANSWERS)).expect("it is small");
    let scenario = "[latency]\nmin_ms = 0\nmax_ms = 0\n[server]\ncontrol_clients = 1000\n";
    let scenario = Scenario::from_toml(scenario).expect("a scenario");
    let options = SimulatorOptions::new(scenario);
    let instrument = smol::block_on(Simulator::start(options)).expect("free ports");
    let mut settings = BridgeSettings::new(instrument.control().to_string());
    settings.listen.control = SocketAddr::from(([127, 0, 0, 1], 0));
    settings.limits.commands_per_s = 1_000_000;
    (settings.limits.clients, settings.limits.clients_per_address) = (1000, 1000);
    let bridge = smol::block_on(async {
        let bridge = Bridge::start(&settings).await.expect("free ports");
        bridge.until_connected().await;
        bridge
    });
    for (load_name, is_mixed) in [("mixed", true), ("same", false)] {
        let routes = [instrument.control(), bridge.control()];
        let contenders = routes
            .iter()
            .flat_map(|route| GROWTH.map(|clients| load(*route, clients, is_mixed, answers)));
        let rounds = alternate(ROUNDS, 1, contenders.collect());
        for (nth, route) in ["direct", "bridge"].into_iter().enumerate() {
            let series = format!("{route}, {load_name} queries");
            for (at, clients) in GROWTH.into_iter().enumerate() {
                let value = rounds.rate(nth * GROWTH.len() + at) / 1e3;
                let (plot, axis, unit) = ("answers through the bridge", "clients", "k/s");
                let at = f64::from(u32::try_from(clients).expect("it is small"));
                report.point(Point { plot, series: &series, axis, at, value, unit });
            }
            let first = nth * GROWTH.len();
            let many =
                first + GROWTH.iter().position(|clients| *clients == 60).expect("it is there");
            let ratio = rounds.rate_ratio(many, first);
            let figure = Figure::new(rounds.rate(many) / 1e3, "k/s").ratio(ratio);
            let target = if nth == 0 { Target::None } else { Target::RatioAtLeast(0.9) };
            report.line(&format!("{series}: 60 clients to 1"), figure, target);
        }
    }
    smol::block_on(bridge.stop());
    smol::block_on(instrument.stop());
}

fn main() -> ExitCode {
    run("clients", measure)
}
