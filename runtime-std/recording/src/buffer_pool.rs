//! Buffers that are used again. The bytes that were read into a buffer are shared without a copy; when
//! the last reference is dropped, the buffer returns to the pool. New memory for every image would cost
//! more than writing the image.

use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;

/// The most buffers that the pool keeps. Others are freed.
const KEPT: usize = 64;

/// A pool of buffers of one size. Clones share the buffers.
#[derive(Debug, Clone)]
pub(super) struct BufferPool {
    size: usize,
    /// Locked only to push or pop a buffer.
    free: Arc<Mutex<Vec<Box<[u8]>>>>,
}

impl BufferPool {
    pub(super) fn new(size: usize) -> Self {
        Self { size, free: Arc::default() }
    }

    /// A buffer to read into. Its content is arbitrary.
    pub(super) fn take(&self) -> Buffer {
        let free = self.free.lock().unwrap_or_else(PoisonError::into_inner).pop();
        let bytes = free.unwrap_or_else(|| vec![0; self.size].into_boxed_slice());
        Buffer { bytes, used: 0, pool: self.clone() }
    }
}

/// A buffer that returns to its pool when it is dropped.
#[derive(Debug)]
pub(super) struct Buffer {
    bytes: Box<[u8]>,
    used: usize,
    pool: BufferPool,
}

impl Buffer {
    /// The whole buffer, to read into.
    pub(super) fn space(&mut self) -> &mut [u8] {
        &mut self.bytes
    }

    /// The first `used` bytes, to be shared.
    pub(super) fn filled(mut self, used: usize) -> Bytes {
        self.used = used;
        Bytes::from_owner(self)
    }
}

impl AsRef<[u8]> for Buffer {
    fn as_ref(&self) -> &[u8] {
        self.bytes.get(..self.used).unwrap_or(&self.bytes)
    }
}

impl Drop for Buffer {
    fn drop(&mut self) {
        let mut free = self.pool.free.lock().unwrap_or_else(PoisonError::into_inner);
        if free.len() < KEPT {
            free.push(std::mem::take(&mut self.bytes));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_buffer_returns_when_its_last_reference_is_dropped() {
        let pool = BufferPool::new(8);
        let mut buffer = pool.take();
        buffer.space()[..3].copy_from_slice(b"abc");
        let place = buffer.space().as_ptr();
        let bytes = buffer.filled(3);
        let slice = bytes.slice(1..);
        drop(bytes);
        assert_ne!(pool.take().space().as_ptr(), place, "it is still referenced");
        assert_eq!(&slice[..], b"bc");
        drop(slice);
        assert_eq!(pool.take().space().as_ptr(), place);
        assert_eq!(pool.take().space().len(), 8);
    }
}
