//! The crate whose link shows that nothing panics (`panic-free/`) calls every public function.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

fn sources(folder: &Path) -> Vec<String> {
    let files = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let rust = files.filter(|path| path.extension().is_some_and(|ending| ending == "rs"));
    rust.map(|path| fs::read_to_string(path).unwrap()).collect()
}

/// The names behind `pub fn`, `pub const fn` and `pub async fn`.
fn public_functions(source: &str) -> impl Iterator<Item = &str> {
    source.lines().filter_map(|line| {
        let rest = line.trim_start().strip_prefix("pub ")?;
        let rest = rest.strip_prefix("const ").or(rest.strip_prefix("async ")).unwrap_or(rest);
        rest.strip_prefix("fn ")?.split(['(', '<']).next()
    })
}

#[test]
fn every_public_function_is_called_where_a_panic_would_break_the_link() {
    let core = Path::new(env!("CARGO_MANIFEST_DIR"));
    let calls = sources(&core.join("panic-free/src")).concat();
    let sources = sources(&core.join("src"));
    let functions: BTreeSet<_> =
        sources.iter().flat_map(|source| public_functions(source)).collect();
    assert!(functions.len() > 60, "only {} functions were found", functions.len());
    let is_called = |name: &&&str| calls.contains(&format!("{name}("));
    let missing: Vec<_> = functions.iter().filter(|name| !is_called(name)).collect();
    assert!(missing.is_empty(), "not called in panic-free/src: {missing:?}");
}
