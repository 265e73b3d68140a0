//! What one client may use, and what becomes of one that uses more.

use flamingo_protocol_core::{CommandCode, Frame};

use super::harness::*;
use crate::router::Options;
use crate::settings::{Delivery, Limits, Role};

fn limited(limits: Limits) -> Lab {
    Lab::new(Options { limits, ..options() })
}

fn upload(len: u32) -> Frame {
    Frame::command(CommandCode::COMMON_SCOPE_SETTINGS_SAVE).with_payload_len(len)
}

#[test]
fn there_are_only_so_many_clients_and_who_leaves_makes_room() {
    let mut lab = limited(Limits { clients: 2, ..Limits::default() });
    let first = lab.client();
    lab.client();
    let open = |lab: &mut Lab| {
        lab.router.client_opened(lab.now, String::new(), Role::Control, Delivery::Callback)
    };
    assert_eq!(open(&mut lab), None);
    lab.leave(first);
    assert!(open(&mut lab).is_some_and(|id| id != first), "an id is never used again");
}

#[test]
fn one_that_sends_garbage_is_cut_off_and_the_others_do_not_notice() {
    let mut lab = limited(Limits { noise_bytes: 500, ..Limits::default() });
    let (bad, good) = (lab.client(), lab.client());
    lab.ask_bytes(bad, &[0xAA; 400]);
    lab.ask(bad, &position(1));
    assert!(!lab.router.is_over(bad), "a little noise is survived");
    lab.ask_bytes(bad, b"GET / HTTP/1.1\r\n".repeat(40).as_slice());
    assert!(lab.router.is_over(bad) && !lab.router.is_over(good));
    assert!(lab.notes.iter().any(|note| note.contains("no frames")), "{:?}", lab.notes);
    lab.ask(good, &position(2));
    lab.leave(bad);
    lab.commands.retain(|(frame, _)| frame.selector() == 2);
    lab.answer_next(2.0);
    assert_eq!(lab.told(good), [answer(&position(2), 2.0)]);
}

#[test]
fn one_that_does_not_read_is_cut_off_and_delays_nobody() {
    let mut lab = limited(Limits { out_bytes: 1280, ..Limits::default() });
    let stalled = lab.client_as(Role::Control, Delivery::Inline);
    let inline = lab.client_as(Role::Control, Delivery::Inline);
    for number in 0..11 {
        lab.say(&push(1, f64::from(number)));
        assert_eq!(lab.told(inline).len(), 1);
    }
    assert!(lab.router.is_over(stalled) && !lab.router.is_over(inline));
}

#[test]
fn too_many_commands_in_a_second_are_refused_but_a_halt_passes() {
    let mut lab = limited(Limits { commands_per_s: 3, ..Limits::default() });
    let id = lab.client();
    for _ in 0..3 {
        lab.ask(id, &position(1));
        lab.answer_next(0.0);
    }
    assert_eq!(lab.told(id).len(), 3);
    lab.ask(id, &position(1));
    assert_refused(&lab.told(id), &position(1), "too fast");
    lab.ask(id, &halt(1));
    assert_eq!(lab.reached(), [(CommandCode::STAGE_HALT, 1)]);
    lab.pass(ms(400));
    lab.ask(id, &position(1));
    assert_eq!(lab.commands.len(), 2);
}

#[test]
fn more_commands_than_may_wait_are_refused_and_none_is_lost() {
    let mut lab = limited(Limits { queue_frames: 4, ..Limits::default() });
    let id = lab.client();
    for _ in 0..7 {
        lab.ask(id, &position(1));
    }
    let refused = lab.told(id);
    assert_eq!(refused.len(), 1, "one on the wire, one handed on, four wait: {refused:?}");
    for _ in 0..6 {
        lab.answer_next(1.0);
    }
    assert_eq!(lab.told(id).len(), 6);
}

#[test]
fn an_upload_is_taken_in_whole_before_any_of_it_goes_up() {
    let mut lab = Lab::new(options());
    let (slow, quick) = (lab.client(), lab.client());
    let bytes = [&upload(1000).encode()[..], &[5; 1000]].concat();
    lab.ask_bytes(slow, &bytes[..900]);
    assert!(lab.commands.is_empty());
    lab.ask(quick, &position(1));
    assert_eq!(lab.reached(), [(position(1).code, 1)], "and holds up nobody");
    lab.commands.clear();
    lab.ask_bytes(slow, &bytes[900..]);
    assert_eq!(lab.commands, [(upload(1000), vec![5; 1000])]);
}

#[test]
fn an_upload_that_is_too_long_is_refused_and_what_comes_behind_it_is_understood() {
    let limits = Limits { upload_bytes: 1000, upload_bytes_total: 1500, ..Limits::default() };
    let mut lab = limited(limits);
    let (one, other) = (lab.client(), lab.client());
    lab.ask_bytes(one, &[&upload(1001).encode()[..], &[5; 1001], &position(1).encode()].concat());
    assert_refused(&lab.told(one), &upload(1001), "larger than");
    assert_eq!(lab.reached(), [(position(1).code, 1)]);
    // Together they may hold no more than the total.
    lab.ask_bytes(one, &upload(1000).encode());
    lab.ask_bytes(other, &[&upload(600).encode()[..], &[5; 600]].concat());
    assert_refused(&lab.told(other), &upload(600), "larger than");
}

