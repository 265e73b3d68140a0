//! The executor of embassy, for the thread mode of this board. Unlike embassy's own it sleeps with `wfi`:
//! QEMU does not sleep at `wfe`, and would keep a processor of the computer busy.
#![allow(unsafe_code)]

use core::sync::atomic::{AtomicBool, Ordering::Relaxed};

use embassy_executor::{Spawner, raw};

/// A task was woken since the tasks were last polled.
static PENDING: AtomicBool = AtomicBool::new(false);

/// Embassy calls this when a task is woken, also from an interrupt.
// SAFETY: only this crate defines the name, with the signature that embassy declares.
#[unsafe(export_name = "__pender")]
fn pender(_: *mut ()) {
    PENDING.store(true, Relaxed);
}

/// Runs tasks in thread mode.
pub struct Executor(raw::Executor);

impl Executor {
    /// An executor without tasks.
    #[allow(clippy::new_without_default)] // there is one
    pub fn new() -> Self {
        Self(raw::Executor::new(core::ptr::null_mut()))
    }

    /// Spawns the first tasks and runs all tasks.
    pub fn run(&'static mut self, init: impl FnOnce(Spawner)) -> ! {
        let executor = &self.0;
        init(executor.spawner());
        loop {
            if PENDING.swap(false, Relaxed) {
                // SAFETY: this loop is the only caller, so it is never called within itself.
                unsafe { executor.poll() };
            } else {
                critical_section::with(|_| {
                    if !PENDING.load(Relaxed) {
                        cortex_m::asm::wfi(); // a masked interrupt wakes it, too
                    }
                });
            }
        }
    }
}
