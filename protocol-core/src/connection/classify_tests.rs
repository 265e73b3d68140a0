//! Each rule has tests named after it; what a rule leaves open is for the next one.

use super::*;
use crate::connection::config::UnmarkedPushes;
use crate::wire::command::CommandCode;

const OLD: Candidate<char> = Candidate { id: 'o', order: Order::FIRST.next(), waits: false };
const WAITS: Candidate<char> = Candidate { id: 'w', order: OLD.order.next(), waits: true };

fn candidates<const N: usize>(candidates: [Candidate<char>; N]) -> Candidates<char> {
    let mut all = Candidates::none();
    for candidate in candidates {
        all.add(candidate);
    }
    all
}

/// A frame of a code that is never pushed, from a peer without tags and tokens.
fn nothing_known() -> Facts<char> {
    Facts::of(&Frame::new(CommandCode::CAMERA_IMAGE_SIZE_GET), &Config::DEFAULT)
}

const ANSWER: Verdict<char> = Verdict::Solicited { owner: 'w', proven: true };
const UNSOLICITED: Verdict<char> = Verdict::Unsolicited { ours: false };

#[test]
fn rule_1_a_server_only_code_is_unsolicited_if_none_waits() {
    let facts = Facts { server_only: true, ..nothing_known() };
    assert_eq!(classify(&facts), UNSOLICITED);
    // A tombstone does not count as waiting.
    assert_eq!(classify(&Facts { candidates: candidates([OLD]), ..facts }), UNSOLICITED);
}

#[test]
fn rule_1_leaves_a_code_that_waits_to_the_next_rules() {
    let candidates = candidates([WAITS]);
    let facts = Facts { server_only: true, pushable: true, candidates, ..nothing_known() };
    assert_eq!(classify(&facts), Verdict::Solicited { owner: 'w', proven: false });
}

#[test]
fn rule_2_positions_in_buffer_are_unsolicited() {
    for (untagged, token) in [(false, Token::Off), (true, Token::Off), (false, Token::Names(WAITS))]
    {
        let facts = Facts { positions_in_buffer: true, untagged, token, ..nothing_known() };
        assert_eq!(classify(&Facts { candidates: candidates([WAITS]), ..facts }), UNSOLICITED);
    }
}

#[test]
fn rule_3_without_the_tag_it_is_no_answer() {
    let (candidates, token) = (candidates([WAITS]), Token::Names(WAITS));
    let facts = Facts { token, candidates, ..nothing_known() };
    assert_eq!(classify(&Facts { untagged: true, ..facts }), UNSOLICITED);
    assert_eq!(classify(&facts), ANSWER);
}

#[test]
fn rule_4_the_token_decides_exactly() {
    // Two candidates and a doubt: the token decides all the same.
    let facts = Facts { candidates: candidates([OLD, WAITS]), in_doubt: true, ..nothing_known() };
    let named = |token| classify(&Facts { token, ..facts });
    assert_eq!(named(Token::Names(WAITS)), ANSWER);
    assert_eq!(named(Token::Names(OLD)), Verdict::Late { owner: 'o', proven: true });
    assert_eq!(named(Token::NamesNobody), UNSOLICITED);
}

#[test]
fn rule_5_a_single_candidate_gets_the_frame() {
    let facts = Facts { candidates: candidates([WAITS]), ..nothing_known() };
    assert_eq!(classify(&facts), ANSWER);
    let facts = Facts { candidates: candidates([OLD]), ..nothing_known() };
    assert_eq!(classify(&facts), Verdict::Late { owner: 'o', proven: true });
    let presumed = Verdict::Late { owner: 'o', proven: false };
    assert_eq!(classify(&Facts { pushable: true, ..facts }), presumed);
    assert_eq!(classify(&Facts { in_doubt: true, ..facts }), presumed);
}

#[test]
fn rule_5_several_candidates_are_ambiguous() {
    for candidates in [candidates([OLD, WAITS]), candidates([WAITS, OLD])] {
        let facts = Facts { candidates, ..nothing_known() };
        assert_eq!(classify(&facts), Verdict::Ambiguous { oldest: 'o' });
    }
}

#[test]
fn rule_5_presumes_the_newest_that_waits_if_so_set() {
    let newer = Candidate { id: 'n', order: WAITS.order.next(), ..WAITS };
    let facts = Facts { on_ambiguous: OnAmbiguous::Presume, ..nothing_known() };
    for candidates in [candidates([OLD, WAITS, newer]), candidates([newer, OLD, WAITS])] {
        let presumed = Verdict::Solicited { owner: 'n', proven: false };
        assert_eq!(classify(&Facts { candidates, ..facts }), presumed);
    }
    // If none waits, there is none to presume.
    let older = Candidate { id: 'f', order: Order::FIRST, ..OLD };
    let facts = Facts { candidates: candidates([OLD, older]), ..facts };
    assert_eq!(classify(&facts), Verdict::Ambiguous { oldest: 'f' });
}

#[test]
fn rule_6_without_a_candidate_it_is_unsolicited() {
    assert_eq!(classify(&nothing_known()), UNSOLICITED);
}

#[test]
fn an_unsolicited_frame_may_be_an_echo_unless_marked() {
    let facts = Facts { echo_expected: true, ..nothing_known() };
    assert_eq!(classify(&facts), Verdict::Unsolicited { ours: true });
    for server_only in [false, true] {
        let marked = Facts { positions_in_buffer: true, server_only, ..facts };
        assert_eq!(classify(&marked), UNSOLICITED);
        assert_eq!(classify(&Facts { untagged: true, server_only, ..facts }), UNSOLICITED);
    }
}

#[test]
fn facts_of_a_frame_follow_code_flags_and_settings() {
    let push = Frame {
        flags: Flags::STAGE_POSITIONS_IN_BUFFER,
        ..Frame::new(CommandCode::STAGE_POSITION_GET)
    };
    let unmarked = UnmarkedPushes { positions: true, ..UnmarkedPushes::DEFAULT };
    let config = Config { unmarked, ..Config::DEFAULT };
    let facts = Facts::<u64>::of(&push, &config);
    assert!(facts.positions_in_buffer && facts.pushable && !facts.server_only && !facts.untagged);
    let tags = Config { peer_tags: true, ..config };
    let facts = Facts::<u64>::of(&Frame::new(CommandCode::SYSTEM_STATE_IDLE), &tags);
    assert!(facts.server_only && facts.untagged && !facts.pushable && facts.certain());
    assert!(facts.candidates.oldest().is_none() && facts.candidates.count() == 0);
}
