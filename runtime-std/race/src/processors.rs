//! The processors: how much time this program has spent on them, all of its threads together, and
//! staying on some of them. Where the operating system is not asked, there is no figure, and
//! threads run where it puts them.

use std::time::Duration;

/// What the instrument and the player run on. The real instrument is another machine: what it
/// sends never comes from a thread that just ran on the processor of its reader.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Split {
    pub(super) instrument: Vec<usize>,
    pub(super) player: Vec<usize>,
}

impl Split {
    /// One for the instrument, the others for the player. `None`: there is only one, or nothing is
    /// known.
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

/// This thread, and those that it starts from now on, stay on these; if there are none, they run
/// where they did.
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
    // One that may not be used any more: then it runs where the operating system wants it to.
    let _ = sched_setaffinity(None, &set);
}

#[cfg(not(target_os = "linux"))]
pub(super) fn stay_on(_processors: &[usize]) {}

/// Processor time so far.
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
    fn the_instrument_has_a_processor_of_its_own_if_there_are_two() {
        let split = Split::of(&[2, 5, 6]).unwrap();
        assert_eq!((split.instrument, split.player), (vec![2], vec![5, 6]));
        assert_eq!(Split::of(&[2]), None);
        assert_eq!(Split::of(&[]), None);
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn a_thread_stays_on_the_processors_that_it_is_told_and_its_children_too() {
        let all = allowed();
        let last = *all.last().unwrap();
        let seen = std::thread::spawn(move || {
            stay_on(&[last]);
            std::thread::spawn(allowed).join().unwrap()
        });
        assert_eq!(seen.join().unwrap(), [last]);
        stay_on(&[]);
        assert_eq!(allowed(), all, "the others run where they did");
    }
}
