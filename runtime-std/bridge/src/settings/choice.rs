//! Settings that are a choice between names: one name for the file, the command line and the output.

/// Gives a choice its names: `ALL`, `name`, `Display` and `FromStr`. `rename_all` gives serde the
/// same names; a test compares them.
macro_rules! choice {
    ($type:ident { $($variant:ident => $name:literal),+ $(,)? }) => {
        impl $type {
            /// Every choice.
            pub const ALL: &'static [Self] = &[$(Self::$variant),+];

            /// The name in the settings file and on the command line.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self {
                    $(Self::$variant => $name),+
                }
            }
        }

        impl std::fmt::Display for $type {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.pad(self.name())
            }
        }

        impl std::str::FromStr for $type {
            type Err = String;

            fn from_str(text: &str) -> Result<Self, String> {
                let found = Self::ALL.iter().copied().find(|choice| choice.name() == text);
                found.ok_or_else(|| {
                    format!("expected one of {}, found {text:?}", [$($name),+].join(", "))
                })
            }
        }
    };
}

pub(crate) use choice;

#[cfg(test)]
mod tests {
    use crate::settings::{Delivery, LogFormat, Preset, Role, Tokens, WhenLost};

    fn has_one_name<T>(all: &[T])
    where
        T: Copy + PartialEq + std::fmt::Debug + std::fmt::Display + std::str::FromStr,
        T: serde::Serialize + serde::de::DeserializeOwned,
    {
        for choice in all {
            let name = choice.to_string();
            assert_eq!(serde_json::to_string(choice).unwrap(), format!("{name:?}"));
            assert_eq!(serde_json::from_str::<T>(&format!("{name:?}")).unwrap(), *choice);
            assert_eq!(name.parse::<T>().ok(), Some(*choice));
        }
    }

    #[test]
    fn a_choice_has_one_name_in_file_command_line_and_output() {
        has_one_name(Role::ALL);
        has_one_name(Delivery::ALL);
        has_one_name(Tokens::ALL);
        has_one_name(LogFormat::ALL);
        has_one_name(Preset::ALL);
        has_one_name(WhenLost::ALL);
    }

    #[test]
    fn an_unknown_name_is_refused_with_the_choices() {
        let error = "readonly".parse::<Role>().unwrap_err();
        assert_eq!(error, "expected one of control, read-only, observer, found \"readonly\"");
    }
}
