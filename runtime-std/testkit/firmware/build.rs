//! Builds the firmware together with the tests, if an emulator is installed. It never fails: the tests
//! build again, which takes no time if all went well, and report what is wrong.

use std::path::PathBuf;
use std::process::Stdio;

#[allow(dead_code, unreachable_pub)] // the tests use the other half
#[path = "src/lib.rs"]
mod firmware;

fn main() {
    let core = "../../../protocol-core";
    for file in ["build.rs", "src/lib.rs"] {
        println!("cargo:rerun-if-changed={file}");
    }
    for file in ["src", "Cargo.toml"] {
        println!("cargo:rerun-if-changed={core}/{file}");
    }
    for package in firmware::PACKAGES.iter().chain(&firmware::PARTS) {
        for file in ["src", "Cargo.toml", "Cargo.lock"] {
            println!("cargo:rerun-if-changed={core}/examples/{package}/{file}");
        }
    }
    println!("cargo:rerun-if-env-changed={}", firmware::VARIABLE);
    println!("cargo:rerun-if-env-changed=PATH");

    // OUT_DIR is target/PROFILE/build/PACKAGE/out.
    let out = std::env::var_os("OUT_DIR").map(PathBuf::from).unwrap_or_default();
    let target_dir = out.ancestors().nth(4).unwrap_or(&out).join("firmware");
    println!("cargo:rustc-env=FIRMWARE_TARGET_DIR={}", target_dir.display());
    // The level that the workspace sets in [profile.test]; `cargo check` and `cargo clippy` use [profile.dev].
    let tests_are_built = std::env::var("OPT_LEVEL").is_ok_and(|level| level == "0");
    if !tests_are_built || firmware::missing().is_some() {
        return;
    }
    for package in firmware::PACKAGES {
        let mut command = firmware::build_command(package, &target_dir);
        let _ = command.stdin(Stdio::null()).stdout(Stdio::null()).status();
    }
}
