//! Values that the optimiser cannot know, and a place for results.

use core::hint::black_box;

use flamingo_protocol_core::{
    CommandCode, Frame,
    time::{Duration, Instant},
};

/// Returns a value that the optimiser cannot know: it must expect every value of this type.
pub fn any<T>(value: T) -> T {
    black_box(value)
}

/// Uses a result, so that the optimiser keeps everything that leads to it.
pub fn sink<T>(value: T) {
    black_box(value);
}

pub fn bytes() -> &'static [u8] {
    any(&[])
}

pub fn text() -> &'static str {
    any("")
}

pub fn code() -> CommandCode {
    CommandCode(any(0))
}

pub fn frame() -> Frame {
    any(Frame::new(code()))
}

pub fn now() -> Instant {
    Instant::from_micros(any(0))
}

pub fn span() -> Duration {
    Duration::from_micros(any(0))
}
