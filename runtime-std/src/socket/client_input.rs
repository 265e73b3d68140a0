//! Reading the socket of a client: on a port that takes commands, and on a port that takes none.
//! What counts as a client is decided in `command_reader.rs`.

use std::fmt;
use std::io::{self, ErrorKind, Read};
use std::net::TcpStream;
use std::time::Duration;

use smol::io::AsyncReadExt;
use smol::{Async, Timer, future};

use crate::{Clock, CommandReader, InputError, InputLimits};

/// The shortest read timeout.
const SHORTEST_WAIT: Duration = Duration::from_millis(1);

/// Why nothing more is read from a client.
#[derive(Debug)]
#[non_exhaustive]
pub enum ClientEnd {
    /// It has closed its sending direction.
    Closed,
    /// Its connection is lost.
    Lost(io::Error),
    /// It must be disconnected.
    Refused(InputError),
}

impl fmt::Display for ClientEnd {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Closed => f.write_str("the peer closed the connection"),
            Self::Lost(error) => error.fmt(f),
            Self::Refused(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for ClientEnd {}

impl From<io::Error> for ClientEnd {
    fn from(error: io::Error) -> Self {
        Self::Lost(error)
    }
}

impl From<InputError> for ClientEnd {
    fn from(error: InputError) -> Self {
        Self::Refused(error)
    }
}

/// Reads bytes of a client, which the caller then gives to `reader`. It waits no longer than `reader`
/// allows. `clock` gives the times of `reader`.
///
/// Cancel-safe: bytes that were read are returned at once.
///
/// # Errors
/// [`ClientEnd`]: nothing more comes.
pub async fn read(
    mut stream: &Async<TcpStream>,
    clock: &Clock,
    reader: &CommandReader,
    buffer: &mut [u8],
) -> Result<usize, ClientEnd> {
    let read = async {
        match stream.read(buffer).await? {
            0 => Err(ClientEnd::Closed),
            count => Ok(count),
        }
    };
    let Some(due) = reader.poll_timeout().and_then(|due| clock.moment(due)) else {
        return read.await;
    };
    let late = async {
        Timer::at(due).await;
        // The timer may be a little early.
        reader.check_time(clock.now().max(reader.poll_timeout().unwrap_or_default()))?;
        future::pending().await
    };
    future::or(read, late).await
}

/// [`read`] for a socket that blocks. It changes the read timeout of the socket.
///
/// # Errors
/// [`ClientEnd`]: nothing more comes.
pub fn read_blocking(
    mut stream: &TcpStream,
    clock: &Clock,
    reader: &CommandReader,
    buffer: &mut [u8],
) -> Result<usize, ClientEnd> {
    loop {
        let due = reader.poll_timeout();
        // Zero is no timeout.
        let wait = due.map(|due| Duration::from(due.since(clock.now())).max(SHORTEST_WAIT));
        stream.set_read_timeout(wait)?;
        match stream.read(buffer) {
            Ok(0) => return Err(ClientEnd::Closed),
            Ok(count) => return Ok(count),
            Err(error) => match error.kind() {
                ErrorKind::Interrupted => {}
                ErrorKind::WouldBlock | ErrorKind::TimedOut => reader.check_time(clock.now())?,
                _ => return Err(error.into()),
            },
        }
    }
}

/// Waits until a client of a port without commands must be disconnected: it has closed the connection,
/// or it has sent something that is no frame. Frames are ignored.
///
/// Cancel-safe: bytes that were read are lost in any case.
pub async fn until_closed(stream: &Async<TcpStream>) -> ClientEnd {
    let clock = Clock::start();
    let mut reader = CommandReader::new(clock.now(), InputLimits::SILENT);
    match ignore_frames(stream, &clock, &mut reader).await {
        Ok(never) => match never {},
        Err(end) => end,
    }
}

async fn ignore_frames(
    stream: &Async<TcpStream>,
    clock: &Clock,
    reader: &mut CommandReader,
) -> Result<std::convert::Infallible, ClientEnd> {
    let mut buffer = [0; 1024];
    loop {
        // Waits first: this future may be polled with each message that is written to the client.
        let readable = async { Ok(stream.readable().await?) };
        match reader.poll_timeout().and_then(|due| clock.moment(due)) {
            None => readable.await?,
            Some(due) => {
                let late = async {
                    Timer::at(due).await;
                    Ok::<_, ClientEnd>(())
                };
                future::or(readable, late).await?;
            }
        }
        let now = clock.now();
        match stream.get_ref().read(&mut buffer) {
            Ok(0) => return Err(ClientEnd::Closed),
            Ok(count) => {
                let mut rest = &buffer[..count];
                while !rest.is_empty() {
                    let (consumed, _) = reader.handle_input(now, rest)?;
                    rest = &rest[consumed..];
                }
                future::yield_now().await;
            }
            Err(error) if error.kind() == ErrorKind::WouldBlock => {}
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => return Err(error.into()),
        }
        reader.check_time(now)?;
    }
}
