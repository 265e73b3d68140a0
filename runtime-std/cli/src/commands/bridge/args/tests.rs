//! Tests of the command line of `flamingo bridge`, without a bridge.

use std::io::Write;

use clap::{CommandFactory, FromArgMatches, Parser};

use super::*;

/// `flamingo bridge`, alone.
#[derive(Debug, Parser)]
struct Line {
    #[command(flatten)]
    bridge: BridgeArgs,
}

fn parsed(args: &[&str]) -> Result<BridgeArgs, clap::Error> {
    Line::try_parse_from([&["bridge"], args].concat()).map(|line| line.bridge)
}

fn bridge(args: &[&str]) -> BridgeArgs {
    parsed(args).unwrap_or_else(|error| panic!("{args:?}: {error}"))
}

/// The settings in a file with this text, overridden by the command line and not checked.
fn over(text: &str, args: &[&str]) -> BridgeSettings {
    let mut settings = BridgeSettings::from_toml(text).unwrap();
    if let Some(overrides) = bridge(args).overrides {
        overrides.apply_to(&mut settings);
    }
    settings
}

fn refused(args: &[&str]) -> String {
    match bridge(args).settings() {
        Err(Failure::Exit { code: crate::failure::USAGE, message }) => message,
        other => panic!("{args:?}: {other:?}"),
    }
}

/// A file that is deleted when this is dropped.
struct File(PathBuf);

impl File {
    fn new(name: &str, text: &str) -> Self {
        let name = format!("flamingo-bridge-args-{}-{name}.toml", std::process::id());
        let path = std::env::temp_dir().join(name);
        let mut file = std::fs::File::create(&path).unwrap();
        file.write_all(text.as_bytes()).unwrap();
        Self(path)
    }

    fn path(&self) -> &str {
        self.0.to_str().unwrap()
    }
}

impl Drop for File {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}

/// How an option changes the settings.
type Change = fn(&mut BridgeSettings);

/// A file in which every value differs from its default.
const FILE: &str = r#"
    [upstream]
    address = "10.0.0.5:53717"
    tokens = "client-id"
    window = 2
    [listen]
    control = "127.0.0.1:6000"
    live = 7001
    stack = 7002
    callback = 7003
    status = "127.0.0.1:7004"
    [events]
    tag = true
    [record]
    folder = "wire"
    [log]
    format = "json"
"#;

#[test]
fn the_definition_of_the_command_line_is_consistent() {
    Line::command().debug_assert();
}

#[test]
fn without_options_the_file_or_the_defaults_apply() {
    assert_eq!(over(FILE, &[]), BridgeSettings::from_toml(FILE).unwrap());
    assert_eq!(over("", &[]), BridgeSettings::default());
}

#[test]
fn each_option_overrides_the_file_and_nothing_else() {
    let file = BridgeSettings::from_toml(FILE).unwrap();
    let cases: [(&[&str], Change); 13] = [
        (&["--upstream", "scope:1"], |s| s.upstream.address = "scope:1".to_owned()),
        (&["--listen", "[::1]:0"], |s| s.listen.control = "[::1]:0".parse().unwrap()),
        (&["--callback-port", "off"], |s| s.listen.callback = PortChoice::Off),
        (&["--callback-port", "0"], |s| s.listen.callback = PortChoice::Number(0)),
        (&["--live-port", "next"], |s| s.listen.live = PortChoice::Next),
        (&["--stack-port", "9000"], |s| s.listen.stack = PortChoice::Number(9000)),
        (&["--status", "off"], |s| s.listen.status = None),
        (&["--status", "[::1]:1"], |s| s.listen.status = "[::1]:1".parse().ok()),
        (&["--preset", "python-gui"], |s| s.events.use_preset(Preset::PythonGui)),
        (&["--tag=false"], |s| s.events.tag = false),
        (&["--tokens", "int32-data2"], |s| s.upstream.tokens = Tokens::Int32Data2),
        (&["--record", "other"], |s| s.record.folder = "other".to_owned()),
        (&["--log", "text"], |s| s.log.format = LogFormat::Text),
    ];
    for (args, change) in cases {
        let mut expected = file.clone();
        change(&mut expected);
        assert_eq!(over(FILE, args), expected, "{args:?}");
        assert_ne!(expected, file, "{args:?}");
    }
}

#[test]
fn tag_alone_means_true_and_takes_no_separate_value() {
    assert!(over("", &["--tag"]).events.tag);
    assert!(over("", &["--tag=true"]).events.tag);
    assert!(!over("", &[]).events.tag);
    assert!(over("", &["--tag", "--log", "json"]).events.tag);
}

