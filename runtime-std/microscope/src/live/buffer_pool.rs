//! Between the thread that reads and the program: what waits, the buffers that are free, and the
//! counts. Its lock is held to move a buffer, never while pixels come in.

use std::collections::VecDeque;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::SystemTime;

use async_channel::Sender;
use flamingo_protocol_core::ImageHeader;

use super::{LiveError, LiveEvent, LiveStats, Mode};

/// Buffers that may exist in any case: one that is read into, one that waits, one that is held.
const LEAST: usize = 3;
/// Updates of options that may wait.
const OPTIONS: u64 = 1024;

/// What waits.
pub(super) enum Queued {
    Image { header: ImageHeader, received_at: SystemTime, number: u64, pixels: Vec<u16> },
    Options(ImageHeader),
}

#[derive(Default)]
struct State {
    waiting: VecDeque<Queued>,
    /// Used last is at the end: it is still in the processor's cache.
    free: Vec<Vec<u16>>,
    /// All buffers that exist: free, read into, waiting and held.
    buffers: usize,
    stats: LiveStats,
    ended: Option<LiveError>,
}

pub(super) struct BufferPool {
    mode: Mode,
    state: Mutex<State>,
    /// Told that something waits; one word is enough.
    wake: Sender<()>,
}

impl BufferPool {
    pub(super) fn new(mode: Mode, wake: Sender<()>) -> Self {
        Self { mode, state: Mutex::default(), wake }
    }

    /// A buffer of so many pixels to read into. `None`: the program holds all that may exist.
    pub(super) fn lend(&self, pixels: usize) -> Option<Vec<u16>> {
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
            // Of other sizes, from before the region was changed, first.
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
        fits || state.buffers < LEAST
    }

    /// An image that came whole.
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
        self.wake();
    }

    /// An image that there was no buffer for.
    pub(super) fn put_nothing(&self) {
        let mut state = self.state();
        state.stats.received += 1;
        state.stats.dropped += 1;
    }

    pub(super) fn put_options(&self, header: ImageHeader) {
        let mut state = self.state();
        state.stats.options += 1;
        if state.waiting.len() as u64 - state.stats.waiting == OPTIONS {
            let oldest = state.waiting.iter().position(|item| matches!(item, Queued::Options(_)));
            oldest.map(|at| state.waiting.remove(at));
            state.stats.options_dropped += 1;
        }
        state.waiting.push_back(Queued::Options(header));
        drop(state);
        self.wake();
    }

    pub(super) fn count_bytes(&self, bytes: usize) {
        self.state().stats.bytes += bytes as u64;
    }

    /// Nothing will come any more. `None`: the peer is done.
    pub(super) fn end(&self, error: Option<LiveError>) {
        self.state().ended = error;
        self.wake.close();
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

    /// How it ended; an error is said once.
    pub(super) fn ended(&self) -> Result<Option<LiveEvent>, LiveError> {
        self.state().ended.take().map_or(Ok(None), Err)
    }

    pub(super) fn stats(&self) -> LiveStats {
        self.state().stats
    }

    pub(super) fn give_back(&self, pixels: Vec<u16>) {
        self.state().free.push(pixels);
    }

    fn wake(&self) {
        // Full: it was told already. Closed: nobody looks any more.
        let _ = self.wake.try_send(());
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// Drops the oldest image that waits, and gives its buffer.
    fn drop_oldest(&mut self) -> Option<Vec<u16>> {
        let at = self.waiting.iter().position(|item| matches!(item, Queued::Image { .. }))?;
        let Some(Queued::Image { pixels, .. }) = self.waiting.remove(at) else { return None };
        self.stats.waiting -= 1;
        self.stats.dropped += 1;
        Some(pixels)
    }

    /// A buffer that goes back to the system.
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

/// The pixels of an image that somebody holds; they go back to the pool.
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
        let Some(buffer) = pool.lend(pixels) else {
            pool.put_nothing();
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
    fn every_image_waits_until_the_memory_is_full_then_the_oldest_goes() {
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
    fn of_the_newest_only_one_waits() {
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
    fn a_program_that_holds_all_buffers_loses_the_new_images() {
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
    fn another_size_replaces_the_buffers_and_never_adds_to_them() {
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
    fn options_that_nobody_takes_are_bounded_and_counted() {
        let pool = pool(Mode::Latest);
        for _ in 0..OPTIONS + 3 {
            pool.put_options(ImageHeader::default());
        }
        assert_eq!(pool.stats().options_dropped, 3);
        assert_eq!(numbers(&pool).len() as u64, OPTIONS);
    }
}
