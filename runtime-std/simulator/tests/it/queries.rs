//! Which commands the simulated instrument answers, and how, seen through a raw socket.

use flamingo_protocol_core::{CommandCode as Code, Flags, Frame};
use flamingo_runtime_testkit::raw_client::{
    PROMPT, RawClient, codes, command, query, simulator, two_clients,
};

fn text(client: &mut RawClient, laser: i32) -> (i32, String) {
    let answer = client.ask(&command(Code::LASER_LEVEL_GET).with_selector(laser)).frame;
    assert_eq!(answer.selector(), laser);
    (answer.status, answer.text().unwrap().to_owned())
}

#[test]
fn the_state_is_answered_even_without_the_flag() {
    let simulator = simulator("");
    let answer = RawClient::connect(&simulator).ask(&Frame::new(Code::SYSTEM_STATE_GET)).frame;
    assert_eq!((answer.status, answer.selector()), (1, 0xA002));
}

#[test]
fn a_laser_level_is_text_with_two_decimals() {
    let simulator = simulator(PROMPT);
    let mut client = RawClient::connect(&simulator);
    let mut set = command(Code::LASER_LEVEL_SET).with_selector(2);
    set.set_text("33.5").unwrap();
    client.send(&set);
    assert_eq!(text(&mut client, 2), (1, "33.50".to_owned()));
    set.set_text("120").unwrap();
    client.send(&set);
    assert_eq!(text(&mut client, 2), (1, "33.50".to_owned()), "120 % is refused");
}

#[test]
fn a_declining_laser_answers_with_status_0() {
    let simulator = simulator("[light]\ndeclining_lasers = [4]");
    let mut client = RawClient::connect(&simulator);
    assert_eq!(text(&mut client, 4), (0, "getLevel error".to_owned()));
    assert_eq!(text(&mut client, 1).0, 1);
    assert_eq!(text(&mut client, 9), (0, "getLevel error".to_owned()));
}

#[test]
fn camera_and_filter_settings_are_kept_and_bad_ones_refused() {
    let simulator = simulator("");
    let mut client = RawClient::connect(&simulator);
    for (set, get, good, bad) in [
        (Code::CAMERA_EXPOSURE_SET, Code::CAMERA_EXPOSURE_GET, 12_000, 0),
        (Code::CAMERA_ROI_LEFT_SET, Code::CAMERA_ROI_LEFT_GET, 65, 0),
        (Code::CAMERA_ROI_TOP_SET, Code::CAMERA_ROI_TOP_GET, 33, 300),
        (Code::FILTER_WHEEL_POSITION_SET, Code::FILTER_WHEEL_POSITION_GET, 4, 9),
        (Code::FILTER_WHEEL_POSITION_SET, Code::FILTER_WHEEL_POSITION_GET, 0, 9),
    ] {
        assert_eq!(client.ask(&command(set).with_selector(good)).frame.status, 1, "{set}");
        assert_eq!(client.ask(&command(set).with_selector(bad)).frame.status, 0, "{set}");
        let answer = client.ask(&command(get)).frame;
        assert_eq!((answer.status, answer.selector()), (1, good), "{get}");
    }
    let all = client.ask(&command(Code::CAMERA_ALL_SETTINGS_GET)).frame;
    assert_eq!(all.int32_data, [12_000, 65, 33]);
    let pixel = client.ask(&command(Code::CAMERA_PIXEL_FIELD_OF_VIEW_GET)).frame.value;
    assert!((pixel - 0.000_253).abs() < 1e-12);
}

#[test]
fn the_image_size_is_0_by_0_unless_images_stream() {
    let simulator = simulator("");
    let mut client = RawClient::connect(&simulator);
    let size = |client: &mut RawClient| {
        let [width, height, _] = client.ask(&command(Code::CAMERA_IMAGE_SIZE_GET)).frame.int32_data;
        [width, height]
    };
    assert_eq!(size(&mut client), [0, 0]);
    client.ask(&command(Code::CAMERA_LIVE_VIEW_START));
    assert_eq!(size(&mut client), [512, 512]);
    client.ask(&command(Code::CAMERA_ROI_LEFT_SET).with_selector(65));
    assert_eq!(size(&mut client), [384, 512]);
    client.ask(&command(Code::CAMERA_LIVE_VIEW_STOP));
    assert_eq!(size(&mut client), [0, 0]);
}

#[test]
fn scope_settings_come_as_a_payload_with_the_stage_limits() {
    let simulator = simulator("");
    let mut client = RawClient::connect(&simulator);
    let answer = client.ask(&command(Code::COMMON_SCOPE_SETTINGS_LOAD));
    let text = String::from_utf8(answer.payload).unwrap();
    assert!((2_600..=3_400).contains(&text.len()), "{} bytes", text.len());
    let limits = text.split("<Stage limits>").nth(1).unwrap().split("</Stage limits>").next();
    assert!(limits.unwrap().contains("Soft limit max x-axis = 12.310\n"), "{text}");
    client.send(&command(Code::COMMON_SCOPE_SETTINGS));
    assert!(client.settle().is_empty(), "0x1007 is not a query");
}

