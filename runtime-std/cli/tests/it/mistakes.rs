//! What people type by mistake, what the program says, and its exit code. Each message names what was expected and what
//! came, or what to type instead, on one line.

use crate::program::flamingo;
use crate::simulator::simulator;

/// What was typed, the exit code, and words of the message.
const MISTAKES: &[(&str, i32, &[&str])] = &[
    ("mov x 8", 2, &["'mov'", "did you mean move?"]),
    ("move x", 2, &["more was expected", "<TARGET>"]),
    ("move xx 8", 2, &["expected x, y, z or r", "xx"]),
    ("move 8 x", 2, &["expected x, y, z or r", "'8'"]),
    ("move x 8,5", 2, &["a number such as 7.5", "8,5", "write 8.5"]),
    ("move x 8.5cm", 2, &["8.5mm or 250um", "8.5cm"]),
    ("move r 30um", 2, &["30 or 30deg", "30um"]),
    (
        "move x 25",
        2,
        &["at most 12.31 mm", "Soft limit max x-axis", "line", "found 25 mm", "nothing was moved"],
    ),
    ("move x 8 x 9", 2, &["each axis once", "x twice", "nothing was moved"]),
    ("move x +-1", 2, &["+0.25", "+-1"]),
    ("move x 8 --by 1", 2, &["[TARGET]", "--by"]),
    ("move --to no-such.toml", 2, &["no-such.toml", "nothing was moved"]),
    ("move x seven", 2, &["seven"]),
    ("home", 2, &["more was expected", "<AXIS>"]),
    ("home q", 2, &["expected x, y, z or r", "q"]),
    ("velocity x fast", 2, &["0.5mm/s or 500um/s", "fast", "nothing was sent"]),
    ("velocity r 1mm/s", 2, &["10deg/s", "1mm", "nothing was sent"]),
    ("set exposure 12", 2, &["12ms or 800us", "write 12ms or 12us"]),
    ("set exposure 12msec", 2, &["12ms or 800us", "12msec"]),
    ("set laser 9 5%", 2, &["1 to 4", "9"]),
    ("set laser 1 150%", 2, &["0% to 100%", "150%"]),
    ("set led pink 50%", 2, &["red, green, blue or white", "pink"]),
    ("set filter two", 2, &["such as 2", "two"]),
    ("set filter 99", 2, &["0 to 8", "found 99", "nothing was sent"]),
    ("set aoi 2048", 2, &["2048x512", "2048"]),
    ("set aoi 100x100", 2, &["size of the sensor", "--sensor 2048x2048", "nothing was sent"]),
    ("laser 1 maybe", 2, &["on, off or preview", "maybe"]),
    ("laser all on", 2, &["expected off", "nothing was sent"]),
    ("illumination up on", 2, &["left, right or both", "up"]),
    ("get exposur", 2, &["'exposur'", "did you mean exposure?"]),
    ("get position --axis w", 2, &["expected x, y, z or r", "w"]),
    ("get laser 0", 2, &["expected 1 to 4", "found 0"]),
    (
        "watch --code STAGE_POSITON_GET",
        2,
        &["STAGE_POSITON_GET", "did you mean STAGE_POSITION_GET?"],
    ),
    ("watch --code 6008", 2, &["0x1778", "write 0x6008 for STAGE_POSITION_GET"]),
    ("watch --format {tme}", 2, &["expected a field", "tme", "did you mean time?"]),
    ("watch --count 0", 2, &["expected 1 or more", "found 0"]),
    ("watch --for 10", 2, &["500ms or 3s", "\"10\""]),
    ("send STAGE_HLAT", 2, &["STAGE_HLAT", "did you mean STAGE_HALT?"]),
    (
        "send STAGE_POSITION_SET --data0 9",
        2,
        &["1 (X), 2 (Y), 3 (Z) or 4 (R)", "found 9", "nothing was sent"],
    ),
    ("send CAMERA_WORK_FLOW_START", 2, &["expected a payload", "--payload"]),
    ("get state --connect host:", 2, &["1 to 65535", "host:"]),
    ("get state --connect ::1", 2, &["in brackets", "[::1]:53717"]),
    ("get state --connect 127.0.0.1:1", 3, &["cannot connect", "is the instrument on"]),
    ("get state --on rig2", 2, &["the name of a profile", "there is none", "rig2"]),
    ("sim --scenario bussy", 2, &["--list", "bussy", "did you mean busy?"]),
    ("sim --port 70000", 2, &["expected 0 to 65535", "found 70000"]),
    ("sim --bind localhost", 2, &["localhost", "such as 127.0.0.1"]),
    ("settings get Hom", 2, &["\"Hom\"", "did you mean Home x-axis"]),
    ("workflow run no-such.txt", 2, &["cannot read no-such.txt"]),
    ("queue status --state none.json", 2, &["none.json", "there is no queue", "--state"]),
    ("codes banana", 2, &["a part of a name", "banana"]),
    ("codes 0x7777", 2, &["0x7777", "flamingo send"]),
    ("completions tcsh", 2, &["bash, elvish, fish, powershell or zsh", "did you mean zsh?"]),
    ("live --format jpeg", 2, &["png, tiff, ome-tiff or ome-zarr", "jpeg"]),
    ("bridge", 2, &["--upstream", "10.0.0.5:53717"]),
    ("race --queries 1", 2, &["expected 4 to 100000", "found 1"]),
];

#[test]
fn each_mistake_is_answered_with_what_to_type() {
    let (simulator, address) = simulator("");
    let before = simulator.truth().received().len();
    for (typed, code, words) in MISTAKES {
        let mut arguments: Vec<&str> = typed.split(' ').collect();
        let connects =
            !["sim", "bridge", "race", "codes", "completions", "queue"].contains(&arguments[0]);
        if connects && !typed.contains("--connect") {
            arguments.extend(["--connect", &address]);
        }
        let ended = flamingo(&arguments);
        ended.expect_error(*code, words);
        assert_eq!(ended.stdout, "", "{typed}");
    }
    // Settings and state were asked for, and nothing was set.
    for sent in simulator.truth().received().iter().skip(before) {
        let effect = sent.frame.code.row().unwrap().effect;
        assert!(!effect.moves() && !effect.lights(), "{sent:?}");
    }
}
