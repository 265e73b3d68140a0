//! The text output. `main.rs` lists what is left out.

use core::error::Error;
use core::fmt::{self, Display, Formatter, Write};

use embedded_io::ErrorKind;
use flamingo_protocol_core::{
    CommandCode,
    error::{CommandError, DecodeError, Full, TextError},
    image::ImageError,
    pump::PumpError,
};

use crate::any::{any, code, sink};

pub fn all() {
    show(<CommandCode as Display>::fmt, &code());
    show(<Full as Display>::fmt, &any(Full::Queue));
    show(<DecodeError as Display>::fmt, &any(DecodeError::Length { expected: 0, found: 0 }));
    show(<TextError as Display>::fmt, &any(TextError::Nul));
    show(<CommandError as Display>::fmt, &any(CommandError::Closed));
    show(<ImageError as Display>::fmt, &any(ImageError::Device { found: 0 }));
    let error = any(PumpError::<ErrorKind>::WriteZero);
    show(<PumpError<ErrorKind> as Display>::fmt, &error);
    sink(<PumpError<ErrorKind> as Error>::source(&error).is_some());
}

/// A value, and the function that writes it.
struct Shown<'a, T>(fn(&T, &mut Formatter<'_>) -> fmt::Result, &'a T);

impl<T> Display for Shown<'_, T> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        self.0(self.1, f)
    }
}

/// Accepts any text, or fails.
struct Sink;

impl Write for Sink {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        sink(text);
        any(Ok(()))
    }
}

fn show<T>(fmt: fn(&T, &mut Formatter<'_>) -> fmt::Result, value: &T) {
    sink(write!(Sink, "{}", Shown(fmt, value)));
}
