//! The programs that docs/linking.md shows are the examples, which the tests run.

use std::fs::read_to_string;
use std::path::Path;

#[test]
fn the_linking_page_shows_the_examples_as_they_are() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let page = read_to_string(root.join("docs/linking.md")).expect("the page");
    let mut shown = 0;
    for part in page.split("<!-- begin ").skip(1) {
        let (path, rest) = part.split_once(" -->\n```rust\n").expect("a program");
        let (program, _) = rest.split_once("```\n<!-- end -->").expect("its end");
        let example = read_to_string(root.join(path)).expect(path);
        assert_eq!(program, example, "docs/linking.md shows another {path}");
        shown += 1;
    }
    assert_eq!(shown, 3);
}
