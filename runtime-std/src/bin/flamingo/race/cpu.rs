//! How much processor time the program spent, the simulated instrument's thread not counted. What
//! it is spent on is not known here. Where the operating system does not tell, there is no figure.

use std::time::Duration;

/// The thread of the simulated instrument, as the operating system shortens its name.
#[cfg(target_os = "linux")]
const INSTRUMENT: &str = "flamingo-simula";

/// So far.
#[cfg(target_os = "linux")]
pub(super) fn spent() -> Option<Duration> {
    let spent = rustix::time::clock_gettime(rustix::time::ClockId::ProcessCPUTime);
    let seconds = u64::try_from(spent.tv_sec).ok()?;
    let all = Duration::new(seconds, u32::try_from(spent.tv_nsec).ok()?);
    all.checked_sub(instrument()?)
}

#[cfg(not(target_os = "linux"))]
pub(super) fn spent() -> Option<Duration> {
    None
}

#[cfg(target_os = "linux")]
fn instrument() -> Option<Duration> {
    let mut nanos = 0;
    for thread in std::fs::read_dir("/proc/self/task").ok()? {
        let thread = thread.ok()?.path();
        // One that has just ended has nothing to tell.
        let Ok(name) = std::fs::read_to_string(thread.join("comm")) else { continue };
        if name.trim_end() == INSTRUMENT {
            let spent = std::fs::read_to_string(thread.join("schedstat")).ok()?;
            nanos += spent.split_whitespace().next()?.parse::<u64>().ok()?;
        }
    }
    Some(Duration::from_nanos(nanos))
}
