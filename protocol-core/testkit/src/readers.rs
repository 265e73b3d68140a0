//! Runs each reader of the core over a stream in chunks, and checks `consumed` after every call. The output
//! is recorded as a [`Transcript`], which must not depend on the chunks.

use flamingo_protocol_core::{
    Connection, Frame, Incoming, Output, Responder, Transmit,
    image::{ImagePiece, ImageReader},
    time::{Duration, Instant},
    wire::{Assembler, Piece},
};

/// One output of a reader.
#[derive(Debug, Clone, PartialEq)]
pub enum Item {
    /// A frame and the noise before it.
    Frame {
        /// The frame.
        frame: Frame,
        /// Bytes of noise before it.
        skipped: u32,
    },
    /// The received bytes of a payload or an image.
    Payload(Vec<u8>),
    /// The class of the preceding frame, as text.
    Class(String),
    /// An image header.
    Header(Vec<u8>),
    /// An invalid image header.
    Broken,
}

/// The whole output of a reader.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Transcript {
    /// The outputs in order.
    pub items: Vec<Item>,
    /// The number of bytes skipped as noise.
    pub noise: u64,
    /// The number of bytes that the reader holds at the end.
    pub held: usize,
    /// The number of payload bytes that are missing at the end.
    pub missing: u32,
    /// The number of bytes after an invalid image header.
    pub unread: usize,
}

impl Transcript {
    /// The frames.
    pub fn frames(&self) -> impl Iterator<Item = &Frame> {
        self.items.iter().filter_map(|item| match item {
            Item::Frame { frame, .. } => Some(frame),
            _ => None,
        })
    }

    /// The number of bytes that the transcript accounts for.
    pub fn bytes(&self) -> usize {
        let of = |item: &Item| match item {
            Item::Frame { .. } => 128,
            Item::Payload(bytes) => bytes.len(),
            Item::Header(_) | Item::Broken => 40,
            Item::Class(_) => 0,
        };
        let items: usize = self.items.iter().map(of).sum();
        items + self.noise as usize + self.held + self.unread
    }

    /// The transcript without the classes.
    #[must_use]
    pub fn without_classes(mut self) -> Self {
        self.items.retain(|item| !matches!(item, Item::Class(_)));
        self
    }

    fn payload(&mut self, bytes: &[u8], remaining: u32) {
        assert!(!bytes.is_empty(), "a payload slice is never empty");
        match self.items.last_mut() {
            Some(Item::Payload(whole)) => whole.extend_from_slice(bytes),
            _ => self.items.push(Item::Payload(bytes.to_vec())),
        }
        self.missing = remaining;
    }
}

/// Checks one call: it may stop before the end of the input only if it has an output.
fn check(consumed: usize, outputs: usize, input: &[u8]) {
    assert!(consumed <= input.len(), "consumed {consumed} of {}", input.len());
    assert!(outputs > 0 || consumed == input.len(), "stopped at {consumed} without an output");
}

/// Runs the assembler.
pub fn assembler<'a>(
    mut reader: Assembler,
    chunks: impl IntoIterator<Item = &'a [u8]>,
) -> Transcript {
    let mut transcript = Transcript::default();
    for mut input in chunks {
        loop {
            let (consumed, piece) = reader.push(input);
            check(consumed, usize::from(piece.is_some()), input);
            match piece {
                Some(Piece::Frame { frame, skipped }) => {
                    transcript.items.push(Item::Frame { frame, skipped });
                    transcript.missing = frame.payload_len;
                }
                Some(Piece::Payload { bytes, remaining }) => {
                    assert_eq!(bytes, &input[..consumed], "the bytes are borrowed from the input");
                    transcript.payload(bytes, remaining);
                }
                None => break,
            }
            input = &input[consumed..];
        }
        assert!(reader.held() < 128, "held {}", reader.held());
    }
    (transcript.noise, transcript.held) = (reader.noise_bytes(), reader.held());
    assert_eq!(transcript.missing, reader.payload_remaining());
    transcript
}

