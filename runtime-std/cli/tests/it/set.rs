//! `flamingo set`, `laser`, `led` and `illumination` against the simulator.

use crate::program::{Witness, flamingo};
use crate::simulator::{ask, object, simulator};
use flamingo_protocol_core::CommandCode;
use flamingo_simulator::Simulator;

fn codes(simulator: &Simulator) -> Vec<CommandCode> {
    simulator.truth().received().iter().map(|sent| sent.frame.code).collect()
}

#[test]
fn a_value_is_set_and_confirmed() {
    let (_simulator, address) = simulator("");
    let exposure = object(&address, &["set", "exposure", "12ms"]);
    assert_eq!((&exposure["exposure_us"], &exposure["confirmed"]), (&12_000.into(), &true.into()));
    assert_eq!(object(&address, &["get", "exposure"])["exposure_us"], 12_000);
    let laser = object(&address, &["set", "laser", "1", "5%"]);
    assert_eq!((&laser["level_percent"], &laser["confirmed"]), (&5.0.into(), &true.into()));
    let filter = object(&address, &["set", "filter", "2"]);
    assert_eq!((&filter["position"], &filter["confirmed"]), (&2.into(), &true.into()));
    let text = ask(&address, &["set", "exposure", "800us"]);
    assert_eq!(text.expect_done().stdout, "exposure    800 µs, confirmed\n");
}

#[test]
fn the_brightness_of_the_led_is_sent_but_not_confirmed() {
    let (simulator, address) = simulator("");
    let led = object(&address, &["set", "led", "white", "50%"]);
    assert_eq!((&led["brightness"], &led["confirmed"]), (&32_768.into(), &serde_json::Value::Null));
    let sent = simulator.truth().received();
    let set = sent.iter().find(|sent| sent.frame.code == CommandCode::LED_SET).unwrap();
    assert_eq!(set.frame.int32_data[..2], [3, 32_768]);
}

#[test]
fn a_value_that_the_instrument_refuses_is_exit_code_5() {
    let (_simulator, address) = simulator("");
    ask(&address, &["set", "exposure", "20s"]).expect_error(5, &["exposure"]);
}

#[test]
fn a_value_out_of_range_is_not_sent() {
    for (arguments, words) in [
        (&["set", "exposure", "12"][..], &["12ms or 12us"][..]),
        (&["set", "exposure", "0ms"], &["0ms"]),
        (&["set", "laser", "5", "5%"], &["1 to 4", "\"5\""]),
        (&["set", "laser", "1", "101%"], &["0% to 100%", "101%"]),
        (&["set", "laser", "1", "-1"], &["0% to 100%"]),
        (&["set", "led", "pink", "50%"], &["pink", "white"]),
        (&["set", "aoi", "2048"], &["2048x512"]),
        (&["set", "filter", "two"], &["number of a position", "\"two\""]),
        (&["laser", "9", "on"], &["1 to 4"]),
        (&["laser", "all", "on"], &["expected off"]),
        (&["laser", "1", "maybe"], &["maybe", "preview"]),
        (&["led", "off", "white"], &["flamingo led white on"]),
        (&["led", "white"], &["flamingo led white on"]),
        (&["illumination", "up", "on"], &["up", "left"]),
    ] {
        let witness = Witness::new();
        let connect = witness.address();
        let ended = flamingo(&[arguments, &["--connect", &connect]].concat());
        ended.expect_error(2, words);
        witness.expect_nobody();
    }
    let (simulator, address) = simulator("");
    ask(&address, &["set", "filter", "99"]).expect_error(2, &["99", "nothing was sent"]);
    assert!(!codes(&simulator).contains(&CommandCode::FILTER_WHEEL_POSITION_SET));
}

#[test]
fn the_region_is_set_while_no_live_view_runs() {
    let (simulator, address) = simulator("[images]\nwidth = 256\nheight = 128\n");
    let arguments = ["send", "CAMERA_LIVE_VIEW_START"];
    ask(&address, &arguments).expect_done();
    let set = object(&address, &["set", "aoi", "128x32"]);
    assert_eq!(
        (&set["left"], &set["top"], &set["confirmed"]),
        (&65.into(), &49.into(), &true.into())
    );
    let size = object(&address, &["get", "image-size"]);
    assert_eq!((&size["width_px"], &size["height_px"]), (&128.into(), &32.into()));
    let codes = codes(&simulator);
    let at = |code| codes.iter().rposition(|each| *each == code).unwrap();
    assert!(at(CommandCode::CAMERA_LIVE_VIEW_STOP) < at(CommandCode::CAMERA_ROI_LEFT_SET));
    assert!(at(CommandCode::CAMERA_ROI_TOP_SET) < at(CommandCode::CAMERA_LIVE_VIEW_START));
    // The sensor is known from the smaller images, too.
    object(&address, &["set", "aoi", "256x128"]);
    ask(&address, &["set", "aoi", "512x128"]).expect_error(2, &["width", "at most 256", "512"]);
    ask(&address, &["set", "aoi", "127x128"]).expect_error(2, &["even number", "127"]);
}

#[test]
fn without_live_view_the_region_needs_the_size_of_the_sensor() {
    let (simulator, address) = simulator("[images]\nwidth = 256\nheight = 128\n");
    ask(&address, &["set", "aoi", "128x32"]).expect_error(2, &["--sensor", "nothing was sent"]);
    object(&address, &["set", "aoi", "128x32", "--sensor", "256x128"]);
    assert!(!codes(&simulator).contains(&CommandCode::CAMERA_LIVE_VIEW_START), "nothing lights up");
}

#[test]
fn lights_are_switched_with_their_own_commands() {
    for (arguments, code) in [
        (&["laser", "1", "on"][..], CommandCode::LASER_ENABLE),
        (&["laser", "2", "preview"], CommandCode::LASER_ENABLE_PREVIEW),
        (&["laser", "1", "off"], CommandCode::LASER_DISABLE),
        (&["laser", "all", "off"], CommandCode::LASER_DISABLE_ALL),
        (&["led", "on"], CommandCode::LED_PREVIEW_ENABLE),
        (&["led", "on", "green"], CommandCode::LED_SELECTION_CHANGE),
        (&["led", "blue", "on"], CommandCode::LED_SELECTION_CHANGE),
        (&["led", "off"], CommandCode::LED_PREVIEW_DISABLE),
        (&["illumination", "left", "on"], CommandCode::ILLUMINATION_LEFT_ENABLE),
        (&["illumination", "both", "off"], CommandCode::ILLUMINATION_RIGHT_DISABLE),
    ] {
        let (simulator, address) = simulator("");
        let ended = ask(&address, arguments);
        let said = &ended.expect_done().stdout;
        assert!(
            said.contains("sent; not confirmed: the instrument cannot be asked"),
            "{arguments:?}: {said}"
        );
        assert!(codes(&simulator).contains(&code), "{arguments:?}: {:?}", codes(&simulator));
    }
}

#[test]
fn laser_off_goes_out_to_an_instrument_that_answers_nothing() {
    let (simulator, address) = simulator("never_answered = [\"SYSTEM_STATE_GET\"]\n");
    ask(&address, &["laser", "all", "off", "--timeout", "300ms"]);
    let off = codes(&simulator).into_iter().filter(|code| *code == CommandCode::LASER_DISABLE_ALL);
    assert_eq!(off.count(), 4);
}
