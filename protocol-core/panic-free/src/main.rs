//! Calls every public function of the protocol core with inputs that the compiler knows nothing
//! of. The panic handler calls a function that does not exist: if any panic can be reached, the
//! link fails and names it. There is no allocator: a crate that allocates would not link either.
//!
//! Nothing of it ever runs. Not called are the texts of [`Frame`] (`Display`): they show a float
//! and a quoted string, and the formatting of those in Rust's own `core` can reach panics.
#![no_std]
#![no_main]

#[cfg(feature = "allocates")]
extern crate alloc;

mod control;
mod values;

use core::fmt::{Display, Write};
use core::hint::black_box;
use core::panic::PanicInfo;

unsafe extern "C" {
    /// Not defined anywhere.
    safe fn the_core_can_panic() -> !;
}

#[panic_handler]
fn panic(_: &PanicInfo<'_>) -> ! {
    the_core_can_panic()
}

/// Anything of that type: the compiler must assume every value.
fn any<T>(value: T) -> T {
    black_box(value)
}

/// Takes a result that the compiler must not leave out.
fn sink<T>(value: T) {
    black_box(value);
}

/// A place for text.
struct Text;

impl Write for Text {
    fn write_str(&mut self, text: &str) -> core::fmt::Result {
        sink(text);
        any(Ok(()))
    }
}

fn show(what: &impl Display) {
    sink(write!(Text, "{what}"));
}

/// Where the program would begin.
#[unsafe(no_mangle)]
pub extern "C" fn _start() -> ! {
    values::all();
    control::all();
    #[cfg(feature = "panics")]
    sink([1, 2, 3][any(4)]);
    #[cfg(feature = "allocates")]
    sink(alloc::vec![1; any(4)]);
    loop {
        core::hint::spin_loop();
    }
}