#[test]
fn clients_that_only_wait_for_answers_take_nobodys_place_and_are_not_kept_without_end() {
    let mut lab = limited(Limits { clients: 2, ..Limits::default() });
    let mut waiting = Vec::new();
    for _ in 0..10 {
        let id = lab.client();
        lab.ask(id, &position(1));
        lab.router.client_finished(id);
        waiting.push(id);
    }
    let kept: Vec<_> = waiting.iter().filter(|id| !lab.router.is_over(**id)).collect();
    assert_eq!(kept, [&waiting[8], &waiting[9]], "the last two");
    lab.client();
    lab.client();
}

#[test]
fn one_whose_commands_are_never_answered_leaves_the_others_a_place_to_ask() {
    let mut lab = Lab::new(options());
    let (bad, good) = (lab.client(), lab.client());
    for axis in 1..=4 {
        lab.ask(bad, &position(axis));
    }
    lab.ask(good, &Frame::command(CommandCode::CAMERA_IMAGE_SIZE_GET));
    assert_eq!(
        lab.reached().last().map(|(code, _)| *code),
        Some(CommandCode::CAMERA_IMAGE_SIZE_GET)
    );
    // And not only until they time out: their answers may still come.
    lab.pass(ms(6_000));
    let size = lab.commands.pop().expect("the last one").0;
    lab.say(&answer(&size, 0.0));
    for _ in 0..20 {
        lab.ask(bad, &position(1));
        lab.ask(good, &size);
        let asked = lab.commands.pop().expect("it goes up at once").0;
        assert_eq!(asked.code, size.code);
        lab.say(&answer(&asked, 0.0));
    }
}

#[test]
fn a_place_that_was_kept_from_a_client_is_given_back_when_no_late_answer_can_come_any_more() {
    let mut lab = Lab::new(options());
    let id = lab.client();
    for axis in 1..=3 {
        lab.ask(id, &position(axis));
    }
    assert_eq!(lab.commands.len(), 2, "as many as places are left");
    lab.pass(ms(60_000));
    lab.commands.clear();
    lab.told(id);
    lab.ask(id, &Frame::command(CommandCode::CAMERA_IMAGE_SIZE_GET));
    assert_eq!(lab.reached(), [(CommandCode::CAMERA_IMAGE_SIZE_GET, 0)]);
}

#[test]
fn a_move_that_waited_too_long_for_its_turn_is_refused_and_never_runs() {
    let mut lab = Lab::new(options());
    let id = lab.client();
    for axis in 1..=4 {
        lab.ask(id, &go(axis));
    }
    assert_eq!(lab.reached().len(), 2);
    lab.pass(ms(4_999));
    assert!(lab.told(id).is_empty());
    lab.pass(ms(1));
    let refused = lab.told(id);
    assert_eq!(refused.len(), 2, "{refused:?}");
    assert!(refused.iter().all(|frame| frame.text().is_ok_and(|text| text.contains("not sent"))));
    lab.pass(ms(60_000));
    assert_eq!(lab.reached().len(), 2, "{:?}", lab.reached());
}

#[test]
fn an_upload_that_stalls_is_cut_off_and_gives_its_room_back() {
    let limits = Limits { upload_bytes: 1000, upload_bytes_total: 1000, ..Limits::default() };
    let mut lab = limited(limits);
    let (stalled, other) = (lab.client(), lab.client());
    lab.ask_bytes(stalled, &upload(1000).encode());
    lab.pass(ms(4_000));
    lab.ask_bytes(stalled, &[5; 10]);
    lab.pass(ms(4_999));
    assert!(!lab.router.is_over(stalled), "it went on");
    lab.pass(ms(1));
    assert!(lab.router.is_over(stalled));
    assert!(lab.notes.iter().any(|note| note.contains("upload stalled")), "{:?}", lab.notes);
    lab.leave(stalled);
    lab.ask_bytes(other, &[&upload(1000).encode()[..], &[5; 1000]].concat());
    assert_eq!(lab.reached(), [(upload(0).code, 0)]);
}

#[test]
fn a_long_payload_reaches_a_client_that_reads_even_behind_other_bytes() {
    let mut lab = limited(Limits { out_bytes: 256, ..Limits::default() });
    let id = lab.client_as(Role::Control, Delivery::Inline);
    lab.say(&push(1, 1.0));
    let settings = Frame::command(CommandCode::COMMON_SCOPE_SETTINGS_LOAD);
    lab.ask(id, &settings);
    let asked = lab.commands.remove(0).0;
    let answer = answer(&asked, 0.0).with_payload_len(5000);
    lab.router.upstream_input(lab.now, &[&answer.encode()[..], &[b'x'; 5000]].concat());
    assert!(!lab.router.is_over(id));
    assert_eq!(lab.router.client_output(id).len(), 128 + 128 + 5000);
}

#[test]
fn uploads_that_are_refused_for_their_length_count_as_sent() {
    let limits = Limits { commands_per_s: 2, upload_bytes: 100, ..Limits::default() };
    let mut lab = limited(limits);
    let id = lab.client();
    for _ in 0..2 {
        lab.ask_bytes(id, &[&upload(101).encode()[..], &[5; 101]].concat());
    }
    lab.told(id);
    lab.ask(id, &position(1));
    assert_refused(&lab.told(id), &position(1), "too fast");
}

#[test]
fn a_flood_of_refused_commands_does_not_flood_the_log() {
    let mut lab = Lab::new(options());
    let reader = lab.client_as(Role::ReadOnly, Delivery::Callback);
    let on = Frame::command(CommandCode::LASER_ENABLE).with_selector(1);
    for _ in 0..1000 {
        lab.ask(reader, &on);
    }
    let refusals = lab.notes.iter().filter(|note| note.contains("read-only")).count();
    assert_eq!(refusals, 5, "a second's worth");
    let (status, _) = lab.router.client_status(lab.now);
    assert_eq!(status[0].counters.refused, 1000, "counted are all");
}
