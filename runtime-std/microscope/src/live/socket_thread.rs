//! The thread that reads an image socket: a header, then its pixels straight into a pooled buffer,
//! then the next header. It never waits for the program.

use std::io::{ErrorKind, Read};
use std::net::TcpStream;
use std::sync::Arc;

use flamingo_protocol_core::image::{HEADER_LEN, ImageHeader};

use super::LiveError;
use super::buffer_pool::BufferPool;
use flamingo_runtime_std::Clock;

/// How many bytes of an image without a buffer are read at a time.
const SKIP: usize = 256 * 1024;

pub(super) struct SocketThread {
    pub(super) socket: TcpStream,
    pub(super) address: String,
    pub(super) max_image_bytes: u32,
    pub(super) pool: Arc<BufferPool>,
    /// Receives images that have no buffer. Empty until the first one.
    pub(super) skip: Vec<u8>,
}

impl SocketThread {
    pub(super) fn run(mut self) {
        let mut images = 0;
        let error = loop {
            match self.next(images + 1) {
                Ok(true) => images += 1,
                Ok(false) => {}
                Err(error) => break error,
            }
        };
        self.pool.end(error);
    }

    /// Reads one header and its pixels. Returns whether there was an image. The error is `None` if
    /// the peer closed the connection before the header.
    fn next(&mut self, number: u64) -> Result<bool, Option<LiveError>> {
        let mut bytes = [0; HEADER_LEN];
        self.fill(&mut bytes, 0, HEADER_LEN, number)?;
        let header = ImageHeader::decode(&bytes, self.max_image_bytes).map_err(|source| {
            Some(LiveError::Header { address: self.address.clone(), number, source })
        })?;
        let size = header.size as usize;
        if size == 0 {
            self.pool.count_bytes(HEADER_LEN);
            self.pool.put_options(header);
            return Ok(false);
        }
        let whole = HEADER_LEN + size;
        if let Some(mut pixels) = self.pool.take_buffer(size / 2) {
            let filled =
                self.fill(bytemuck::cast_slice_mut(&mut pixels), HEADER_LEN, whole, number);
            if let Err(error) = filled {
                self.pool.give_back(pixels);
                return Err(error);
            }
            if cfg!(target_endian = "big") {
                for pixel in &mut pixels {
                    *pixel = pixel.swap_bytes();
                }
            }
            self.pool.count_bytes(whole);
            self.pool.put_image(header, Clock::wall(), pixels);
        } else {
            let mut skip = std::mem::take(&mut self.skip);
            skip.resize(SKIP, 0);
            let mut done = HEADER_LEN;
            while done < whole {
                let part = skip.len().min(whole - done);
                self.fill(&mut skip[..part], done, whole, number)?;
                done += part;
            }
            self.skip = skip;
            self.pool.count_bytes(whole);
            self.pool.count_dropped();
        }
        Ok(true)
    }

    /// Fills `bytes`, which begin at `offset` of an image of `whole` bytes with its header.
    fn fill(
        &mut self,
        mut bytes: &mut [u8],
        offset: usize,
        whole: usize,
        number: u64,
    ) -> Result<(), Option<LiveError>> {
        let mut received = offset;
        while !bytes.is_empty() {
            let reason = match self.socket.read(bytes) {
                Ok(0) if received == 0 => return Err(None),
                Ok(0) => "the peer closed it".to_owned(),
                Ok(count) => {
                    received += count;
                    bytes = &mut bytes[count..];
                    continue;
                }
                Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                Err(error) => error.to_string(),
            };
            let (address, expected) = (self.address.clone(), whole);
            return Err(Some(LiveError::CutOff { address, number, received, expected, reason }));
        }
        Ok(())
    }
}
