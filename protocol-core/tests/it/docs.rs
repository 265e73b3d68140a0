//! Compares the documents with the code: the tables of fields, flags and commands in
//! `docs/protocol.md`, the list of files in `docs/architecture.md`, and the pictures. It does not check prose.

use flamingo_protocol_core::{
    Flags,
    wire::{FIELDS, Kind, Payload, Row, Selector, TABLE},
};

const PROTOCOL: &str = include_str!("../../../docs/protocol.md");
const DISSECTOR: &str = include_str!("../../../docs/wireshark/flamingo.lua");
const ARCHITECTURE: &str = include_str!("../../../docs/architecture.md");

/// The rows of the tables under a heading, each as a list of cells.
fn rows(heading: &str) -> Vec<Vec<&'static str>> {
    let section = PROTOCOL.lines().skip_while(|line| *line != heading).skip(1);
    let section = section.take_while(|line| !line.starts_with('#'));
    let rows = section.filter_map(|line| line.strip_prefix('|')?.strip_suffix('|'));
    rows.map(|row| row.split('|').map(str::trim).collect()).skip(2).collect()
}

/// The first cells of a command's row. The notes behind them are prose.
fn cells(row: &Row) -> Vec<String> {
    let kind = match row.kind {
        _ if row.is_usually_acknowledged() => "usually acknowledged",
        Kind::Query => "query",
        Kind::Action => "action",
        Kind::FireAndForget => "fire and forget",
        Kind::Event => "event",
    };
    let selector = match row.selector {
        Selector::None => "",
        Selector::Axis => "axis",
        Selector::Laser => "laser",
        Selector::Led => "colour",
    };
    let payload = match row.payload {
        Payload::None => "",
        Payload::Up => "up",
        Payload::Down => "down",
        Payload::Both => "both ways",
    };
    let pushed = if row.also_pushed() { "yes" } else { "" };
    let code = format!("0x{:04X}", row.code.0);
    [&code, row.name(), kind, selector, payload, pushed].map(String::from).to_vec()
}

#[test]
fn the_command_table_of_the_document_is_the_one_of_the_code() {
    let documented = rows("## The commands");
    for (row, documented) in TABLE.iter().zip(&documented) {
        assert_eq!(
            documented.iter().take(6).collect::<Vec<_>>(),
            cells(row).iter().collect::<Vec<_>>()
        );
        assert_eq!(documented.len(), 8, "{}: notes and how sure", row.name());
        let sure = documented.last().is_some_and(|sure| !sure.is_empty());
        assert!(sure, "{}: how sure it is", row.name());
    }
    assert_eq!(documented.len(), TABLE.len());
}

#[test]
fn the_wireshark_dissector_knows_the_commands_of_the_code() {
    let rows = DISSECTOR.lines().filter(|line| line.trim_start().starts_with("[0x"));
    let known: Vec<_> = rows.map(str::trim).collect();
    let row = |row: &Row| {
        let selector = match row.selector {
            Selector::None => "",
            Selector::Axis => ", sel = \"axis\"",
            Selector::Laser => ", sel = \"laser\"",
            Selector::Led => ", sel = \"led\"",
        };
        let up = if row.payload == Payload::Up { ", up = true" } else { "" };
        format!("[0x{:04X}] = {{ name = \"{}\"{selector}{up} }},", row.code.0, row.name())
    };
    assert_eq!(known, TABLE.iter().map(row).collect::<Vec<_>>());
}

#[test]
fn the_wireshark_dissector_knows_the_flags_of_the_code() {
    for (flag, name) in Flags::NAMED {
        let row = format!("{{ \"{}\", \"{name}\", 0x{:08X} }},", name.to_lowercase(), flag.0);
        assert!(DISSECTOR.contains(&row), "{row}");
    }
}

#[test]
fn the_frame_layout_of_the_document_is_the_one_of_the_code() {
    let documented: Vec<_> = rows("## The control frame")
        .into_iter()
        .map(|row| [0, 1, 3].map(|at| row.get(at).copied().unwrap_or_default().to_owned()))
        .collect();
    let fields = FIELDS
        .map(|field| [field.offset.to_string(), field.len.to_string(), field.name.to_owned()]);
    assert_eq!(documented, fields);
}

#[test]
fn the_flags_of_the_document_are_those_of_the_code() {
    let documented: Vec<_> = rows("### Flags in cmdDataBits0")
        .into_iter()
        .map(|row| row.into_iter().take(2).map(String::from).collect::<Vec<_>>())
        .collect();
    let flags = Flags::NAMED.map(|(bit, name)| vec![format!("0x{:08X}", bit.0), name.to_owned()]);
    assert_eq!(documented, flags);
}