#[test]
fn saved_scope_settings_are_loaded_later() {
    let simulator = simulator("[settings]\nanswer_under_1007 = true");
    let mut client = RawClient::connect(&simulator);
    let save = command(Code::COMMON_SCOPE_SETTINGS_SAVE);
    client.upload(&save, b"<Type>\n  Microscope name = mine\n</Type>\n");
    let saved = client.until_code(Code::COMMON_SCOPE_SETTINGS_SAVE).1.frame;
    assert_eq!((saved.status, saved.payload_len), (1, 0));
    client.send(&command(Code::COMMON_SCOPE_SETTINGS_LOAD));
    let answer = client.next();
    assert_eq!(answer.frame.code, Code::COMMON_SCOPE_SETTINGS);
    assert_eq!(answer.payload, b"<Type>\n  Microscope name = mine\n</Type>\n");
    assert_eq!(client.ask(&save).frame.status, 0, "nothing is not saved");
}

#[test]
fn an_acknowledgement_can_declare_the_length_of_its_upload() {
    let simulator = simulator("[tokens]\necho_upload_length = true");
    let mut client = RawClient::connect(&simulator);
    client.upload(&command(Code::COMMON_CONTROL_SETTINGS_SAVE), &[b'a'; 128]);
    client.send(&query(1));
    // To this reader, which believes the length, the next frame is that payload.
    let got = client.next();
    assert_eq!(got.frame.payload_len, 128);
    assert_eq!(Frame::decode(&got.payload).unwrap().code, Code::STAGE_POSITION_GET);
}

#[test]
fn drives_are_listed_in_a_payload_or_in_the_buffer() {
    let listed = simulator("");
    let answer = RawClient::connect(&listed).ask(&command(Code::STORAGE_PATH_SET));
    assert_eq!(answer.payload, b"/media/data/ssd1\n/media/data/ssd2");
    let in_buffer = simulator("[settings]\ndrives = [\"/a\", \"/b\"]\ndrives_in_buffer = true");
    let answer = RawClient::connect(&in_buffer).ask(&command(Code::STORAGE_PATH_SET));
    assert_eq!(answer.frame.text(), Ok("/a\n/b"));
    assert_eq!(answer.payload, b"");
}

#[test]
fn without_the_flag_and_without_a_known_code_there_is_no_answer() {
    let simulator = simulator(&format!("never_answered = [\"CAMERA_EXPOSURE_GET\"]\n{PROMPT}"));
    let mut client = RawClient::connect(&simulator);
    client.send(&Frame::new(Code::STAGE_POSITION_GET).with_selector(1));
    client.send(&Frame::new(Code::CAMERA_IMAGE_SIZE_GET));
    client.send(&command(Code(0x6FFF)));
    client.send(&command(Code(0xFFFF_FFFF)));
    client.send(&command(Code::CAMERA_EXPOSURE_GET));
    client.send(&query(255));
    client.send(&Frame::new(Code::LED_SET).with_selector(1));
    client.send(&command(Code::LASER_DISABLE_ALL).with_selector(1));
    assert!(client.settle().is_empty());
    assert_eq!(simulator.truth().received_from(client.address()).len(), 9);
}

#[test]
fn a_workflow_stop_is_acknowledged_without_the_flag() {
    let simulator = simulator("");
    let answer = RawClient::connect(&simulator).ask(&Frame::new(Code::CAMERA_WORK_FLOW_STOP)).frame;
    assert_eq!((answer.status, answer.flags), (1, Flags(0)));
}

#[test]
fn actions_of_one_client_are_pushed_to_all_others() {
    let simulator = simulator(PROMPT);
    let [mut actor, mut witness] = two_clients(&simulator);
    actor.send(&command(Code::LED_PREVIEW_DISABLE));
    actor.send(&command(Code::LASER_ENABLE_PREVIEW).with_selector(3));
    actor.send(&command(Code::CAMERA_EXPOSURE_SET).with_selector(5_000));
    actor.send(&command(Code::CAMERA_EXPOSURE_GET));
    let acknowledged = actor.settle();
    assert_eq!(
        codes(&acknowledged),
        [Code::LED_PREVIEW_DISABLE, Code::CAMERA_EXPOSURE_SET, Code::CAMERA_EXPOSURE_GET]
    );
    let seen = witness.settle();
    assert_eq!(
        codes(&seen),
        [Code::LED_PREVIEW_DISABLE, Code::LASER_ENABLE_PREVIEW, Code::CAMERA_EXPOSURE_SET]
    );
    assert_eq!(seen[0].payload, b"LEDOFF", "0x4003 pushes carry 6 bytes");
    assert_eq!(seen[1].frame.selector(), 3);
}

#[test]
fn a_set_can_push_its_get() {
    let simulator = simulator(&format!("[pushes]\nget_after_set = true\n{PROMPT}"));
    let mut client = RawClient::connect(&simulator);
    client.send(&command(Code::CAMERA_EXPOSURE_SET).with_selector(7_000));
    client.send(&command(Code::FILTER_WHEEL_POSITION_SET).with_selector(2));
    let mut got = codes(&client.settle());
    got.sort();
    assert_eq!(
        got,
        [
            Code::CAMERA_EXPOSURE_SET,
            Code::CAMERA_EXPOSURE_GET,
            Code::FILTER_WHEEL_POSITION_SET,
            Code::FILTER_WHEEL_POSITION_GET
        ]
    );
}

#[test]
fn tokens_and_tags_follow_the_scenario() {
    let simulator =
        simulator("[tokens]\necho_client_id = false\necho_int32_data2 = false\ntag_answers = true");
    let mut client = RawClient::connect(&simulator);
    let mut frame = query(1);
    frame.client_id = 5;
    frame.int32_data = [1, 6, 7];
    let answer = client.ask(&frame).frame;
    assert_eq!((answer.client_id, answer.int32_data), (0, [1, 6, 0]));
    assert!(answer.flags.contains(Flags::ANSWER_TAG.with(Flags::TRIGGER_CALL_BACK)));
}
