//! Reading the settings, the example file, and what the check refuses.

use std::collections::BTreeSet;

use std::net::IpAddr;

use ipnet::IpNet;

use super::*;

const EXAMPLE: &str = include_str!("../../../../docs/bridge.example.toml");

pub(super) fn read(text: &str) -> BridgeSettings {
    BridgeSettings::from_toml(text).unwrap()
}

pub(super) fn read_error(text: &str) -> BridgeSettingsError {
    BridgeSettings::from_toml(text).unwrap_err()
}

/// The error of the check; it adds an instrument if the file has none.
pub(super) fn check_error(text: &str) -> String {
    let mut settings = read(text);
    if settings.upstream.address.is_empty() {
        settings.upstream.address = "10.0.0.5:53717".to_owned();
    }
    settings.check().unwrap_err().to_string()
}

/// The check accepts the file; it adds an instrument if the file has none.
pub(super) fn assert_accepted(text: &str) {
    let mut settings = read(text);
    if settings.upstream.address.is_empty() {
        settings.upstream.address = "10.0.0.5:53717".to_owned();
    }
    assert_eq!(settings.check(), Ok(()), "{text}");
}

pub(super) fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

/// The example file with its commented-out options.
fn whole_example() -> String {
    let option = |line: &'static str| match line.strip_prefix('#') {
        Some(rest) if rest.starts_with(|c: char| !c.is_whitespace()) => rest,
        _ => line,
    };
    EXAMPLE.lines().map(option).collect::<Vec<_>>().join("\n")
}

/// The path of each option, without the indices of lists.
fn paths(value: &serde_json::Value, path: &str, into: &mut BTreeSet<String>) {
    match value {
        serde_json::Value::Object(fields) => {
            for (name, value) in fields {
                paths(value, &format!("{path}.{name}"), into);
            }
        }
        serde_json::Value::Array(items) if items.iter().any(serde_json::Value::is_object) => {
            for item in items {
                paths(item, path, into);
            }
        }
        _ => {
            into.insert(path.trim_start_matches('.').to_owned());
        }
    }
}

#[test]
fn the_example_file_holds_the_defaults() {
    assert_eq!(read(EXAMPLE), BridgeSettings::default());
    assert_eq!(read(""), BridgeSettings::default());
}

#[test]
fn the_example_file_lists_every_option() {
    let networks = vec![IpNet::from(ip("10.0.0.5"))];
    let codes: CodeList = vec![flamingo_protocol_core::CommandCode::STAGE_POSITION_GET].into();
    let mut settings = BridgeSettings::default();
    settings.access.roles.push(RoleRule::new(networks.clone(), Role::Control));
    settings.access.default_role = Some(Role::Control);
    let mut port = NamedPort::new(([127, 0, 0, 1], 1).into());
    (port.role, port.delivery) = (Some(Role::Control), Some(Delivery::Both));
    (port.preset, port.except) = (Some(Preset::Clean), codes.clone());
    settings.listen.more.insert("gui".to_owned(), port);
    settings.events.rules.push(DeliveryRule::new(networks, Delivery::Both));
    settings.events.preset = Some(Preset::Clean);
    let (mut options, mut written) = (BTreeSet::new(), BTreeSet::new());
    paths(&serde_json::to_value(&settings).unwrap(), "", &mut options);
    let example: serde_json::Value = toml::from_str(&whole_example()).unwrap();
    paths(&example, "", &mut written);
    // The example has two named ports.
    let one_name = |path: &String| path.replace("more.python.", "more.gui.");
    let written: BTreeSet<_> = written.iter().map(one_name).collect();
    assert_eq!(written, options);
    assert!(options.len() > 35, "{options:?}");
}

#[test]
fn the_commented_out_options_of_the_example_can_be_used() {
    let settings = read(&whole_example());
    let role = settings.access.roles.first().map(|rule| rule.role);
    assert_eq!(role, Some(Role::ReadOnly));
    assert_eq!(settings.events.delivery(ip("127.0.0.1")), Preset::PythonGui.delivery());
    assert_eq!(settings.listen.more["python"].preset, Some(Preset::PythonGui));
}

#[test]
fn a_comment_explains_every_option_of_the_example() {
    let mut explained = false;
    for line in EXAMPLE.lines() {
        match line {
            "" => explained = false,
            _ if line.starts_with('#') => explained = true,
            // One comment may explain several options in a row.
            _ => assert!(explained || line.starts_with('['), "{line}"),
        }
    }
}

