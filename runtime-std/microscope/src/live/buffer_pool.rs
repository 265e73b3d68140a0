//! The images that wait for the program, the free buffers, and the counters. The lock is held while
//! a buffer is moved, never while pixels arrive.
//!
//! Reading the socket is in `socket_thread.rs`.

use std::collections::VecDeque;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::SystemTime;

use async_channel::Sender;
use flamingo_protocol_core::image::ImageHeader;

use super::{LiveError, LiveEvent, LiveStats, Mode};

/// The number of buffers that are always allowed: one being filled, one waiting, one held.
const MIN_BUFFERS: usize = 3;
/// How many updates of the options may wait.
const MAX_OPTIONS: u64 = 1024;

/// What waits for the program.
pub(super) enum Queued {
    Image { header: ImageHeader, received_at: SystemTime, number: u64, pixels: Vec<u16> },
    Options(ImageHeader),
}

#[derive(Default)]
struct State {
    waiting: VecDeque<Queued>,
    /// The buffer that was used last is at the end: it may still be in the processor's cache.
    free: Vec<Vec<u16>>,
    /// The number of all buffers: free, being filled, waiting and held.
    buffers: usize,
    stats: LiveStats,
    ended: Option<LiveError>,
}

pub(super) struct BufferPool {
    mode: Mode,
    state: Mutex<State>,
    /// Signals that something waits. Its capacity is one.
    signal: Sender<()>,
}

impl BufferPool {
    pub(super) fn new(mode: Mode, signal: Sender<()>) -> Self {
        Self { mode, state: Mutex::default(), signal }
    }

    /// A buffer for this number of pixels. `None`: the program holds all buffers that are allowed.
    pub(super) fn take_buffer(&self, pixels: usize) -> Option<Vec<u16>> {
        let mut state = self.state();
        if let Some(buffer) = state.free.pop() {
            if buffer.len() == pixels {
                return Some(buffer);
            }
            state.forget(&buffer);
        }
        loop {
            if self.may_grow(&state, pixels) {
                state.buffers += 1;
                state.stats.held_bytes += 2 * pixels;
                drop(state);
                return Some(vec![0; pixels]);
            }
            // Free buffers of other sizes go first: they are from before a change of the region.
            let buffer = state.free.pop().or_else(|| state.drop_oldest())?;
            if buffer.len() == pixels {
                return Some(buffer);
            }
            state.forget(&buffer);
        }
    }

    fn may_grow(&self, state: &State, pixels: usize) -> bool {
        let fits = match self.mode {
            Mode::Latest => false,
            Mode::Every { memory_bytes } => state.stats.held_bytes + 2 * pixels <= memory_bytes,
        };
        fits || state.buffers < MIN_BUFFERS
    }

    /// Adds a complete image.
    pub(super) fn put_image(&self, header: ImageHeader, at: SystemTime, pixels: Vec<u16>) {
        let mut state = self.state();
        if self.mode == Mode::Latest
            && let Some(older) = state.drop_oldest()
        {
            state.free.push(older);
        }
        state.stats.received += 1;
        state.stats.waiting += 1;
        let number = state.stats.received;
        state.waiting.push_back(Queued::Image { header, received_at: at, number, pixels });
        drop(state);
        self.signal();
    }

    /// Counts an image that arrived without a buffer.
    pub(super) fn count_dropped(&self) {
        let mut state = self.state();
        state.stats.received += 1;
        state.stats.dropped += 1;
    }

    pub(super) fn put_options(&self, header: ImageHeader) {
        let mut state = self.state();
        state.stats.options += 1;
        if state.waiting.len() as u64 - state.stats.waiting == MAX_OPTIONS {
            let oldest = state.waiting.iter().position(|item| matches!(item, Queued::Options(_)));
            oldest.map(|at| state.waiting.remove(at));
            state.stats.options_dropped += 1;
        }
        state.waiting.push_back(Queued::Options(header));
        drop(state);
        self.signal();
    }

    pub(super) fn count_bytes(&self, bytes: usize) {
        self.state().stats.bytes += bytes as u64;
    }

    /// Ends the stream. `None`: the peer closed the connection between two images.
    pub(super) fn end(&self, error: Option<LiveError>) {
        self.state().ended = error;
        self.signal.close();
    }

    pub(super) fn take(&self) -> Option<Queued> {
        let mut state = self.state();
        let item = state.waiting.pop_front()?;
        if matches!(item, Queued::Image { .. }) {
            state.stats.waiting -= 1;
            state.stats.delivered += 1;
        }
        Some(item)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.state().waiting.is_empty()
    }

    /// How the stream ended. An error is returned once.
    pub(super) fn take_end(&self) -> Result<Option<LiveEvent>, LiveError> {
        self.state().ended.take().map_or(Ok(None), Err)
    }

    pub(super) fn stats(&self) -> LiveStats {
        self.state().stats
    }

