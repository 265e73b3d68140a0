//! An instrument that dies in the middle of a frame, again and again, and returns on the same port.
//! The test implements it with plain sockets, so that it dies exactly there.

use std::collections::BTreeSet;
use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{JoinHandle, spawn};
use std::time::Duration;

use crate::harness::{bridge, until};
use async_channel::{Receiver, Sender};
use flamingo_bridge::settings::{BridgeSettings, Delivery, Tokens, WhenLost};
use flamingo_protocol_core::{CommandCode as Code, Frame, wire::Kind};
use flamingo_runtime_testkit::raw_client::{PATIENCE, RawClient, ReceivedMessage, command, query};
use smol::{Timer, future};

/// The time limit for answers after the instrument is back.
const BACK_WITHIN: Duration = Duration::from_secs(5);
const CLIENTS: i32 = 4;
/// The number of a push that is never sent whole.
const TORN: i32 = -1;
/// The number of the last push.
const LAST: i32 = i32::MAX;

/// Where a connection of the instrument ends.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Ending {
    /// After 60 bytes of an answer.
    MidFrame,
    /// The same with unread queries, which makes it a reset instead of an orderly end.
    Reset,
    /// After half of an answer's payload.
    MidPayload,
    /// After half of the payload of a push.
    MidPush,
    /// It does not end.
    None,
}

/// The correct answer to a query. No other query has the same answer.
fn answer(query: &Frame, state: Code) -> (Frame, Vec<u8>) {
    let id = query.hardware_id;
    let mut answer = Frame { status: 1, ..*query };
    match query.code {
        Code::SYSTEM_STATE_GET => answer.int32_data[0] = state.0 as i32,
        Code::COMMON_SCOPE_SETTINGS_LOAD => return payload(answer, id),
        _ => answer.value = f64::from(id) / 2.0,
    }
    (answer, Vec::new())
}

fn payload(frame: Frame, number: i32) -> (Frame, Vec<u8>) {
    let payload = number.to_le_bytes().repeat(250);
    (frame.with_payload_len(1000), payload)
}

fn push(number: i32) -> (Frame, Vec<u8>) {
    payload(Frame::new(Code::UI_SET_GAUGE_VALUE).with_selector(number), number)
}

fn bytes((frame, payload): &(Frame, Vec<u8>)) -> Vec<u8> {
    [&frame.encode()[..], payload].concat()
}

fn listen(address: SocketAddr) -> TcpListener {
    TcpListener::bind(address).expect("the port is free")
}

/// The least number of pushes on one connection.
const LEAST: i32 = 200;

/// One connection of the instrument, with the records of the earlier ones.
#[derive(Default)]
struct ScriptedInstrument {
    /// It may end now.
    may_end: Arc<AtomicBool>,
    /// The pushes that were sent whole.
    pushes: i32,
    /// The received queries of clients.
    seen: Vec<i32>,
    /// The queries whose answers were cut.
    cut: Vec<i32>,
    /// The first push after a reset. The reset may have discarded pushes that the bridge had not read.
    after_reset: i32,
}

impl ScriptedInstrument {
    /// Serves one connection.
    fn serve(mut self, listener: TcpListener, state: Code, ending: Ending) -> Self {
        let (mut bridge, _) = listener.accept().expect("the bridge comes");
        // From now on, until the next connection, nobody can connect.
        drop(listener);
        bridge.set_nodelay(true).expect("a socket");
        bridge.set_read_timeout(Some(PATIENCE)).expect("a socket");
        let least = self.pushes + LEAST;
        let mut query = [0; 128];
        while bridge.read_exact(&mut query).is_ok() {
            let query = Frame::decode(&query).expect("whole frames");
            let is_clients = query.hardware_id != 0;
            self.seen.extend(is_clients.then_some(query.hardware_id));
            let sent = answer(&query, state);
            let ends = is_clients && self.pushes >= least && self.may_end.load(Ordering::Relaxed);
            if let Some(words) = ending.last_words(&sent).filter(|_| ends) {
                bridge.write_all(&words).expect("the connection is open");
                self.cut.extend((ending != Ending::MidPush).then_some(query.hardware_id));
                if ending == Ending::Reset {
                    self.after_reset = self.pushes;
                }
                ending.end(bridge);
                return self;
            }
            bridge.write_all(&bytes(&sent)).expect("the connection is open");
            bridge.write_all(&bytes(&push(self.pushes))).expect("the connection is open");
            self.pushes += 1;
            if ends && ending == Ending::None {
                bridge.write_all(&bytes(&push(LAST))).expect("the connection is open");
                self.may_end.store(false, Ordering::Relaxed);
            }
        }
        self
    }
}