#[test]
fn settings_are_written_as_they_are_read() {
    let mut settings = read(&whole_example());
    settings.listen.status = "[::1]:9000".parse().ok();
    settings.listen.callback = PortChoice::Number(7000);
    let text = toml::to_string(&settings).unwrap();
    assert_eq!(read(&text), settings, "{text}");
}

#[test]
fn an_unknown_option_is_refused_with_its_line_and_key() {
    let error = read_error("[limits]\nclients = 3\n\n[lease]\nidle_ms = 5\n");
    assert_eq!((error.line, error.key.as_str()), (Some(5), "lease.idle_ms"));
    assert!(error.problem.contains("expected one of `enabled`, `idle_s`"), "{error}");
    let error = read_error("[limit]\nclients = 3");
    assert_eq!((error.line, error.key.as_str()), (Some(1), "limit"));
    let error = read_error("[[access.roles]]\nnetworks = []\nrole = \"control\"\nname = 1");
    assert_eq!((error.line, error.key.as_str()), (Some(4), "access.roles[0].name"));
}

#[test]
fn a_wrong_value_is_refused_with_line_key_and_expectation() {
    for (text, line, key, expected) in [
        ("[limits]\nclients = -1", 2, "limits.clients", "expected usize"),
        ("[limits]\n\nclients = \"3\"", 3, "limits.clients", "expected usize"),
        ("[upstream]\ntokens = \"on\"", 2, "upstream.tokens", "`client-id`"),
        ("[access]\ndefault_role = \"boss\"", 2, "access.default_role", "`read-only`"),
        ("[access]\nallow = [\"10.0.0.0/40\"]", 2, "access.allow", "such as 10.0.0.0/8"),
        ("[listen]\nlive = 70000", 2, "listen.live", "a port from 0 to 65535"),
        ("[listen]\nstatus = \"on\"", 2, "listen.status", "expected ADDR:PORT"),
    ] {
        let error = read_error(text);
        assert_eq!((error.line, error.key.as_str()), (Some(line), key), "{error}");
        assert!(error.problem.contains(expected), "{error}");
        assert!(error.to_string().starts_with(&format!("line {line}: {key}: ")), "{error}");
    }
}

#[test]
fn a_rule_that_lacks_a_field_is_refused() {
    let error = read_error("[[access.roles]]\nnetworks = []");
    assert!(error.to_string().contains("missing field `role`"), "{error}");
    let error = read_error("[[events.rules]]\ndelivery = \"both\"");
    assert!(error.to_string().contains("missing field `networks`"), "{error}");
}

#[test]
fn text_that_is_not_toml_is_refused_with_its_line() {
    let error = read_error("[limits]\nclients = 3\nclients = 4");
    assert_eq!(error.line, Some(3), "{error}");
    assert_eq!(read_error("[limits]\nclients 3").line, Some(2));
    for text in ["[limits]\nclients = 3\nclients = 4", "x", "[[[", "[lease]\nidle_s = 'a"] {
        let error = read_error(text).to_string();
        assert!(!error.contains('\n') && error.starts_with("line "), "{error}");
    }
}

#[test]
fn the_first_rule_that_matches_decides_the_delivery() {
    let text = "[events]\ndefault = \"both\"\n\
        [[events.rules]]\nnetworks = [\"127.0.0.1\"]\ndelivery = \"inline\"\n\
        [[events.rules]]\nnetworks = [\"127.0.0.0/8\"]\ndelivery = \"callback\"";
    let events = read(text).events;
    assert_eq!(events.delivery(ip("127.0.0.1")), Delivery::Inline.into());
    assert_eq!(events.delivery(ip("::ffff:127.0.0.1")), Delivery::Inline.into());
    assert_eq!(events.delivery(ip("127.0.0.2")), Delivery::Callback.into());
    assert_eq!(events.delivery(ip("10.0.0.1")), Delivery::Both.into());
    assert_eq!(EventSettings::default().delivery(ip("10.0.0.1")), Delivery::Callback.into());
}

#[test]
fn settings_without_an_instrument_are_refused() {
    let error = BridgeSettings::default().check().unwrap_err();
    assert_eq!(error.key, "upstream.address");
    assert!(error.problem.contains("--upstream"), "{error}");
    assert_accepted("");
}

#[test]
fn the_instrument_is_given_as_host_and_port() {
    for good in ["10.0.0.5:53717", "scope.lab:1", "[2001:db8::1]:53717"] {
        assert_accepted(&format!("[upstream]\naddress = {good:?}"));
    }
    for bad in
        ["scope", "scope:", ":53717", "::1", "::1:53717", "scope:0", "scope:70000", "[x:y]:1"]
    {
        let error = check_error(&format!("[upstream]\naddress = {bad:?}"));
        assert!(error.starts_with("upstream.address: expected ") && error.contains(bad), "{error}");
    }
}

