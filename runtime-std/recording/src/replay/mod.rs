//! A recording plays the instrument: clients connect to three ports and get the recorded answers.
//!
//! This file opens the ports and limits their connections. `script.rs` reads the recording,
//! `control.rs` plays a control connection, for which `player.rs` decides what is sent when,
//! `unrecorded.rs` counts the commands that are not in it, and `images.rs` plays images.

mod control;
mod images;
mod player;
mod script;
mod unrecorded;

use std::collections::BTreeMap;
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use smol::Async;

use super::capture::{CaptureError, Unreadable};
use super::refusals::Refusals;
use super::{Port, connection_limit};
use control::ControlClient;
use flamingo_protocol_core::CommandCode;
use flamingo_runtime_std::socket::acceptor::AcceptorThread;
use flamingo_runtime_std::socket::client_input::ClientEnd;
use flamingo_runtime_std::socket::instrument_ports::{InstrumentPorts, ListenError};
use script::Script;
use unrecorded::Unrecorded;

pub use player::Tally;

/// How fast a recording is played.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Speed {
    /// A multiple of the recorded speed. Above 0.
    Times(f64),
    /// Without pauses.
    Max,
}

impl Speed {
    /// How long a recorded time takes in the replay.
    pub(crate) fn span(self, recorded: Duration) -> Duration {
        match self {
            Self::Times(times) if times > 0.0 => {
                Duration::try_from_secs_f64(recorded.as_secs_f64() / times).unwrap_or(Duration::MAX)
            }
            Self::Times(_) | Self::Max => Duration::ZERO,
        }
    }
}

/// Where and how a recording is played.
///
/// ```
/// use flamingo_recording::replay::{ReplayOptions, Speed};
/// let options = ReplayOptions::default().speed(Speed::Times(10.0));
/// assert_eq!(options.patience.as_secs(), 3);
/// ```
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct ReplayOptions {
    /// The address of the control port. The image ports are the next two. Port 0: three free ports.
    /// By default three free ports of 127.0.0.1.
    pub listen: SocketAddr,
    /// The speed of the replay; by default the recorded speed.
    pub speed: Speed,
    /// How long the replay waits for a command that the client has not sent yet: 3 s by default.
    pub patience: Duration,
}

impl Default for ReplayOptions {
    fn default() -> Self {
        let listen = SocketAddr::from(([127, 0, 0, 1], 0));
        Self { listen, speed: Speed::Times(1.0), patience: Duration::from_secs(3) }
    }
}

impl ReplayOptions {
    /// Sets the address of the control port.
    #[must_use]
    pub const fn listen(mut self, address: SocketAddr) -> Self {
        self.listen = address;
        self
    }

    /// Sets how fast the recording is played.
    #[must_use]
    pub const fn speed(mut self, speed: Speed) -> Self {
        self.speed = speed;
        self
    }

    /// Sets how long the replay waits for a command that the client has not sent yet.
    #[must_use]
    pub const fn patience(mut self, patience: Duration) -> Self {
        self.patience = patience;
        self
    }
}

/// Why a recording cannot be played.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ReplayError {
    /// The recording cannot be read.
    #[error(transparent)]
    Capture(#[from] CaptureError),
    /// The recording has no connection to an instrument.
    #[error("expected connections to an instrument, found none")]
    Empty,
    /// The replay cannot listen on a port.
    #[error(transparent)]
    Listen(#[from] ListenError),
    /// A thread cannot be started.
    #[error("cannot start a thread: {0}")]
    Thread(std::io::Error),
}

/// A recording that is being played. Dropping it ends the replay.
///
/// The first client gets the first control connection of the recording, the next client the next one,
/// and after the last one the first again. A client has its turn with its first command. Viewers of images get image connections in the same way.
/// An answer is sent when the client has sent its command. Unsolicited frames are sent in their places
/// between the answers, at the recorded times.
///
/// ```
/// use flamingo_recording::replay::{Replay, ReplayOptions};
/// use flamingo_recording::{Port, Recorder, RecorderOptions};
/// # use flamingo_protocol_core::{CommandCode, Frame};
/// # use flamingo_runtime_std::Client;
/// # let file = std::env::temp_dir().join(format!("flamingo-play-{}.pcapng", std::process::id()));
/// # let recorder = Recorder::to_file(&file, RecorderOptions::default())?;
/// # let ends = ["10.0.0.7:4000".parse()?, "10.0.0.5:53717".parse()?];
/// # let [mut sent, mut came] = recorder.open(Port::Control, ends[0], ends[1]);
/// # let query = Frame::command(CommandCode::SYSTEM_STATE_GET);
/// # sent.bytes(query.encode().to_vec());
/// # came.bytes(Frame { status: 1, int32_data: [0xA002, 0, 0], ..query }.encode().to_vec());
/// # (sent.finish(), came.finish());
/// # recorder.finish();
/// # smol::block_on(async {
/// let replay = Replay::start(&file, ReplayOptions::default()).await?;
/// let [control, ..] = replay.addresses();
/// let client = Client::connect(flamingo_runtime_std::Options::new(control.to_string())).await?;
/// assert_eq!(client.state_at_connect().frame.selector(), 0xA002);
/// # std::fs::remove_file(file)?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// # })?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct Replay {
    addresses: [SocketAddr; 3],
    script: Arc<Script>,
    unrecorded: Arc<Unrecorded>,
    /// The ports are open as long as these live.
    _acceptors: Vec<AcceptorThread>,
}

