//! Decides when a fault of the scenario strikes. What it does then is not decided here.

use fastrand::Rng;
use flamingo_protocol_core::CommandCode;

use super::scenario::Fault;

/// One fault on one connection.
#[derive(Debug, Clone)]
pub(crate) struct Trigger {
    fault: Fault,
    occasions: u64,
    struck: u64,
}

impl Trigger {
    pub(crate) fn new(fault: &Fault) -> Self {
        Self { fault: fault.clone(), occasions: 0, struck: 0 }
    }

    /// An occasion came: does it strike?
    pub(crate) fn strikes(&mut self, code: CommandCode, rng: &mut Rng) -> bool {
        let fault = &self.fault;
        if !fault.codes.is_empty() && !fault.codes.iter().any(|listed| listed.0 == code) {
            return false;
        }
        self.occasions += 1;
        let by_count = fault.every_n > 0 && self.occasions.is_multiple_of(fault.every_n);
        let by_chance = fault.probability > 0.0 && rng.f64() < fault.probability;
        let may = fault.at_most == 0 || self.struck < fault.at_most;
        let strikes = may && (by_count || by_chance);
        self.struck += u64::from(strikes);
        strikes
    }
}

/// An independent stream of chance: the same seed, purpose and number give the same stream.
pub(crate) fn stream(seed: u64, purpose: u64, number: u64) -> Rng {
    let mut mixed = seed;
    for part in [purpose, number] {
        // The finaliser of splitmix64: neighbouring seeds must not give neighbouring streams.
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

    fn strikes(fault: &Fault, occasions: u32, seed: u64) -> Vec<bool> {
        let (mut trigger, mut rng) = (Trigger::new(fault), stream(seed, 0, 0));
        (0..occasions).map(|_| trigger.strikes(CommandCode(1), &mut rng)).collect()
    }

    #[test]
    fn every_third_occasion_is_every_third_and_at_most_ends_it() {
        let mut fault = Fault::every(3);
        assert_eq!(strikes(&fault, 6, 1), [false, false, true, false, false, true]);
        fault.at_most = 1;
        assert_eq!(strikes(&fault, 6, 1), [false, false, true, false, false, false]);
    }

    #[test]
    fn a_probability_is_about_kept_and_repeats_with_its_seed() {
        let fault = Fault { probability: 0.25, ..Fault::default() };
        let struck = strikes(&fault, 4000, 7);
        let share = struck.iter().filter(|struck| **struck).count();
        assert!((800..1200).contains(&share), "{share}");
        assert_eq!(struck, strikes(&fault, 4000, 7));
        assert_ne!(struck, strikes(&fault, 4000, 8));
    }

    #[test]
    fn frames_of_other_codes_are_no_occasion() {
        let fault = Fault::every(1).with_code(CommandCode(2));
        assert_eq!(strikes(&fault, 2, 1), [false, false]);
    }
}
