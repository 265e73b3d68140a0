//! Tokens and tags: late answers, answers in any order, and answers that come twice.

use std::vec::Vec;

use super::device::{Keeps, Peer};
use super::setting::{Budget, Setting};
use super::world::World;
use super::{FLAGGED, Found, UNFLAGGED, ask, budget, has, position, report, search, uncertain};
use crate::connection::TokenField;
use crate::{CommandCode, Config, Frame, time::Duration};

/// A device that repeats the token and keeps no order.
const NAMED: Peer = Peer { echoes_tokens: true, keeps: Keeps::Nothing, ..UNFLAGGED };

/// What the program has in the field that carries the token.
pub(super) const OWN_VALUE: i32 = 7;

fn with_tokens() -> Config {
    Config::default().with_tokens(Some(TokenField::Int32Data2))
}

fn valued(frame: Frame) -> Frame {
    let [selector, other, _] = frame.int32_data;
    Frame { int32_data: [selector, other, OWN_VALUE], ..frame }
}

/// The number of frames whose class is proven and wrong.
pub(super) fn wrong(found: &Found) -> usize {
    found.seen.iter().filter(|seen| seen.class.contains("proven") && !seen.is_right()).count()
}

#[test]
fn with_tokens_nothing_is_ambiguous_and_nothing_is_presumed() {
    let frames = [valued(position(1)), valued(position(2))];
    let found = search(<World>::new(Setting::new(with_tokens(), NAMED, &frames, budget())));
    report("tokens", &found);
    assert!(uncertain(&found).is_empty());
}

/// A frame of the same key that is sent without a request leaves a doubt, not a token.
#[test]
fn with_tokens_no_answer_ends_another_request() {
    let budget = Budget { requests: 3, sends: 1, cancels: 1, missing: 1, ..Budget::default() };
    let frames = [valued(position(1)), valued(position(2))];
    let setting = Setting::new(with_tokens(), NAMED, &frames, budget).and(position(2), None);
    let found = search(<World>::new(setting));
    report("tokens, and frames that are only sent", &found);
    assert!(uncertain(&found).is_empty());
}

#[test]
fn with_tokens_halts_of_two_deadlines_keep_their_answers() {
    let halt = valued(ask(CommandCode::STAGE_HALT).with_selector(1));
    let setting = Setting::new(with_tokens(), NAMED, &[halt, valued(position(1))], budget());
    let found = search(<World>::new(setting.and(halt, Some(Duration::from_millis(300)))));
    report("tokens, two deadlines of a halt", &found);
    assert!(uncertain(&found).is_empty());
}

/// Answers to another connection come, or a token comes round again while its first answer may
/// still come: no answer is proven for a request that it does not belong to.
#[test]
fn a_token_of_another_connection_or_round_names_nothing() {
    let home = valued(ask(CommandCode::STAGE_HOME).with_selector(1));
    let frames = [home, valued(position(1))];
    for (requests, reconnects, rounds) in [(3, 1, 0), (2, 0, 1)] {
        let budget = Budget { requests, cancels: 1, reconnects, rounds, ..Budget::default() };
        let found = search(<World>::new(Setting::new(with_tokens(), NAMED, &frames, budget)));
        report("tokens, two connections or rounds", &found);
        assert!(uncertain(&found).is_empty());
    }
}

/// A case outside the assumptions: one answer comes twice.
#[test]
fn a_doubled_answer_can_be_proven_wrong_and_only_tokens_help() {
    let doubled = Budget { requests: 3, cancels: 1, doubled: 1, ..Budget::default() };
    let frames = [position(1), position(2)];
    let found = search(<World>::new(Setting::new(Config::default(), FLAGGED, &frames, doubled)));
    report("a doubled answer", &found);
    assert!(wrong(&found) > 0, "if this fails, docs/protocol.md promises too little");
    let frames = frames.map(valued);
    let found = search(<World>::new(Setting::new(with_tokens(), NAMED, &frames, doubled)));
    report("a doubled answer, tokens", &found);
    assert_eq!(wrong(&found), 0);
    assert!(has(&found, "proven"));
}

/// Tags do not show that an answer came before. But an answer that comes while nothing waits for it
/// is told, and from then on its key is in doubt.
#[test]
fn a_doubled_tagged_answer_that_is_told_puts_its_key_in_doubt() {
    let peer = Peer { tags_answers: true, ..UNFLAGGED };
    let doubled = Budget { requests: 3, doubled: 2, ..Budget::default() };
    let config = Config { peer_tags: true, ..Config::default() };
    let frames = [position(1), position(2)];
    let found = search(<World>::new(Setting::new(config, peer, &frames, doubled)));
    report("a doubled answer, tags", &found);
    assert!(wrong(&found) > 0, "if this fails, docs/protocol.md promises too little");
    let told: Vec<_> = found.seen.iter().filter(|seen| seen.told_before).collect();
    assert!(!told.is_empty());
    assert!(told.iter().all(|seen| !seen.class.contains("proven") || seen.is_right()), "{told:?}");
}
