//! Whether a thread that has the poller looks for its answer for a short time before it sleeps. The looking is in
//! `seats.rs`.

use std::thread;

/// A thread that sleeps takes tens of µs to wake on a machine with several processors. A real instrument answers
/// after milliseconds, so what the last looks gave decides.
pub(super) struct EarlyLooks {
    has_processors: bool,
    /// Waits that are still to be passed over.
    passes: u32,
    /// How many are passed over after the next failure.
    next_passes: u32,
}

impl EarlyLooks {
    /// Waits that are passed over at most.
    const MOST_PASSES: u32 = 127;

    pub(super) fn new() -> Self {
        let has_processors = thread::available_parallelism().is_ok_and(|count| count.get() > 1);
        Self { has_processors, passes: 0, next_passes: 0 }
    }

    /// Asked once in each wait.
    pub(super) fn is_promising(&mut self) -> bool {
        let is_promising = self.has_processors && self.passes == 0;
        self.passes = self.passes.saturating_sub(1);
        is_promising
    }

    pub(super) fn learn(&mut self, came: bool) {
        self.next_passes = if came { 0 } else { (2 * self.next_passes + 1).min(Self::MOST_PASSES) };
        self.passes = self.next_passes;
    }
}

#[cfg(test)]
mod tests {
    use super::EarlyLooks;

    /// How many of the next waits look.
    fn looks(early: &mut EarlyLooks, came: bool) -> usize {
        let mut look = |_: &i32| {
            let looks = early.is_promising();
            if looks {
                early.learn(came);
            }
            looks
        };
        (0..1000).filter(|wait| look(wait)).count()
    }

    #[test]
    fn looks_in_vain_become_rare() {
        let mut early = EarlyLooks { has_processors: true, passes: 0, next_passes: 0 };
        assert_eq!(looks(&mut early, true), 1000);
        assert!(looks(&mut early, false) < 20);
        assert!(looks(&mut early, true) > 800);
    }

    #[test]
    fn one_processor_is_left_to_the_others() {
        let mut early = EarlyLooks { has_processors: false, passes: 0, next_passes: 0 };
        assert_eq!(looks(&mut early, true), 0);
    }
}
