//! Which processors a benchmark may use.

/// How many processors this process may use.
pub(super) fn allowed() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}

/// Makes this thread, and the threads that it starts from now on, run on the first `count` of the processors
/// that this process may use.
#[cfg(target_os = "linux")]
pub(super) fn stay_on(count: usize) {
    use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};
    let allowed = sched_getaffinity(None).expect("the processors that this process may use");
    let mut wanted = CpuSet::new();
    for cpu in (0..CpuSet::MAX_CPU).filter(|cpu| allowed.is_set(*cpu)).take(count) {
        wanted.set(cpu);
    }
    assert_eq!(wanted.count() as usize, count, "this process may not use that many processors");
    sched_setaffinity(None, &wanted).expect("processors that this process may use");
}

#[cfg(not(target_os = "linux"))]
pub(super) fn stay_on(_count: usize) {}