impl Ending {
    /// The last bytes, if it ends at this query. `None`: it ends at another one.
    fn last_words(self, sent: &(Frame, Vec<u8>)) -> Option<Vec<u8>> {
        match self {
            Self::MidFrame | Self::Reset => Some(bytes(sent)[..60].to_vec()),
            Self::MidPayload if !sent.1.is_empty() => Some(bytes(sent)[..628].to_vec()),
            Self::MidPush => Some(bytes(&push(TORN))[..628].to_vec()),
            _ => None,
        }
    }

    fn end(self, mut bridge: TcpStream) {
        if self != Self::Reset {
            // The bridge receives everything that was written.
            bridge.shutdown(Shutdown::Write).expect("the connection is open");
            // A reset ends it, too.
            let _ = std::io::copy(&mut bridge, &mut std::io::sink());
        }
    }
}

/// Sends queries over one connection until `end` is set. Reports when its answers begin to be right
/// and when they stop being right. Returns the queries that were lost.
fn querying_client(
    bridge: SocketAddr,
    number: i32,
    right: Sender<bool>,
    end: Arc<AtomicBool>,
) -> JoinHandle<BTreeSet<i32>> {
    let mut client = RawClient::to(bridge);
    spawn(move || {
        let (mut lost, mut was_right) = (BTreeSet::new(), false);
        for nth in 0.. {
            if end.load(Ordering::Relaxed) {
                break;
            }
            let asked = nth_query(number, nth);
            client.send(&asked);
            let (between, got) = client.until(|frame| !is_event(frame));
            between.iter().for_each(assert_whole);
            let is_right = is_right(&asked, &got);
            if got.frame.text() == Ok("refused: instrument connection lost") {
                lost.insert(asked.hardware_id);
            }
            if is_right != was_right {
                right.try_send(is_right).expect("there is room");
            }
            was_right = is_right;
        }
        lost
    })
}

/// A query of a position or, every fifth time, of settings, whose answer has a payload.
fn nth_query(number: i32, nth: i32) -> Frame {
    let mut asked = match nth % 5 {
        0 => command(Code::COMMON_SCOPE_SETTINGS_LOAD),
        axis => query(axis),
    };
    asked.hardware_id = number * 100_000_000 + nth;
    asked.client_id = number;
    asked
}

/// Whether this is the instrument's answer. Otherwise it must be a refusal with a reason.
fn is_right(asked: &Frame, got: &ReceivedMessage) -> bool {
    let ReceivedMessage { frame, payload, skipped } = got;
    assert_eq!(*skipped, 0);
    if frame.status == 1 {
        assert_eq!((*frame, payload.clone()), answer(asked, Code::SYSTEM_STATE_IDLE));
        return true;
    }
    let reasons =
        ["refused: instrument connection lost", "refused: the instrument is not connected"];
    assert!(reasons.contains(&frame.text().expect("a reason")), "{frame}");
    assert!(frame.value.is_nan() && frame.int32_data[1] == -1, "it does not read as data: {frame}");
    let same = Frame { value: asked.value, int32_data: asked.int32_data, ..*frame };
    assert_eq!(Frame { buffer: [0; 72], ..same }, *asked, "no other field is changed");
    assert!(payload.is_empty());
    false
}

fn is_event(frame: &Frame) -> bool {
    frame.code.row().is_some_and(|row| row.kind == Kind::Event)
}

/// Asserts that a state or a push arrived unchanged.
fn assert_whole(event: &ReceivedMessage) {
    let ReceivedMessage { frame, payload, skipped } = event;
    assert_eq!(*skipped, 0, "{frame}");
    let whole = match frame.code {
        Code::UI_SET_GAUGE_VALUE => push(frame.selector()),
        state => (Frame { status: 1, ..Frame::new(state) }, Vec::new()),
    };
    assert_eq!((*frame, payload.clone()), whole);
    assert_ne!(frame.selector(), TORN);
}

/// Reads the callback port up to the last push.
fn subscriber(bridge: SocketAddr) -> JoinHandle<Vec<ReceivedMessage>> {
    let mut subscriber = RawClient::to(bridge);
    spawn(move || {
        let is_last =
            |frame: &Frame| frame.code == Code::UI_SET_GAUGE_VALUE && frame.selector() == LAST;
        subscriber.until(is_last).0
    })
}

/// Waits until every client has reported `what`.
fn all_report(right: &Receiver<bool>, what: bool, within: Duration) {
    let all = async {
        for _ in 0..CLIENTS {
            assert_eq!(right.recv().await, Ok(what));
        }
    };
    let late = async {
        Timer::after(within).await;
        panic!("not all clients reported {what} within {within:?}");
    };
    smol::block_on(future::or(all, late));
}

#[test]
fn clients_survive_an_instrument_that_dies_mid_frame() {
    run(|_| {});
}

