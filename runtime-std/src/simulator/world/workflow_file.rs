//! What a workflow file asks for, read from its text. Running it is `workflow.rs`.

use std::collections::BTreeMap;

/// What the simulator takes from a workflow file.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Plan {
    /// X, Y, Z in mm and R in degrees.
    pub(super) start: [f64; 4],
    pub(super) end_z: f64,
    pub(super) planes: i32,
    /// Planes per second; `None` if the file leaves it open.
    pub(super) frame_rate: Option<f64>,
    /// Tiles are taken one after the other, all at the start position.
    pub(super) stacks: i32,
    /// Number, percent, on.
    pub(super) lasers: Vec<(i32, f64, bool)>,
}

type Lines<'a> = BTreeMap<(&'a str, &'a str), &'a str>;

impl Plan {
    /// Reads a workflow file; the error is what the instrument would say.
    pub(super) fn parse(bytes: &[u8]) -> Result<Self, String> {
        let text = std::str::from_utf8(bytes).map_err(|_| "work flow is not text".to_owned())?;
        let lines = lines(text);
        if lines.is_empty() {
            return Err("work flow empty".to_owned());
        }
        let number = |section, name| number(&lines, section, name);
        let mut start = [0.0; 4];
        for (place, name) in start.iter_mut().zip(["X (mm)", "Y (mm)", "Z (mm)", "Angle (degrees)"])
        {
            *place = number("Start Position", name)
                .ok_or_else(|| format!("work flow has no start position {name}"))?;
        }
        let planes = count(number("Stack Settings", "Number of planes"))
            .ok_or("work flow has no number of planes")?;
        let tiled = lines.get(&("Stack Settings", "Stack option")) == Some(&"Tile");
        let tiles = |name| if tiled { count(number("Stack Settings", name)) } else { None };
        let [across, down] = ["Stack option settings 1", "Stack option settings 2"].map(tiles);
        Ok(Self {
            start,
            end_z: number("End Position", "Z (mm)").unwrap_or(start[2]),
            planes,
            frame_rate: number("Experiment Settings", "Frame rate (f/s)")
                .filter(|rate| *rate > 0.0),
            stacks: across.unwrap_or(1).saturating_mul(down.unwrap_or(1)),
            lasers: lasers(&lines),
        })
    }

    pub(super) fn total_planes(&self) -> i32 {
        self.planes.saturating_mul(self.stacks)
    }
}

/// `name = value` by section and name.
fn lines(text: &str) -> Lines<'_> {
    let mut section = "";
    let mut lines = BTreeMap::new();
    for line in text.lines().map(str::trim) {
        if let Some(name) = line.strip_prefix('<').and_then(|line| line.strip_suffix('>')) {
            section = name;
        } else if let Some((name, value)) = line.split_once('=') {
            lines.insert((section, name.trim()), value.trim());
        }
    }
    lines
}

/// A finite number, with or without commas between its thousands.
fn number(lines: &Lines<'_>, section: &str, name: &str) -> Option<f64> {
    let text = lines.get(&(section, name))?.replace(',', "");
    text.parse::<f64>().ok().filter(|number| number.is_finite())
}

fn count(number: Option<f64>) -> Option<i32> {
    #[allow(clippy::cast_possible_truncation)] // in range
    number.filter(|count| (1.0..=1e6).contains(count)).map(|count| count as i32)
}

/// `Laser 3 3: 561 nm = 5.88 1`: the third laser at 5.88 %, on.
fn lasers(lines: &Lines<'_>) -> Vec<(i32, f64, bool)> {
    let mut lasers = Vec::new();
    for ((section, name), value) in lines {
        let number = name.strip_prefix("Laser ").and_then(|rest| rest.split(' ').next());
        let number = number.filter(|_| *section == "Illumination Source");
        let Some(number) = number.and_then(|number| number.parse().ok()) else { continue };
        let mut values = value.split_whitespace();
        let percent = values.next().and_then(|percent| percent.parse().ok());
        if let (1..=4, Some(percent)) = (number, percent) {
            lasers.push((number, percent, values.next() == Some("1")));
        }
    }
    lasers
}

#[cfg(test)]
mod tests {
    use super::*;

    const FILE: &str = "<Workflow Settings>\r\n  <Experiment Settings>\r\n    \
        Frame rate (f/s) = 1,040.5\r\n  </Experiment Settings>\r\n  <Camera Settings>\r\n    \
        Frame rate (f/s) =\r\n  </Camera Settings>\r\n  <Stack Settings>\r\n    \
        Number of planes = 7\r\n    Stack option = Tile\r\n    Stack option settings 1 = 2\r\n    \
        Stack option settings 2 = 3\r\n  </Stack Settings>\r\n  <Start Position>\r\n    \
        X (mm) = 2.5\r\n    Y (mm) = 13\r\n    Z (mm) = 20\r\n    Angle (degrees) = -30\r\n  \
        </Start Position>\r\n  <End Position>\r\n    Z (mm) = 20.5\r\n  </End Position>\r\n  \
        <Illumination Source>\r\n    Laser 2 2: 488 nm = 10.67 1\r\n    Laser 5 = 0.00 0\r\n  \
        </Illumination Source>\r\n</Workflow Settings>\r\n";

    #[test]
    fn a_workflow_file_says_where_how_many_and_with_which_light() {
        let plan = Plan::parse(FILE.as_bytes()).unwrap();
        assert_eq!(
            plan,
            Plan {
                start: [2.5, 13.0, 20.0, -30.0],
                end_z: 20.5,
                planes: 7,
                frame_rate: Some(1040.5),
                stacks: 6,
                lasers: vec![(2, 10.67, true)],
            }
        );
        assert_eq!(plan.total_planes(), 42);
    }

    #[test]
    fn what_cannot_run_is_told() {
        assert_eq!(Plan::parse(b""), Err("work flow empty".to_owned()));
        assert_eq!(Plan::parse(&[0xFF, 0xFE]), Err("work flow is not text".to_owned()));
        let no_planes = FILE.replace("Number of planes = 7", "Number of planes = 0");
        assert_eq!(
            Plan::parse(no_planes.as_bytes()),
            Err("work flow has no number of planes".to_owned())
        );
    }
}
