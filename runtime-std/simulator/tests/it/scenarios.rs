//! The example scenarios that come with the program.

use std::path::PathBuf;

use flamingo_protocol_core::CommandCode as Code;
use flamingo_runtime_testkit::raw_client::{RawClient, command};
use flamingo_simulator::{Scenario, Simulator, SimulatorOptions};

fn examples() -> Vec<(PathBuf, String)> {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("scenarios");
    let mut examples: Vec<_> = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .map(|path| (path.clone(), std::fs::read_to_string(path).unwrap()))
        .collect();
    examples.sort();
    examples
}

#[test]
fn every_example_loads_and_starts_and_answers() {
    let examples = examples();
    assert!(examples.len() >= 12);
    for (path, text) in examples {
        assert!(text.starts_with("# "), "{} says what it is", path.display());
        let scenario = Scenario::from_toml(&text).unwrap_or_else(|error| {
            panic!("{}: {error}", path.display());
        });
        let options = SimulatorOptions::new(scenario);
        let simulator = smol::block_on(Simulator::start(options)).unwrap();
        let mut client = RawClient::connect(&simulator);
        let state = client.ask(&command(Code::SYSTEM_STATE_GET)).frame;
        assert_eq!(state.selector(), Code::SYSTEM_STATE_IDLE.0 as i32, "{}", path.display());
    }
}

#[test]
fn the_healthy_example_shows_every_key_with_its_default() {
    let (_, text) =
        examples().into_iter().find(|(path, _)| path.ends_with("healthy.toml")).unwrap();
    assert_eq!(Scenario::from_toml(&text), Ok(Scenario::default()));
    let shown: std::collections::BTreeSet<_> = text
        .lines()
        .filter_map(|line| line.trim_start_matches("# ").split_once(" = "))
        .map(|(key, _)| key.trim())
        .collect();
    // The reader itself knows all keys: it lists them when it meets one that it does not know.
    for table in [
        "",
        "latency",
        "status",
        "pushes",
        "background",
        "tokens",
        "server",
        "stage",
        "stage.x",
        "stage.r",
        "light",
        "camera",
        "images",
        "settings",
        "workflow",
        "messages",
        "faults",
    ] {
        let header = if table.is_empty() { String::new() } else { format!("[{table}]\n") };
        let error = Scenario::from_toml(&format!("{header}no_such_key = 1")).unwrap_err();
        let (_, keys) = error.message.split_once("expected").unwrap();
        for key in keys.split('`').skip(1).step_by(2) {
            let is_table =
                text.contains(&format!("[{key}]")) || text.contains(&format!("[{table}.{key}]"));
            assert!(is_table || shown.contains(key), "[{table}] {key} is not shown");
        }
    }
}
