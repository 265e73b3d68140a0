//! Plays the images of one connection, read from the file as they are due. Pixels that were not
//! recorded are black.

use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::time::Duration;

use flamingo_protocol_core::ImageHeader;
use smol::io::AsyncWriteExt;
use smol::{Async, Timer, future};

use super::super::Side;
use super::super::capture::{Capture, EventKind};
use super::Speed;
use flamingo_runtime_std::Clock;
use flamingo_runtime_std::socket;

/// Written at a time of pixels that are black.
static BLACK: [u8; 64 * 1024] = [0; 64 * 1024];

/// Until the viewer goes, or the recorded instrument did. `None`: there are no images.
pub(super) async fn show(
    stream: &Async<TcpStream>,
    file: &Path,
    connection: Option<u64>,
    speed: Speed,
) {
    let play = async {
        let ended = match connection {
            Some(connection) => play(stream, file.to_owned(), connection, speed).await,
            None => Ok(false),
        };
        // An error: the viewer is gone, or the file.
        if matches!(ended, Ok(false)) {
            future::pending::<()>().await;
        }
    };
    future::or(socket::wait_until_closed(stream), play).await;
}

/// Gives whether the instrument ended the connection.
async fn play(
    mut stream: &Async<TcpStream>,
    file: PathBuf,
    connection: u64,
    speed: Speed,
) -> std::io::Result<bool> {
    let clock = Clock::start();
    let began = clock.now();
    let mut first: Option<Duration> = None;
    let mut left = false;
    let opened = smol::unblock(move || Capture::open(&file)).await;
    let mut capture = opened.map_err(std::io::Error::other)?;
    loop {
        // Other connections of the file are passed over where it is read.
        let read = smol::unblock(move || {
            let next = capture.find(|next| {
                next.as_ref().is_ok_and(|event| event.connection.number == connection)
            });
            (next, capture)
        });
        let next;
        (next, capture) = read.await;
        let Some(Ok(event)) = next else { return Ok(false) };
        let first = *first.get_or_insert(event.at);
        let due = began + speed.span(event.at.saturating_sub(first)).into();
        if let Some(due) = clock.moment(due) {
            Timer::at(due).await;
        }
        match (event.kind, event.from) {
            (EventKind::Image { header, pixels, .. }, _) => {
                stream.write_all(&header.encode()).await?;
                match pixels {
                    Some(pixels) => stream.write_all(&pixels).await?,
                    None => black(stream, &header).await?,
                }
            }
            (EventKind::Rest { bytes }, Side::Instrument) => stream.write_all(&bytes).await?,
            (EventKind::Finished | EventKind::Reset, Side::Client) => left = true,
            (EventKind::Finished | EventKind::Reset, Side::Instrument) if !left => return Ok(true),
            _ => {}
        }
    }
}

async fn black(mut stream: &Async<TcpStream>, header: &ImageHeader) -> std::io::Result<()> {
    let mut remaining = header.size as usize;
    while remaining > 0 {
        let part = remaining.min(BLACK.len());
        stream.write_all(&BLACK[..part]).await?;
        remaining -= part;
    }
    Ok(())
}
