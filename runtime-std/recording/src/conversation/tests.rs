//! Conversations on a virtual time.

use super::*;

fn position(axis: i32) -> Frame {
    Frame::command(CommandCode::STAGE_POSITION_GET).with_selector(axis)
}

const fn ms(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

fn solicited(to: u64, after: Duration) -> Verdict {
    Verdict::Solicited { to, after, proven: true }
}

#[test]
fn an_answer_goes_to_the_command_of_its_code_and_axis() {
    let mut conversation = Conversation::default();
    assert_eq!(conversation.sent(ms(0), &position(1)), Some(1));
    assert_eq!(conversation.sent(ms(1), &position(2)), Some(2));
    assert_eq!(conversation.came(ms(4), &position(1)), solicited(1, ms(4)));
    assert_eq!(conversation.came(ms(5), &position(2)), solicited(2, ms(4)));
    assert_eq!(conversation.came(ms(6), &position(2)), Verdict::Unsolicited { ours: false });
    assert_eq!(conversation.silence(ms(99_999)), None);
}

#[test]
fn a_marked_push_answers_nothing_whatever_waits() {
    let mut conversation = Conversation::default();
    conversation.sent(ms(0), &position(1));
    let push = Frame { flags: Flags::STAGE_POSITIONS_IN_BUFFER, ..position(1) };
    assert_eq!(conversation.came(ms(1), &push), Verdict::Unsolicited { ours: false });
    assert_eq!(conversation.came(ms(2), &position(1)), solicited(1, ms(2)));
}

#[test]
fn an_answer_that_may_be_a_push_is_presumed() {
    let mut conversation = Conversation::default();
    let level = Frame::command(CommandCode::LASER_LEVEL_GET).with_selector(3);
    conversation.sent(ms(0), &level);
    let presumed = Verdict::Solicited { to: 1, after: ms(1), proven: false };
    assert_eq!(conversation.came(ms(1), &level), presumed);
}

#[test]
fn silence_is_told_once_and_the_answer_behind_it_is_late() {
    let mut conversation = Conversation::default();
    conversation.sent(ms(0), &position(1));
    assert_eq!(conversation.silence(ms(2_999)), None);
    assert_eq!(conversation.silence(ms(5_000)), Some(Silence { to: 1, after: PATIENCE }));
    assert_eq!(conversation.silence(ms(5_000)), None);
    assert_eq!(
        conversation.came(ms(9_000), &position(1)),
        Verdict::Late { to: 1, after: ms(9_000) }
    );
    assert_eq!(conversation.silence(ms(99_999)), None);
}

#[test]
fn two_commands_of_one_key_are_ambiguous_and_the_oldest_is_used_up() {
    let mut conversation = Conversation::default();
    conversation.sent(ms(0), &position(1));
    conversation.sent(ms(10), &position(1));
    let ambiguous = Verdict::Ambiguous { to: 1, after: ms(20), among: 2 };
    assert_eq!(conversation.came(ms(20), &position(1)), ambiguous);
    assert_eq!(conversation.came(ms(21), &position(1)), solicited(2, ms(11)));
}

#[test]
fn a_number_of_the_clients_own_that_comes_back_names_one_of_several() {
    let mut conversation = Conversation::default();
    let numbered = |client_id| Frame { client_id, ..position(1) };
    conversation.sent(ms(0), &numbered(1));
    conversation.sent(ms(1), &numbered(2));
    let named = Verdict::Solicited { to: 2, after: ms(4), proven: false };
    assert_eq!(conversation.came(ms(5), &numbered(2)), named);
    assert_eq!(conversation.came(ms(6), &numbered(1)), solicited(1, ms(6)));
    // One that comes back with neither number, or with that of both, names nobody.
    for (first, second, back) in [(1, 2, 3), (7, 7, 7)] {
        conversation.sent(ms(10), &numbered(first));
        conversation.sent(ms(10), &numbered(second));
        assert_eq!(conversation.came(ms(11), &numbered(back)).class(), "ambiguous");
        conversation.came(ms(12), &numbered(back));
    }
}

#[test]
fn a_command_that_is_never_answered_does_not_shift_the_later_ones() {
    let mut conversation = Conversation::default();
    conversation.sent(ms(0), &position(1));
    // Within the time for a late answer nobody can tell; behind it, the old one is forgotten.
    conversation.sent(ms(4_500), &position(1));
    assert_eq!(conversation.came(ms(4_510), &position(1)), solicited(2, ms(10)));
}

#[test]
fn a_proven_answer_shows_that_older_commands_of_its_subsystem_get_none() {
    let mut conversation = Conversation::default();
    conversation.sent(ms(0), &position(1));
    conversation.sent(ms(1), &Frame::command(CommandCode::SYSTEM_STATE_GET));
    conversation.sent(ms(2), &position(2));
    conversation.came(ms(8), &position(2));
    assert_eq!(conversation.silence(ms(8)), Some(Silence { to: 1, after: ms(8) }));
    assert_eq!(conversation.silence(ms(8)), None, "another subsystem keeps waiting");
    conversation.end(ms(10));
    assert_eq!(conversation.silence(ms(10)), Some(Silence { to: 2, after: ms(9) }));
}

#[test]
fn a_command_that_is_never_acknowledged_waits_for_nothing_and_its_echo_is_known() {
    let mut conversation = Conversation::default();
    let off = Frame::command(CommandCode::LASER_DISABLE).with_selector(2);
    assert_eq!(conversation.sent(ms(0), &off), None);
    assert_eq!(conversation.came(ms(5), &off), Verdict::Unsolicited { ours: true });
    assert_eq!(conversation.came(ms(6), &off), Verdict::Unsolicited { ours: false });
    let unasked = Frame::new(CommandCode::CAMERA_IMAGE_SIZE_GET);
    assert_eq!(conversation.sent(ms(7), &unasked), None, "without the flag");
}

#[test]
fn what_ends_with_a_motion_may_take_its_time_and_proves_nothing() {
    let mut conversation = Conversation::default();
    let home = Frame::command(CommandCode::STAGE_HOME).with_selector(1);
    conversation.sent(ms(0), &home);
    conversation.sent(ms(1), &position(2));
    assert_eq!(conversation.came(ms(5), &position(2)), solicited(2, ms(4)));
    assert_eq!(conversation.came(ms(60_000), &home), solicited(1, ms(60_000)));
}

#[test]
fn the_settings_may_come_under_the_older_code() {
    let mut conversation = Conversation::default();
    conversation.sent(ms(0), &Frame::command(CommandCode::COMMON_SCOPE_SETTINGS_LOAD));
    let answer = Frame::new(CommandCode::COMMON_SCOPE_SETTINGS);
    assert_eq!(conversation.came(ms(3), &answer).answers(), Some((1, ms(3))));
}

#[test]
fn nothing_that_is_remembered_grows_without_a_bound() {
    let mut conversation = Conversation::default();
    let off = Frame::command(CommandCode::LASER_DISABLE);
    for n in 0..10 * REMEMBERED as u64 {
        conversation.sent(Duration::from_micros(n), &position(1));
        conversation.sent(Duration::from_micros(n), &off);
        while conversation.silence(Duration::from_micros(n)).is_some() {}
    }
    assert_eq!(conversation.asked.len(), REMEMBERED);
    assert!(conversation.echoes.len() <= REMEMBERED);
}
