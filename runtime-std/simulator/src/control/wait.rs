//! Waiting: until a socket is ready, a moment is due, or the simulator ends. The operating system reports a change
//! only once; the sockets remember it until they have dealt with it.

use std::io::{ErrorKind, Result};
use std::sync::Arc;
use std::time::Duration;

use flamingo_protocol_core::time::Instant;
use mio::event::Source;
use mio::{Events, Interest, Poll, Token, Waker};

use crate::instrument::ConnectionId;

/// The most events that are taken from the operating system at once. The others follow.
const MAX_EVENTS: usize = 64;

const END: Token = Token(0);
const TIMER: Token = Token(1);
const LISTENER: Token = Token(2);
/// The token of a client is its number and this.
const FIRST_CLIENT: usize = 3;

/// Whom an event concerns.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Target {
    /// Nobody: the wait is over.
    Wait,
    Listener,
    Client(ConnectionId),
}

impl Target {
    pub(super) const fn of(token: Token) -> Self {
        match token {
            END | TIMER => Self::Wait,
            LISTENER => Self::Listener,
            Token(number) => Self::Client((number - FIRST_CLIENT) as ConnectionId),
        }
    }
}

/// Waits for the sockets of the control port, and for nothing else of this process.
pub(super) struct Poller {
    poll: Poll,
    pub(super) events: Events,
    timer: timer::Timer,
}

impl Poller {
    /// A poller, and what ends its wait from another thread.
    pub(super) fn new() -> Result<(Self, Arc<Waker>)> {
        let poll = Poll::new()?;
        let waker = Arc::new(Waker::new(poll.registry(), END)?);
        let timer = timer::Timer::new(poll.registry(), TIMER)?;
        Ok((Self { poll, events: Events::with_capacity(MAX_EVENTS), timer }, waker))
    }

    pub(super) fn register_listener(&self, listener: &mut impl Source) -> Result<()> {
        self.poll.registry().register(listener, LISTENER, Interest::READABLE)
    }

    pub(super) fn register_client(&self, stream: &mut impl Source, id: ConnectionId) -> Result<()> {
        let number = usize::try_from(id).ok().and_then(|id| id.checked_add(FIRST_CLIENT));
        let token = Token(number.ok_or(ErrorKind::Unsupported)?);
        self.poll.registry().register(stream, token, Interest::READABLE | Interest::WRITABLE)
    }

    /// Waits for an event, until `due` at the latest.
    pub(super) fn wait(&mut self, now: Instant, due: Option<Instant>) -> Result<()> {
        let timeout = match due {
            None => None,
            Some(due) if due <= now => Some(Duration::ZERO),
            Some(due) => self.timer.timeout(now, due)?,
        };
        match self.poll.poll(&mut self.events, timeout) {
            // A signal arrived: nothing is ready, and the caller looks at what is due again.
            Err(error) if error.kind() == ErrorKind::Interrupted => Ok(()),
            result => result,
        }
    }
}

/// The timer of Linux, because the timeout of `epoll_wait` has whole milliseconds, and an answer may be due after
/// 200 µs.
#[cfg(target_os = "linux")]
mod timer {
    use std::io::Result;
    use std::os::fd::{AsRawFd, OwnedFd};
    use std::time::Duration;

    use flamingo_protocol_core::time::Instant;
    use mio::unix::SourceFd;
    use mio::{Interest, Registry, Token};
    use rustix::time::{
        Itimerspec, TimerfdClockId, TimerfdFlags, TimerfdTimerFlags, Timespec, timerfd_create,
        timerfd_settime,
    };

    pub(super) struct Timer {
        file: OwnedFd,
        set_to: Option<Instant>,
    }

    impl Timer {
        pub(super) fn new(registry: &Registry, token: Token) -> Result<Self> {
            let flags = TimerfdFlags::CLOEXEC | TimerfdFlags::NONBLOCK;
            let file = timerfd_create(TimerfdClockId::Monotonic, flags)?;
            // Each expiry is reported once, also if the timer is never read.
            registry.register(&mut SourceFd(&file.as_raw_fd()), token, Interest::READABLE)?;
            Ok(Self { file, set_to: None })
        }

        /// Makes the wait end at `due`, which is after `now`. Returns the timeout for the poll. The timer is set
        /// again only if it would be late: waking too early once costs less than setting it for each answer.
        pub(super) fn timeout(&mut self, now: Instant, due: Instant) -> Result<Option<Duration>> {
            if self.set_to.is_none_or(|set_to| set_to <= now || due < set_to) {
                let zero = Timespec { tv_sec: 0, tv_nsec: 0 };
                let wait = Duration::from(due.since(now));
                let it_value = Timespec::try_from(wait)
                    .unwrap_or(Timespec { tv_sec: i64::from(i32::MAX), tv_nsec: 0 });
                let value = Itimerspec { it_interval: zero, it_value };
                timerfd_settime(&self.file, TimerfdTimerFlags::empty(), &value)?;
                self.set_to = Some(due);
            }
            Ok(None)
        }
    }
}

#[cfg(not(target_os = "linux"))]
mod timer {
    use std::io::Result;
    use std::time::Duration;

    use flamingo_protocol_core::time::Instant;
    use mio::{Registry, Token};

    pub(super) struct Timer;

    #[allow(clippy::unnecessary_wraps, clippy::unused_self)] // as on Linux
    impl Timer {
        pub(super) fn new(_: &Registry, _: Token) -> Result<Self> {
            Ok(Self)
        }

        pub(super) fn timeout(&mut self, now: Instant, due: Instant) -> Result<Option<Duration>> {
            Ok(Some(due.since(now).into()))
        }
    }
}

#[cfg(test)]
mod tests {
    use flamingo_protocol_core::time::Duration;
    use flamingo_runtime_std::Clock;

    use super::*;

    #[test]
    fn a_wait_ends_at_the_earliest_moment_also_after_a_later_one() {
        let (mut poller, _waker) = Poller::new().unwrap();
        let clock = Clock::start();
        for us in [900, 300, 60_000_000, 500] {
            let due = clock.now() + Duration::from_micros(us);
            if us > 1_000_000 {
                // Sets the timer far ahead, and looks without waiting.
                poller.timer.timeout(clock.now(), due).unwrap();
                continue;
            }
            while clock.now() < due {
                poller.wait(clock.now(), Some(due)).unwrap();
            }
        }
    }

    #[test]
    fn the_waker_ends_a_wait_without_a_moment() {
        let (mut poller, waker) = Poller::new().unwrap();
        waker.wake().unwrap();
        poller.wait(Instant::default(), None).unwrap();
        let targets: Vec<_> = poller.events.iter().map(|event| Target::of(event.token())).collect();
        assert_eq!(targets, [Target::Wait]);
    }
}
