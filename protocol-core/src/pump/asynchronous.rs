//! Moves bytes between an `embedded-io-async` port and either end of a connection.
//!
//! It does not allocate. Each [`receive`] reads once; each [`transmit`] writes one frame. The
//! caller handles deadlines and outcomes, as the contract of [`Connection`](crate::Connection)
//! says. The functions take the time from a closure, because time passes while the port waits.

use embedded_io_async::{Read, Write};

use crate::connection::ticket::Ticket;
use crate::pump::Endpoint;
use crate::pump::error::{PumpError, bytes_of};
use crate::time::Instant;

/// Reads once into `scratch` and passes each output of `endpoint` to `each`. Returns the number of
/// bytes read. `scratch` may have any length above 0; a longer one needs fewer calls.
///
/// Cancel-safe if the `read` of the port is: no other await is in it.
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

/// Writes until one frame and its payload are completely sent, and returns its ticket. Call it
/// until it returns `None`: then it has written everything and flushed the port.
///
/// `payload` takes a ticket and an offset in bytes, and lends the bytes of that payload from the
/// offset on. It may lend only a part; `transmit` calls it again for the rest.
///
/// Cancel-safe if the `write` of the port is: `transmit` reports written bytes to `endpoint` at
/// once, and the next call continues a frame that is partly sent.
///
/// # Errors
/// [`PumpError`]: the port failed, the port accepts no bytes, or `payload` lends no bytes.
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
