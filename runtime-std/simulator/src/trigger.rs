//! Decides when a fault of the scenario happens. What happens then is in `byte_faults.rs`, `images.rs` and
//! `instrument/`.

use fastrand::Rng;
use flamingo_protocol_core::CommandCode;

use super::scenario::Fault;

/// One fault on one connection.
#[derive(Debug, Clone)]
pub(crate) struct Trigger {
    fault: Fault,
    occasions: u64,
    fired: u64,
}

impl Trigger {
    pub(crate) fn new(fault: &Fault) -> Self {
        Self { fault: fault.clone(), occasions: 0, fired: 0 }
    }

    /// Whether the fault happens on this occasion.
    pub(crate) fn fires(&mut self, code: CommandCode, rng: &mut Rng) -> bool {
        let fault = &self.fault;
        if !fault.codes.is_empty() && !fault.codes.iter().any(|listed| listed.0 == code) {
            return false;
        }
        self.occasions += 1;
        let by_count = fault.every_n > 0 && self.occasions.is_multiple_of(fault.every_n);
        let by_chance = fault.probability > 0.0 && rng.f64() < fault.probability;
        let may = fault.at_most == 0 || self.fired < fault.at_most;
        let fires = may && (by_count || by_chance);
        self.fired += u64::from(fires);
        fires
    }
}

/// An independent random stream: the same seed, purpose and number give the same stream.
pub(crate) fn random_stream(seed: u64, purpose: u64, number: u64) -> Rng {
    let mut mixed = seed;
    for part in [purpose, number] {
        // The finaliser of splitmix64, so that neighbouring seeds give unrelated streams.
        mixed = mixed.wrapping_add(part).wrapping_add(0x9E37_79B9_7F4A_7C15);
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^= mixed >> 31;
    }
    Rng::with_seed(mixed)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fires(fault: &Fault, occasions: u32, seed: u64) -> Vec<bool> {
        let (mut trigger, mut rng) = (Trigger::new(fault), random_stream(seed, 0, 0));
        (0..occasions).map(|_| trigger.fires(CommandCode(1), &mut rng)).collect()
    }

    #[test]
    fn every_third_occasion_fires_up_to_the_limit() {
        let mut fault = Fault::every(3);
        assert_eq!(fires(&fault, 6, 1), [false, false, true, false, false, true]);
        fault.at_most = 1;
        assert_eq!(fires(&fault, 6, 1), [false, false, true, false, false, false]);
    }

    #[test]
    fn a_probability_holds_roughly_and_repeats_with_its_seed() {
        let fault = Fault { probability: 0.25, ..Fault::default() };
        let fired = fires(&fault, 4000, 7);
        let share = fired.iter().filter(|fired| **fired).count();
        assert!((800..1200).contains(&share), "{share}");
        assert_eq!(fired, fires(&fault, 4000, 7));
        assert_ne!(fired, fires(&fault, 4000, 8));
    }

    #[test]
    fn frames_of_other_codes_are_not_counted() {
        let fault = Fault::every(1).code(CommandCode(2));
        assert_eq!(fires(&fault, 2, 1), [false, false]);
    }
}
