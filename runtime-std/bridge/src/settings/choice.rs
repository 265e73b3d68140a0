//! The choices in the settings that go by a name: what each is called in the file, on the command
//! line and in what the bridge says.

/// Gives a choice its names: `ALL`, `name`, `Display`, `FromStr`. Serde is told the same ones by
/// `rename_all`; a test holds them together.
macro_rules! named {
    ($type:ident { $($variant:ident => $name:literal),+ $(,)? }) => {
        impl $type {
            /// Every choice.
            pub const ALL: &'static [Self] = &[$(Self::$variant),+];

            /// What it is called.
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

pub(crate) use named;

#[cfg(test)]
mod tests {
    use crate::settings::{Delivery, LogFormat, Role, Tokens};

    fn goes_by_one_name<T>(all: &[T])
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
    fn a_choice_has_the_same_name_in_the_file_on_the_command_line_and_in_what_is_said() {
        goes_by_one_name(Role::ALL);
        goes_by_one_name(Delivery::ALL);
        goes_by_one_name(Tokens::ALL);
        goes_by_one_name(LogFormat::ALL);
    }

    #[test]
    fn what_is_no_choice_is_refused_with_the_choices() {
        let error = "readonly".parse::<Role>().unwrap_err();
        assert_eq!(error, "expected one of control, read-only, observer, found \"readonly\"");
    }
}
