//! Ten thousand random conversations with a device that knows the truth beside the wire. Each must hold every
//! promise, and together they must cover what they are for. A million: `cargo run --release -p flamingo-testkit
//! --example conversations -- --conversations 1000000 --survey`.

use flamingo_testkit::random::{self, Survey};

/// Runs the conversations with these seeds.
fn converse(seeds: std::ops::Range<u64>) -> Survey {
    let mut survey = Survey::default();
    let step = if cfg!(miri) { 1000 } else { 1 };
    for seed in seeds.step_by(step) {
        match random::run(seed) {
            Ok(covered) => survey.add(&covered),
            Err(broken) => panic!(
                "{broken}\nSee it: cargo run -p flamingo-testkit --example conversations -- --seed {seed} --journal"
            ),
        }
    }
    survey
}

#[test]
fn the_first_conversations_hold_every_promise() {
    converse(0..2500);
}

#[test]
fn the_second_conversations_hold_every_promise() {
    converse(2500..5000);
}

#[test]
fn the_third_conversations_hold_every_promise() {
    converse(5000..7500);
}

#[test]
fn the_fourth_conversations_hold_every_promise() {
    converse(7500..10_000);
}

#[test]
#[cfg_attr(miri, ignore = "too few conversations")]
fn the_conversations_cover_what_they_are_for() {
    let survey = converse(10_000..11_000);
    for name in random::COVERED {
        assert!(survey.of(name) > 0, "no conversation has: {name}\n{survey}");
    }
}

#[test]
fn the_same_seed_gives_the_same_conversation() {
    for seed in 0..20 {
        assert_eq!(random::journal(seed), random::journal(seed), "seed {seed}");
    }
}
