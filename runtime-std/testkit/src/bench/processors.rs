//! Which processors the threads of a benchmark use, and how much of their time.

use std::sync::OnceLock;
use std::time::Duration;

/// The processors of this run.
static RUN: OnceLock<Vec<usize>> = OnceLock::new();

/// How many processors this process may use.
pub(super) fn allowed() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}

/// Makes this thread, and the threads that it starts from now on, use only the first processors.
pub(super) fn use_first(count: usize) {
    let mut mine = mine();
    assert!(count <= mine.len(), "this process may not use {count} processors, only {mine:?}");
    mine.truncate(count);
    stay_on(RUN.get_or_init(|| mine));
}

/// Puts this thread, which is a server, on the last processor of the run.
///
/// A round trip between two processors takes several times as long as on one of them, and the operating system moves
/// threads about. So the ends of a connection have fixed places: the server on the last processor, the caller on the
/// first.
pub(super) fn use_last() {
    run().last().inspect(|cpu| stay_on(&[**cpu]));
}

/// Puts the caller on the first processor of the run. Threads that are started later are there as well, so start the
/// others before.
pub fn caller_on_first() {
    run().first().inspect(|cpu| stay_on(&[**cpu]));
}

/// The processor time of all threads of this process so far.
#[cfg(unix)]
pub fn processor_time() -> Duration {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ProcessCPUTime);
    Duration::try_from(time).expect("time runs forwards")
}

fn run() -> &'static [usize] {
    RUN.get().map_or(&[], Vec::as_slice)
}

#[cfg(target_os = "linux")]
fn mine() -> Vec<usize> {
    use rustix::thread::{CpuSet, sched_getaffinity};
    let allowed = sched_getaffinity(None).expect("the processors of this thread");
    (0..CpuSet::MAX_CPU).filter(|cpu| allowed.is_set(*cpu)).collect()
}

#[cfg(target_os = "linux")]
fn stay_on(cpus: &[usize]) {
    use rustix::thread::{CpuSet, sched_setaffinity};
    let mut wanted = CpuSet::new();
    for cpu in cpus {
        wanted.set(*cpu);
    }
    sched_setaffinity(None, &wanted).expect("processors that this process may use");
}

/// Elsewhere threads run where the operating system puts them.
#[cfg(not(target_os = "linux"))]
fn mine() -> Vec<usize> {
    (0..allowed()).collect()
}

#[cfg(not(target_os = "linux"))]
fn stay_on(_cpus: &[usize]) {}
