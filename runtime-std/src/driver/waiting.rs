//! The future of a call that the engine has: it does the work of the link while it waits, and takes the
//! call back if it is dropped. How a call is handed over is `client.rs`.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use super::inbox::Caller;
use super::link::Link;
use super::outcome::{Expected, NoOutcome, Outcome};

/// Ends with the outcome of a call. Dropped before, it takes the call back, as far as that is possible.
pub(crate) struct Waiting<'a> {
    caller: &'a Caller,
    expected: Expected,
    /// `None` if the engine has no link: somebody else drives it.
    link: Option<Arc<Link>>,
    may_be_held: bool,
    has_waited: bool,
    is_done: bool,
}

impl<'a> Waiting<'a> {
    /// Make it before the call is handed over. A call that is urgent, or large, is not held back.
    pub(crate) fn new(caller: &'a Caller, expected: Expected, may_be_held: bool) -> Self {
        Self {
            caller,
            expected,
            link: caller.link(),
            may_be_held,
            has_waited: false,
            is_done: false,
        }
    }

    fn finish(&mut self) {
        self.is_done = true;
        self.caller.keep(&self.expected);
        if let Some(link) = &self.link {
            link.leave(self.expected.id());
            link.ended(!self.has_waited);
        }
    }
}

impl Future for Waiting<'_> {
    type Output = Result<Outcome, NoOutcome>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = &mut *self;
        if let Some(link) = &this.link {
            let is_new = this.expected.is_in_the_inbox();
            if is_new && std::mem::take(&mut this.may_be_held) && link.holds_back() {
                // The others run before this task does again. The last of them writes this as well.
                this.has_waited = true;
                cx.waker().wake_by_ref();
                return Poll::Pending;
            }
            if is_new || link.is_readable() {
                // An outcome that this brings needs no wake-up: it is looked for next.
                this.expected.forget_waker();
                link.work_as_caller();
            }
        }
        let outcome = this.expected.poll(cx.waker());
        if outcome.is_ready() {
            this.finish();
            return outcome;
        }
        this.has_waited = true;
        if let Some(link) = &this.link {
            link.enter(this.expected.id(), cx.waker());
            if link.is_readable() {
                // The socket has reported before this caller was known.
                cx.waker().wake_by_ref();
            }
        }
        outcome
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        if self.is_done {
            return;
        }
        self.expected.abandon();
        self.caller.abandon();
        if let Some(link) = &self.link {
            link.leave(self.expected.id());
        }
    }
}
