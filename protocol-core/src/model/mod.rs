//! An exhaustive small model of the rules: every interleaving of a few requests, answers on time,
//! late, missing or doubled, pushes and cancels, over the real connection. Only compiled for tests.
//!
//! The world is `world.rs`; here is the search, what must hold in every state, and the settings.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod world;

use std::collections::HashSet;
use std::string::String;
use std::vec::Vec;
use std::{format, println};

use crate::{CommandCode, Config, Frame, OnAmbiguous, Ordering, TokenField, UnmarkedPushes};
use world::{Budget, Peer, World};

/// What one search found.
#[derive(Debug, Default)]
struct Found {
    states: usize,
    steps: usize,
    /// Every kind of thing that a frame turned out to be, as (class given, what it truly was).
    situations: Vec<String>,
}

/// Visits every state that can be reached, once, and checks each.
fn search(start: World) -> Found {
    let (mut seen, mut open) = (HashSet::new(), Vec::new());
    let mut situations = HashSet::new();
    let mut found = Found::default();
    seen.insert(start.fingerprint());
    open.push(start);
    while let Some(world) = open.pop() {
        found.states += 1;
        world.clone().recovers();
        let steps = world.steps();
        if steps.is_empty() {
            world.every_request_has_one_outcome();
        }
        for step in steps {
            found.steps += 1;
            let mut next = world.clone();
            situations.extend(next.take(step));
            if seen.insert(next.fingerprint()) {
                open.push(next);
            }
        }
    }
    found.situations = situations.into_iter().collect();
    found.situations.sort();
    found
}

fn position(axis: i32) -> Frame {
    Frame::command(CommandCode::STAGE_POSITION_GET).with_selector(axis)
}

fn ask(code: CommandCode) -> Frame {
    Frame::command(code)
}

fn report(name: &str, found: &Found) {
    println!("{name}: {} states, {} steps", found.states, found.steps);
    for situation in &found.situations {
        println!("  {situation}");
    }
}

fn has(found: &Found, class: &str) -> bool {
    found.situations.iter().any(|situation| situation.starts_with(class))
}

/// The searches are small enough for every test run; `FLAMINGO_MODEL=full` asks for more of
/// everything.
fn budget() -> Budget {
    let full = std::env::var("FLAMINGO_MODEL").is_ok_and(|value| value == "full");
    if full {
        Budget { requests: 3, cancels: 2, pushes: 2, missing: 3, doubled: 0 }
    } else {
        Budget { requests: 3, cancels: 1, pushes: 1, missing: 2, doubled: 0 }
    }
}

const FLAGGED: Peer =
    Peer { flags_pushes: true, echoes_tokens: false, tags_answers: false, strict_order: false };
const UNFLAGGED: Peer = Peer { flags_pushes: false, ..FLAGGED };

#[test]
fn two_keys_that_fence_each_other_are_never_wrong() {
    let keys = [position(1), position(2)];
    let found = search(World::new(Config::default(), FLAGGED, keys, budget()));
    report("two axes", &found);
    assert!(!has(&found, "ambiguous"));
}

#[test]
fn two_subsystems_that_overtake_each_other_are_never_wrong() {
    let keys = [position(1), ask(CommandCode::CAMERA_PIXEL_FIELD_OF_VIEW_GET)];
    let found = search(World::new(Config::default(), FLAGGED, keys, budget()));
    report("two subsystems", &found);
    assert!(!has(&found, "ambiguous"));
}

#[test]
fn a_pushable_key_without_a_fence_is_never_proven_and_never_stays_shifted() {
    let level = |laser| ask(CommandCode::LASER_LEVEL_GET).with_selector(laser);
    let found = search(World::new(Config::default(), UNFLAGGED, [level(1), level(2)], budget()));
    report("two lasers", &found);
    assert!(!has(&found, "ambiguous") && !has(&found, "proven"));
}