/// The source folders that docs/architecture.md lists.
const SOURCES: [&str; 13] = [
    "protocol-core/src/",
    "protocol-core/capi/src/",
    "runtime-std/src/",
    "runtime-std/tokio/src/",
    "runtime-std/microscope/src/",
    "runtime-std/simulator/src/",
    "runtime-std/recording/src/",
    "runtime-std/bridge/src/",
    "runtime-std/race/src/",
    "runtime-std/cli/src/",
    "runtime-std/python/src/",
    "runtime-std/python/python/flamingo/",
    "runtime-std/python/python/flamingo/micromanager/",
];

fn workspace() -> std::path::PathBuf {
    std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// The files and folders that docs/architecture.md lists under `sources`.
fn listed(sources: &str) -> Vec<&'static str> {
    let house = ARCHITECTURE.lines().skip_while(|line| !line.starts_with(sources)).skip(1);
    house
        .take_while(|line| line.starts_with("  "))
        .filter_map(|line| line.split_whitespace().next())
        .map(|name| name.trim_end_matches('/'))
        .collect()
}

/// Whether a build has made it: the native module of the Python package, or compiled Python.
fn is_built(name: &str) -> bool {
    name == "__pycache__" || (name.starts_with("_native") && name != "_native.pyi")
}

/// Whether this is a file of tests, or a folder that contains only such files.
fn is_for_tests(path: &std::path::Path) -> std::io::Result<bool> {
    if path.is_dir() {
        for entry in path.read_dir()? {
            if !is_for_tests(&entry?.path())? {
                return Ok(false);
            }
        }
        return Ok(true);
    }
    Ok(path.to_string_lossy().ends_with("tests.rs"))
}

#[test]
fn the_architecture_page_names_every_source_file() -> std::io::Result<()> {
    for sources in SOURCES {
        let listed = listed(sources);
        for entry in workspace().join(sources).read_dir()? {
            let path = entry?.path();
            let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
            let known = listed.contains(&name.as_str()) || is_built(&name) || is_for_tests(&path)?;
            assert!(known, "docs/architecture.md: say what {sources}{name} is");
        }
    }
    Ok(())
}

/// The text of all files of tests of the core.
fn tests_of_the_core() -> std::io::Result<String> {
    let mut text = String::new();
    for folder in ["protocol-core/tests/it", "protocol-core/testkit/tests/it"] {
        for entry in workspace().join(folder).read_dir()? {
            let path = entry?.path();
            if path.is_file() {
                text += &std::fs::read_to_string(path)?;
            }
        }
    }
    Ok(text)
}

#[test]
fn each_promise_names_a_test_that_exists() -> std::io::Result<()> {
    let tests = tests_of_the_core()?;
    let section = ARCHITECTURE.lines().skip_while(|line| *line != "## Promises").skip(1);
    let section = section.take_while(|line| !line.starts_with("## "));
    let promises: Vec<&str> = section.filter(|line| line.starts_with("| ")).skip(1).collect();
    assert!(promises.len() > 10, "the table was not found");
    for promise in promises {
        let named = promise.rsplit('|').nth(1).unwrap_or_default().split('`').skip(1).step_by(2);
        let mut known = named.inspect(|name| {
            assert!(tests.contains(&format!("fn {name}(")), "there is no test {name}");
        });
        assert!(known.next().is_some() && known.count() < 10, "without a test: {promise}");
    }
    Ok(())
}

#[test]
fn the_architecture_page_names_only_files_that_exist() {
    for sources in SOURCES {
        for name in listed(sources) {
            assert!(workspace().join(sources).join(name).exists(), "{sources}{name}");
        }
    }
    let quoted = ARCHITECTURE.split('`').skip(1).step_by(2);
    for path in
        quoted.filter(|path| path.starts_with("protocol-core/") || path.starts_with("runtime-std/"))
    {
        assert!(workspace().join(path).exists(), "docs/architecture.md names {path}");
    }
}

#[test]
fn every_picture_of_a_document_has_content() -> std::io::Result<()> {
    let pages = workspace().join("docs").read_dir()?.map(|entry| entry.map(|entry| entry.path()));
    let mut pages = pages.collect::<std::io::Result<Vec<_>>>()?;
    pages.push(workspace().join("README.md"));
    pages.retain(|page| page.extension().is_some_and(|ending| ending == "md"));
    let mut pictures = 0;
    for page in pages {
        let text = std::fs::read_to_string(&page)?;
        // `![what it shows](file)` on one line; `![` alone may be code.
        let shown = text.lines().flat_map(|line| line.split("![").skip(1));
        let files = shown.filter_map(|after| after.split_once("](")?.1.split_once(')'));
        for (picture, _) in files.filter(|(file, _)| !file.contains("://")) {
            let file = page.parent().unwrap_or(&page).join(picture);
            let bytes = file.metadata().map_or(0, |metadata| metadata.len());
            assert!(bytes > 0, "{}: the picture {picture} is empty or missing", page.display());
            pictures += 1;
        }
    }
    assert!(pictures > 0, "no picture was found");
    Ok(())
}