#[test]
fn the_upstream_is_required_unless_the_file_has_it() {
    assert!(refused(&[]).contains("--upstream"));
    let settings = bridge(&["--upstream", "10.0.0.5:53717"]).settings().unwrap();
    assert_eq!(settings.upstream.address, "10.0.0.5:53717");
    let file = File::new("instrument", FILE);
    let settings = bridge(&["--config", file.path(), "--live-port", "8000"]).settings().unwrap();
    assert_eq!(settings.upstream.address, "10.0.0.5:53717");
    assert_eq!(settings.upstream.window, 2);
    assert_eq!(settings.listen.live, PortChoice::Number(8000));
}

#[test]
fn settings_are_checked_after_the_command_line_overrides_them() {
    let file = File::new("checked", FILE);
    assert!(bridge(&["--config", file.path()]).settings().is_ok());
    let error = refused(&["--config", file.path(), "--live-port", "7002"]);
    assert!(error.starts_with("bridge: listen.stack: port 7002"), "{error}");
    let error = refused(&["--config", file.path(), "--upstream", "127.0.0.1:6000"]);
    assert!(error.starts_with("bridge: listen.control: 127.0.0.1:6000"), "{error}");
    let error = refused(&["--config", file.path(), "--listen", "0.0.0.0:6000"]);
    assert!(error.starts_with("bridge: access.allow: "), "{error}");
    // The command line can correct an error in the file.
    let wrong = File::new("wrong", &FILE.replace("7001", "7002"));
    assert!(bridge(&["--config", wrong.path()]).settings().is_err());
    assert!(bridge(&["--config", wrong.path(), "--live-port", "off"]).settings().is_ok());
}

#[test]
fn an_error_in_the_file_names_file_line_and_key() {
    let file = File::new("unusable", "[lease]\nidle = 3\n");
    let error = refused(&["--config", file.path(), "--upstream", "10.0.0.5:53717"]);
    let expected = format!("--config {}: line 2: lease.idle: unknown field", file.path());
    assert!(error.starts_with(&expected), "{error}");
    let gone = file.path().to_owned();
    drop(file);
    let error = refused(&["--config", &gone, "--upstream", "10.0.0.5:53717"]);
    assert!(error.starts_with(&format!("--config {gone}: cannot read it: ")), "{error}");
}

#[test]
fn invalid_ports_addresses_and_choices_are_refused() {
    for bad in [
        ["--callback-port", "on"],
        ["--live-port", "65536"],
        ["--stack-port", "0x10"],
        ["--listen", "53717"],
        ["--listen", "localhost:53717"],
        ["--status", "9000"],
        ["--tokens", "clientid"],
        ["--log", "xml"],
        ["--preset", "python"],
    ] {
        let error = parsed(&bad).unwrap_err();
        assert!(error.to_string().starts_with("error: invalid value"), "{error}");
    }
    assert!(parsed(&["--tag=maybe"]).is_err());
}

#[test]
fn status_takes_no_settings() {
    let asks = |args: &[&str]| match bridge(args).status() {
        Ok(Some(status)) => status.status,
        other => panic!("{args:?}: {other:?}"),
    };
    assert_eq!(asks(&["status"]), "127.0.0.1:53721".parse().unwrap());
    assert_eq!(asks(&["status", "--status", "[::1]:9"]), "[::1]:9".parse().unwrap());
    assert!(matches!(bridge(&["--status", "[::1]:9"]).status(), Ok(None)));
    assert!(parsed(&["status", "--upstream", "10.0.0.5:53717"]).is_err());
    for before in [["--upstream", "10.0.0.5:53717"], ["--status", "[::1]:9"]] {
        let both = bridge(&[&before[..], &["status"]].concat());
        assert!(matches!(both.status(), Err(Failure::Exit { code: 2, .. })), "{both:?}");
    }
}

#[test]
fn global_options_are_allowed_before_status() {
    let line = crate::args::Cli::command();
    let line = line.subcommand(BridgeArgs::augment_args(clap::Command::new("probe")));
    let matches = line.try_get_matches_from(["flamingo", "probe", "--json", "-v", "status"]);
    let matches = matches.unwrap_or_else(|error| panic!("{error}"));
    let (_, matches) = matches.subcommand().unwrap();
    let bridge = BridgeArgs::from_arg_matches(matches).unwrap();
    assert!(matches!(bridge.status(), Ok(Some(_))), "{bridge:?}");
}
