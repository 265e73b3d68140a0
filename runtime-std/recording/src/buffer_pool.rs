//! BufferPool that come back: what was read into one is handed on without a copy, and when the last
//! who holds it lets it go, it is read into again. Fresh memory for every image would cost more
//! than writing it.

use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;

/// BufferPool that are kept for later; more than that are given back to the system.
const KEPT: usize = 64;

/// All buffers of a kind. Clones share them.
#[derive(Debug, Clone)]
pub(super) struct BufferPool {
    size: usize,
    /// Held to push or to pop one.
    free: Arc<Mutex<Vec<Box<[u8]>>>>,
}

impl BufferPool {
    pub(super) fn new(size: usize) -> Self {
        Self { size, free: Arc::default() }
    }

    /// One to read into. What stands in it is of no meaning.
    pub(super) fn take(&self) -> Buffer {
        let free = self.free.lock().unwrap_or_else(PoisonError::into_inner).pop();
        let bytes = free.unwrap_or_else(|| vec![0; self.size].into_boxed_slice());
        Buffer { bytes, used: 0, home: self.clone() }
    }
}

/// A buffer that goes back when it is dropped.
#[derive(Debug)]
pub(super) struct Buffer {
    bytes: Box<[u8]>,
    used: usize,
    home: BufferPool,
}

impl Buffer {
    /// All of it, to be read into.
    pub(super) fn space(&mut self) -> &mut [u8] {
        &mut self.bytes
    }

    /// Its first bytes, shared.
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
        let mut free = self.home.free.lock().unwrap_or_else(PoisonError::into_inner);
        if free.len() < KEPT {
            free.push(std::mem::take(&mut self.bytes));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_buffer_comes_back_when_the_last_who_holds_it_lets_it_go() {
        let buffers = BufferPool::new(8);
        let mut buffer = buffers.take();
        buffer.space()[..3].copy_from_slice(b"abc");
        let place = buffer.space().as_ptr();
        let bytes = buffer.filled(3);
        let slice = bytes.slice(1..);
        drop(bytes);
        assert_ne!(buffers.take().space().as_ptr(), place, "somebody still has it");
        assert_eq!(&slice[..], b"bc");
        drop(slice);
        assert_eq!(buffers.take().space().as_ptr(), place);
        assert_eq!(buffers.take().space().len(), 8);
    }
}
