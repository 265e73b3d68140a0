//! Each method of the core has its function.

const HEADER: &str = include_str!("../../include/flamingo.h");
const CONNECTION: [&str; 2] = [
    include_str!("../../../src/connection/mod.rs"),
    include_str!("../../../src/connection/request.rs"),
];
const RESPONDER: [&str; 1] = [include_str!("../../../src/responder.rs")];

/// The public methods in these files that have a receiver.
fn methods(files: &[&str]) -> Vec<String> {
    let mut found = Vec::new();
    for file in files {
        for part in file.split("\n    pub ").skip(1) {
            let part = part.trim_start_matches("const ");
            let Some((name, rest)) =
                part.strip_prefix("fn ").and_then(|part| part.split_once(['(', '<']))
            else {
                continue;
            };
            if rest.split_once(')').is_some_and(|(arguments, _)| arguments.contains("self")) {
                found.push(name.to_owned());
            }
        }
    }
    found
}

/// Methods whose results are fields of one struct, or arguments of `init`.
fn function(object: &str, method: &str) -> String {
    match (object, method) {
        ("connection", "held" | "in_flight" | "last_ticket") => "flamingo_connection_status".into(),
        ("connection", "starting_after") => "flamingo_connection_init".into(),
        ("responder", "queued" | "noise_bytes" | "unfinished") => {
            "flamingo_responder_get_status".into()
        }
        _ => format!("flamingo_{object}_{method}"),
    }
}

#[test]
fn each_method_of_the_core_has_its_function() {
    for (object, files) in [("connection", &CONNECTION[..]), ("responder", &RESPONDER[..])] {
        let methods = methods(files);
        assert!(methods.len() > 5, "{methods:?}");
        for method in methods {
            let function = function(object, &method);
            assert!(HEADER.contains(&format!(" {function}(")), "{object}: {method}: no {function}");
        }
    }
}

#[test]
fn the_header_declares_only_names_of_this_library() {
    // A declaration begins in the first column, and the name of its function is before the parenthesis.
    let declared =
        HEADER.lines().filter(|line| line.starts_with(|first: char| first.is_ascii_lowercase()));
    let mut names = Vec::new();
    for line in declared {
        let Some((before, _)) = line.split_once('(') else { continue };
        names.extend(before.rsplit([' ', '*']).next());
    }
    assert!(names.len() > 40, "{names:?}");
    for name in names {
        assert!(name.starts_with("flamingo_"), "{name} is in the header");
    }
}
