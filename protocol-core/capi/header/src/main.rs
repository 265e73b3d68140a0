//! The header: what cbindgen makes of the source of `flamingo-capi`, with the codes of the table of commands.
//!
//! ```sh
//! cargo run -p flamingo-capi-header             # fails if include/flamingo.h is not what the source says
//! cargo run -p flamingo-capi-header -- --write  # writes it
//! ```

use std::path::Path;
use std::process::ExitCode;

use cbindgen::{Config, Language, RenameRule};
use flamingo_protocol_core::wire::TABLE;

/// What a reader must know before the first function.
const PREAMBLE: &str = "\
/* flamingo.h: the C ABI of the protocol core for the Flamingo light-sheet microscope.
 *
 * Generated from protocol-core/capi; do not edit. `scripts/check-capi --header` writes it again.
 *
 * The library has no I/O, no clock, no allocation, no thread and no global state. The program owns the
 * memory of a connection, moves the bytes, and passes the time in microseconds since any origin:
 *
 *   1. flamingo_connection_init
 *   2. received bytes:  flamingo_connection_handle_input, until it consumes everything and gives NONE
 *   3. bytes to write:  flamingo_connection_poll_transmit, write, flamingo_connection_transmitted, until NONE
 *   4. outcomes:        flamingo_connection_poll_event, until NONE
 *   5. time:            flamingo_connection_poll_timeout, wait, flamingo_connection_handle_timeout
 *
 * Do steps 3 to 5 after every call that changes something.
 *
 * Preconditions of all functions: an object is used by one thread at a time (use a mutex). A pointer that
 * is not NULL points to memory of its type that is readable, and writable where the function writes. A
 * struct that a function reads has a value in each field. Each result has a place of its own. The library
 * checks all else: NULL, bad alignment, bad lengths, an object that was not initialised or was
 * deinitialised, an area that overlaps the object, and settings out of range give an error code. It cannot
 * notice memory that was freed and given away, or a length that is longer than the memory.
 *
 * No function calls back, blocks, or unwinds. */";

/// The constants that cbindgen would write as signed decimal numbers, and the codes of the commands.
fn constants() -> String {
    let bits = [
        (
            "The bit in the ticket of a query that the connection itself sent (a fence). Ignore its answer.",
            "TICKET_FENCE",
            flamingo::FLAMINGO_TICKET_FENCE,
        ),
        (
            "Bit of flamingo_frame.flags on a command: the instrument answers it.",
            "FLAG_TRIGGER_CALL_BACK",
            flamingo::FLAMINGO_FLAG_TRIGGER_CALL_BACK,
        ),
        (
            "Bit of flamingo_frame.flags: a position update that the instrument pushes during a motion.",
            "FLAG_STAGE_POSITIONS_IN_BUFFER",
            flamingo::FLAMINGO_FLAG_STAGE_POSITIONS_IN_BUFFER,
        ),
        (
            "Bit of flamingo_frame.flags, proposed, set by no known firmware: the frame is an answer.",
            "FLAG_ANSWER_TAG",
            flamingo::FLAMINGO_FLAG_ANSWER_TAG,
        ),
    ];
    let define = |name: &str, value: u32| format!("#define FLAMINGO_{name} 0x{value:04X}u\n");
    let bits = bits.map(|(says, name, value)| format!("/** {says} */\n{}", define(name, value)));
    let codes = TABLE.iter().map(|row| define(&format!("CODE_{}", row.name()), row.code.0));
    format!("{}\n/* The codes of the commands. */\n{}", bits.concat(), codes.collect::<String>())
}

fn header() -> Result<String, String> {
    let mut config = Config {
        language: Language::C,
        include_guard: Some("FLAMINGO_H".into()),
        cpp_compat: true,
        no_includes: true,
        sys_includes: vec!["stdbool.h".into(), "stddef.h".into(), "stdint.h".into()],
        header: Some(PREAMBLE.into()),
        usize_is_size_t: true,
        line_length: 110,
        ..Config::default()
    };
    let version = env!("CARGO_PKG_VERSION"); // a test compares it with that of flamingo-capi
    config.after_includes = Some(format!(
        "\n/* The version of this header. */\n#define FLAMINGO_VERSION \"{version}\"\n\n{}",
        constants()
    ));
    config.export.exclude.push("the_library_can_panic".into()); // of panic.rs: it does not exist
    config.enumeration.rename_variants = RenameRule::QualifiedScreamingSnakeCase;
    config.function.args = cbindgen::Layout::Auto;
    config.defines.insert("feature = small".into(), "FLAMINGO_SMALL".into());
    let mut text = Vec::new();
    let builder =
        cbindgen::Builder::new().with_config(config).with_src(source().join("src/lib.rs"));
    let bindings = builder.generate().map_err(|error| format!("cbindgen: {error}"))?;
    bindings.write(&mut text);
    let mut text = String::from_utf8(text).map_err(|error| error.to_string())?;
    while text.contains(
        "


",
    ) {
        text = text.replace(
            "


", "

",
        );
    }
    Ok(text.replace("# Safety", "Preconditions:"))
}

fn main() -> ExitCode {
    let file = source().join("include/flamingo.h");
    let made = match header() {
        Ok(made) => made,
        Err(error) => return failed(&error),
    };
    if std::env::args().nth(1).as_deref() == Some("--write") {
        return match std::fs::write(&file, &made) {
            Ok(()) => ExitCode::SUCCESS,
            Err(error) => failed(&format!("{}: {error}", file.display())),
        };
    }
    let found = std::fs::read_to_string(&file).unwrap_or_default();
    if made == found {
        return ExitCode::SUCCESS;
    }
    let line =
        made.lines().zip(found.lines()).take_while(|(made, found)| made == found).count() + 1;
    failed(&format!(
        "{} is not what the source says, from line {line} on: run scripts/check-capi --header",
        file.display()
    ))
}

/// The folder of the package flamingo-capi.
fn source() -> &'static Path {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/.."))
}

fn failed(why: &str) -> ExitCode {
    eprintln!("{why}");
    ExitCode::FAILURE
}
