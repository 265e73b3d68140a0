//! The clock of embassy, with a millisecond for each tick, and the wakers that wait for a time.
//! [`start_ticks`](crate::timer::start_ticks) starts it, with 1000 ticks per second.

use core::cell::RefCell;
use core::task::Waker;

use critical_section::Mutex;
use embassy_time_driver::Driver;
use embassy_time_queue_utils::Queue;

struct Ticks(Mutex<RefCell<Timers>>);

struct Timers {
    millis: u64,
    /// When the next waker is due.
    next: u64,
    queue: Queue,
}

embassy_time_driver::time_driver_impl!(static TICKS: Ticks = Ticks(Mutex::new(RefCell::new(Timers {
    millis: 0,
    next: u64::MAX,
    queue: Queue::new(),
}))));

impl Driver for Ticks {
    fn now(&self) -> u64 {
        critical_section::with(|section| self.0.borrow_ref(section).millis)
    }

    fn schedule_wake(&self, at: u64, waker: &Waker) {
        critical_section::with(|section| {
            let mut timers = self.0.borrow_ref_mut(section);
            if timers.queue.schedule_wake(at, waker) {
                timers.wake();
            }
        });
    }
}

impl Timers {
    /// Wakes all wakers that are due.
    fn wake(&mut self) {
        self.next = self.queue.next_expiration(self.millis);
    }
}

#[cortex_m_rt::exception]
fn SysTick() {
    critical_section::with(|section| {
        let mut timers = TICKS.0.borrow_ref_mut(section);
        timers.millis += 1;
        if timers.millis >= timers.next {
            timers.wake();
        }
    });
}