#[test]
fn a_port_for_other_machines_needs_an_allow_list() {
    for listen in ["0.0.0.0:6000", "10.0.0.9:6000", "[::]:6000", "[::ffff:10.0.0.9]:6000"] {
        let error = check_error(&format!("[listen]\ncontrol = {listen:?}"));
        assert!(error.contains("can reach listen.control = "), "{error}");
        assert!(error.contains(listen) && error.contains("add their network"), "{error}");
        assert_accepted(&format!(
            "[listen]\ncontrol = {listen:?}\n[access]\nallow = [\"10.0.0.0/8\"]"
        ));
    }
    let error = check_error("[listen]\nstatus = \"0.0.0.0:6000\"");
    assert!(error.contains("can reach listen.status = "), "{error}");
    assert_accepted("[listen]\ncontrol = \"127.0.0.2:6000\"\nstatus = \"[::1]:6001\"");
}

#[test]
fn an_empty_allow_list_is_refused() {
    assert!(check_error("[access]\nallow = []").starts_with("access.allow: nobody could connect"));
}

#[test]
fn a_rule_without_networks_is_refused() {
    let error = check_error("[[access.roles]]\nnetworks = []\nrole = \"control\"");
    assert!(error.starts_with("access.roles[0].networks: it names no network"), "{error}");
    let one = "[[events.rules]]\nnetworks = [\"::1\"]\ndelivery = \"both\"\n";
    let error = check_error(&format!("{one}[[events.rules]]\nnetworks = []\ndelivery = \"both\""));
    assert!(error.starts_with("events.rules[1].networks: it names no network"), "{error}");
}

#[test]
fn a_bridge_that_would_connect_to_itself_is_refused() {
    for (upstream, listen, key) in [
        ("127.0.0.1:53717", "127.0.0.1:53717", "listen.control"),
        ("localhost:6000", "127.0.0.1:6000", "listen.control"),
        ("LocalHost:6000", "0.0.0.0:6000", "listen.control"),
        ("[::1]:6000", "[::1]:6000", "listen.control"),
        ("[::1]:6000", "[::]:6000", "listen.control"),
        ("[::ffff:127.0.0.1]:6000", "127.0.0.1:6000", "listen.control"),
        // The bridge's callback port, and the instrument's port of live images.
        ("127.0.0.1:6003", "127.0.0.1:6000", "listen.callback"),
        ("127.0.0.1:5999", "127.0.0.1:6000", "listen.control"),
    ] {
        let text = format!(
            "[upstream]\naddress = {upstream:?}\n[listen]\ncontrol = {listen:?}\n\
             [access]\nallow = [\"0.0.0.0/0\", \"::/0\"]"
        );
        let error = check_error(&text);
        assert!(error.starts_with(key), "{upstream} {listen}: {error}");
        assert!(error.contains("choose another port"), "{error}");
    }
}

#[test]
fn an_instrument_at_another_address_or_port_is_accepted() {
    for (upstream, listen) in [
        ("127.0.0.1:53717", "127.0.0.2:53717"),
        ("127.0.0.1:53717", "127.0.0.1:53720"),
        ("127.0.0.1:6000", "127.0.0.1:0"),
        ("scope.lab:6000", "127.0.0.1:6000"),
        ("10.0.0.5:53717", "127.0.0.1:53717"),
    ] {
        assert_accepted(&format!(
            "[upstream]\naddress = {upstream:?}\n[listen]\ncontrol = {listen:?}"
        ));
    }
    // Without image ports the bridge does not connect to those of the instrument.
    assert_accepted(
        "[upstream]\naddress = \"127.0.0.1:5999\"\n\
         [listen]\ncontrol = \"127.0.0.1:6000\"\nlive = \"off\"\nstack = \"off\"",
    );
}

