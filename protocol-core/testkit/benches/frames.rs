//! How long does the core need for a frame on a host? The limit is a copy of 128 bytes in the cache.
//!
//! `cargo bench -p flamingo-testkit --bench frames`
//!
//! Each ratio is the time of the call to the time of that copy, which ran in turns with it. The targets are
//! times on a machine where the copy takes 2.7 ns, divided by 2.7 ns.

use std::hint::black_box;
use std::process::ExitCode;

use flamingo_protocol_core::Frame;
use flamingo_protocol_core::time::Instant;
use flamingo_testkit::bench::{Call, Lines, Target, nanoseconds};
use flamingo_testkit::situations::{
    HostClient, client, event, push, query, receive, receive_chunks, turn, with_pending,
    with_tombstones, with_waiting, write_all,
};

/// What the copy takes on the machine of the targets, in nanoseconds.
const COPY: f64 = 2.7;
/// A growth up to this ratio is none.
const FLAT: f64 = 1.25;

fn copy() -> Call<'static> {
    let (from, mut to) = ([7_u8; 128], [0_u8; 128]);
    Call::new(1, move || black_box(&mut to).copy_from_slice(black_box(&from)))
}

fn main() -> ExitCode {
    let mut lines = Lines::new(true);
    calls(&mut lines);
    growth(&mut lines);
    lines.exit_code()
}

/// Calls against the copy.
fn calls(lines: &mut Lines) {
    let now = Instant::from_micros(0);
    let (event, query, push) = (event(), query(), push());
    let answer = query.encode();
    let stream = event.repeat(25); // 32 chunks of 100 bytes
    let receives = |mut client: HostClient, bytes| {
        Call::new(1, move || receive(&mut client, now, black_box(bytes)))
    };
    let (mut in_chunks, mut asking, mut waiting) = (client(), client(), with_waiting(15, now));
    let cases = vec![
        ("decode", 13.0, Call::new(1, || Frame::decode(black_box(&event)))),
        ("encode", 13.0, Call::new(1, || black_box(&query).encode())),
        ("event", 30.0, receives(client(), &event)),
        ("event, 16 requests in flight", 30.0, receives(with_pending(16, now), &event)),
        ("position push", 30.0, receives(client(), &push)),
        (
            "event, chunks of 100 bytes",
            60.0,
            Call::new(25, || receive_chunks(&mut in_chunks, now, black_box(&stream), 100)),
        ),
        (
            "request, transmit, answer",
            200.0,
            Call::new(1, || turn(&mut asking, now, &query, black_box(&answer))),
        ),
        (
            "poll_transmit, 15 queued that may not go",
            60.0,
            Call::new(1, || write_all(black_box(&mut waiting), now)),
        ),
    ];
    let mut names = Vec::new();
    let mut timed = vec![copy()];
    for (name, target, call) in cases {
        names.push((name, target));
        timed.push(call);
    }
    let times = nanoseconds(timed);
    println!("# the limit, a copy of 128 bytes: {:.1} ns", times[0]);
    for ((name, target), time) in names.into_iter().zip(&times[1..]) {
        println!("# {name}: {time:.1} ns");
        lines.ratio(name, time / times[0], Target::AtMost(target / COPY));
    }
}

/// How the time of an event and of a turn grows with what the client has to remember: the ratio to the
/// time with the fewest.
fn growth(lines: &mut Lines) {
    let now = Instant::from_micros(0);
    let (event, query) = (event(), query());
    let answer = query.encode();
    let pending = [1, 2, 4, 8, 16, 32, 63];
    let tombstones = [0, 4, 16, 64, 128, 191];
    let mut curve = |what: &str, numbers: &[usize], clients: Vec<_>| {
        let (mut events, mut turns) = (clients.clone(), clients);
        let receives = events
            .iter_mut()
            .map(|client| Call::new(1, || receive(client, now, black_box(&event))));
        show(lines, &format!("event, {what}"), numbers, &nanoseconds(receives.collect()));
        let asks = turns
            .iter_mut()
            .map(|client| Call::new(1, || turn(client, now, &query, black_box(&answer))));
        show(lines, &format!("turn, {what}"), numbers, &nanoseconds(asks.collect()));
    };
    let clients = pending.iter().map(|requests| with_pending(*requests, now)).collect();
    curve("requests in flight", &pending, clients);
    let clients = tombstones.iter().map(|number| with_tombstones(*number, now)).collect();
    curve("tombstones", &tombstones, clients);

    let waiting = [0, 1, 3, 7, 15, 31, 62];
    let mut clients: Vec<_> = waiting.iter().map(|number| with_waiting(*number, now)).collect();
    let polls = clients.iter_mut().map(|client| Call::new(1, || write_all(black_box(client), now)));
    show(lines, "poll_transmit, queued that may not go", &waiting, &nanoseconds(polls.collect()));
}

fn show(lines: &mut Lines, what: &str, numbers: &[usize], times: &[f64]) {
    for (number, time) in numbers.iter().zip(times) {
        println!("# {what}: {number}: {time:.1} ns");
        lines.ratio(&format!("{what}: {number}"), time / times[0], Target::AtMost(FLAT));
    }
}
