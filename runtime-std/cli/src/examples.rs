//! The examples in the long help of each command, and the definition of the command line with them. A test parses each
//! example.

use clap::{Command, CommandFactory};

use crate::args::Cli;

/// Each command with lines that can be typed.
const EXAMPLES: &[(&str, &[&str])] = &[
    ("demo", &["flamingo demo", "flamingo demo -v"]),
    (
        "sim",
        &[
            "flamingo sim",
            "flamingo sim --scenario busy",
            "flamingo sim --port 0 --scenario my.toml",
        ],
    ),
    (
        "bridge",
        &["flamingo bridge --upstream 10.0.0.5:53717", "flamingo bridge --config bridge.toml"],
    ),
    ("race", &["flamingo race", "flamingo race --strategy flamingo --rates 0,400"]),
    (
        "get",
        &[
            "flamingo get state",
            "flamingo get position --axis x",
            "flamingo get position --save home.toml",
        ],
    ),
    (
        "move",
        &[
            "flamingo move x 8.5",
            "flamingo move x +250um --wait",
            "flamingo move x 8 y 15 z +50um",
            "flamingo move r -30deg",
            "flamingo move --to home.toml --wait",
        ],
    ),
    ("home", &["flamingo home x --wait"]),
    ("velocity", &["flamingo velocity", "flamingo velocity x 0.5mm/s"]),
    (
        "set",
        &[
            "flamingo set exposure 12ms",
            "flamingo set laser 1 5%",
            "flamingo set led white 50%",
            "flamingo set filter 2",
            "flamingo set aoi 2048x512",
        ],
    ),
    ("laser", &["flamingo laser 1 on", "flamingo laser all off"]),
    ("led", &["flamingo led on white", "flamingo led off"]),
    ("illumination", &["flamingo illumination left on"]),
    ("halt", &["flamingo halt", "flamingo halt --connect 10.0.0.5"]),
    (
        "watch",
        &[
            "flamingo watch",
            "flamingo watch --code STAGE_MOTION_STOPPED --count 1",
            "flamingo watch --axis x --format '{time} {value}'",
        ],
    ),
    ("send", &["flamingo send STAGE_POSITION_GET --data0 1", "flamingo send 0x3027"]),
    ("live", &["flamingo live --count 20 --out images", "flamingo live --for 5s --preview"]),
    ("images", &["flamingo images info live.ome.tif"]),
    ("workflow", &["flamingo workflow check stack.txt", "flamingo workflow run stack.txt"]),
    ("queue", &["flamingo queue run stack.txt --repeat 3 --pause 10m", "flamingo queue status"]),
    (
        "settings",
        &[
            "flamingo settings get 'Home x-axis'",
            "flamingo settings set 'Home x-axis' 7.5",
            "flamingo settings diff scope-settings.txt",
        ],
    ),
    ("doctor", &["flamingo doctor", "flamingo doctor --save-profile rig2.toml"]),
    ("record", &["flamingo record --connect 10.0.0.5 --listen 53727 --out run.pcapng"]),
    ("replay", &["flamingo replay run.pcapng --port 0"]),
    ("decode", &["flamingo decode run.pcapng", "flamingo decode --summary run.pcapng"]),
    ("codes", &["flamingo codes position", "flamingo codes 0x6008"]),
    ("config", &["flamingo config show --on rig2", "flamingo config edit"]),
    ("completions", &["flamingo completions bash"]),
    ("man", &["flamingo man"]),
];

/// The definition of the command line.
pub(crate) fn command() -> Command {
    EXAMPLES.iter().fold(Cli::command(), |command, (name, lines)| {
        let text = format!("Examples:\n  {}", lines.join("\n  "));
        command.mut_subcommand(name, |inner| inner.after_long_help(text))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_command_has_examples_that_can_be_typed() {
        let names: Vec<String> =
            Cli::command().get_subcommands().map(|each| each.get_name().to_owned()).collect();
        for name in &names {
            let found = EXAMPLES.iter().find(|(each, _)| each == name);
            let (_, lines) = found.unwrap_or_else(|| panic!("no example of {name}"));
            for line in *lines {
                let words: Vec<String> = split(line);
                assert_eq!(words[1], *name, "{line}");
                let parsed = command().try_get_matches_from(&words);
                assert!(parsed.is_ok(), "{line}: {parsed:?}");
            }
        }
        assert_eq!(EXAMPLES.len(), names.len());
    }

    #[test]
    fn short_help_is_shorter_than_long_help() {
        for (name, _) in EXAMPLES {
            let mut all = command();
            all.build();
            let inner = all.find_subcommand_mut(name).unwrap();
            let (short, long) =
                (inner.render_help().to_string(), inner.render_long_help().to_string());
            assert!(long.contains("Examples:") && !short.contains("Examples:"), "{name}");
            assert!(short.len() < long.len(), "{name}");
        }
    }

    /// The words of a line, with quotes as in a shell.
    fn split(line: &str) -> Vec<String> {
        let quoted = line.split('\'').enumerate();
        quoted
            .flat_map(|(at, part)| match at % 2 {
                0 => part.split_whitespace().map(str::to_owned).collect::<Vec<_>>(),
                _ => vec![part.to_owned()],
            })
            .collect()
    }
}