impl Replay {
    /// Reads the recording and listens. Control connections are held in memory; images are read from
    /// the file while they are played.
    ///
    /// # Errors
    /// [`ReplayError`].
    pub async fn start(file: &Path, options: ReplayOptions) -> Result<Self, ReplayError> {
        let path = file.to_owned();
        let script = Arc::new(smol::unblock(move || Script::read(&path)).await?);
        if script.is_empty() {
            return Err(ReplayError::Empty);
        }
        let (listeners, addresses) = InstrumentPorts::consecutive(options.listen).listen()?;
        let unrecorded = Arc::new(Unrecorded::default());
        let mut acceptors = Vec::new();
        for (listener, port) in listeners.into_iter().zip(Port::ALL) {
            let replay_port = Arc::new(ReplayPort {
                port,
                script: Arc::clone(&script),
                unrecorded: Arc::clone(&unrecorded),
                file: file.to_owned(),
                options: options.clone(),
                next: AtomicUsize::new(0),
                refusals: Refusals::new(port),
            });
            let serve = move |stream, address| Arc::clone(&replay_port).serve(stream, address);
            let acceptor =
                AcceptorThread::start(port.name(), listener, connection_limit(port), serve);
            acceptors.push(acceptor.map_err(ReplayError::Thread)?);
        }
        Ok(Self { addresses, script, unrecorded, _acceptors: acceptors })
    }

    /// The addresses for clients: the control, the live and the stack port.
    pub fn addresses(&self) -> [SocketAddr; 3] {
        self.addresses
    }

    /// How many connections of that port the recording has.
    pub fn connections(&self, port: Port) -> usize {
        self.script.count(port)
    }

    /// What the file has that cannot be read, and was skipped.
    pub fn unreadable(&self) -> Unreadable {
        self.script.unreadable
    }

    /// Whether the file ends in the middle of a packet, as it does when the writer was killed. Everything
    /// before it is played.
    pub fn is_cut(&self) -> bool {
        self.script.is_cut
    }

    /// How many bytes are missing in the recording because the disk, or tcpdump, was too slow.
    pub fn holes(&self) -> u64 {
        self.script.holes
    }

    /// How many commands of each code clients have sent that are not in the recording. They got no
    /// answer. At most 256 codes are told apart; [`Self::unrecorded_others`] counts the rest.
    pub fn unrecorded(&self) -> BTreeMap<CommandCode, u64> {
        self.unrecorded.counts()
    }

    /// How many commands clients have sent that are not in the recording and have none of the codes in
    /// [`Self::unrecorded`]. They got no answer.
    pub fn unrecorded_others(&self) -> u64 {
        self.unrecorded.others()
    }

    /// Waits for a command that is not in the recording and whose code comes for the first time: one of
    /// the codes in [`Self::unrecorded`].
    /// Cancel-safe.
    pub async fn next_unrecorded(&self) -> CommandCode {
        self.unrecorded.next().await
    }
}

/// One of the three ports.
struct ReplayPort {
    port: Port,
    script: Arc<Script>,
    unrecorded: Arc<Unrecorded>,
    file: PathBuf,
    options: ReplayOptions,
    next: AtomicUsize,
    refusals: Refusals,
}

impl ReplayPort {
    async fn serve(self: Arc<Self>, stream: Async<TcpStream>, address: SocketAddr) {
        let end = match self.port {
            Port::Control => self.play_to_client(&stream, address).await,
            port => {
                let turn = self.turn(address);
                let number = turn.map(|turn| self.script.images(port)[turn]);
                images::play_to_viewer(&stream, &self.file, number, self.options.speed).await
            }
        };
        if let Some(ClientEnd::Refused(error)) = end {
            self.refusals.note(address, &error);
        }
    }

    /// The connection of the recording that the next client gets.
    fn turn(&self, address: SocketAddr) -> Option<usize> {
        let count = self.script.count(self.port);
        let turn = self.next.fetch_add(1, Ordering::Relaxed).checked_rem(count);
        tracing::info!(port = %self.port, client = %address, connection = turn, "a client connected");
        turn
    }

    async fn play_to_client(
        &self,
        stream: &Async<TcpStream>,
        address: SocketAddr,
    ) -> Option<ClientEnd> {
        let client = match ControlClient::begin(stream).await {
            Ok(client) => client,
            Err(end) => return Some(end),
        };
        let turn = self.turn(address);
        let steps = turn.map_or(&[][..], |turn| &self.script.control[turn]);
        let (tally, end) = client.play(steps, &self.options, &self.unrecorded).await;
        tracing::info!(client = %address, matched = tally.matched, missed = tally.missed,
            repeated = tally.repeated, unknown = tally.unknown, "a client disconnected");
        end
    }
}
