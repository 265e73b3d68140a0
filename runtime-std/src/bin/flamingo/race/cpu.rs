//! How much processor time this program has spent, all of its threads together. Where the
//! operating system is not asked for it, there is no figure.

use std::time::Duration;

/// So far.
#[cfg(unix)]
pub(super) fn spent() -> Option<Duration> {
    let spent = rustix::time::clock_gettime(rustix::time::ClockId::ProcessCPUTime);
    let seconds = u64::try_from(spent.tv_sec).ok()?;
    Some(Duration::new(seconds, u32::try_from(spent.tv_nsec).ok()?))
}

#[cfg(not(unix))]
pub(super) fn spent() -> Option<Duration> {
    None
}
