//! Reads a command code that a person wrote: on the command line, or in a file. Documents write codes in
//! hex, so a decimal number that is no known code is most likely a hex number without `0x`. It is refused.

use std::fmt;

use flamingo_protocol_core::CommandCode;

/// Why a text or a number is no command code. The message says what to write instead.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NotACode(String);

impl fmt::Display for NotACode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for NotACode {}

/// Reads a command code from text: a name, any hex number with `0x`, or the decimal number of a known
/// code.
///
/// ```
/// use flamingo_runtime_std::{command_code, protocol::CommandCode};
/// assert_eq!(command_code::from_text("stage_halt"), Ok(CommandCode::STAGE_HALT));
/// assert_eq!(command_code::from_text("0x6003"), Ok(CommandCode::STAGE_HALT));
/// let error = command_code::from_text("6003").unwrap_err();
/// assert!(error.to_string().contains("write 0x6003 for STAGE_HALT"));
/// ```
///
/// # Errors
/// [`NotACode`]: the text is none of these.
pub fn from_text(text: &str) -> Result<CommandCode, NotACode> {
    if let Some(code) = CommandCode::from_name(text) {
        return Ok(code);
    }
    let not_a_code = || {
        NotACode(format!(
            "expected a name such as STAGE_HALT or a number such as 0x6003, found {text:?}"
        ))
    };
    if let Some(digits) = text.strip_prefix("0x").or_else(|| text.strip_prefix("0X")) {
        let digits = Some(digits).filter(|digits| !digits.starts_with('+'));
        let number = digits.and_then(|digits| u32::from_str_radix(digits, 16).ok());
        return number.map(CommandCode).ok_or_else(not_a_code);
    }
    let decimal = text.parse().map(CommandCode).map_err(|_| not_a_code())?;
    if decimal.row().is_some() {
        return Ok(decimal);
    }
    let hex = u32::from_str_radix(text, 16).map(CommandCode).ok();
    let meant = hex.map(|code| format!("write 0x{:04X} for {code}, or ", code.0));
    let (meant, number) = (meant.unwrap_or_else(|| "write ".to_owned()), decimal.0);
    Err(NotACode(format!(
        "{text} is no known code (it is 0x{number:04X} in hex): {meant}0x{number:04X} for this one"
    )))
}

/// Reads a command code from an integer of a file, which may have been written in decimal or in hex:
/// it must be the number of a known code.
///
/// ```
/// use flamingo_runtime_std::{command_code, protocol::CommandCode};
/// assert_eq!(command_code::from_integer(0x6003), Ok(CommandCode::STAGE_HALT));
/// let error = command_code::from_integer(6003).unwrap_err();
/// assert!(error.to_string().contains("write \"0x6003\" for STAGE_HALT"));
/// ```
///
/// # Errors
/// [`NotACode`]: no known code has this number.
pub fn from_integer(number: impl Into<i128>) -> Result<CommandCode, NotACode> {
    let number = number.into();
    let code = u32::try_from(number).map(CommandCode).map_err(|_| {
        NotACode(format!("expected a command code, from 0 to 0xFFFFFFFF, found {number}"))
    })?;
    if code.row().is_some() {
        return Ok(code);
    }
    let hex = u32::from_str_radix(&number.to_string(), 16).map(CommandCode).ok();
    let meant = hex.filter(|code| code.row().is_some());
    let meant = meant.map(|code| format!("write \"0x{:04X}\" for {code}, or ", code.0));
    let (meant, number) = (meant.unwrap_or_else(|| "write ".to_owned()), code.0);
    Err(NotACode(format!(
        "{number} is no known code (it is 0x{number:04X} in hex): \
         {meant}\"0x{number:04X}\" in quotes for this one"
    )))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_is_a_name_a_hex_number_or_a_known_number() {
        for text in ["STAGE_HALT", "stage_halt", "0x6003", "0X6003", "24579"] {
            assert_eq!(from_text(text), Ok(CommandCode::STAGE_HALT), "{text}");
        }
        assert_eq!(from_text("0xBEEF"), Ok(CommandCode(0xBEEF)), "any code can be given in hex");
        for bad in ["", "STOP", "0x", "0x+6003", "0x1_0000", "-1", "4294967296", "0x100000000"] {
            let error = from_text(bad).unwrap_err().to_string();
            assert!(error.contains("expected a name such as STAGE_HALT"), "{bad}: {error}");
        }
    }

    #[test]
    fn a_suggested_code_can_be_typed_as_it_is_written() {
        for text in ["6003", "+6003", "06003"] {
            let error = from_text(text).unwrap_err().to_string();
            let expected = format!(
                "{text} is no known code (it is 0x1773 in hex): \
                 write 0x6003 for STAGE_HALT (0x6003), or 0x1773 for this one"
            );
            assert_eq!(error, expected);
        }
    }

    #[test]
    fn an_integer_is_the_number_of_a_known_code() {
        assert_eq!(from_integer(0x6003), Ok(CommandCode::STAGE_HALT));
        let error = |number: i64| from_integer(number).unwrap_err().to_string();
        assert_eq!(
            error(6008),
            "6008 is no known code (it is 0x1778 in hex): write \"0x6008\" for \
             STAGE_POSITION_GET (0x6008), or \"0x1778\" in quotes for this one"
        );
        assert_eq!(
            error(0xBEEF),
            "48879 is no known code (it is 0xBEEF in hex): write \"0xBEEF\" in quotes for this one"
        );
        for bad in [-1, 0x1_0000_0000] {
            assert!(error(bad).contains("from 0 to 0xFFFFFFFF"), "{}", error(bad));
        }
    }
}
