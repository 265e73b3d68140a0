//! The processor time of this program, and the processors that its threads run on. On operating systems that are not
//! supported there is no figure, and threads run on any processor.

use std::time::Duration;

/// The processors of the instrument and of the worker process. The real instrument is another machine, so the two
/// must not share a processor.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct ProcessorSplit {
    pub(super) instrument: Vec<usize>,
    pub(super) player: Vec<usize>,
}

impl ProcessorSplit {
    /// One processor for the instrument, the others for the worker process. `None`: there is only one, or they are
    /// unknown.
    pub(super) fn of(processors: &[usize]) -> Option<Self> {
        let (first, others) = processors.split_first()?;
        let split = Self { instrument: vec![*first], player: others.to_vec() };
        (!split.player.is_empty()).then_some(split)
    }
}

/// The processors that this thread may use.
#[cfg(target_os = "linux")]
pub(super) fn allowed() -> Vec<usize> {
    use rustix::thread::{CpuSet, sched_getaffinity};
    let Ok(set) = sched_getaffinity(None) else { return Vec::new() };
    (0..CpuSet::MAX_CPU).filter(|cpu| set.is_set(*cpu)).collect()
}

#[cfg(not(target_os = "linux"))]
pub(super) fn allowed() -> Vec<usize> {
    Vec::new()
}

/// Restricts this thread, and the threads that it starts from now on, to these processors. An empty list changes
/// nothing.
#[cfg(target_os = "linux")]
pub(super) fn stay_on(processors: &[usize]) {
    use rustix::thread::{CpuSet, sched_setaffinity};
    if processors.is_empty() {
        return;
    }
    let mut set = CpuSet::new();
    for cpu in processors {
        set.set(*cpu);
    }
    // An error: a processor may not be used any more. Then the thread is not restricted.
    let _ = sched_setaffinity(None, &set);
}

#[cfg(not(target_os = "linux"))]
pub(super) fn stay_on(_processors: &[usize]) {}

/// The processor time of this process so far.
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_instrument_gets_its_own_processor_if_there_are_two() {
        let split = ProcessorSplit::of(&[2, 5, 6]).unwrap();
        assert_eq!((split.instrument, split.player), (vec![2], vec![5, 6]));
        assert_eq!(ProcessorSplit::of(&[2]), None);
        assert_eq!(ProcessorSplit::of(&[]), None);
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn a_thread_and_its_children_stay_on_their_processors() {
        let all = allowed();
        let last = *all.last().unwrap();
        let seen = std::thread::spawn(move || {
            stay_on(&[last]);
            std::thread::spawn(allowed).join().unwrap()
        });
        assert_eq!(seen.join().unwrap(), [last]);
        stay_on(&[]);
        assert_eq!(allowed(), all, "other threads are not affected");
    }
}
