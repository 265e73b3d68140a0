//! Runs the body of a fuzz target on files, with stable Rust: `replay connection FILE-OR-FOLDER…`.
//!
//! It repeats an input that a fuzzer has found, and serves to measure the coverage of a corpus.

use std::path::Path;

use flamingo_testkit::bodies;

fn main() {
    let mut arguments = std::env::args().skip(1);
    let target = arguments.next().unwrap_or_default();
    let Some((_, body)) = bodies::ALL.into_iter().find(|(name, _)| *name == target) else {
        let names = bodies::ALL.map(|(name, _)| name).join(", ");
        eprintln!("expected a target ({names}) and files or folders, found {target:?}");
        std::process::exit(2);
    };
    let replayed: usize = arguments.map(|path| replay(Path::new(&path), body)).sum();
    println!("{target}: {replayed} files replayed, every check passed");
}

/// Replays a file, or all files of a folder. Returns the number of files.
fn replay(path: &Path, body: bodies::Body) -> usize {
    if !path.is_dir() {
        match std::fs::read(path) {
            Ok(data) => body(&data),
            Err(error) => {
                eprintln!("{}: {error}", path.display());
                std::process::exit(2);
            }
        }
        return 1;
    }
    let files = std::fs::read_dir(path).into_iter().flatten().flatten();
    files.map(|file| replay(&file.path(), body)).sum()
}
