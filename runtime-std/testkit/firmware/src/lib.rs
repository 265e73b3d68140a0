//! How the firmware packages of `protocol-core/examples` are built. The build script uses it, so that
//! the firmware is built once, together with the tests; the tests use it to find the programs.
//!
//! The tests themselves, and the emulator that they run, are in `tests/it`.

use std::ffi::OsStr;
use std::path::Path;
use std::process::{Command, Stdio};

/// The packages that the tests run, in `protocol-core/examples`.
pub const PACKAGES: [&str; 5] =
    ["mcu-bridge", "embassy-bridge", "mcu-stage", "embassy-client", "mcu-log"];

/// The packages that are parts of these, in the same folder.
pub const PARTS: [&str; 2] = ["bridge-logic", "mps2-board"];

/// The emulator.
pub const QEMU: &str = "qemu-system-arm";

/// The variable that decides what happens without an emulator. `required`: the tests fail instead of being
/// skipped. `off`: the firmware is not built, and the tests are skipped even with an emulator.
pub const VARIABLE: &str = "FLAMINGO_QEMU";

/// Why the firmware cannot be built or run here; `None` if it can.
pub fn missing() -> Option<&'static str> {
    if std::env::var_os(VARIABLE).is_some_and(|value| value == "off") {
        return Some("FLAMINGO_QEMU=off");
    }
    let mut version = Command::new(QEMU);
    version.arg("--version").stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    version.status().is_err().then_some("qemu-system-arm is not installed")
}

/// The command that builds a package for release. All packages share `target_dir`, so that what they have in
/// common is compiled once. It prints the messages of the build as JSON on its standard output.
pub fn build_command(package: &str, target_dir: &Path) -> Command {
    let examples = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../protocol-core/examples");
    let cargo = std::env::var_os("CARGO");
    let mut command = Command::new(cargo.as_deref().unwrap_or(OsStr::new("cargo")));
    command.current_dir(examples.join(package));
    command.args(["build", "--release", "--locked", "--message-format", "json-render-diagnostics"]);
    command.arg("--target-dir").arg(target_dir);
    // Settings that are meant for the tests (coverage, lints, another target) are not for the firmware.
    for variable in [
        "RUSTFLAGS",
        "CARGO_ENCODED_RUSTFLAGS",
        "CARGO_BUILD_TARGET",
        "RUSTC_WRAPPER",
        "RUSTC_WORKSPACE_WRAPPER",
    ] {
        command.env_remove(variable);
    }
    command
}
