//! Plays a control connection to a client. `player.rs` decides what is sent when.

use std::net::TcpStream;

use flamingo_protocol_core::{Frame, Incoming, time::Instant};
use flamingo_runtime_std::socket::client_input::{self, ClientEnd};
use flamingo_runtime_std::{Clock, CommandReader, InputError, InputLimits};
use smol::io::AsyncWriteExt;
use smol::{Async, Timer, future};

use super::ReplayOptions;
use super::player::{Met, Player, Tally};
use super::script::Step;
use super::unrecorded::Unrecorded;

/// The most bytes that one read from a client takes.
const CHUNK: usize = 64 * 1024;
/// How many bytes may wait for a client that does not read. Then the replay waits.
const WAITING: usize = 1024 * 1024;

/// A client of the control port.
pub(super) struct ControlClient<'a> {
    stream: &'a Async<TcpStream>,
    clock: Clock,
    reader: CommandReader,
    buffer: Vec<u8>,
    /// What it has sent before the replay began.
    opening: Vec<Frame>,
}

impl<'a> ControlClient<'a> {
    /// Waits for the first command of a client that has connected: a peer that sends none takes no
    /// connection of the recording.
    pub(super) async fn begin(stream: &'a Async<TcpStream>) -> Result<Self, ClientEnd> {
        let clock = Clock::start();
        let reader = CommandReader::new(clock.now(), InputLimits::COMMANDS);
        let mut client =
            Self { stream, clock, reader, buffer: vec![0; CHUNK], opening: Vec::new() };
        while client.opening.is_empty() {
            let Self { clock, reader, buffer, .. } = &mut client;
            let count = client_input::read(stream, clock, reader, buffer).await?;
            client.opening = commands(reader, clock.now(), &buffer[..count])?;
        }
        Ok(client)
    }

    /// Plays until the client or the recorded instrument closes the connection. Returns why nothing more
    /// is read from the client, unless the instrument has closed it.
    pub(super) async fn play(
        self,
        steps: &[Step],
        options: &ReplayOptions,
        unrecorded: &Unrecorded,
    ) -> (Tally, Option<ClientEnd>) {
        let Self { stream, clock, mut reader, mut buffer, opening } = self;
        let now = clock.now();
        let mut player = Player::new(steps, options.speed, options.patience, now);
        let take = |player: &mut Player<'_>, now, commands: Vec<Frame>| {
            for command in commands {
                if player.command(now, &command) == Met::Unknown {
                    unrecorded.count(command.code);
                }
            }
        };
        take(&mut player, now, opening);
        let mut waiting = Vec::new();
        loop {
            while waiting.len() < WAITING
                && let Some(bytes) = player.poll(clock.now())
            {
                waiting.extend_from_slice(&bytes);
            }
            if waiting.is_empty() && player.is_over() {
                return (player.tally(), None);
            }
            let due = player.poll_timeout().filter(|_| waiting.len() < WAITING);
            let read = async {
                client_input::read(stream, &clock, &reader, &mut buffer).await.map(Woken::Read)
            };
            let woken =
                future::or(future::or(read, write(stream, &waiting)), sleep_until(&clock, due));
            let read = match woken.await {
                Ok(Woken::Read(count)) => {
                    let now = clock.now();
                    let commands = commands(&mut reader, now, &buffer[..count]);
                    commands.map(|all| take(&mut player, now, all))
                }
                Ok(Woken::Wrote(count)) => {
                    waiting.drain(..count);
                    Ok(())
                }
                Ok(Woken::Due) => Ok(()),
                Err(end) => return (player.tally(), Some(end)),
            };
            if let Err(error) = read {
                return (player.tally(), Some(error.into()));
            }
        }
    }
}

/// The commands in bytes that a client has sent. Payloads are ignored.
fn commands(
    reader: &mut CommandReader,
    now: Instant,
    mut bytes: &[u8],
) -> Result<Vec<Frame>, InputError> {
    let mut commands = Vec::new();
    while !bytes.is_empty() {
        let (consumed, incoming) = reader.handle_input(now, bytes)?;
        bytes = &bytes[consumed..];
        if let Some(Incoming::Command { frame, .. }) = incoming {
            commands.push(frame);
        }
    }
    Ok(commands)
}

/// Why the loop was woken.
enum Woken {
    Read(usize),
    Wrote(usize),
    Due,
}

/// Cancel-safe: the number of bytes that were written is returned at once.
async fn write(mut stream: &Async<TcpStream>, bytes: &[u8]) -> Result<Woken, ClientEnd> {
    if bytes.is_empty() {
        return future::pending().await;
    }
    Ok(Woken::Wrote(stream.write(bytes).await?))
}

async fn sleep_until(clock: &Clock, due: Option<Instant>) -> Result<Woken, ClientEnd> {
    match due.and_then(|due| clock.moment(due)) {
        Some(due) => drop(Timer::at(due).await),
        None => future::pending().await,
    }
    Ok(Woken::Due)
}