#[test]
fn clients_with_inline_events_survive_it_with_tokens_too() {
    run(|settings| {
        settings.events.default = Delivery::Both;
        settings.upstream.tokens = Tokens::ClientId;
        settings.upstream.coalesce_polls = true;
        // The idle client reads only at the end.
        settings.limits.out_bytes = 64 << 20;
    });
}

fn run(tune: fn(&mut BridgeSettings)) {
    let connections = [
        (Code::SYSTEM_STATE_IDLE, Ending::MidFrame),
        (Code::SYSTEM_STATE_LIVE_VIEW, Ending::MidPayload),
        (Code::SYSTEM_STATE_SNAP_SHOT, Ending::MidPush),
        (Code::SYSTEM_STATE_IDLE, Ending::Reset),
        (Code::SYSTEM_STATE_LIVE_VIEW, Ending::None),
    ];
    let listener = listen(SocketAddr::from(([127, 0, 0, 1], 0)));
    let address = listener.local_addr().expect("an address");
    let begin = |listener, (state, ending), before: ScriptedInstrument| {
        let may_end = Arc::new(AtomicBool::new(false));
        let instrument = ScriptedInstrument { may_end: Arc::clone(&may_end), ..before };
        (may_end, spawn(move || instrument.serve(listener, state, ending)))
    };
    let mut instrument = begin(listener, connections[0], ScriptedInstrument::default());
    let bridge = bridge(address, |settings| {
        // A client that waits for each answer must learn that there is none.
        settings.upstream.when_lost = WhenLost::Refusal;
        tune(settings);
    });
    let (callback, control) = (bridge.callback().expect("the port is on"), bridge.control());
    let subscriber = subscriber(callback);
    let mut idle = RawClient::to(control);
    until(&bridge, |status| status.callback.subscribers == 1 && status.clients.len() == 1);
    let (say, right) = async_channel::unbounded();
    let end = Arc::new(AtomicBool::new(false));
    let clients: Vec<_> = (1..=CLIENTS)
        .map(|number| querying_client(control, number, say.clone(), Arc::clone(&end)))
        .collect();
    for next in &connections[1..] {
        all_report(&right, true, BACK_WITHIN);
        instrument.0.store(true, Ordering::Relaxed);
        let ended = instrument.1.join().expect("the connection ends as planned");
        all_report(&right, false, PATIENCE);
        instrument = begin(listen(address), *next, ended);
    }
    all_report(&right, true, BACK_WITHIN);
    let (may_end, last) = instrument;
    may_end.store(true, Ordering::Relaxed);
    let events = subscriber.join().expect("the last push comes");
    end.store(true, Ordering::Relaxed);
    let lost: Vec<_> = clients
        .into_iter()
        .flat_map(|client| client.join().expect("the client stays connected"))
        .collect();
    idle.send(&nth_query(9, 1));
    assert!(is_right(&nth_query(9, 1), &idle.until(|frame| !is_event(frame)).1));
    println!("{} messages on the callback port, {} answers lost", events.len(), lost.len());
    smol::block_on(bridge.stop());
    let ScriptedInstrument { after_reset, mut seen, cut, .. } =
        last.join().expect("it connections until the bridge leaves");

    assert_eq!(cut.len(), 3, "{cut:?}");
    assert!(
        cut.iter().all(|query| lost.contains(query)),
        "each client whose answer was cut was told: {cut:?}, {lost:?}"
    );
    let all = seen.len();
    seen.sort_unstable();
    seen.dedup();
    assert_eq!(seen.len(), all, "no query was sent twice");
    check_events(&events, &connections.map(|(state, _)| state), after_reset);
}

/// Asserts that the callback port sent whole messages, the state of each connection, and every push
/// once and in order, apart from those that a reset discarded.
fn check_events(events: &[ReceivedMessage], states: &[Code], after_reset: i32) {
    let (mut received, mut numbers) = (Vec::new(), Vec::new());
    for got in events {
        let frame = got.frame;
        // A presumed answer, which may have been a push.
        if !is_event(&frame) {
            assert_eq!(
                (&frame, frame.code),
                (&answer(&frame, frame.code).0, Code::STAGE_POSITION_GET)
            );
            continue;
        }
        assert_whole(got);
        match frame.code {
            Code::UI_SET_GAUGE_VALUE => numbers.push(frame.selector()),
            state => received.push(state),
        }
    }
    let expected: Vec<_> =
        states[1..].iter().flat_map(|state| [Code::SYSTEM_STATE_DISCONNECTED, *state]).collect();
    assert_eq!(received, expected);
    let first = *numbers.first().expect("pushes came");
    assert!(first <= 1, "the subscriber was connected from the beginning: {first}");
    let in_order = |a: &i32, b: &i32| *b == a + 1 || (a < b && *b == after_reset);
    assert!(numbers.is_sorted_by(in_order), "{numbers:?}");
    assert!(numbers.len() > 900, "{}", numbers.len());
}
