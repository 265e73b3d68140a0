//! Tests of the watcher alone, on virtual time.

use flamingo_protocol_core::{CommandCode, Flags, connection::TokenField};

use super::*;

fn position(axis: i32) -> Frame {
    Frame::command(CommandCode::STAGE_POSITION_GET).with_selector(axis)
}

const fn ms(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

fn solicited(to: u64, after: Duration) -> FrameClass {
    FrameClass::Solicited { to, after, proven: true }
}

fn presumed(to: u64, after: Duration) -> FrameClass {
    FrameClass::Solicited { to, after, proven: false }
}

#[test]
fn an_answer_goes_to_the_command_of_its_code_and_axis() {
    let mut conversation = Conversation::default();
    assert_eq!(conversation.client_sent(ms(0), &position(1)), Some(1));
    assert_eq!(conversation.client_sent(ms(1), &position(2)), Some(2));
    assert_eq!(conversation.instrument_sent(ms(4), &position(1)), solicited(1, ms(4)));
    assert_eq!(conversation.instrument_sent(ms(5), &position(2)), solicited(2, ms(4)));
    assert_eq!(
        conversation.instrument_sent(ms(6), &position(2)),
        FrameClass::Unsolicited { ours: false }
    );
    assert_eq!(conversation.next_unanswered(ms(99_999)), None);
}

#[test]
fn an_answer_that_was_not_seen_shifts_no_later_answer() {
    let mut conversation = Conversation::default();
    conversation.client_sent(ms(0), &position(1));
    conversation.bytes_missing();
    for (number, at) in (2..9).zip((700_u64..).step_by(700)) {
        assert_eq!(conversation.client_sent(ms(at), &position(1)), Some(number));
        let class = conversation.instrument_sent(ms(at + 4), &position(1));
        assert_eq!((class.name(), class.answers()), ("solicited", Some((number, ms(4)))));
    }
    let unanswered = std::iter::from_fn(|| conversation.next_unanswered(ms(99_999)));
    assert_eq!(unanswered.collect::<Vec<_>>(), [Unanswered { to: 1, after: ms(700) }]);
}

#[test]
fn a_command_sent_once_waits_on_after_missing_bytes() {
    let mut conversation = Conversation::default();
    conversation.client_sent(ms(0), &position(1));
    conversation.bytes_missing();
    assert_eq!(conversation.instrument_sent(ms(900), &position(1)).answers(), Some((1, ms(900))));
    assert_eq!(conversation.next_unanswered(ms(99_999)), None);
}

#[test]
fn a_marked_push_answers_nothing() {
    let mut conversation = Conversation::default();
    conversation.client_sent(ms(0), &position(1));
    let push = Frame { flags: Flags::STAGE_POSITIONS_IN_BUFFER, ..position(1) };
    assert_eq!(conversation.instrument_sent(ms(1), &push), FrameClass::Unsolicited { ours: false });
    assert_eq!(conversation.instrument_sent(ms(2), &position(1)), solicited(1, ms(2)));
}

#[test]
fn an_answer_that_may_be_a_push_is_presumed() {
    let mut conversation = Conversation::default();
    let level = Frame::command(CommandCode::LASER_LEVEL_GET).with_selector(3);
    conversation.client_sent(ms(0), &level);
    assert_eq!(conversation.instrument_sent(ms(1), &level), presumed(1, ms(1)));
}

#[test]
fn a_command_is_reported_unanswered_once_then_answered_late() {
    let mut conversation = Conversation::default();
    conversation.client_sent(ms(0), &position(1));
    assert_eq!(conversation.next_unanswered(ms(2_999)), None);
    assert_eq!(
        conversation.next_unanswered(ms(5_000)),
        Some(Unanswered { to: 1, after: PATIENCE })
    );
    assert_eq!(conversation.next_unanswered(ms(5_000)), None);
    assert_eq!(
        conversation.instrument_sent(ms(9_000), &position(1)),
        FrameClass::Late { to: 1, after: ms(9_000), proven: false }
    );
    assert_eq!(conversation.next_unanswered(ms(99_999)), None);
}

#[test]
fn an_ambiguous_frame_uses_up_the_oldest_command() {
    let mut conversation = Conversation::default();
    conversation.client_sent(ms(0), &position(1));
    conversation.client_sent(ms(10), &position(1));
    let ambiguous = FrameClass::Ambiguous { to: 1, after: ms(20), among: 2 };
    assert_eq!(conversation.instrument_sent(ms(20), &position(1)), ambiguous);
    assert_eq!(conversation.instrument_sent(ms(21), &position(1)), solicited(2, ms(11)));
}

#[test]
fn a_number_that_comes_back_names_one_of_several_commands() {
    let mut conversation = Conversation::default();
    let numbered = |client_id| Frame { client_id, ..position(1) };
    conversation.client_sent(ms(0), &numbered(1));
    conversation.client_sent(ms(1), &numbered(2));
    assert_eq!(conversation.instrument_sent(ms(5), &numbered(2)), presumed(2, ms(4)));
    // The true answer to 2 may still come: this one is presumed, too.
    assert_eq!(conversation.instrument_sent(ms(6), &numbered(1)), presumed(1, ms(6)));
    // A frame with neither number, or with a number that both had, names no command.
    for (first, second, back) in [(1, 2, 3), (7, 7, 7)] {
        conversation.client_sent(ms(10), &numbered(first));
        conversation.client_sent(ms(10), &numbered(second));
        assert_eq!(conversation.instrument_sent(ms(11), &numbered(back)).name(), "ambiguous");
        conversation.instrument_sent(ms(12), &numbered(back));
    }
}

#[test]
fn a_command_that_gets_no_answer_does_not_shift_later_ones() {
    let mut conversation = Conversation::default();
    conversation.client_sent(ms(0), &position(1));
    // The grace of the first command is over: it is in doubt, and the answer is presumed.
    conversation.client_sent(ms(4_500), &position(1));
    assert_eq!(conversation.instrument_sent(ms(4_510), &position(1)), presumed(2, ms(10)));
    // The proven answer of another key settles that.
    conversation.client_sent(ms(4_520), &position(2));
    assert_eq!(conversation.instrument_sent(ms(4_530), &position(2)), solicited(3, ms(10)));
    conversation.client_sent(ms(4_540), &position(1));
    assert_eq!(conversation.instrument_sent(ms(4_550), &position(1)), solicited(4, ms(10)));
}

#[test]
fn a_proven_answer_ends_older_commands_of_its_subsystem() {
    let mut conversation = Conversation::default();
    conversation.client_sent(ms(0), &position(1));
    conversation.client_sent(ms(1), &Frame::command(CommandCode::SYSTEM_STATE_GET));
    conversation.client_sent(ms(2), &position(2));
    conversation.instrument_sent(ms(8), &position(2));
    assert_eq!(conversation.next_unanswered(ms(8)), Some(Unanswered { to: 1, after: ms(8) }));
    assert_eq!(conversation.next_unanswered(ms(8)), None, "another subsystem keeps waiting");
    conversation.end(ms(10));
    assert_eq!(conversation.next_unanswered(ms(10)), Some(Unanswered { to: 2, after: ms(9) }));
}

#[test]
fn an_unacknowledged_command_waits_for_nothing_but_its_echo() {
    let mut conversation = Conversation::default();
    let off = Frame::command(CommandCode::LASER_DISABLE).with_selector(2);
    assert_eq!(conversation.client_sent(ms(0), &off), None);
    assert_eq!(conversation.instrument_sent(ms(5), &off), FrameClass::Unsolicited { ours: true });
    assert_eq!(conversation.instrument_sent(ms(6), &off), FrameClass::Unsolicited { ours: false });
    let unasked = Frame::new(CommandCode::CAMERA_IMAGE_SIZE_GET);
    assert_eq!(conversation.client_sent(ms(7), &unasked), None, "without the flag");
}

#[test]
fn an_answer_at_the_end_of_a_motion_proves_nothing() {
    let mut conversation = Conversation::default();
    let home = Frame::command(CommandCode::STAGE_HOME).with_selector(1);
    conversation.client_sent(ms(0), &home);
    conversation.client_sent(ms(1), &position(2));
    assert_eq!(conversation.instrument_sent(ms(5), &position(2)), solicited(2, ms(4)));
    assert_eq!(conversation.instrument_sent(ms(60_000), &home), solicited(1, ms(60_000)));
}

#[test]
fn the_settings_may_come_under_the_older_code() {
    let mut conversation = Conversation::default();
    conversation.client_sent(ms(0), &Frame::command(CommandCode::COMMON_SCOPE_SETTINGS_LOAD));
    let answer = Frame::new(CommandCode::COMMON_SCOPE_SETTINGS);
    assert_eq!(conversation.instrument_sent(ms(3), &answer).answers(), Some((1, ms(3))));
}

#[test]
fn the_memory_of_a_conversation_is_limited() {
    let mut conversation = Conversation::default();
    let off = Frame::command(CommandCode::LASER_DISABLE);
    for n in 0..3 * REMEMBERED as u64 {
        conversation.client_sent(Duration::from_micros(n), &position(1));
        conversation.client_sent(Duration::from_micros(n), &off);
        while conversation.next_unanswered(Duration::from_micros(n)).is_some() {}
    }
    assert_eq!(conversation.outstanding.iter().count(), REMEMBERED);
    assert!(conversation.echoes.len() <= REMEMBERED);
}

#[test]
fn a_second_query_while_the_first_may_be_answered_is_ambiguous() {
    let mut conversation = Conversation::default();
    let load = Frame::command(CommandCode::COMMON_SCOPE_SETTINGS_LOAD);
    conversation.client_sent(ms(0), &load);
    conversation.client_sent(ms(3_500), &load);
    let ambiguous = FrameClass::Ambiguous { to: 1, after: ms(3_600), among: 2 };
    let answer = Frame::new(CommandCode::COMMON_SCOPE_SETTINGS);
    assert_eq!(conversation.instrument_sent(ms(3_600), &answer), ambiguous);
}

#[test]
fn a_query_soon_after_a_presumed_answer_is_ambiguous() {
    let mut conversation = Conversation::default();
    let level = Frame::command(CommandCode::LASER_LEVEL_GET).with_selector(3);
    for (number, at) in [(1, 0), (2, 200)] {
        conversation.client_sent(ms(at), &level);
        assert_eq!(conversation.instrument_sent(ms(at + 5), &level), presumed(number, ms(5)));
    }
    // The true answer to the second one may still come.
    conversation.client_sent(ms(210), &level);
    let ambiguous = FrameClass::Ambiguous { to: 2, after: ms(20), among: 2 };
    assert_eq!(conversation.instrument_sent(ms(220), &level), ambiguous);
}

#[test]
fn an_answer_tag_rules_out_a_push_but_no_older_answer() {
    let tagged = |frame: Frame| Frame { flags: frame.flags.with(Flags::ANSWER_TAG), ..frame };
    let level = Frame::command(CommandCode::LASER_LEVEL_GET).with_selector(3);
    let mut conversation = Conversation::default();
    conversation.client_sent(ms(0), &level);
    assert_eq!(conversation.instrument_sent(ms(1), &tagged(level)), solicited(1, ms(1)));
    // A number that comes back does not prove that the instrument sends numbers back.
    let numbered = |client_id| Frame { client_id, ..position(1) };
    conversation.client_sent(ms(10), &numbered(1));
    conversation.client_sent(ms(10), &numbered(2));
    let answer = tagged(numbered(2));
    assert_eq!(conversation.instrument_sent(ms(11), &answer), presumed(3, ms(1)));
}

#[test]
fn with_known_tokens_the_token_decides_exactly() {
    let tokens = Some(TokenField::ClientId);
    let mut conversation = Conversation::new(Config::default().with_tokens(tokens));
    let numbered = |client_id| Frame { client_id, ..position(1) };
    conversation.client_sent(ms(0), &numbered(1));
    conversation.client_sent(ms(1), &numbered(2));
    let unsolicited = FrameClass::Unsolicited { ours: false };
    assert_eq!(conversation.instrument_sent(ms(2), &numbered(3)), unsolicited);
    assert_eq!(conversation.instrument_sent(ms(3), &numbered(1)), solicited(1, ms(3)));
    assert_eq!(conversation.instrument_sent(ms(4), &numbered(2)), solicited(2, ms(3)));
}

#[test]
fn too_many_keys_in_doubt_leave_every_answer_presumed() {
    let mut conversation = Conversation::default();
    for selector in 0..=i32::try_from(REMEMBERED).unwrap() {
        conversation.client_sent(ms(0), &Frame { flags: Flags(0), ..position(selector) });
    }
    let size = Frame::command(CommandCode::CAMERA_IMAGE_SIZE_GET);
    conversation.client_sent(ms(1), &size);
    assert_eq!(conversation.instrument_sent(ms(2), &size), presumed(1, ms(1)));
}

#[test]
fn a_token_proves_nothing_about_other_commands() {
    let tokens = Some(TokenField::ClientId);
    let mut conversation = Conversation::new(Config::default().with_tokens(tokens));
    let numbered = |axis, client_id| Frame { client_id, ..position(axis) };
    conversation.client_sent(ms(0), &numbered(1, 1));
    conversation.client_sent(ms(1), &numbered(2, 2));
    assert_eq!(conversation.instrument_sent(ms(2), &numbered(2, 2)), solicited(2, ms(1)));
    assert_eq!(conversation.next_unanswered(ms(2)), None);
    assert_eq!(conversation.instrument_sent(ms(3), &numbered(1, 1)), solicited(1, ms(3)));
}

#[test]
fn a_tagged_answer_that_came_twice_makes_the_next_presumed() {
    let tagged = Frame { flags: Flags::ANSWER_TAG, ..position(1) };
    let mut conversation = Conversation::new(Config::default().with_peer_tags(true));
    conversation.client_sent(ms(0), &position(1));
    assert_eq!(conversation.instrument_sent(ms(1), &tagged), solicited(1, ms(1)));
    let unsolicited = FrameClass::Unsolicited { ours: false };
    assert_eq!(conversation.instrument_sent(ms(2), &tagged), unsolicited);
    conversation.client_sent(ms(3), &position(1));
    assert_eq!(conversation.instrument_sent(ms(4), &tagged), presumed(2, ms(1)));
}

#[test]
fn an_unknown_code_with_the_flag_waits_for_an_answer() {
    let mut conversation = Conversation::default();
    let unknown = Frame::command(CommandCode(0x6FFF));
    assert_eq!(conversation.client_sent(ms(0), &unknown), Some(1));
    assert_eq!(conversation.client_sent(ms(1), &Frame { flags: Flags(0), ..unknown }), None);
    assert_eq!(
        conversation.next_unanswered(ms(3_000)),
        Some(Unanswered { to: 1, after: ms(3_000) })
    );
}
