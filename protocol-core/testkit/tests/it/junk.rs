//! Junk of any length and content between two frames loses neither. `examples/junk.rs` is the
//! long run.

use flamingo_testkit::junk;

#[test]
fn behind_any_junk_the_very_next_valid_frame_is_delivered() {
    let cases = if cfg!(miri) { 5 } else { 20_000 };
    let figures = junk::run(cases, 1);
    let formed = figures.formed_frame + figures.formed_payload;
    assert_eq!(figures.delivered + formed, cases);
    // A valid frame in the junk is no junk: there must be few, or nothing was tried.
    assert!(cfg!(miri) || formed * 20 < cases, "{figures:?}");
}