    pub(super) fn give_back(&self, pixels: Vec<u16>) {
        self.state().free.push(pixels);
    }

    fn signal(&self) {
        // Full: the signal is set already. Closed: the stream is gone.
        let _ = self.signal.try_send(());
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// Drops the oldest image that waits, and returns its buffer.
    fn drop_oldest(&mut self) -> Option<Vec<u16>> {
        let at = self.waiting.iter().position(|item| matches!(item, Queued::Image { .. }))?;
        let Some(Queued::Image { pixels, .. }) = self.waiting.remove(at) else { return None };
        self.stats.waiting -= 1;
        self.stats.dropped += 1;
        Some(pixels)
    }

    /// Removes a buffer from the counts before its memory is freed.
    fn forget(&mut self, buffer: &[u16]) {
        self.buffers -= 1;
        self.stats.held_bytes -= 2 * buffer.len();
    }
}

impl fmt::Debug for BufferPool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BufferPool").field("stats", &self.stats()).finish_non_exhaustive()
    }
}

/// The pixels of an image that the program holds. When dropped, they return to the pool.
pub(super) struct PooledBuffer {
    pixels: Vec<u16>,
    pool: Arc<BufferPool>,
}

impl PooledBuffer {
    pub(super) fn new(pixels: Vec<u16>, pool: Arc<BufferPool>) -> Self {
        Self { pixels, pool }
    }

    pub(super) fn pixels(&self) -> &[u16] {
        &self.pixels
    }
}

impl Drop for PooledBuffer {
    fn drop(&mut self) {
        self.pool.give_back(std::mem::take(&mut self.pixels));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pool(mode: Mode) -> Arc<BufferPool> {
        Arc::new(BufferPool::new(mode, async_channel::bounded(1).0))
    }

    fn put(pool: &BufferPool, pixels: usize) -> bool {
        let Some(buffer) = pool.take_buffer(pixels) else {
            pool.count_dropped();
            return false;
        };
        pool.put_image(ImageHeader::default(), SystemTime::UNIX_EPOCH, buffer);
        true
    }

    fn numbers(pool: &BufferPool) -> Vec<u64> {
        let number = |item| match item {
            Queued::Image { number, .. } => number,
            Queued::Options(_) => 0,
        };
        std::iter::from_fn(|| pool.take()).map(number).collect()
    }

    #[test]
    fn the_oldest_image_is_dropped_when_the_memory_is_full() {
        let pool = pool(Mode::Every { memory_bytes: 1000 });
        for _ in 0..7 {
            assert!(put(&pool, 100));
        }
        let stats = pool.stats();
        assert_eq!((stats.received, stats.dropped, stats.waiting), (7, 2, 5));
        assert_eq!(stats.held_bytes, 1000);
        assert_eq!(numbers(&pool), [3, 4, 5, 6, 7]);
    }

    #[test]
    fn only_the_newest_image_waits() {
        let pool = pool(Mode::Latest);
        for _ in 0..5 {
            assert!(put(&pool, 100));
        }
        pool.put_options(ImageHeader::default());
        assert!(put(&pool, 100));
        assert_eq!(numbers(&pool), [0, 6], "options are not dropped for an image");
        assert!(pool.stats().held_bytes <= 600);
    }

    #[test]
    fn a_program_that_holds_all_buffers_loses_new_images() {
        let pool = pool(Mode::Latest);
        let mut held = Vec::new();
        for _ in 0..3 {
            assert!(put(&pool, 100));
            let Some(Queued::Image { pixels, .. }) = pool.take() else { panic!("no image") };
            held.push(PooledBuffer::new(pixels, Arc::clone(&pool)));
        }
        assert!(!put(&pool, 100));
        held.pop();
        assert!(put(&pool, 100));
        let stats = pool.stats();
        assert_eq!((stats.received, stats.delivered, stats.dropped, stats.waiting), (5, 3, 1, 1));
    }

    #[test]
    fn buffers_of_another_size_are_replaced() {
        let pool = pool(Mode::Every { memory_bytes: 1000 });
        for size in [100, 100, 300, 50, 100, 2000, 100] {
            put(&pool, size);
            let held = pool.stats().held_bytes;
            assert!(held <= 1000 + 4000, "{held} bytes after one of {size} pixels");
            while pool.take().is_some_and(|item| {
                let Queued::Image { pixels, .. } = item else { return true };
                pool.give_back(pixels);
                true
            }) {}
        }
    }

    #[test]
    fn options_that_wait_are_bounded_and_counted() {
        let pool = pool(Mode::Latest);
        for _ in 0..MAX_OPTIONS + 3 {
            pool.put_options(ImageHeader::default());
        }
        assert_eq!(pool.stats().options_dropped, 3);
        assert_eq!(numbers(&pool).len() as u64, MAX_OPTIONS);
    }
}
