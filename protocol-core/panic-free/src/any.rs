//! Values of which the optimiser knows nothing but their type, and where results go.

use core::hint::black_box;

use flamingo_protocol_core::{
    CommandCode, Frame,
    time::{Duration, Instant},
};

/// Any value of that type: from here on the optimiser must expect each.
pub fn any<T>(value: T) -> T {
    black_box(value)
}

/// Uses a result, so that nothing that led to it is left out.
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
