//! The texts of a page: as a browser may read them, and short. What is shown is in `../html.rs`.

/// One blank between words, and no mark of the terminal before them.
pub(super) fn squeezed(text: &str) -> String {
    let words =
        text.split_whitespace().skip_while(|word| matches!(*word, "*" | "!!" | "==" | "[]"));
    words.collect::<Vec<_>>().join(" ")
}

/// Leaves out the name that the answer repeats, and its delay, which has a column.
pub(super) fn shortened(text: &str) -> String {
    let Some((command, answer)) = text.split_once(" -> ") else { return text.to_owned() };
    let name = command.split(' ').next().unwrap_or_default();
    let answer = answer.strip_prefix(name).filter(|rest| rest.starts_with(' ')).unwrap_or(answer);
    let delay = answer.rsplit_once('[').filter(|(_, delay)| delay.ends_with(" ms]"));
    let answer = delay.map_or(answer, |(answer, _)| answer).trim();
    format!("{command} -> {}", if answer.is_empty() { "answered" } else { answer })
}

/// Shows characters that would change how the text around them is read, and those that show nothing.
pub(super) fn visible(text: &str) -> String {
    let hidden = |c: char| {
        (c.is_control() && c != '\n' && c != '\t')
            || matches!(c, '\u{ad}' | '\u{61c}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}'
                | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{e0000}'..='\u{e0fff}')
    };
    let mut shown = String::with_capacity(text.len());
    for c in text.chars() {
        if c == '\r' {
            continue;
        }
        if hidden(c) { shown.extend(c.escape_unicode()) } else { shown.push(c) }
    }
    shown
}

/// JSON that no browser takes for the end of a block.
pub(super) fn in_script(json: &str) -> String {
    json.replace('<', "\\u003c")
}

/// Text in HTML.
pub(super) fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    #[test]
    fn no_text_ends_a_block_of_data() {
        let hostile = json!(["</script><script>alert(1)</script>", "<!--"]).to_string();
        let escaped = in_script(&hostile);
        assert!(!escaped.contains('<'), "{escaped}");
        let read: Value = serde_json::from_str(&escaped).unwrap();
        assert_eq!(read[0], "</script><script>alert(1)</script>");
    }

    #[test]
    fn an_answer_does_not_repeat_the_name_of_its_command() {
        for (text, short) in [
            ("A_GET axis x -> A_GET axis x 1 mm [0.500 ms]", "A_GET axis x -> axis x 1 mm"),
            ("A_GET -> A_GET [0.5 ms, presumed]", "A_GET -> [0.5 ms, presumed]"),
            ("A_GET -> A_GET [0.500 ms]", "A_GET -> answered"),
            ("A_GET -> A_GETTER 7", "A_GET -> A_GETTER 7"),
            ("image 3: 4 x 4", "image 3: 4 x 4"),
        ] {
            assert_eq!(shortened(text), short);
        }
    }

    #[test]
    fn characters_that_turn_the_direction_are_visible() {
        assert_eq!(visible("a\u{202e}b\u{2066}c\u{7}"), "a\\u{202e}b\\u{2066}c\\u{7}");
        assert_eq!(visible("a\r\n\tµ é"), "a\n\tµ é");
    }
}
