//! Junk of any length and content between two frames loses neither frame. `examples/junk.rs` runs more cases.

use flamingo_testkit::junk;

#[test]
fn the_next_valid_frame_after_any_junk_is_delivered() {
    let cases = if cfg!(miri) { 5 } else { 20_000 };
    let counts = junk::run(cases, 1);
    let formed = counts.formed_frame + counts.formed_payload;
    assert_eq!(counts.delivered + formed, cases);
    // Junk that forms a valid frame tests nothing, so it must be rare.
    assert!(cfg!(miri) || formed * 20 < cases, "{counts:?}");
}