#[test]
fn two_ports_with_the_same_number_are_refused() {
    for (listen, key) in [
        ("live = 53717", "listen.live"),
        ("stack = 53718", "listen.stack"),
        ("live = 53719", "listen.stack"),
        ("callback = 53719", "listen.callback"),
        ("status = \"127.0.0.1:53720\"", "listen.status"),
    ] {
        let error = check_error(&format!("[listen]\n{listen}"));
        assert!(error.starts_with(key) && error.contains("already"), "{listen}: {error}");
    }
    for (control, status) in [
        ("127.0.0.1:6000", "0.0.0.0:6001"),
        ("10.0.0.9:6000", "0.0.0.0:6001"),
        ("[::]:6000", "10.0.0.9:6001"),
        ("[::ffff:10.0.0.9]:6000", "10.0.0.9:6001"),
    ] {
        let error = check_error(&format!("[listen]\ncontrol = {control:?}\nstatus = {status:?}"));
        assert_eq!(error, "listen.status: port 6001 is already used by listen.live");
    }
    assert_accepted("[listen]\nstatus = \"127.0.0.2:53717\"");
    assert_accepted("[listen]\nlive = 0\nstack = 0\ncallback = 0");
    assert_accepted("[listen]\nlive = \"off\"\nstack = 53718");
}

#[test]
fn a_port_that_would_be_above_65535_is_refused() {
    let error = check_error("[listen]\ncontrol = \"127.0.0.1:65533\"");
    assert!(error.starts_with("listen.callback: it would be above 65535"), "{error}");
    assert_accepted("[listen]\ncontrol = \"127.0.0.1:65533\"\ncallback = \"off\"");
    assert_accepted("[listen]\ncontrol = \"127.0.0.1:65532\"");
}

#[test]
fn a_host_of_the_status_page_is_a_name_without_port() {
    assert_accepted("[listen]\nstatus_hosts = [\"scope.lab\", \"pc-7\", \"my_pc\"]");
    for bad in ["", "scope:53721", "http://scope", "scope.", "a b", "*", "[::1]"] {
        let error = check_error(&format!("[listen]\nstatus_hosts = [\"ok\", {bad:?}]"));
        assert!(error.starts_with("listen.status_hosts: expected a name without port"), "{error}");
        assert!(error.ends_with(&format!("found {bad:?}")), "{error}");
    }
}

#[test]
fn a_named_port_is_checked_like_the_main_control_port() {
    let more = |rest: &str| format!("[listen.more.gui]\naddress = {rest}");
    assert_accepted(&more("\"127.0.0.1:53721\""));
    let error = check_error(&more("\"127.0.0.1:53720\""));
    assert_eq!(error, "listen.more.gui.address: port 53720 is already used by listen.callback");
    let error = check_error(&more("\"0.0.0.0:6000\""));
    assert!(error.contains("can reach listen.more.gui.address = "), "{error}");
    let own = "[upstream]\naddress = \"127.0.0.1:6000\"\n";
    let error = check_error(&(own.to_owned() + &more("\"127.0.0.1:6000\"")));
    assert!(
        error.starts_with("listen.more.gui.address: 127.0.0.1:6000 is also the control port"),
        "{error}"
    );
    let error = check_error(&more("\"127.0.0.1:0\"\nrole = \"observer\""));
    assert!(
        error.starts_with("listen.more.gui.role: an observer may not use a control port"),
        "{error}"
    );
    let error = read_error("[listen.more.gui]\nrole = \"read-only\"");
    assert_eq!(error.key, "listen.more.gui", "{error}");
    assert!(error.problem.contains("missing field `address`"), "{error}");
}

#[test]
fn limits_that_contradict_each_other_are_refused() {
    for (text, key) in [
        ("[upstream]\nreconnect_max_ms = 249", "upstream.reconnect_max_ms: "),
        ("[limits]\nupload_bytes = 33_554_433", "limits.upload_bytes: "),
        ("[limits]\nupload_bytes_total = 33_554_431", "limits.upload_bytes_total: "),
        ("[limits]\nbytes_per_s = 127", "limits.bytes_per_s: "),
        ("[limits]\nbytes_per_s = 65_535", "limits.bytes_per_s: expected at least limits.upload"),
        ("[limits]\nout_bytes = 127", "limits.out_bytes: "),
    ] {
        let error = check_error(text);
        assert!(error.starts_with(key), "{text}: {error}");
    }
    assert_accepted(
        "[upstream]\nreconnect_max_ms = 250\n[limits]\nupload_bytes_total = 33_554_432",
    );
    assert_accepted("[limits]\nbytes_per_s = 128\nupload_bytes_per_s_min = 128\nout_bytes = 128");
}

#[test]
fn the_dead_man_switch_needs_a_lease() {
    let error = check_error("[lease]\ndead_man = true");
    assert!(error.starts_with("lease.dead_man: ") && error.contains("lease.enabled"), "{error}");
    assert_accepted("[lease]\ndead_man = true\nenabled = true");
}