#[test]
fn a_pushable_key_with_a_fence_is_never_proven_and_never_stays_shifted() {
    let keys =
        [ask(CommandCode::CAMERA_EXPOSURE_GET), ask(CommandCode::CAMERA_PIXEL_FIELD_OF_VIEW_GET)];
    let found = search(World::new(Config::default(), UNFLAGGED, keys, budget()));
    report("exposure and pixel size", &found);
    assert!(!has(&found, "ambiguous"));
}

#[test]
fn unflagged_positions_are_never_proven_and_never_stay_shifted() {
    let unmarked = UnmarkedPushes { positions: true, ..UnmarkedPushes::default() };
    let config = Config { unmarked, ..Config::default() };
    let found = search(World::new(config, UNFLAGGED, [position(1), position(2)], budget()));
    report("unflagged positions", &found);
    assert!(!has(&found, "ambiguous") && !has(&found, "proven"));
}

#[test]
fn with_tokens_nothing_is_ambiguous_and_nothing_is_presumed() {
    let peer = Peer { echoes_tokens: true, ..UNFLAGGED };
    let config = Config { tokens: Some(TokenField::Int32Data2), ..Config::default() };
    let found = search(World::new(config, peer, [position(1), position(2)], budget()));
    report("tokens", &found);
    assert!(!has(&found, "ambiguous") && !has(&found, "presumed"));
}

#[test]
fn with_tags_a_push_is_never_taken_for_an_answer() {
    let peer = Peer { tags_answers: true, ..UNFLAGGED };
    let config = Config { peer_tags: true, ..Config::default() };
    let found = search(World::new(config, peer, [position(1), position(2)], budget()));
    report("tags", &found);
    assert!(!found.situations.iter().any(|situation| situation.ends_with("answer: truly a push")));
}

#[test]
fn without_an_order_only_time_settles_and_nothing_is_wrong() {
    let config = Config { ordering: Ordering::Key, ..Config::default() };
    let found = search(World::new(config, FLAGGED, [position(1), position(2)], budget()));
    report("no order", &found);
    assert!(!has(&found, "ambiguous"));
}

#[test]
fn a_peer_in_strict_order_is_settled_across_subsystems() {
    let config = Config { ordering: Ordering::Connection, ..Config::default() };
    let peer = Peer { strict_order: true, ..FLAGGED };
    let keys = [position(1), ask(CommandCode::CAMERA_PIXEL_FIELD_OF_VIEW_GET)];
    let found = search(World::new(config, peer, keys, budget()));
    report("strict order", &found);
    assert!(!has(&found, "ambiguous"));
}

#[test]
fn halts_of_one_axis_may_be_ambiguous_and_are_never_wrong() {
    let halt = ask(CommandCode::STAGE_HALT).with_selector(1);
    for on_ambiguous in [OnAmbiguous::Refuse, OnAmbiguous::Presume] {
        let config = Config { on_ambiguous, ..Config::default() };
        let found = search(World::new(config, FLAGGED, [halt, position(1)], budget()));
        report(&format!("halt, {on_ambiguous:?}"), &found);
        assert!(has(&found, "ambiguous"), "whatever the setting: an echo of two dropped ones is");
    }
}

/// Outside the assumptions: one answer comes twice.
#[test]
fn a_doubled_answer_can_be_proven_wrong_and_only_tokens_help() {
    let doubled = Budget { doubled: 1, missing: 0, ..budget() };
    let keys = [position(1), position(2)];
    let found = search(World::new(Config::default(), FLAGGED, keys, doubled));
    report("a doubled answer", &found);
    let wrong = |found: &Found| {
        let is_wrong = |s: &&String| s.contains("proven") && !s.ends_with("truly its own");
        found.situations.iter().filter(is_wrong).count()
    };
    assert!(wrong(&found) > 0, "if this fails, docs/protocol.md promises too little");
    let peer = Peer { echoes_tokens: true, ..FLAGGED };
    let config = Config { tokens: Some(TokenField::Int32Data2), ..Config::default() };
    let found = search(World::new(config, peer, keys, doubled));
    report("a doubled answer, tokens", &found);
    assert_eq!(wrong(&found), 0);
}
