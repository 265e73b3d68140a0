//! Plays the images of one connection. They are read from the file when they are due. Pixels that were
//! not recorded are black.

use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::time::Duration;

use flamingo_protocol_core::image::ImageHeader;
use smol::io::AsyncWriteExt;
use smol::{Async, Timer, future};

use super::super::Side;
use super::super::capture::{Capture, EventKind};
use super::Speed;
use flamingo_runtime_std::Clock;
use flamingo_runtime_std::socket::client_input::{ClientEnd, until_closed};

/// The black pixels that one write takes.
static BLACK: [u8; 64 * 1024] = [0; 64 * 1024];

/// Plays until the viewer or the recorded instrument closes the connection. Without a connection
/// there are no images. Returns why the viewer is disconnected, unless the instrument has closed it.
pub(super) async fn play_to_viewer(
    stream: &Async<TcpStream>,
    file: &Path,
    connection: Option<u64>,
    speed: Speed,
) -> Option<ClientEnd> {
    let play = async {
        let ended = match connection {
            Some(connection) => play(stream, file.to_owned(), connection, speed).await,
            None => Ok(false),
        };
        // After an error the viewer, or the file, is gone.
        if matches!(ended, Ok(false)) {
            future::pending::<()>().await;
        }
        None
    };
    future::or(async { Some(until_closed(stream).await) }, play).await
}

/// Plays all images. Returns whether the recorded instrument closed the connection.
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
        // Events of other connections are skipped in the thread that reads.
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
            // The instrument has not ended the connection either.
            (EventKind::Note { by_recorder: true, .. }, _)
            | (EventKind::Finished | EventKind::Reset, Side::Client) => left = true,
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