/// A client with these requests in flight.
pub fn client_with(requests: &[Frame]) -> Connection {
    let now = Instant::from_micros(0);
    let mut client = Connection::default();
    for request in requests {
        let _ = client.request(now, request, now + Duration::from_millis(3000));
        while let Some(transmit) = client.poll_transmit(now) {
            let len = match transmit {
                Transmit::Bytes(bytes) => bytes.len(),
                Transmit::Payload { remaining, .. } => remaining as usize,
            };
            client.transmitted(now, len);
        }
    }
    client
}

/// Runs the client. The transcript has the class of each frame after the frame.
pub fn connection<'a>(
    mut reader: Connection,
    chunks: impl IntoIterator<Item = &'a [u8]>,
) -> Transcript {
    let (mut transcript, now) = (Transcript::default(), Instant::from_micros(1));
    for mut input in chunks {
        loop {
            let (consumed, output) = reader.handle_input(now, input);
            check(consumed, usize::from(output.is_some()), input);
            match output {
                Some(Output::Frame(received)) => {
                    let (frame, skipped) = (received.frame, received.skipped);
                    transcript.items.push(Item::Frame { frame, skipped });
                    transcript.items.push(Item::Class(format!("{:?}", received.class)));
                    transcript.missing = frame.payload_len;
                }
                Some(Output::Payload { bytes, remaining }) => transcript.payload(bytes, remaining),
                None => break,
            }
            input = &input[consumed..];
        }
    }
    let counters = reader.counters();
    assert_eq!(counters.frames_received() as usize, transcript.frames().count());
    transcript.noise = counters.noise_bytes;
    let (held, missing) = reader.handle_eof();
    assert_eq!(missing, transcript.missing);
    transcript.held = held;
    transcript
}

/// Runs the responder.
pub fn responder<'a>(
    mut reader: Responder,
    chunks: impl IntoIterator<Item = &'a [u8]>,
) -> Transcript {
    let mut transcript = Transcript::default();
    for mut input in chunks {
        loop {
            let (consumed, incoming) = reader.handle_input(input);
            check(consumed, usize::from(incoming.is_some()), input);
            match incoming {
                Some(Incoming::Command { frame, skipped }) => {
                    transcript.items.push(Item::Frame { frame, skipped });
                    transcript.missing = frame.payload_len;
                }
                Some(Incoming::Payload { bytes, remaining }) => {
                    transcript.payload(bytes, remaining);
                }
                None => break,
            }
            input = &input[consumed..];
        }
    }
    transcript.noise = reader.noise_bytes();
    let (held, missing) = reader.unfinished();
    assert_eq!(missing, transcript.missing);
    transcript.held = held;
    transcript
}

/// Runs the image reader.
pub fn images<'a>(
    mut reader: ImageReader,
    chunks: impl IntoIterator<Item = &'a [u8]>,
) -> Transcript {
    let mut transcript = Transcript::default();
    for mut input in chunks {
        loop {
            let was_broken = transcript.items.last() == Some(&Item::Broken);
            let (consumed, piece) = reader.push(input);
            match piece {
                Ok(Some(ImagePiece::Header(header))) => {
                    transcript.items.push(Item::Header(header.encode().to_vec()));
                    (transcript.missing, transcript.held) = (header.size, 0);
                }
                Ok(Some(ImagePiece::Pixels { bytes, remaining })) => {
                    assert_eq!(bytes, &input[..consumed], "the bytes are borrowed from the input");
                    transcript.payload(bytes, remaining);
                }
                Ok(None) => {
                    check(consumed, 0, input);
                    transcript.held += consumed;
                    break;
                }
                Err(_) if was_broken => {
                    assert_eq!(consumed, 0, "bytes after an invalid header were consumed");
                    transcript.unread += input.len();
                    break;
                }
                Err(_) => {
                    transcript.items.push(Item::Broken);
                    transcript.held = 0;
                }
            }
            input = &input[consumed..];
        }
    }
    let broken = transcript.items.last() == Some(&Item::Broken);
    assert!(broken || reader.is_between() == (transcript.held == 0 && transcript.missing == 0));
    transcript
}
