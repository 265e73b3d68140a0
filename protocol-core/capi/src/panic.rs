//! What a panic does. None can be reached: with the feature `no-panics`, the library links only if that
//! is true.

#[cfg(feature = "no-panics")]
unsafe extern "C" {
    /// This function does not exist.
    fn the_library_can_panic() -> !;
}

#[panic_handler]
fn panicked(_: &core::panic::PanicInfo<'_>) -> ! {
    #[cfg(feature = "no-panics")]
    // SAFETY: the linker never finds this function, so nothing calls it.
    unsafe {
        the_library_can_panic()
    }
    #[cfg(not(feature = "no-panics"))]
    loop {
        core::hint::spin_loop();
    }
}

/// The opposite, for the check itself: a panic that can be reached.
///
/// cbindgen:ignore
#[cfg(feature = "panics")]
#[unsafe(no_mangle)]
pub extern "C" fn flamingo_panics(number: u32) {
    #[allow(clippy::panic)]
    {
        assert!(number != 7, "this can be reached");
    }
}
