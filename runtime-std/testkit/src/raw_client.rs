//! A client on plain std sockets, without our own client code, for tests of the simulator and the bridge.

use std::collections::VecDeque;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use flamingo_protocol_core::{
    CommandCode, Frame,
    image::{HEADER_LEN, ImageHeader},
    wire::{Assembler, Piece},
};
use flamingo_runtime_std::{Message, MessageCollector};
use flamingo_simulator::{Scenario, Simulator, SimulatorOptions};

/// Longer than any wait of a test.
pub const PATIENCE: Duration = Duration::from_secs(10);

pub fn simulator(scenario: &str) -> Simulator {
    let scenario = Scenario::from_toml(scenario).unwrap();
    let options = SimulatorOptions::new(scenario);
    smol::block_on(Simulator::start(options)).unwrap()
}

pub fn socket(address: SocketAddr) -> TcpStream {
    let socket = TcpStream::connect(address).unwrap();
    socket.set_read_timeout(Some(PATIENCE)).unwrap();
    socket.set_nodelay(true).unwrap();
    socket
}

/// A received image.
#[derive(Debug, Clone, PartialEq)]
pub struct Image {
    pub header: ImageHeader,
    /// The header's bytes and the pixels.
    pub bytes: Vec<u8>,
}

/// Reads the next image of an image port.
pub fn image(viewer: &mut TcpStream) -> Image {
    let mut bytes = vec![0; HEADER_LEN];
    viewer.read_exact(&mut bytes).unwrap();
    let header = ImageHeader::decode(&bytes, 1 << 26).unwrap();
    bytes.resize(HEADER_LEN + header.size as usize, 0);
    viewer.read_exact(&mut bytes[HEADER_LEN..]).unwrap();
    Image { header, bytes }
}

/// A received frame with its payload, and the number of noise bytes before it.
#[derive(Debug, Clone)]
pub struct ReceivedMessage {
    pub frame: Frame,
    pub payload: Vec<u8>,
    pub skipped: u32,
}

pub struct RawClient {
    pub socket: TcpStream,
    assembler: Assembler,
    waiting: VecDeque<ReceivedMessage>,
    messages: MessageCollector<u32>,
}

impl RawClient {
    pub fn connect(simulator: &Simulator) -> Self {
        Self::to(simulator.control())
    }

    pub fn to(address: SocketAddr) -> Self {
        Self::over(socket(address))
    }

    /// Uses a connected socket.
    pub fn over(socket: TcpStream) -> Self {
        socket.set_read_timeout(Some(PATIENCE)).unwrap();
        Self {
            socket,
            assembler: Assembler::default(),
            waiting: VecDeque::new(),
            messages: MessageCollector::default(),
        }
    }

    pub fn address(&self) -> SocketAddr {
        self.socket.local_addr().unwrap()
    }

    pub fn send(&mut self, frame: &Frame) {
        self.socket.write_all(&frame.encode()).unwrap();
    }

    pub fn upload(&mut self, frame: &Frame, payload: &[u8]) {
        let frame = frame.with_payload_len(u32::try_from(payload.len()).unwrap());
        self.socket.write_all(&[&frame.encode(), payload].concat()).unwrap();
    }

    /// Waits for the next frame; `None`: the connection has ended.
    pub fn try_next(&mut self) -> Option<ReceivedMessage> {
        let mut buffer = [0; 16 * 1024];
        loop {
            if let Some(got) = self.waiting.pop_front() {
                return Some(got);
            }
            let length = match self.socket.read(&mut buffer) {
                Ok(0) => return None,
                Ok(length) => length,
                Err(error) if error.kind() == std::io::ErrorKind::ConnectionReset => return None,
                Err(error) => panic!("no frame arrived: {error}"),
            };
            self.take(&buffer[..length]);
        }
    }

