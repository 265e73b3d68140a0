//! An instrument that dies in the middle of a frame, again and again, and comes back on the same
//! port. It is written here, on plain sockets, so that it dies exactly there. What a killed
//! simulator does to the whole program is in `cli_bridge.rs`.

use std::collections::BTreeSet;
use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{JoinHandle, spawn};
use std::time::Duration;

use crate::harness::{bridge, until};
use async_channel::{Receiver, Sender};
use flamingo_bridge::settings::{BridgeSettings, Delivery, Tokens};
use flamingo_protocol_core::{CommandCode as Code, Frame, Kind};
use flamingo_runtime_testkit::raw::{Got, PATIENCE, Raw, command, query};
use smol::{Timer, future};

/// How long clients may have to wait once the instrument is back.
const BACK_WITHIN: Duration = Duration::from_secs(5);
const ASKING: i32 = 4;
/// The number of a push that never comes through whole.
const TORN: i32 = -1;
/// The number of the very last push.
const LAST: i32 = i32::MAX;

/// Where a life of the instrument ends.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Death {
    /// After 60 bytes of an answer.
    MidFrame,
    /// The same, without reading what was asked meanwhile: a reset, not an end.
    Reset,
    /// After half of an answer's payload.
    MidPayload,
    /// After half of the payload of a frame that nobody asked for.
    MidPush,
    /// It does not die.
    None,
}

/// What a faithful instrument answers: only this query's answer looks like this.
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

/// Queries that a life answers at least.
const LEAST: i32 = 200;

/// A life of the instrument, and what is known of those before it.
#[derive(Default)]
struct Life {
    /// It may die now.
    may_end: Arc<AtomicBool>,
    /// The pushes that came through.
    pushes: i32,
    /// The queries of clients.
    seen: Vec<i32>,
    /// Those whose answers were cut.
    cut: Vec<i32>,
    /// The push after a reset, which may have taken with it what the bridge had not read.
    after_reset: i32,
}

impl Life {
    /// Serves one connection.
    fn live(mut self, listener: TcpListener, state: Code, death: Death) -> Self {
        let (mut bridge, _) = listener.accept().expect("the bridge comes");
        // From now on, until its next life, nobody can connect.
        drop(listener);
        bridge.set_nodelay(true).expect("a socket");
        bridge.set_read_timeout(Some(PATIENCE)).expect("a socket");
        let least = self.pushes + LEAST;
        let mut query = [0; 128];
        while bridge.read_exact(&mut query).is_ok() {
            let query = Frame::decode(&query).expect("whole frames");
            let is_clients = query.hardware_id != 0;
            self.seen.extend(is_clients.then_some(query.hardware_id));
            let told = answer(&query, state);
            let ends = is_clients && self.pushes >= least && self.may_end.load(Ordering::Relaxed);
            if let Some(words) = death.last_words(&told).filter(|_| ends) {
                bridge.write_all(&words).expect("it is open");
                self.cut.extend((death != Death::MidPush).then_some(query.hardware_id));
                if death == Death::Reset {
                    self.after_reset = self.pushes;
                }
                death.end(bridge);
                return self;
            }
            bridge.write_all(&bytes(&told)).expect("it is open");
            bridge.write_all(&bytes(&push(self.pushes))).expect("it is open");
            self.pushes += 1;
            if ends && death == Death::None {
                bridge.write_all(&bytes(&push(LAST))).expect("it is open");
                self.may_end.store(false, Ordering::Relaxed);
            }
        }
        self
    }
}

impl Death {
    /// What is written when it dies at this query; `None`: it dies at another one.
    fn last_words(self, told: &(Frame, Vec<u8>)) -> Option<Vec<u8>> {
        match self {
            Self::MidFrame | Self::Reset => Some(bytes(told)[..60].to_vec()),
            Self::MidPayload if !told.1.is_empty() => Some(bytes(told)[..628].to_vec()),
            Self::MidPush => Some(bytes(&push(TORN))[..628].to_vec()),
            _ => None,
        }
    }

