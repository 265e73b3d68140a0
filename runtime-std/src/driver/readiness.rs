//! Who is woken when the socket can be read or written. A reactor keeps one waker for each direction,
//! and always the same: who is behind it changes here, without a call to the operating system.
//!
//! The rule: the caller that has come last is woken for reading, since it is the least likely to be busy
//! with something else; the driver if no caller waits. Writing that has to wait is the driver's. What is
//! then done with the socket is `link.rs`.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Wake, Waker};

use crate::waking::wake;

/// Who waits.
#[derive(Debug, Default)]
struct Waiting {
    driver: Option<Waker>,
    /// Callers that wait for an outcome, in the order in which they came.
    callers: Vec<(CallerId, Waker)>,
}

/// A caller that waits; unique among those that wait.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct CallerId(pub(super) usize);

#[derive(Debug, Default)]
pub(super) struct Readiness {
    waiting: Mutex<Waiting>,
    /// The socket has reported that it can be read, and nobody has looked since.
    reported: AtomicBool,
    /// The driver has something to do beside reading.
    driver_wanted: AtomicBool,
}

impl Readiness {
    /// Its lock is held for a few instructions. No waker is called or dropped meanwhile: it may be the last
    /// that is left of a task, and that task may hold a call.
    fn lock(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The waker for a socket's reading direction.
    pub(super) fn for_reading(self: &Arc<Self>) -> Waker {
        Waker::from(Arc::new(Readable(Arc::clone(self))))
    }

    /// The waker for its writing direction.
    pub(super) fn for_writing(self: &Arc<Self>) -> Waker {
        Waker::from(Arc::new(Writable(Arc::clone(self))))
    }

    /// Whether the socket has reported that it can be read, and nobody has looked since.
    pub(super) fn is_reported(&self) -> bool {
        self.reported.load(Ordering::SeqCst)
    }

    /// Somebody looks at the socket now.
    pub(super) fn look(&self) {
        self.reported.store(false, Ordering::SeqCst);
    }

    /// From now on, this is the driver.
    pub(super) fn set_driver(&self, waker: &Waker) {
        let mut waiting = self.lock();
        if waiting.driver.as_ref().is_some_and(|driver| driver.will_wake(waker)) {
            return;
        }
        let old = waiting.driver.replace(waker.clone());
        drop(waiting);
        drop(old);
    }

    /// The driver has something to do beside reading.
    pub(super) fn wake_driver(&self) {
        if self.driver_wanted.swap(true, Ordering::SeqCst) {
            return;
        }
        let driver = self.lock().driver.clone();
        if let Some(driver) = driver {
            wake(driver);
        }
    }

    /// The driver has something to do when it is polled next.
    pub(super) fn want_driver(&self) {
        self.driver_wanted.store(true, Ordering::SeqCst);
    }

    /// Whether the driver was woken for something beside reading, since this was last asked.
    pub(super) fn take_driver_wanted(&self) -> bool {
        self.driver_wanted.swap(false, Ordering::SeqCst)
    }

    pub(super) fn has_callers(&self) -> bool {
        !self.lock().callers.is_empty()
    }

    /// A caller waits, and reads the socket if it is woken.
    pub(super) fn enter(&self, caller: CallerId, waker: &Waker) {
        let mut waiting = self.lock();
        let known = waiting.callers.iter_mut().find(|(id, _)| *id == caller);
        let Some((_, current)) = known else {
            return waiting.callers.push((caller, waker.clone()));
        };
        if !current.will_wake(waker) {
            let old = std::mem::replace(current, waker.clone());
            drop(waiting);
            drop(old);
        }
    }

    /// A caller does not wait any more. If the socket has reported since, another one is woken.
    pub(super) fn leave(&self, caller: CallerId) {
        let mut waiting = self.lock();
        let Some(at) = waiting.callers.iter().position(|(id, _)| *id == caller) else { return };
        let left = waiting.callers.remove(at);
        drop(waiting);
        drop(left);
        if self.is_reported() {
            self.wake_next();
        }
    }

    /// The caller that is woken for reading has not looked for too long: it is passed over until it
    /// is polled again. Its outcome wakes it all the same.
    pub(super) fn pass_over_last(&self) {
        let last = self.lock().callers.pop();
        drop(last);
    }

    /// No call waits for an outcome: no caller has to read.
    pub(super) fn forget_callers(&self) {
        loop {
            let last = self.lock().callers.pop();
            if last.is_none() {
                return;
            }
        }
    }

    fn wake_next(&self) {
        let waiting = self.lock();
        let next = waiting.callers.last().map(|(_, waker)| waker).or(waiting.driver.as_ref());
        let next = next.cloned();
        drop(waiting);
        if let Some(next) = next {
            wake(next);
        }
    }

    fn report(&self) {
        self.reported.store(true, Ordering::SeqCst);
        self.wake_next();
    }
}

#[derive(Debug)]
struct Readable(Arc<Readiness>);

impl Wake for Readable {
    fn wake(self: Arc<Self>) {
        self.0.report();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.0.report();
    }
}

#[derive(Debug)]
struct Writable(Arc<Readiness>);

impl Wake for Writable {
    fn wake(self: Arc<Self>) {
        self.0.wake_driver();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.0.wake_driver();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Counted(Mutex<u32>);

    impl Wake for Counted {
        fn wake(self: Arc<Self>) {
            *self.0.lock().unwrap() += 1;
        }
    }

    fn counted() -> (Arc<Counted>, Waker) {
        let counted = Arc::new(Counted(Mutex::new(0)));
        (Arc::clone(&counted), Waker::from(counted))
    }

    impl Counted {
        fn take(&self) -> u32 {
            std::mem::take(&mut *self.0.lock().unwrap())
        }
    }

    #[test]
    fn the_caller_that_came_last_is_woken_for_reading() {
        let readiness = Arc::new(Readiness::default());
        let (driver, driver_waker) = counted();
        let (first, first_waker) = counted();
        let (second, second_waker) = counted();
        readiness.set_driver(&driver_waker);
        readiness.enter(CallerId(1), &first_waker);
        readiness.enter(CallerId(2), &second_waker);
        let socket = readiness.for_reading();
        socket.wake_by_ref();
        assert_eq!((driver.take(), first.take(), second.take()), (0, 0, 1));
        readiness.look();
        readiness.leave(CallerId(2));
        assert_eq!((driver.take(), first.take()), (0, 0), "nothing has come since");
        socket.wake_by_ref();
        assert_eq!((driver.take(), first.take(), second.take()), (0, 1, 0));
        readiness.look();
        readiness.leave(CallerId(1));
        socket.wake_by_ref();
        assert_eq!((driver.take(), first.take(), second.take()), (1, 0, 0));
    }

    #[test]
    fn a_caller_that_leaves_without_looking_wakes_the_next() {
        let readiness = Arc::new(Readiness::default());
        let (driver, driver_waker) = counted();
        let (first, first_waker) = counted();
        readiness.set_driver(&driver_waker);
        readiness.enter(CallerId(1), &first_waker);
        readiness.for_reading().wake_by_ref();
        assert_eq!((driver.take(), first.take()), (0, 1));
        readiness.leave(CallerId(1));
        assert_eq!(driver.take(), 1);
    }

    #[test]
    fn the_driver_is_woken_once_until_it_asks_why() {
        let readiness = Arc::new(Readiness::default());
        let (driver, waker) = counted();
        readiness.set_driver(&waker);
        readiness.wake_driver();
        readiness.for_writing().wake_by_ref();
        assert_eq!(driver.take(), 1);
        assert!(readiness.take_driver_wanted());
        assert!(!readiness.take_driver_wanted());
        readiness.wake_driver();
        assert_eq!(driver.take(), 1);
    }
}
