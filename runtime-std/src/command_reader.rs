//! The commands in the bytes of a client, and the only place that decides who is a client: a web page
//! or another program is not. The bridge, the simulator, the relay and the replay read with it.
//!
//! It has no socket and no clock. Reading a socket with it is in `socket/client_input.rs`, and what a
//! command means is not known here.

use std::fmt;

use flamingo_protocol_core::time::{Duration, Instant};
use flamingo_protocol_core::wire::{END_MARKER, FRAME_LEN, MAX_PAYLOAD, START_MARKER};
use flamingo_protocol_core::{Incoming, Responder};

/// How long the first frame of a client may take, and the rest of a frame that has begun, where
/// nothing else is configured.
pub const FRAME_PATIENCE: Duration = Duration::from_millis(5_000);

/// How many bytes an error shows.
const SHOWN: usize = 4;

/// What a [`CommandReader`] tolerates.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct InputLimits {
    /// The time for the first frame, from when the client has connected. `None`: no limit.
    pub first_frame: Option<Duration>,
    /// The time for a frame, from its first byte. `None`: no limit.
    pub rest_of_frame: Option<Duration>,
    /// After the first frame, the most bytes between two frames that belong to none.
    pub noise_bytes: u64,
    /// A frame that declares a longer payload is no frame.
    pub payload_bytes: u32,
}

impl InputLimits {
    /// A port that takes commands: [`FRAME_PATIENCE`], and any number of bytes between two frames.
    pub const COMMANDS: Self = Self {
        first_frame: Some(FRAME_PATIENCE),
        rest_of_frame: Some(FRAME_PATIENCE),
        noise_bytes: u64::MAX,
        payload_bytes: MAX_PAYLOAD,
    };
    /// A port that takes no commands, such as one for images: a client may be silent for ever, and
    /// may send frames and nothing else.
    pub const SILENT: Self = Self { first_frame: None, noise_bytes: 0, ..Self::COMMANDS };
}

/// Why a client must be disconnected. What it has sent since its last whole frame must not have any
/// effect.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum InputError {
    /// Its first bytes do not begin a frame.
    NotAFrame {
        /// Its first bytes, at most 4.
        found: Vec<u8>,
    },
    /// Its first bytes begin with the start marker of a frame, but are none.
    BrokenFrame {
        /// The last 4 of 128 bytes, where the end marker belongs.
        found: [u8; 4],
    },
    /// It has sent more bytes that belong to no frame than it may.
    TooMuchNoise {
        /// The limit.
        limit: u64,
    },
    /// It has not sent a frame since it has connected.
    NoFrame {
        /// The time that it had.
        within: Duration,
    },
    /// It has sent the beginning of a frame and not the rest.
    HalfFrame {
        /// The time that it had.
        within: Duration,
    },
}

impl std::error::Error for InputError {}

impl fmt::Display for InputError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotAFrame { found } => {
                let marker = START_MARKER.to_le_bytes();
                let expected = Hex(&marker);
                let text = found.escape_ascii();
                let found = Hex(found);
                write!(
                    f,
                    "expected a frame ({expected} ...), found {found} (\"{text}\"): a web page or \
                     another program?"
                )
            }
            Self::BrokenFrame { found } => {
                let marker = END_MARKER.to_le_bytes();
                let expected = Hex(&marker);
                write!(
                    f,
                    "expected a frame of {FRAME_LEN} bytes that ends with {expected} and declares a \
                     payload that the instrument accepts, found {} at its end: is it a Flamingo \
                     program?",
                    Hex(found)
                )
            }
            Self::TooMuchNoise { limit } => write!(
                f,
                "it does not send frames: expected at most {limit} bytes that belong to no frame, \
                 found more"
            ),
            Self::NoFrame { within } => {
                let within = std::time::Duration::from(*within);
                write!(f, "expected a frame within {within:?} after connecting, found none")
            }
            Self::HalfFrame { within } => {
                let within = std::time::Duration::from(*within);
                write!(
                    f,
                    "expected the rest of a frame within {within:?} after its first byte, found half \
                     a frame"
                )
            }
        }
    }
}

/// Bytes as hexadecimal numbers, with spaces between them.
struct Hex<'a>(&'a [u8]);

impl fmt::Display for Hex<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, byte) in self.0.iter().enumerate() {
            let space = if at == 0 { "" } else { " " };
            write!(f, "{space}{byte:02X}")?;
        }
        Ok(())
    }
}

