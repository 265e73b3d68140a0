//! Moves bytes between an `embedded-io-async` port and either end of a connection.
//!
//! No allocation, no loop of its own: one read per [`receive`], one frame per [`transmit`]. Deadlines and
//! outcomes stay with the caller, as the contract of [`Connection`](crate::Connection) says. The
//! time is asked for by a function, since it passes while the port waits.

use embedded_io_async::{Read, Write};

use crate::connection::ticket::Ticket;
use crate::pump::Endpoint;
use crate::pump::error::{PumpError, bytes_of};
use crate::time::Instant;

/// Reads once into `scratch` and hands what came out of `endpoint` to `each`. Gives how many
/// bytes were read. Any size of `scratch` will do; a larger one saves calls.
///
/// Cancel-safe if the port's `read` is: nothing else waits.
///
/// # Errors
/// [`PumpError`]: the port failed, the peer closed its end, or `scratch` is empty.
pub async fn receive<P: Read, E: Endpoint>(
    port: &mut P,
    endpoint: &mut E,
    now: impl Fn() -> Instant,
    scratch: &mut [u8],
    each: impl FnMut(E::Output<'_>),
) -> Result<usize, PumpError<P::Error>> {
    if scratch.is_empty() {
        return Err(PumpError::NoScratch);
    }
    let read = port.read(scratch).await.map_err(PumpError::Port)?;
    if read == 0 {
        let (unfinished, missing) = endpoint.handle_eof();
        return Err(PumpError::Ended { unfinished, missing });
    }
    endpoint.deliver(now(), scratch.get(..read).unwrap_or(scratch), each);
    Ok(read)
}

/// Writes until a frame is out, its payload included, and gives its ticket; `None` when nothing
/// is left to write and the port was flushed. Call it until then.
///
/// `payload` lends the caller's payload of a ticket from an offset on, as much of it as is at
/// hand; it is asked again for what was not written.
///
/// Cancel-safe if the port's `write` is: what was written is said at once, and a frame that is
/// half out goes on with the next call.
///
/// # Errors
/// [`PumpError`]: the port failed or takes nothing, or a payload that was promised is not given.
pub async fn transmit<'p, P: Write, E: Endpoint>(
    port: &mut P,
    endpoint: &mut E,
    now: impl Fn() -> Instant,
    mut payload: impl FnMut(Ticket, u32) -> &'p [u8],
) -> Result<Option<Ticket>, PumpError<P::Error>> {
    while let Some(shown) = endpoint.poll_transmit(now()) {
        let bytes = bytes_of(shown, &mut payload)?;
        let written = port.write(bytes).await.map_err(PumpError::Port)?;
        if written == 0 {
            return Err(PumpError::WriteZero);
        }
        if let Some(finished) = endpoint.transmitted(now(), written) {
            return Ok(Some(finished));
        }
    }
    port.flush().await.map_err(PumpError::Port)?;
    Ok(None)
}