    fn end(self, mut bridge: TcpStream) {
        if self != Self::Reset {
            // The bridge shall see all that was written.
            bridge.shutdown(Shutdown::Write).expect("it is open");
            // A reset ends it as well.
            let _ = std::io::copy(&mut bridge, &mut std::io::sink());
        }
    }
}

/// Asks all the time over one connection, until told to end. Says when its answers begin to be
/// right and when they cease to; gives the queries that were lost.
fn asking(
    bridge: SocketAddr,
    number: i32,
    right: Sender<bool>,
    end: Arc<AtomicBool>,
) -> JoinHandle<BTreeSet<i32>> {
    let mut client = Raw::to(bridge);
    spawn(move || {
        let (mut lost, mut was_right) = (BTreeSet::new(), false);
        for nth in 0.. {
            if end.load(Ordering::Relaxed) {
                break;
            }
            let asked = question(number, nth);
            client.send(&asked);
            let (between, got) = client.until(|frame| !is_event(frame));
            between.iter().for_each(assert_whole);
            let is_right = is_right(&asked, &got);
            if got.frame.text() == Ok("instrument connection lost") {
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

/// Positions, and now and then what has a payload.
fn question(number: i32, nth: i32) -> Frame {
    let mut asked = match nth % 5 {
        0 => command(Code::COMMON_SCOPE_SETTINGS_LOAD),
        axis => query(axis),
    };
    asked.hardware_id = number * 100_000_000 + nth;
    asked.client_id = number;
    asked
}

/// Whether it is the instrument's answer; what else may come is a refusal that says why.
fn is_right(asked: &Frame, got: &Got) -> bool {
    let Got { frame, payload, skipped } = got;
    assert_eq!(*skipped, 0);
    if frame.status == 1 {
        assert_eq!((*frame, payload.clone()), answer(asked, Code::SYSTEM_STATE_IDLE));
        return true;
    }
    let reasons = ["instrument connection lost", "the instrument is not connected"];
    assert!(reasons.contains(&frame.text().expect("a reason")), "{frame}");
    assert_eq!(Frame { buffer: [0; 72], ..*frame }, *asked, "nothing else is changed");
    assert!(payload.is_empty());
    false
}

fn is_event(frame: &Frame) -> bool {
    frame.code.row().is_some_and(|row| row.kind == Kind::Event)
}

/// A state or a push as it was sent, nothing torn.
fn assert_whole(event: &Got) {
    let Got { frame, payload, skipped } = event;
    assert_eq!(*skipped, 0, "{frame}");
    let whole = match frame.code {
        Code::UI_SET_GAUGE_VALUE => push(frame.selector()),
        state => (Frame { status: 1, ..Frame::new(state) }, Vec::new()),
    };
    assert_eq!((*frame, payload.clone()), whole);
    assert_ne!(frame.selector(), TORN);
}

/// All of the callback port up to the last push.
fn subscriber(bridge: SocketAddr) -> JoinHandle<Vec<Got>> {
    let mut subscriber = Raw::to(bridge);
    spawn(move || {
        let is_last =
            |frame: &Frame| frame.code == Code::UI_SET_GAUGE_VALUE && frame.selector() == LAST;
        subscriber.until(is_last).0
    })
}

/// Waits until every client that asks says so, for so long.
fn all_say(right: &Receiver<bool>, what: bool, within: Duration) {
    let all = async {
        for _ in 0..ASKING {
            assert_eq!(right.recv().await, Ok(what));
        }
    };
    let late = async {
        Timer::after(within).await;
        panic!("not all clients say {what} within {within:?}");
    };
    smol::block_on(future::or(all, late));
}

#[test]
fn clients_go_on_over_an_instrument_that_dies_mid_frame_and_nobody_gets_half_a_frame() {
    live_on(|_| {});
}

#[test]
fn so_do_clients_with_events_between_their_answers_where_the_bridge_knows_answers_by_tokens() {
    live_on(|settings| {
        settings.events.default = Delivery::Both;
        settings.upstream.tokens = Tokens::ClientId;
        settings.upstream.coalesce_polls = true;
        // The idle one reads at the end only.
        settings.limits.out_bytes = 64 << 20;
    });
}

fn live_on(tune: fn(&mut BridgeSettings)) {
    let lives = [
        (Code::SYSTEM_STATE_IDLE, Death::MidFrame),
        (Code::SYSTEM_STATE_LIVE_VIEW, Death::MidPayload),
        (Code::SYSTEM_STATE_SNAP_SHOT, Death::MidPush),
        (Code::SYSTEM_STATE_IDLE, Death::Reset),
        (Code::SYSTEM_STATE_LIVE_VIEW, Death::None),
    ];
    let listener = listen(SocketAddr::from(([127, 0, 0, 1], 0)));
    let address = listener.local_addr().expect("an address");
    let begin = |listener, (state, death), before: Life| {
        let may_end = Arc::new(AtomicBool::new(false));
        let life = Life { may_end: Arc::clone(&may_end), ..before };
        (may_end, spawn(move || life.live(listener, state, death)))
    };
    let mut life = begin(listener, lives[0], Life::default());
    let bridge = bridge(address, tune);
    let (callback, control) = (bridge.callback().expect("it is on"), bridge.control());
    let subscriber = subscriber(callback);
    let mut idle = Raw::to(control);
    until(&bridge, |status| status.callback.subscribers == 1 && status.clients.len() == 1);
    let (say, right) = async_channel::unbounded();
    let end = Arc::new(AtomicBool::new(false));
    let clients: Vec<_> =
        (1..=ASKING).map(|number| asking(control, number, say.clone(), Arc::clone(&end))).collect();
    for next in &lives[1..] {
        all_say(&right, true, BACK_WITHIN);
        life.0.store(true, Ordering::Relaxed);
        let dead = life.1.join().expect("it dies as it should");
        all_say(&right, false, PATIENCE);
        life = begin(listen(address), *next, dead);
    }
    all_say(&right, true, BACK_WITHIN);
    let (may_end, last) = life;
    may_end.store(true, Ordering::Relaxed);
    let heard = subscriber.join().expect("the last push comes");
    end.store(true, Ordering::Relaxed);
    let lost: Vec<_> =
        clients.into_iter().flat_map(|client| client.join().expect("it stays connected")).collect();
    idle.send(&question(9, 1));
    assert!(is_right(&question(9, 1), &idle.until(|frame| !is_event(frame)).1));
    println!("{} messages on the callback port, {} answers lost", heard.len(), lost.len());
    smol::block_on(bridge.stop());
    let Life { after_reset, mut seen, cut, .. } =
        last.join().expect("it lives until the bridge leaves");

    assert_eq!(cut.len(), 3, "{cut:?}");
    assert!(cut.iter().all(|query| lost.contains(query)), "who waited was told: {cut:?}, {lost:?}");
    let all = seen.len();
    seen.sort_unstable();
    seen.dedup();
    assert_eq!(seen.len(), all, "nothing was sent twice");
    judge(&heard, &lives.map(|(state, _)| state), after_reset);
}

/// Of the callback port: nothing torn, the states of each life, all pushes once and in order but
/// for those that a reset took with it.
fn judge(heard: &[Got], states: &[Code], after_reset: i32) {
    let (mut told, mut numbers) = (Vec::new(), Vec::new());
    for got in heard {
        let frame = got.frame;
        // It may have been a push, as far as the bridge can know.
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
            state => told.push(state),
        }
    }
    let expected: Vec<_> =
        states[1..].iter().flat_map(|state| [Code::SYSTEM_STATE_DISCONNECTED, *state]).collect();
    assert_eq!(told, expected);
    let first = *numbers.first().expect("pushes came");
    assert!(first <= 1, "it listened from the beginning: {first}");
    let in_order = |a: &i32, b: &i32| *b == a + 1 || (a < b && *b == after_reset);
    assert!(numbers.is_sorted_by(in_order), "{numbers:?}");
    assert!(numbers.len() > 900, "{}", numbers.len());
}
