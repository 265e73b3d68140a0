//! The other side of the demo: a program that does what many do today. One thread reads the socket and takes every
//! frame with the code of the query for its answer. What was really an answer is in the simulator's record.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use flamingo_microscope::Axis;
use flamingo_protocol_core::wire::FRAME_LEN;
use flamingo_protocol_core::{CommandCode, Frame};
use flamingo_simulator::{TrueClass, Truth};
use serde::Serialize;

/// The time limit for an answer.
const TIMEOUT: Duration = Duration::from_millis(500);
/// The pause between two queries.
const PAUSE: Duration = Duration::from_millis(5);
/// The axes move this far and back, in mm or degrees, so that they move all the time.
const TRAVEL: f64 = 1.5;
/// A new target for each axis after so many queries.
const QUERIES_PER_MOVE: usize = 60;

/// What the program took for the answers to its queries.
#[derive(Debug, Default)]
struct Taken {
    answers: Vec<(Axis, Frame)>,
    queries: usize,
}

/// The code that the program waits for, and who waits.
type Waiting = Arc<Mutex<Option<(CommandCode, SyncSender<Frame>)>>>;

/// The running program.
pub(super) struct Naive {
    taken: Arc<Mutex<Taken>>,
    ending: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
    truth: Truth,
}

/// How right its answers are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub(super) struct NaiveJson {
    pub(super) queries: usize,
    pub(super) right: usize,
    /// Frames that it took for an answer, although they were none.
    pub(super) wrong: usize,
    /// Answers to its queries that it did not take.
    pub(super) lost: usize,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Naive {
    /// Connects and begins to query. `truth` is the record of the instrument.
    pub(super) fn start(instrument: SocketAddr, truth: Truth) -> std::io::Result<Self> {
        let stream = TcpStream::connect(instrument)?;
        stream.set_nodelay(true)?;
        let reader = stream.try_clone()?;
        let (taken, ending) = (Arc::<Mutex<Taken>>::default(), Arc::<AtomicBool>::default());
        let waiting = Waiting::default();
        let own = Arc::clone(&waiting);
        std::thread::spawn(move || read(reader, &own));
        let (all, end) = (Arc::clone(&taken), Arc::clone(&ending));
        let thread = std::thread::spawn(move || {
            query_all(&stream, &waiting, &all, &end);
            // The reader ends, too.
            let _ = stream.shutdown(std::net::Shutdown::Both);
        });
        Ok(Self { taken, ending, thread: Some(thread), truth })
    }

    /// Compares what it took so far with what the instrument sent.
    pub(super) fn compare(&self) -> NaiveJson {
        let sent = self.truth.sent();
        let mut answers: Vec<Frame> = sent
            .iter()
            .filter(|record| matches!(record.truth, TrueClass::Answer { .. }))
            .filter(|record| record.frame.code == CommandCode::STAGE_POSITION_GET)
            .map(|record| record.frame)
            .collect();
        let taken = lock(&self.taken);
        let mut right = 0;
        for (axis, frame) in &taken.answers {
            let is_it = |answer: &Frame| answer == frame && frame.selector() == axis.selector();
            if let Some(at) = answers.iter().position(is_it) {
                answers.swap_remove(at);
                right += 1;
            }
        }
        let wrong = taken.answers.len() - right;
        NaiveJson { queries: taken.queries, right, wrong, lost: answers.len() }
    }

    /// Ends the program; compares everything.
    pub(super) fn end(mut self) -> NaiveJson {
        self.ending.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            // A panic of it was printed.
            let _ = thread.join();
        }
        self.compare()
    }
}

impl Drop for Naive {
    fn drop(&mut self) {
        self.ending.store(true, Ordering::Relaxed);
    }
}

/// Reads frames, and gives each to whoever waits for its code.
fn read(mut stream: TcpStream, waiting: &Waiting) {
    let mut bytes = [0; FRAME_LEN];
    while stream.read_exact(&mut bytes).is_ok() {
        let Ok(frame) = Frame::decode(&bytes) else { return };
        let mut payload = vec![0; usize::try_from(frame.payload_len).unwrap_or(0)];
        if stream.read_exact(&mut payload).is_err() {
            return;
        }
        let mut waits = lock(waiting);
        if let Some((_, to)) = waits.take_if(|(code, _)| *code == frame.code) {
            // The other side may have given up.
            let _ = to.try_send(frame);
        }
    }
}

/// Asks for the positions of the axes in turn, while all of them move back and forth.
fn query_all(mut stream: &TcpStream, waiting: &Waiting, taken: &Mutex<Taken>, ending: &AtomicBool) {
    let mut far = false;
    for number in 0.. {
        if ending.load(Ordering::Relaxed) {
            return;
        }
        let mut commands = Vec::new();
        if number % QUERIES_PER_MOVE == 0 {
            far = !far;
            commands.extend(Axis::ALL.map(|axis| move_to(axis, far)));
        }
        let axis = Axis::ALL[number % Axis::ALL.len()];
        let (to, answer): (_, Receiver<Frame>) = sync_channel(1);
        *lock(waiting) = Some((CommandCode::STAGE_POSITION_GET, to));
        commands
            .push(Frame::command(CommandCode::STAGE_POSITION_GET).with_selector(axis.selector()));
        for command in commands {
            if stream.write_all(&command.encode()).is_err() {
                return;
            }
        }
        let answer = answer.recv_timeout(TIMEOUT).ok();
        *lock(waiting) = None;
        let mut taken = lock(taken);
        taken.queries += 1;
        taken.answers.extend(answer.map(|frame| (axis, frame)));
        drop(taken);
        // It polls at this rate, as such programs do; it waits for nothing.
        #[allow(clippy::disallowed_methods)]
        std::thread::sleep(PAUSE);
    }
}

/// From the start position, which is the home position of the simulator, or back to it.
fn move_to(axis: Axis, far: bool) -> Frame {
    let (home, travel) = match axis {
        Axis::X => (7.5, TRAVEL),
        Axis::Y => (15.0, TRAVEL),
        Axis::Z => (19.0, TRAVEL),
        Axis::R => (0.0, 50.0 * TRAVEL),
    };
    let target = if far { home + travel } else { home };
    Frame::command(CommandCode::STAGE_POSITION_SET)
        .with_selector(axis.selector())
        .with_value(target)
}
