//! The same random calls to a connection of the core and to one behind the ABI have the same results.

use flamingo::*;
use flamingo_protocol_core::connection::Connection;
use flamingo_protocol_core::time::Instant;
use flamingo_protocol_core::wire::TABLE;
use flamingo_protocol_core::{Frame, Output, Ticket, Transmit};

use crate::caller::{Client, command, encoded};

/// Small random numbers that every run repeats.
struct Random(u64);

impl Random {
    fn below(&mut self, most: u32) -> u32 {
        self.0 =
            self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) as u32 % most
    }
}

#[cfg(not(feature = "small"))]
type Core = Connection<64, 256, 81, 16>;
#[cfg(feature = "small")]
type Core = Connection<16, 64, 25, 8>;

/// Both connections, and what the peer has received.
struct Pair {
    core: Core,
    abi: Client,
    now: u64,
    wire: Vec<u8>,
}

impl Pair {
    fn at(&self) -> Instant {
        Instant::from_micros(self.now)
    }

    fn ask(&mut self, random: &mut Random) {
        let row = TABLE[random.below(u32::try_from(TABLE.len()).unwrap()) as usize];
        let frame = command(row.code.0, i32::try_from(random.below(6)).unwrap());
        let deadline = self.now + u64::from(random.below(3_000_000));
        let (at, until) = (self.at(), Instant::from_micros(deadline));
        let core = self.core.request(at, &Frame::decode(&encoded(&frame)).unwrap(), until);
        let abi = self.abi.request(self.now, &frame, deadline);
        assert_eq!(core.map(Ticket::number).map_err(flamingo_result::from), abi, "{:?}", row.code);
    }

    fn write(&mut self, random: &mut Random) {
        let len = random.below(200) as usize;
        let (at, abi) = (self.at(), self.abi.poll_transmit(self.now));
        let (written, bytes) = match self.core.poll_transmit(at) {
            None => (0, Vec::new()),
            Some(Transmit::Bytes(bytes)) => (len.min(bytes.len()), bytes.to_vec()),
            Some(Transmit::Payload { remaining, .. }) => (len.min(remaining as usize), Vec::new()),
        };
        assert_eq!(abi.len, bytes.len());
        if let Some(offered) = bytes.get(..written).filter(|_| !bytes.is_empty()) {
            // SAFETY: the bytes are valid until the next call.
            assert_eq!(unsafe { std::slice::from_raw_parts(abi.bytes, abi.len) }, bytes);
            self.wire.extend_from_slice(offered);
        }
        let core = self.core.transmitted(at, written).map_or(0, Ticket::number);
        assert_eq!(
            self.abi.transmitted(self.now, written).map(|ticket| ticket & !FLAMINGO_TICKET_FENCE),
            Ok(core)
        );
    }

    fn read(&mut self, random: &mut Random) {
        let input = match random.below(4) {
            0 => self.wire.drain(..).collect(),
            1 => encoded(&command(TABLE[random.below(60) as usize].code.0, 1)),
            2 => vec![0x54; random.below(50) as usize],
            _ => self.wire.drain(..self.wire.len().min(128)).collect::<Vec<_>>(),
        };
        let (at, mut rest, mut core) = (self.at(), &input[..], Vec::new());
        loop {
            let (consumed, output) = self.core.handle_input(at, rest);
            rest = &rest[consumed..];
            match output {
                None => break,
                Some(Output::Frame(received)) => {
                    core.push(format!(
                        "{:?}",
                        flamingo_output::from(Some(Output::Frame(received)))
                    ));
                }
                Some(Output::Payload { .. }) => {}
            }
        }
        let abi: Vec<_> =
            self.abi.read(self.now, &input).0.iter().map(|output| format!("{output:?}")).collect();
        assert_eq!(core, abi);
    }

    fn settle(&mut self) {
        let mut core = Vec::new();
        while let Some(event) = self.core.poll_event() {
            core.push(format!("{:?}", flamingo_event::from(Some(event))));
        }
        let abi: Vec<_> = self.abi.events().iter().map(|event| format!("{event:?}")).collect();
        assert_eq!(core, abi);
        let due = flamingo_timeout::from(self.core.poll_timeout());
        assert_eq!(format!("{due:?}"), format!("{:?}", self.abi.timeout()));
    }
}

#[test]
fn random_calls_have_the_results_of_the_core() {
    let rounds = if cfg!(miri) { 1 } else { 40 };
    let mut seen = [0; 3];
    for seed in 0..rounds {
        let mut random = Random(seed);
        let (core, abi) = (Connection::default(), Client::new());
        let mut pair = Pair { core, abi, now: 1, wire: Vec::new() };
        for _ in 0..if cfg!(miri) { 60 } else { 1000 } {
            pair.now += u64::from(random.below(100_000));
            match random.below(8) {
                0..=2 => pair.ask(&mut random),
                3 | 4 => pair.write(&mut random),
                5 | 6 => pair.read(&mut random),
                _ => {
                    pair.core.handle_timeout(pair.at());
                    pair.abi.handle_timeout(pair.now);
                    let ticket = random.below(50);
                    let cancelled = pair.core.cancel(pair.at(), Ticket::from_number(ticket));
                    assert_eq!(
                        flamingo_cancelled::from(cancelled),
                        pair.abi.cancel(pair.now, ticket)
                    );
                }
            }
            if random.below(3) == 0 {
                pair.settle();
            }
        }
        let counters = flamingo_counters::from(pair.core.counters());
        assert_eq!(format!("{counters:?}"), format!("{:?}", pair.abi.counters()));
        seen = [
            seen[0] + counters.solicited,
            seen[1] + counters.unsolicited,
            seen[2] + counters.superseded,
        ];
    }
    assert!(cfg!(miri) || seen.iter().all(|count| *count > 10), "too few of a kind: {seen:?}");
}
