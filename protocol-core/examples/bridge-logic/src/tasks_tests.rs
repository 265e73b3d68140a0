//! Tests of the tasks: peers over pipes, the instrument as a port in memory, the clock of the host.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]

use core::convert::Infallible;
use std::boxed::Box;
use std::rc::Rc;
use std::vec::Vec;

use core::cell::RefCell;
use embassy_futures::select::{Either, select};
use embassy_futures::{block_on, yield_now};
use embassy_sync::blocking_mutex::raw::NoopRawMutex;
use embassy_sync::pipe::Pipe;
use embedded_io::{ErrorKind, ErrorType, Read, ReadReady, Write, WriteReady};
use flamingo_protocol_core::{CommandCode, Frame};

use crate::tasks::{Link, Work, run};
use crate::tests::{answer, halt, position};
use crate::{Application, Bridge, Counters};

type Wire = Pipe<NoopRawMutex, 512>;

/// What a peer sends; the end of the stream comes when it is dropped or `ended`.
struct Sender<'a>(&'a Wire, &'a RefCell<bool>);

impl embedded_io_async::ErrorType for Sender<'_> {
    type Error = Infallible;
}

impl embedded_io_async::Read for Sender<'_> {
    async fn read(&mut self, buffer: &mut [u8]) -> Result<usize, Infallible> {
        loop {
            if let Ok(count) = self.0.try_read(buffer) {
                return Ok(count);
            }
            if *self.1.borrow() {
                return Ok(0);
            }
            yield_now().await;
        }
    }
}

/// The instrument in memory. Before each answer it sends a push.
#[derive(Clone, Default)]
struct Instrument(Rc<RefCell<Wires>>);

#[derive(Default)]
struct Wires {
    to_bridge: Vec<u8>,
    partial: Vec<u8>,
    received: Vec<Frame>,
}

impl ErrorType for Instrument {
    type Error = ErrorKind;
}

impl ReadReady for Instrument {
    fn read_ready(&mut self) -> Result<bool, ErrorKind> {
        Ok(!self.0.borrow().to_bridge.is_empty())
    }
}

impl Read for Instrument {
    fn read(&mut self, buffer: &mut [u8]) -> Result<usize, ErrorKind> {
        let waiting = &mut self.0.borrow_mut().to_bridge;
        let count = buffer.len().min(waiting.len());
        buffer[..count].copy_from_slice(&waiting.drain(..count).collect::<Vec<_>>());
        if count == 0 { Err(ErrorKind::Other) } else { Ok(count) }
    }
}

impl WriteReady for Instrument {
    fn write_ready(&mut self) -> Result<bool, ErrorKind> {
        Ok(true)
    }
}

impl Write for Instrument {
    fn write(&mut self, bytes: &[u8]) -> Result<usize, ErrorKind> {
        let Wires { to_bridge, partial, received } = &mut *self.0.borrow_mut();
        partial.extend(bytes);
        while partial.len() >= 128 {
            let frame = Frame::decode(&partial[..128]).unwrap();
            partial.drain(..128);
            received.push(frame);
            let push = Frame::new(CommandCode::STAGE_MOTION_STOPPED).with_selector(1);
            to_bridge.extend(push.encode());
            to_bridge.extend(answer(&frame, 4.0).encode());
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> Result<(), ErrorKind> {
        Ok(())
    }
}

/// The shared parts of the tasks.
#[derive(Default)]
struct Setup {
    work: Work,
    host: Link<512, 512>,
    push: Link<512, 512>,
}

/// Runs the bridge beside `body` until the body ends. Gives the last counters.
fn beside<F: Future<Output = ()>>(
    instrument: &Instrument,
    body: impl FnOnce(&'static Setup) -> F,
) -> Counters {
    let setup: &'static Setup = Box::leak(Box::default());
    let Setup { work, host, push } = setup;
    let bridge = Bridge::new(Box::leak(Box::new(Application::new())));
    let mut last = bridge.counters();
    let running =
        run(bridge, work, instrument.clone(), [host, push], |_, bridge| last = bridge.counters());
    let Either::Second(()) = block_on(select(running, body(setup))); // `run` never ends
    last
}

async fn next_frame(wire: &Wire) -> Frame {
    let mut bytes = [0; 128];
    let mut have = 0;
    while have < 128 {
        have += wire.read(&mut bytes[have..]).await;
    }
    Frame::decode(&bytes).unwrap()
}

#[test]
fn each_side_gets_its_frames_over_async_ports() {
    let instrument = Instrument::default();
    let counters = beside(&instrument, async |Setup { work, host, push }| {
        let (commands, answers, pushes) = (Wire::new(), Wire::new(), Wire::new());
        let ended = RefCell::new(false);
        let (mut reader, mut writer) = (Sender(&commands, &ended), &answers);
        let (nothing, mut subscriber) = (Wire::new(), &pushes);
        let mut silent = Sender(&nothing, &ended);
        let sessions = async {
            select(
                host.session(work, &mut reader, &mut writer),
                push.session(work, &mut silent, &mut subscriber),
            )
            .await;
        };
        let test = async {
            for number in 0..100 {
                let mut query = position(1 + number % 4);
                query.int32_data[1] = number;
                commands.write_all(&query.encode()).await;
                assert_eq!(next_frame(&answers).await, answer(&query, 4.0));
                assert_eq!(next_frame(&pushes).await.code, CommandCode::STAGE_MOTION_STOPPED);
            }
        };
        select(sessions, test).await;
    });
    assert_eq!((counters.commands, counters.answers), (100, 100));
    assert_eq!((counters.host_dropped, counters.push_dropped), (0, 0));
}

#[test]
fn the_last_halt_of_a_host_is_sent_and_the_next_host_served() {
    let instrument = Instrument::default();
    beside(&instrument, async |Setup { work, host, .. }| {
        for number in 1..=3 {
            let (commands, answers) = (Wire::new(), Wire::new());
            commands.write_all(&halt(number).encode()).await;
            commands.write_all(&[0x54; 20]).await; // half a frame
            host.session(work, &mut Sender(&commands, &RefCell::new(true)), &mut &answers).await;
        }
    });
    let received = instrument.0.borrow().received.clone();
    assert_eq!(received, [halt(1), halt(2), halt(3)]);
}
