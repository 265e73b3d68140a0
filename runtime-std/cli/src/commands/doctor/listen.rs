//! Checks that only connect and listen: the control port and the live port.

use std::net::TcpStream;
use std::time::Duration;

use flamingo_protocol_core::{
    image::{HEADER_LEN, ImageHeader, MAX_IMAGE},
    wire::{Assembler, Piece},
};
use smol::Async;
use smol::io::AsyncReadExt;

use super::Finding;
use crate::connect::{image_address, within};

/// The time limit for a connection.
const CONNECT: Duration = Duration::from_secs(2);
/// The time to listen before the first query. It is long enough to measure a rate.
const BEFORE: Duration = Duration::from_millis(300);
/// Above this many frames per second, no client can work.
const FLOOD: f64 = 20_000.0;

/// What arrived before the first query.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Received {
    pub(super) frames: u64,
    pub(super) noise: u64,
    pub(super) frames_per_s: f64,
}

/// A connection, and what the other addresses of the host did instead of accepting.
struct Connected {
    stream: Async<TcpStream>,
    refusals: Vec<String>,
}

/// Tries all addresses of the host at once, and waits for each of them.
async fn connect(address: &str) -> Result<Connected, (u8, String)> {
    let resolved = smol::net::resolve(address).await;
    let peers = resolved.map_err(|error| (3, format!("{address} cannot be resolved: {error}")))?;
    let attempts = peers.into_iter().map(|peer| {
        smol::spawn(async move {
            match within(CONNECT, Async::<TcpStream>::connect(peer)).await {
                Some(Ok(stream)) => Ok(stream),
                Some(Err(error)) => Err(format!("{peer} does not accept: {error}")),
                None => Err(format!("{peer} does not accept within {CONNECT:?}")),
            }
        })
    });
    let (mut first, mut refusals) = (None, Vec::new());
    for attempt in attempts.collect::<Vec<_>>() {
        match attempt.await {
            Ok(stream) => first = first.or(Some(stream)),
            Err(refusal) => refusals.push(refusal),
        }
    }
    let none =
        if refusals.is_empty() { format!("{address} has no address") } else { refusals.join("; ") };
    first.map(|stream| Connected { stream, refusals }).ok_or((3, none))
}

/// Connects to the control port and listens, without a query.
pub(super) async fn control(address: &str, span: Duration) -> (Received, Finding) {
    let check = "reachable";
    let Connected { mut stream, refusals } = match connect(address).await {
        Ok(connected) => connected,
        Err((code, evidence)) => {
            let meaning = "is the instrument on, is its program running, are address and port right, \
                and is there no firewall between?";
            return (Received::default(), Finding::failed(check, code, evidence, meaning));
        }
    };
    let span = span.min(BEFORE);
    let mut received = Received::default();
    let mut assembler = Assembler::default();
    let mut buffer = vec![0; 64 * 1024];
    let mut closed = false;
    let listened = within(span, async {
        while let Ok(count @ 1..) = stream.read(&mut buffer).await {
            let mut input = &buffer[..count];
            while let (consumed, Some(piece)) = assembler.push(input) {
                input = &input[consumed..];
                if let Piece::Frame { skipped, .. } = piece {
                    received.frames += 1;
                    received.noise += u64::from(skipped);
                }
            }
        }
        closed = true;
    });
    let _ = listened.await;
    #[allow(clippy::cast_precision_loss)] // a rate
    {
        received.frames_per_s = received.frames as f64 / span.as_secs_f64();
    }
    let finding = if closed {
        let evidence = format!("{address} accepts and closes at once");
        let meaning =
            "it has its maximum of 3 clients, or it is shutting down; end another program";
        Finding::failed(check, 7, evidence, meaning)
    } else if received.frames_per_s > FLOOD {
        let evidence = format!("{address} sends {:.0} frames/s unrequested", received.frames_per_s);
        Finding::warning(check, evidence, "this many frames can delay answers")
    } else if !refusals.is_empty() {
        let evidence = format!("{address} accepts, but {}", refusals.join("; "));
        let meaning = "a program that tries the addresses of a host one after the other waits for \
            this one first; use the address that accepts";
        Finding::warning(check, evidence, meaning)
    } else {
        Finding::ok(check, format!("{address} accepts"), "the address is right")
    };
    (received, finding)
}

/// Checks that the live port accepts and, if it sends images, that their header is plausible. It does
/// not start the live view.
pub(super) async fn live(control: &str, port: Option<u16>, span: Duration) -> Finding {
    let check = "live images";
    let Some(address) = image_address(control, 1, port) else {
        return Finding::warning(check, "there is no port after 65535", "use --live-port");
    };
    let mut stream = match connect(&address).await {
        Ok(connected) => connected.stream,
        Err((_, evidence)) => {
            return Finding::warning(check, evidence, "live images cannot be received");
        }
    };
    let mut bytes = [0; HEADER_LEN];
    match within(span, stream.read_exact(&mut bytes)).await {
        None => {
            let meaning = "the live view is off, which is fine";
            Finding::ok(check, format!("{address} accepts and sends nothing"), meaning)
        }
        Some(Err(error)) => {
            let evidence = format!("{address} closes: {error}");
            Finding::warning(check, evidence, "does it have its maximum of 5 viewers?")
        }
        Some(Ok(())) => match ImageHeader::decode(&bytes, MAX_IMAGE) {
            Ok(header) => {
                let ImageHeader { width, height, device, .. } = header;
                let evidence =
                    format!("an image of {width} x {height} pixels from camera {device}");
                Finding::ok(check, evidence, "the header is plausible")
            }
            Err(error) => {
                let meaning = "these bytes are no image: is it the live port?";
                Finding::warning(check, format!("{address}: {error}"), meaning)
            }
        },
    }
}
