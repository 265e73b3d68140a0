//! Where the outcome of a call waits for its caller: a slot that engine and caller share, on any
//! runtime. Which outcome a call has is `pending_calls.rs`.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Poll, Waker};

use super::pending_calls::Answer;
use crate::error::Error;
use crate::waking::wake;

/// Slots that are kept for calls to come.
const SLOTS_KEPT: usize = 64;

/// What a caller waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Wanted {
    /// The answer.
    Answer,
    /// That the frame is written, with its payload.
    Written,
}

/// How a call has ended well.
#[derive(Debug)]
pub(crate) enum Done {
    Answered(Answer),
    Written,
}

pub(crate) type Outcome = Result<Done, Error>;

/// Where a call stands.
#[derive(Debug, Default)]
#[allow(clippy::large_enum_variant)] // a box would be an allocation for each call
enum State {
    /// There is no outcome yet.
    Waiting(Waits),
    Ready(Outcome),
    /// The caller has taken the outcome, or does not wait any more.
    #[default]
    Left,
    /// The engine has ended and given no outcome.
    Dropped,
}

#[derive(Debug, Default)]
struct Waits {
    /// That of the caller, if it is to be woken.
    waker: Option<Waker>,
    /// The engine has the call.
    is_taken: bool,
}

#[derive(Debug, Default)]
struct Slot(Mutex<State>);

impl Slot {
    /// Its lock is held for a few instructions; no waker is called meanwhile.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Gives an outcome, if the caller still waits for one.
    fn give(&self, result: State) -> bool {
        let mut state = self.lock();
        let State::Waiting(waits) = &mut *state else { return false };
        let waker = waits.waker.take();
        *state = result;
        drop(state);
        if let Some(waker) = waker {
            wake(waker);
        }
        true
    }
}

/// The engine's end. Dropping it without an outcome tells the caller that none will come.
#[derive(Debug)]
pub(crate) struct Reply {
    wanted: Wanted,
    slot: Arc<Slot>,
}

impl Reply {
    pub(crate) fn wanted(&self) -> Wanted {
        self.wanted
    }

    /// Gives the outcome. Returns whether the caller still waits for it.
    pub(crate) fn give(&self, outcome: Outcome) -> bool {
        self.slot.give(State::Ready(outcome))
    }

    /// The engine has the call.
    pub(crate) fn take_call(&self) {
        if let State::Waiting(waits) = &mut *self.slot.lock() {
            waits.is_taken = true;
        }
    }

    /// The caller does not wait any more.
    pub(crate) fn is_abandoned(&self) -> bool {
        matches!(*self.slot.lock(), State::Left)
    }
}

impl Drop for Reply {
    fn drop(&mut self) {
        self.slot.give(State::Dropped);
    }
}

/// The engine has ended and given no outcome.
#[derive(Debug)]
pub(crate) struct NoOutcome;

/// The caller's end. Dropping it abandons the call.
#[derive(Debug)]
pub(crate) struct Expected(Arc<Slot>);

impl Expected {
    /// The outcome, if there is one.
    pub(crate) fn take(&self) -> Option<Result<Outcome, NoOutcome>> {
        let mut state = self.0.lock();
        match std::mem::replace(&mut *state, State::Left) {
            State::Ready(outcome) => Some(Ok(outcome)),
            State::Dropped => Some(Err(NoOutcome)),
            waiting => {
                *state = waiting;
                None
            }
        }
    }

    /// The outcome; `waker` is woken when there is one.
    pub(crate) fn poll(&self, waker: &Waker) -> Poll<Result<Outcome, NoOutcome>> {
        let mut state = self.0.lock();
        let State::Waiting(waits) = &mut *state else {
            drop(state);
            // Nobody else takes it.
            return self.take().map_or(Poll::Pending, Poll::Ready);
        };
        if waits.waker.as_ref().is_some_and(|current| current.will_wake(waker)) {
            return Poll::Pending;
        }
        let old = waits.waker.replace(waker.clone());
        drop(state);
        // Without the lock, since it may be the last that is left of a task.
        drop(old);
        Poll::Pending
    }

    /// Wakes nobody until it is polled again.
    pub(crate) fn forget_waker(&self) {
        let mut state = self.0.lock();
        let State::Waiting(waits) = &mut *state else { return };
        let old = waits.waker.take();
        drop(state);
        drop(old);
    }

    /// Whether nobody has taken the call from the inbox yet.
    pub(crate) fn is_in_the_inbox(&self) -> bool {
        matches!(&*self.0.lock(), State::Waiting(waits) if !waits.is_taken)
    }

    /// The caller does not wait any more.
    pub(crate) fn abandon(&self) {
        let mut state = self.0.lock();
        let old = std::mem::replace(&mut *state, State::Left);
        drop(state);
        drop(old);
    }

    /// A number that no other call has while this one waits.
    pub(crate) fn id(&self) -> usize {
        Arc::as_ptr(&self.0).addr()
    }

    /// Waits for the outcome. Cancel-safe: what was not returned is returned by the next future.
    pub(crate) async fn wait(&self) -> Result<Outcome, NoOutcome> {
        std::future::poll_fn(|cx| self.poll(cx.waker())).await
    }
}

impl Drop for Expected {
    fn drop(&mut self) {
        self.abandon();
    }
}

/// Slots for calls to come: a call in a steady stream allocates nothing.
#[derive(Debug, Default)]
pub(crate) struct Slots(Mutex<Vec<Arc<Slot>>>);

impl Slots {
    /// A free slot, as its two ends.
    pub(crate) fn pair(&self, wanted: Wanted) -> (Reply, Expected) {
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let mut slot = kept.pop().unwrap_or_default();
        drop(kept);
        if Arc::get_mut(&mut slot).is_none() {
            // Its two ends are not gone yet: it is left to them.
            slot = Arc::default();
        }
        *slot.lock() = State::Waiting(Waits::default());
        (Reply { wanted, slot: Arc::clone(&slot) }, Expected(slot))
    }

    /// Keeps the slot of a call that has ended.
    pub(crate) fn keep(&self, ended: &Expected) {
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if kept.len() < SLOTS_KEPT {
            kept.push(Arc::clone(&ended.0));
        }
    }
}

/// A slot of its own, as its two ends.
pub(crate) fn pair(wanted: Wanted) -> (Reply, Expected) {
    Slots::default().pair(wanted)
}
