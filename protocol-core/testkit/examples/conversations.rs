//! Runs many random conversations: `conversations [--conversations N] [--seed S] [--survey] [--journal] [--all] [--list]`.
//!
//! The conversations have the seeds S, S + 1, … With `--journal` it runs only the conversation of that seed and
//! prints all that happens. With `--all` it continues after a broken promise and prints the shortest example of
//! each; `--list` prints all examples.

use std::collections::BTreeMap;

use flamingo_testkit::random::{self, Broken, Promise, Survey};

#[allow(clippy::struct_excessive_bools)] // independent options
struct Options {
    conversations: u64,
    seed: u64,
    survey: bool,
    journal: bool,
    all: bool,
    list: bool,
}

fn main() {
    let options = options();
    if options.journal {
        for line in random::journal(options.seed) {
            println!("{line}");
        }
        return;
    }
    let threads = std::thread::available_parallelism().map_or(1, std::num::NonZero::get) as u64;
    let options = &options;
    let parts: Vec<Part> = std::thread::scope(|scope| {
        let run = |thread| scope.spawn(move || part(options, thread, threads));
        let handles: Vec<_> = (0..threads).map(run).collect();
        handles.into_iter().map(|handle| handle.join().expect("no panic")).collect()
    });
    let (mut survey, mut broken) = (Survey::default(), BTreeMap::new());
    for part in parts {
        survey.add(&part.survey);
        for (promise, (number, example)) in part.broken {
            keep(&mut broken, promise, number, example);
        }
    }
    if options.survey {
        print!("{survey}");
    }
    for (promise, (number, example)) in &broken {
        println!("{number:>8} × {promise:?}, for example {example}");
    }
    println!("{} conversations held every promise", survey.of("conversations"));
    if !broken.is_empty() {
        std::process::exit(1);
    }
}

#[derive(Default)]
struct Part {
    survey: Survey,
    broken: BTreeMap<Promise, (u64, Broken)>,
}

/// Every `threads`-th conversation.
fn part(options: &Options, thread: u64, threads: u64) -> Part {
    let mut part = Part::default();
    let mine = (0..options.conversations).filter(|seed| seed % threads == thread);
    for seed in mine {
        match random::run(options.seed.wrapping_add(seed)) {
            Ok(survey) => part.survey.add(&survey),
            Err(broken) => {
                if options.list {
                    println!("{broken}");
                }
                keep(&mut part.broken, broken.promise, 1, *broken);
                if !options.all {
                    return part;
                }
            }
        }
    }
    part
}

/// Keeps the example that breaks first.
fn keep(
    all: &mut BTreeMap<Promise, (u64, Broken)>,
    promise: Promise,
    number: u64,
    example: Broken,
) {
    let entry = all.entry(promise).or_insert_with(|| (0, example.clone()));
    entry.0 += number;
    if example.step < entry.1.step {
        entry.1 = example;
    }
}

fn options() -> Options {
    let mut options = Options {
        conversations: 100_000,
        seed: 1,
        survey: false,
        journal: false,
        all: false,
        list: false,
    };
    let mut arguments = std::env::args().skip(1);
    while let Some(argument) = arguments.next() {
        match argument.as_str() {
            "--conversations" => options.conversations = number(arguments.next()),
            "--seed" => options.seed = number(arguments.next()),
            "--survey" => options.survey = true,
            "--journal" => options.journal = true,
            "--all" => options.all = true,
            "--list" => (options.all, options.list) = (true, true),
            other => usage(other),
        }
    }
    options
}

fn number(argument: Option<String>) -> u64 {
    let argument = argument.unwrap_or_default();
    argument.parse().unwrap_or_else(|_| usage(&argument))
}

fn usage(found: &str) -> ! {
    eprintln!(
        "expected --conversations N, --seed S, --survey, --journal, --all or --list, found {found:?}"
    );
    std::process::exit(2);
}
