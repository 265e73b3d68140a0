//! Bytes between a port and the stage: the device's side of a connection and when it is read,
//! answered and written. What a command does is `stage.rs`; how the port gets its bytes is `board.rs`.

use embedded_io::{Read, ReadReady, Write};
use flamingo_protocol_core::{
    Frame, Incoming, Responder,
    pump::{PumpError, blocking},
    time::{Duration, Instant},
    wire::FRAME_LEN,
};

use crate::stage::Stage;

/// Frames that may wait to be sent: each is written at once.
const QUEUE: usize = 1;
/// How long the next byte of a command or a payload may take. Then its client has gone in the middle
/// of it, and what comes next is not the rest.
const PATIENCE: Duration = Duration::from_millis(500);

/// The device's side of the connection. A UART does not say when a client comes or goes: what one
/// leaves half said is given up when the line falls silent.
#[derive(Default)]
pub struct Pump {
    device: Responder<QUEUE>,
    /// A command whose payload is still coming in.
    upload: Option<Frame>,
    /// When the last bytes came.
    heard: Instant,
    /// Payloads whose rest did not come.
    cut_payloads: u32,
}

impl Pump {
    /// Does all there is to do now: tells what is due; if something has come, reads once and does
    /// it.
    ///
    /// # Errors
    /// [`PumpError`]: the port failed.
    pub fn turn<P: Read + ReadReady + Write>(
        &mut self,
        port: &mut P,
        clock: impl Fn() -> Instant,
        stage: &mut Stage,
    ) -> Result<(), PumpError<P::Error>> {
        let now = clock();
        self.tell(port, now, stage)?;
        if port.read_ready().map_err(PumpError::Port)? {
            if let Some(command) = self.receive(port, now)? {
                if let Some(answer) = stage.command(now, &command) {
                    self.send(port, now, &answer)?;
                }
                self.tell(port, now, stage)?;
            }
        } else if self.heard + PATIENCE <= now {
            self.device.abandon_input();
            let cut = self.upload.take().is_some();
            self.cut_payloads = self.cut_payloads.saturating_add(cut.into());
        }
        Ok(())
    }

    /// Bytes that were skipped as noise, and payloads that were cut.
    pub fn losses(&self) -> (u64, u32) {
        (self.device.noise_bytes(), self.cut_payloads)
    }

    /// Reads once; gives the command that is whole with that, its payload included, which is
    /// skipped. So few bytes end one command at most.
    fn receive<P: Read>(
        &mut self,
        port: &mut P,
        now: Instant,
    ) -> Result<Option<Frame>, PumpError<P::Error>> {
        let Self { device, upload, .. } = self;
        let mut command = None;
        blocking::receive(
            port,
            device,
            || now,
            &mut [0; FRAME_LEN],
            |incoming| match incoming {
                Incoming::Command { frame, .. } if frame.payload_len > 0 => *upload = Some(frame),
                Incoming::Command { frame, .. } => command = Some(frame),
                Incoming::Payload { remaining: 0, .. } => command = upload.take(),
                Incoming::Payload { .. } => {}
            },
        )?;
        self.heard = now;
        Ok(command)
    }

    fn tell<P: Write>(
        &mut self,
        port: &mut P,
        now: Instant,
        stage: &mut Stage,
    ) -> Result<(), PumpError<P::Error>> {
        while let Some(frame) = stage.tell(now) {
            self.send(port, now, &frame)?;
        }
        Ok(())
    }

    fn send<P: Write>(
        &mut self,
        port: &mut P,
        now: Instant,
        frame: &Frame,
    ) -> Result<(), PumpError<P::Error>> {
        // The queue is empty: there is room.
        let _ = self.device.push(frame);
        while blocking::transmit(port, &mut self.device, || now, |_, _| &[])?.is_some() {}
        Ok(())
    }
}

#[cfg(test)]
#[path = "pump_tests.rs"]
mod tests;