/// Finds the commands in the bytes of one client.
///
/// The first bytes of a client must be a frame: from its first byte that cannot be a part of one,
/// nothing is accepted. A web page can open a connection to any port of its computer, but it cannot
/// choose the first bytes that the browser sends, and none of them begins a frame. So a frame in the
/// body or in a header of its request has no effect. After the first frame, bytes that belong to no
/// frame are skipped and counted, as the instrument does it.
///
/// ```
/// use flamingo_runtime_std::{Clock, CommandReader, InputLimits};
/// use flamingo_runtime_std::protocol::{CommandCode, Frame, Incoming};
///
/// let frame = Frame::command(CommandCode::STAGE_HOME).encode();
/// let now = Clock::start().now();
///
/// let mut client = CommandReader::new(now, InputLimits::COMMANDS);
/// let read = client.handle_input(now, &frame);
/// assert!(matches!(read, Ok((128, Some(Incoming::Command { .. })))));
///
/// let mut page = CommandReader::new(now, InputLimits::COMMANDS);
/// let request = [b"POST / HTTP/1.1\r\n\r\n", &frame[..]].concat();
/// assert_eq!(
///     page.handle_input(now, &request).unwrap_err().to_string(),
///     "expected a frame (54 E6 21 F3 ...), found 50 4F 53 54 (\"POST\"): a web page or another program?"
/// );
/// ```
#[derive(Debug, Clone)]
pub struct CommandReader {
    scanner: Responder<1>,
    limits: InputLimits,
    connected: Instant,
    /// What came before the first whole frame, to show it.
    opening: Vec<u8>,
    has_frame: bool,
    /// The bytes that belong to no frame, up to the last frame.
    noise_before: u64,
    /// When the first byte came that waits for the rest of its frame.
    half_since: Option<Instant>,
}

impl CommandReader {
    /// The reader of a client that has connected now.
    #[must_use]
    pub fn new(now: Instant, limits: InputLimits) -> Self {
        Self {
            scanner: Responder::new(limits.payload_bytes),
            limits,
            connected: now,
            opening: Vec::new(),
            has_frame: false,
            noise_before: 0,
            half_since: None,
        }
    }

    /// Takes bytes up to the end of the next frame, or of a slice of its payload. Returns the number
    /// of consumed bytes and what they are. Call it again with the rest until it consumes everything.
    ///
    /// However the bytes are divided, the same frames come out, and the client is refused or not.
    ///
    /// # Errors
    /// [`InputError`]: disconnect the client, and do nothing with these bytes and the later ones.
    pub fn handle_input<'a>(
        &mut self,
        now: Instant,
        bytes: &'a [u8],
    ) -> Result<(usize, Option<Incoming<'a>>), InputError> {
        if !self.has_frame {
            let missing = FRAME_LEN - self.opening.len().min(FRAME_LEN);
            self.opening.extend(bytes.iter().take(missing));
        }
        let (consumed, incoming) = self.scanner.handle_input(bytes);
        let noise = self.scanner.noise_bytes();
        // Also if a frame has come behind the noise.
        self.check_noise(noise - self.noise_before)?;
        if let Some(Incoming::Command { .. }) = incoming {
            self.has_frame = true;
            self.opening = Vec::new();
            self.noise_before = noise;
            self.half_since = None;
        } else if self.scanner.unfinished().0 == 0 {
            self.half_since = None;
        } else {
            self.half_since.get_or_insert(now);
        }
        Ok((consumed, incoming))
    }

    /// `noise`: the bytes since the last frame that belong to none.
    fn check_noise(&self, noise: u64) -> Result<(), InputError> {
        if self.has_frame {
            let limit = self.limits.noise_bytes;
            return if noise > limit { Err(InputError::TooMuchNoise { limit }) } else { Ok(()) };
        }
        if noise == 0 {
            return Ok(());
        }
        let begins = self.opening.starts_with(&START_MARKER.to_le_bytes());
        match self.opening.last_chunk() {
            // The scanner decides about it when it has all its bytes.
            Some(&found) if begins => Err(InputError::BrokenFrame { found }),
            _ => {
                let found = self.opening.iter().take(SHOWN).copied().collect();
                Err(InputError::NotAFrame { found })
            }
        }
    }

    /// The payload that the last frame declares does not come: the bytes after the frame are read as
    /// frames. Call it directly after that frame.
    pub fn forget_payload(&mut self) {
        self.scanner.abandon_input();
        self.half_since = None;
    }

    /// When [`Self::check_time`] is due. `None`: not until more bytes have come.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Instant> {
        let first = self.limits.first_frame.filter(|_| !self.has_frame);
        let first = first.map(|time| self.connected + time);
        let half = self.half_since.zip(self.limits.rest_of_frame);
        let half = half.map(|(since, time)| since + time);
        first.into_iter().chain(half).min()
    }

    /// Checks whether a frame is late.
    ///
    /// # Errors
    /// [`InputError`]: disconnect the client.
    pub fn check_time(&self, now: Instant) -> Result<(), InputError> {
        if self.poll_timeout().is_none_or(|due| now < due) {
            return Ok(());
        }
        match (self.half_since, self.limits.rest_of_frame, self.limits.first_frame) {
            (Some(since), Some(within), _) if since + within <= now => {
                Err(InputError::HalfFrame { within })
            }
            (_, _, Some(within)) => Err(InputError::NoFrame { within }),
            _ => Ok(()),
        }
    }

    /// Whether a whole frame has come.
    #[must_use]
    pub const fn has_frame(&self) -> bool {
        self.has_frame
    }

    /// The number of bytes skipped because they belong to no frame.
    #[must_use]
    pub const fn noise_bytes(&self) -> u64 {
        self.scanner.noise_bytes()
    }
}

#[cfg(test)]
mod tests;
