//! The scenarios that come with the simulator, by their names. They are files in `scenarios/`.

use super::Scenario;

/// A scenario that comes with the simulator.
///
/// ```
/// use flamingo_simulator::{NamedScenario, Scenario};
/// let busy = NamedScenario::find("busy").expect("a known name");
/// assert!(busy.about().starts_with("A healthy instrument at work"));
/// assert!(busy.scenario().background.frames_per_s > 0.0);
/// assert_eq!(NamedScenario::find("healthy").map(|it| it.scenario()), Some(Scenario::default()));
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct NamedScenario {
    /// Its name: the name of its file without `.toml`.
    pub name: &'static str,
    /// Its file.
    pub toml: &'static str,
}

macro_rules! named {
    ($($name:literal),* $(,)?) => {
        [$(NamedScenario { name: $name, toml: include_str!(concat!("../../scenarios/", $name, ".toml")) }),*]
    };
}

impl NamedScenario {
    /// All of them; the healthy instrument first, then in the order of their names.
    pub const ALL: [Self; 12] = named![
        "healthy",
        "busy",
        "drops",
        "hostile",
        "older-firmware",
        "quick-moves",
        "slow",
        "surprising",
        "tagged",
        "tokens-not-echoed",
        "unflagged",
        "unset-status",
    ];

    /// The scenario with this name.
    #[must_use]
    pub fn find(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|each| each.name == name)
    }

    /// What it is for: the first line of its file.
    #[must_use]
    pub fn about(&self) -> &'static str {
        let line = self.toml.lines().next().unwrap_or_default();
        line.trim_start_matches(['#', ' '])
    }

    /// The scenario.
    #[must_use]
    pub fn scenario(&self) -> Scenario {
        // A test reads each file, so the default never stands in.
        Scenario::from_toml(self.toml).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PAGE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/simulator.md");

    #[test]
    fn every_file_is_a_scenario_with_a_name() {
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/scenarios");
        let mut files: Vec<_> = std::fs::read_dir(folder)
            .unwrap()
            .map(|file| file.unwrap().file_name().into_string().unwrap())
            .collect();
        files.sort();
        let mut names = NamedScenario::ALL.map(|each| format!("{}.toml", each.name));
        names.sort();
        assert_eq!(files, names);
        for each in NamedScenario::ALL {
            Scenario::from_toml(each.toml).unwrap();
            assert!(each.about().ends_with('.') && each.about().len() < 110, "{}", each.about());
        }
    }

    #[test]
    fn the_page_has_every_scenario_and_every_key() {
        let page = std::fs::read_to_string(PAGE).unwrap();
        for each in NamedScenario::ALL {
            let row = format!("| `{}` | {} |", each.name, each.about());
            assert!(page.contains(&row), "{row}");
        }
        let healthy = NamedScenario::find("healthy").unwrap().toml;
        assert!(page.contains(&format!("```toml\n{healthy}```")), "healthy.toml as it is");
        for key in keys() {
            assert!(healthy.contains(&key), "{key} is not in healthy.toml");
        }
    }

    /// The names of all keys, from the errors about one that is not known.
    fn keys() -> Vec<String> {
        let known = |text: &str| -> Vec<String> {
            let error = Scenario::from_toml(text).unwrap_err().to_string();
            let (_, names) = error.split_once("expected ").unwrap_or_default();
            names.split('`').skip(1).step_by(2).map(str::to_owned).collect()
        };
        let sections = known("zzz = 1\n");
        let inner = |section: &String| {
            let text = format!("[{section}]\nzzz = 1\n");
            // A key that is no section has another error.
            let is_section = Scenario::from_toml(&text)
                .is_err_and(|error| error.to_string().contains("unknown field"));
            if is_section { known(&text) } else { Vec::new() }
        };
        let mut keys: Vec<String> = sections.iter().flat_map(inner).collect();
        assert!(keys.len() > 40, "{keys:?}");
        keys.extend(sections);
        keys
    }
}