    fn take(&mut self, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            let (consumed, piece) = self.assembler.push(bytes);
            bytes = &bytes[consumed..];
            let message = match piece {
                Some(Piece::Frame { frame, skipped }) => self.messages.frame(frame, skipped),
                Some(Piece::Payload { bytes, remaining }) => {
                    self.messages.payload(bytes, remaining)
                }
                None => None,
            };
            self.waiting.extend(message.map(|(Message { frame, payload }, skipped)| {
                ReceivedMessage { frame, payload, skipped }
            }));
        }
    }

    #[allow(clippy::should_implement_trait)] // it panics at the end of the connection
    pub fn next(&mut self) -> ReceivedMessage {
        self.try_next().expect("the connection ended")
    }

    /// The frames that have arrived already.
    pub fn waiting(&mut self) -> Vec<ReceivedMessage> {
        let mut buffer = [0; 16 * 1024];
        self.socket.set_nonblocking(true).unwrap();
        while let Ok(length @ 1..) = self.socket.read(&mut buffer) {
            self.take(&buffer[..length]);
        }
        self.socket.set_nonblocking(false).unwrap();
        self.waiting.drain(..).collect()
    }

    /// Waits for the next frame for which `wanted` holds. Gives the frames before it too.
    pub fn until(
        &mut self,
        wanted: impl Fn(&Frame) -> bool,
    ) -> (Vec<ReceivedMessage>, ReceivedMessage) {
        let mut before = Vec::new();
        loop {
            let got = self.next();
            if wanted(&got.frame) {
                return (before, got);
            }
            before.push(got);
        }
    }

    pub fn until_code(&mut self, code: CommandCode) -> (Vec<ReceivedMessage>, ReceivedMessage) {
        self.until(|frame| frame.code == code)
    }

    /// Sends a command and waits for the next frame of its code.
    pub fn ask(&mut self, frame: &Frame) -> ReceivedMessage {
        self.send(frame);
        self.until_code(frame.code).1
    }

    /// Sends a query and waits for its answer. Gives the frames before it.
    pub fn settle(&mut self) -> Vec<ReceivedMessage> {
        self.send(&command(CommandCode::SYSTEM_STATE_GET));
        self.until_code(CommandCode::SYSTEM_STATE_GET).0
    }

    /// Reads until the server ends the connection.
    pub fn until_end(&mut self) -> Vec<ReceivedMessage> {
        std::iter::from_fn(|| self.try_next()).collect()
    }
}

pub fn command(code: CommandCode) -> Frame {
    Frame::command(code)
}

pub fn query(axis: i32) -> Frame {
    command(CommandCode::STAGE_POSITION_GET).with_selector(axis)
}

pub fn move_to(axis: i32, target: f64) -> Frame {
    command(CommandCode::STAGE_POSITION_SET).with_selector(axis).with_value(target)
}

/// The file of a workflow that ends at z = 20.5; `Tile` takes two stacks, with an overlap of 50 % in X.
pub fn workflow(planes: u32, option: &str, z: f64) -> String {
    format!(
        "<Workflow Settings>\r\n  <Experiment Settings>\r\n    Frame rate (f/s) = 400\r\n  \
         </Experiment Settings>\r\n  <Stack Settings>\r\n    Number of planes = {planes}\r\n    \
         Stack option = {option}\r\n    Stack option settings 1 = 50\r\n    \
         Stack option settings 2 = 0\r\n  </Stack Settings>\r\n  <Start Position>\r\n    \
         X (mm) = 7\r\n    Y (mm) = 15\r\n    Z (mm) = {z}\r\n    Angle (degrees) = 10\r\n  \
         </Start Position>\r\n  <End Position>\r\n    Z (mm) = 20.5\r\n  </End Position>\r\n  \
         <Illumination Source>\r\n    Laser 2 2: 488 nm = 12.5 1\r\n  \
         </Illumination Source>\r\n</Workflow Settings>\r\n"
    )
}

/// A scenario whose answers come at once, so in the order of the commands, even of different subsystems.
pub const PROMPT: &str = "[latency]\nmin_ms = 0\nmax_ms = 0\n";

/// Two clients that the simulator has accepted.
pub fn two_clients(simulator: &Simulator) -> [RawClient; 2] {
    [0, 1].map(|_| {
        let mut client = RawClient::connect(simulator);
        client.settle();
        client
    })
}

pub fn codes(got: &[ReceivedMessage]) -> Vec<CommandCode> {
    got.iter().map(|got| got.frame.code).collect()
}
