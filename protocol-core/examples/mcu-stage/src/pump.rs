//! Moves bytes between a port and the stage. It holds the device's side of the connection, and decides
//! when the port is read and written. `stage.rs` executes the commands; `board.rs` fills the port.

use embedded_io::{Read, ReadReady, Write};
use flamingo_protocol_core::{
    Frame, Incoming, Responder,
    pump::{PumpError, blocking},
    time::{Duration, Instant},
    wire::FRAME_LEN,
};

use crate::stage::Stage;

/// The room for frames that wait to be sent. One is enough, because each is written at once.
const QUEUE: usize = 1;
/// How long the line may be silent within a command or a payload. After that its client has left, and the
/// next bytes are not the rest.
const SILENCE_TIMEOUT: Duration = Duration::from_millis(500);

/// The device's side of the connection. A UART does not report when a client connects or leaves, so an
/// incomplete command is abandoned when the line is silent.
#[derive(Default)]
pub struct Pump {
    device: Responder<QUEUE>,
    /// A command whose payload is still arriving.
    upload: Option<Frame>,
    /// When bytes were last read.
    last_read: Instant,
    /// Payloads that stayed incomplete.
    cut_payloads: u32,
}

impl Pump {
    /// Sends the events that are due. Then reads once if input waits, and executes the command that this
    /// completes.
    ///
    /// # Errors
    /// [`PumpError`]: the port failed.
    pub fn poll<P: Read + ReadReady + Write>(
        &mut self,
        port: &mut P,
        clock: impl Fn() -> Instant,
        stage: &mut Stage,
    ) -> Result<(), PumpError<P::Error>> {
        let now = clock();
        self.send_events(port, now, stage)?;
        if port.read_ready().map_err(PumpError::Port)? {
            if let Some(command) = self.receive(port, now)? {
                if let Some(answer) = stage.command(now, &command) {
                    self.send(port, now, &answer)?;
                }
                self.send_events(port, now, stage)?;
            }
        } else if self.last_read + SILENCE_TIMEOUT <= now {
            self.device.abandon_input();
            let cut = self.upload.take().is_some();
            self.cut_payloads = self.cut_payloads.saturating_add(cut.into());
        }
        Ok(())
    }

    /// The number of bytes skipped as noise, and of payloads that stayed incomplete.
    pub fn losses(&self) -> (u64, u32) {
        (self.device.noise_bytes(), self.cut_payloads)
    }

    /// Reads once. Returns the command that this completes. A payload is skipped; its command is complete
    /// at its end. One read has at most a frame's length, so it completes at most one command.
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
        self.last_read = now;
        Ok(command)
    }

    /// Sends the events that are due.
    fn send_events<P: Write>(
        &mut self,
        port: &mut P,
        now: Instant,
        stage: &mut Stage,
    ) -> Result<(), PumpError<P::Error>> {
        while let Some(frame) = stage.poll_event(now) {
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
        // The queue is empty, so there is room.
        let _ = self.device.push(frame);
        while blocking::transmit(port, &mut self.device, || now, |_, _| &[])?.is_some() {}
        Ok(())
    }
}

#[cfg(test)]
#[path = "pump_tests.rs"]
mod tests;
