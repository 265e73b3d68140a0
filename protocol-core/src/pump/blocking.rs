//! Moves bytes between a blocking `embedded-io` port and either end of a connection.
//!
//! It does not allocate. Each [`receive`] reads once; each [`transmit`] writes one frame. The
//! caller handles deadlines and outcomes, as the contract of [`Connection`](crate::Connection)
//! says. The functions take the time from a closure, because time passes while the port waits.
//!
//! ```
//! use flamingo_protocol_core::{CommandCode, Connection, Frame, time::{Duration, Instant}, pump::blocking};
//! let now = Instant::from_micros(0);
//! let mut connection = Connection::<16>::default();
//! let query = Frame::command(CommandCode::SYSTEM_STATE_GET);
//! connection.request(now, &query, now + Duration::from_millis(3000))?;
//! let mut wire = [0; 256];
//! let mut port = &mut wire[..]; // a port that is a piece of memory
//! while let Ok(Some(ticket)) = blocking::transmit(&mut port, &mut connection, || now, |_, _| &[]) {
//!     assert_eq!(ticket.number(), 1);
//! }
//! assert_eq!(wire[..128], query.encode());
//! # Ok::<(), flamingo_protocol_core::error::CommandError>(())
//! ```

use embedded_io::{Read, Write};

use crate::connection::ticket::Ticket;
use crate::pump::Endpoint;
use crate::pump::error::{PumpError, bytes_of};
use crate::time::Instant;

/// Reads once into `scratch` and passes each output of `endpoint` to `each`. Returns the number of
/// bytes read. `scratch` may have any length above 0; a longer one needs fewer calls.
///
/// # Errors
/// [`PumpError`]: the port failed, the peer closed its end, or `scratch` is empty.
pub fn receive<P: Read, E: Endpoint>(
    port: &mut P,
    endpoint: &mut E,
    now: impl Fn() -> Instant,
    scratch: &mut [u8],
    each: impl FnMut(E::Output<'_>),
) -> Result<usize, PumpError<P::Error>> {
    if scratch.is_empty() {
        return Err(PumpError::NoScratch);
    }
    let read = port.read(scratch).map_err(PumpError::Port)?;
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
/// # Errors
/// [`PumpError`]: the port failed, the port accepts no bytes, or `payload` lends no bytes.
pub fn transmit<'p, P: Write, E: Endpoint>(
    port: &mut P,
    endpoint: &mut E,
    now: impl Fn() -> Instant,
    mut payload: impl FnMut(Ticket, u32) -> &'p [u8],
) -> Result<Option<Ticket>, PumpError<P::Error>> {
    while let Some(shown) = endpoint.poll_transmit(now()) {
        let bytes = bytes_of(shown, &mut payload)?;
        let written = port.write(bytes).map_err(PumpError::Port)?;
        if written == 0 {
            return Err(PumpError::WriteZero);
        }
        if let Some(finished) = endpoint.transmitted(now(), written) {
            return Ok(Some(finished));
        }
    }
    port.flush().map_err(PumpError::Port)?;
    Ok(None)
}
