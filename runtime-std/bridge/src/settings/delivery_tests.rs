//! The options of a delivery, the ports of named rows, and the pushes without a mark, as the settings
//! file has them.

use super::tests::{assert_accepted, check_error, ip, read, read_error};
use super::*;

#[test]
fn the_ports_of_a_named_row_are_checked() {
    let more = |rest: &str| format!("[listen.more.gui]\naddress = {rest}");
    for (text, error) in [
        (more("\"127.0.0.1:53714\""), "port 53717 is already used by listen.control"),
        (more("\"127.0.0.1:6000\"\nlive = 53719"), "port 53719 is already used by listen.stack"),
        (more("\"127.0.0.1:65534\""), "listen.more.gui.stack: it would be above 65535"),
    ] {
        let found = check_error(&text);
        assert!(found.contains(error) && found.contains("listen.more.gui."), "{found}");
    }
    assert_accepted(&more("\"127.0.0.1:65535\"\nlive = 7001\nstack = 7002\ncallback = \"off\""));
    let upstream = "[upstream]\naddress = \"127.0.0.1:6001\"\n";
    let error = check_error(&format!("{upstream}{}", more("\"127.0.0.1:6000\"")));
    assert!(
        error.starts_with("listen.more.gui.live: 127.0.0.1:6001 is also the control"),
        "{error}"
    );
}

#[test]
fn an_option_of_the_delivery_without_effect_is_refused() {
    let more = |rest: &str| format!("[listen.more.gui]\naddress = \"127.0.0.1:6000\"\n{rest}");
    let rule = "[[events.rules]]\nnetworks = [\"::1\"]\ndelivery = \"callback\"\nexcept = [0x6008]";
    for (text, key) in [
        ("[events]\npreset = \"clean\"\ndefault = \"inline\"".to_owned(), "events.preset: "),
        ("[events]\nexcept = [0x6008]".to_owned(), "events.except: "),
        (rule.to_owned(), "events.rules[0].except: "),
        (more("preset = \"clean\"\nexcept = [0x6008]"), "listen.more.gui.preset: "),
        (more("delivery = \"callback\"\nexcept = [0x6008]"), "listen.more.gui.except: "),
    ] {
        let error = check_error(&text);
        assert!(error.starts_with(key), "{error}");
    }
    assert_accepted("[events]\ndefault = \"inline\"\nexcept = [\"STAGE_POSITION_GET\", 0x4003]");
    assert_accepted(&more("except = [\"STAGE_POSITION_GET\"]"));
    let error = read_error("[events]\nexcept = [\"STAGE_POSITION\"]");
    assert_eq!((error.line, error.key.as_str()), (Some(2), "events.except[0]"), "{error}");
}

#[test]
fn a_preset_of_the_whole_bridge_is_its_default_delivery() {
    let events = read("[events]\npreset = \"python-gui\"").events;
    assert_eq!(events.delivery(ip("10.0.0.1")).to_string(), "inline except STAGE_POSITION_GET");
    let mut events = read("[events]\ndefault = \"both\"\nexcept = [0x6008]").events;
    events.use_preset(Preset::CppGui);
    assert_eq!(events.delivery(ip("10.0.0.1")), Delivery::Inline.into());
}

#[test]
fn the_pushes_without_a_mark_reach_the_core() {
    use flamingo_protocol_core::connection::UnmarkedPushes;
    let core = |text| crate::wiring::router_options(&read(text)).core.unmarked;
    assert_eq!(core(""), UnmarkedPushes::DEFAULT);
    let text = "[unmarked]\npositions = true\nlights = false\nafter_set = false\n\
        other_clients = true";
    let expected = UnmarkedPushes::DEFAULT
        .with_positions(true)
        .with_lights(false)
        .with_after_set(false)
        .with_other_clients(true);
    assert_eq!(core(text), expected);
}
