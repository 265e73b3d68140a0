//! Each reader of the core, run over a stream in given chunks, with `consumed` checked at every
//! call; what it says is written down in a form that no chunking may change.

use flamingo_protocol_core::{
    Connection, Frame, Incoming, Output, Responder, Transmit,
    image::{ImagePiece, ImageReader},
    time::{Duration, Instant},
    wire::{Assembler, Piece},
};

/// One thing that a reader said.
#[derive(Debug, Clone, PartialEq)]
pub enum Item {
    /// A frame, and the noise before it.
    Frame {
        /// The frame.
        frame: Frame,
        /// Bytes of noise before it.
        skipped: u32,
    },
    /// All that came of a payload, or of an image.
    Payload(Vec<u8>),
    /// The class of the frame before, as text.
    Class(String),
    /// An image header.
    Header(Vec<u8>),
    /// A header that cannot be true.
    Broken,
}

/// All that a reader said.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Transcript {
    /// In order.
    pub items: Vec<Item>,
    /// Bytes skipped.
    pub noise: u64,
    /// Bytes held back at the end.
    pub held: usize,
    /// Payload bytes that did not come.
    pub missing: u32,
    /// Bytes behind a broken image header.
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

    /// The bytes that all of it makes up.
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

    /// The same without the classes.
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

/// What one call said: as much as the bytes it consumed, and nothing only when all was consumed.
fn check(consumed: usize, said: usize, input: &[u8]) {
    assert!(consumed <= input.len(), "consumed {consumed} of {}", input.len());
    assert!(said > 0 || consumed == input.len(), "stopped at {consumed} for nothing");
}

/// The assembler.
pub fn assembler<'a>(
    mut reader: Assembler,
    chunks: impl IntoIterator<Item = &'a [u8]>,
) -> Transcript {
    let mut said = Transcript::default();
    for mut input in chunks {
        loop {
            let (consumed, piece) = reader.push(input);
            check(consumed, usize::from(piece.is_some()), input);
            match piece {
                Some(Piece::Frame { frame, skipped }) => {
                    said.items.push(Item::Frame { frame, skipped });
                    said.missing = frame.payload_len;
                }
                Some(Piece::Payload { bytes, remaining }) => {
                    assert_eq!(bytes, &input[..consumed], "lent, not copied");
                    said.payload(bytes, remaining);
                }
                None => break,
            }
            input = &input[consumed..];
        }
        assert!(reader.held() < 128, "held {}", reader.held());
    }
    (said.noise, said.held) = (reader.noise_bytes(), reader.held());
    assert_eq!(said.missing, reader.payload_remaining());
    said
}

/// A client on which some requests wait.
pub fn asked(requests: &[Frame]) -> Connection {
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

/// The client; classes are written down behind their frames.
pub fn connection<'a>(
    mut reader: Connection,
    chunks: impl IntoIterator<Item = &'a [u8]>,
) -> Transcript {
    let (mut said, now) = (Transcript::default(), Instant::from_micros(1));
    for mut input in chunks {
        loop {
            let (consumed, output) = reader.handle_input(now, input);
            check(consumed, usize::from(output.is_some()), input);
            match output {
                Some(Output::Frame(received)) => {
                    let (frame, skipped) = (received.frame, received.skipped);
                    said.items.push(Item::Frame { frame, skipped });
                    said.items.push(Item::Class(format!("{:?}", received.class)));
                    said.missing = frame.payload_len;
                }
                Some(Output::Payload { bytes, remaining }) => said.payload(bytes, remaining),
                None => break,
            }
            input = &input[consumed..];
        }
    }
    let counters = reader.counters();
    assert_eq!(counters.frames_received() as usize, said.frames().count());
    said.noise = counters.noise_bytes;
    let (held, missing) = reader.handle_eof();
    assert_eq!(missing, said.missing);
    said.held = held;
    said
}

/// The device.
pub fn responder<'a>(
    mut reader: Responder,
    chunks: impl IntoIterator<Item = &'a [u8]>,
) -> Transcript {
    let mut said = Transcript::default();
    for mut input in chunks {
        loop {
            let (consumed, incoming) = reader.handle_input(input);
            check(consumed, usize::from(incoming.is_some()), input);
            match incoming {
                Some(Incoming::Command { frame, skipped }) => {
                    said.items.push(Item::Frame { frame, skipped });
                    said.missing = frame.payload_len;
                }
                Some(Incoming::Payload { bytes, remaining }) => said.payload(bytes, remaining),
                None => break,
            }
            input = &input[consumed..];
        }
    }
    said.noise = reader.noise_bytes();
    let (held, missing) = reader.unfinished();
    assert_eq!(missing, said.missing);
    said.held = held;
    said
}

/// The image reader.
pub fn images<'a>(
    mut reader: ImageReader,
    chunks: impl IntoIterator<Item = &'a [u8]>,
) -> Transcript {
    let mut said = Transcript::default();
    for mut input in chunks {
        loop {
            let was_broken = said.items.last() == Some(&Item::Broken);
            let (consumed, piece) = reader.push(input);
            match piece {
                Ok(Some(ImagePiece::Header(header))) => {
                    said.items.push(Item::Header(header.encode().to_vec()));
                    (said.missing, said.held) = (header.size, 0);
                }
                Ok(Some(ImagePiece::Pixels { bytes, remaining })) => {
                    assert_eq!(bytes, &input[..consumed], "lent, not copied");
                    said.payload(bytes, remaining);
                }
                Ok(None) => {
                    check(consumed, 0, input);
                    said.held += consumed;
                    break;
                }
                Err(_) if was_broken => {
                    assert_eq!(consumed, 0, "nothing is consumed behind a broken header");
                    said.unread += input.len();
                    break;
                }
                Err(_) => {
                    said.items.push(Item::Broken);
                    said.held = 0;
                }
            }
            input = &input[consumed..];
        }
    }
    let broken = said.items.last() == Some(&Item::Broken);
    assert!(broken || reader.is_between() == (said.held == 0 && said.missing == 0));
    said
}
