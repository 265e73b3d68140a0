//! Reading keeps every byte of any text, and setting a value changes only that value.

use super::*;

const TEXT: &[u8] = b"top = 1\r\n<Outer>\r\n  <Inner one>\n\tName (um) =  a = b \r\n  Empty =\r\n\
    Spaced = \r\n Rotation (\xB0/s) = 0\r\n</INNER ONE>\r\n\r\n  name (UM) = outer\r\n</Outer>\0\0";

#[test]
fn a_value_is_found_in_its_own_section_with_its_line() {
    let text = SectionText::parse(TEXT).unwrap();
    let inner = text.get("inner one", "name (um)").unwrap();
    assert_eq!((inner.value.as_ref(), inner.line), ("a = b", 4));
    let outer = text.get("Outer", "Name (um)").unwrap();
    assert_eq!((outer.value.as_ref(), outer.line), ("outer", 10));
    assert_eq!(text.get("Outer", "Empty"), None);
    assert_eq!(text.get("Inner one", "Empty").unwrap().value, "");
    assert!(text.has_section("OUTER") && !text.has_section("top"));
}

#[test]
fn a_text_is_kept_byte_for_byte_even_if_it_is_not_utf8() {
    assert_eq!(SectionText::parse(TEXT).unwrap().to_bytes(), TEXT);
    assert_eq!(SectionText::parse(b"").unwrap().to_bytes(), b"");
}

#[test]
fn setting_a_value_changes_no_other_byte() {
    for (name, old, new) in [
        ("Name (um)", "=  a = b \r", "=  7 \r"),
        ("Empty", "Empty =\r", "Empty = 7\r"),
        ("Spaced", "Spaced = \r", "Spaced = 7\r"),
    ] {
        let mut text = SectionText::parse(TEXT).unwrap();
        assert!(text.set("Inner one", name, "7"));
        let old_text: String = TEXT.iter().map(|byte| char::from(*byte)).collect();
        let expected: Vec<u8> =
            old_text.replacen(old, new, 1).chars().map(|char| char as u8).collect();
        assert_eq!(text.to_bytes(), expected, "{name}");
        assert_eq!(text.get("Inner one", name).unwrap().value, "7");
        assert!(text.set("Inner one", name, "12 1"), "again");
        assert_eq!(text.get("Inner one", name).unwrap().value, "12 1");
        assert!(SectionText::parse(&text.to_bytes()).unwrap().get("Inner one", name).is_some());
    }
    let mut text = SectionText::parse(TEXT).unwrap();
    assert!(!text.set("Inner one", "Missing", "7") && !text.set("Outer", "Empty", "7"));
    assert!(!text.set("Inner one", "Empty", "7\n</Inner one>"), "no line can be smuggled in");
    assert_eq!(text.to_bytes(), TEXT);
}

#[test]
fn an_error_names_the_line_that_is_malformed() {
    for (text, line, expected) in [
        ("<A>\nb = 1\n", 1, "expected </A> before the end"),
        ("<A>\n</B>\n", 2, "expected </A>, found </B>"),
        ("a = 1\n</B>\n", 2, "no section is open"),
        ("<A>\nnonsense\n</A>\n", 2, "found \"nonsense\""),
        ("<A>\n= 5\n</A>\n", 2, "name = value"),
    ] {
        let error = SectionText::parse(text.as_bytes()).unwrap_err();
        assert_eq!(error.line, line, "{text:?}");
        assert!(error.to_string().contains(expected), "{text:?}: {error}");
    }
}

/// A random text of well-formed and malformed pieces.
fn any_text(rng: &mut fastrand::Rng) -> Vec<u8> {
    const PIECES: [&[u8]; 12] = [
        b"<A>",
        b"</A>",
        b"<B c>",
        b"</B c>",
        b"x = 1",
        b"y=",
        b" z  =  2 3 ",
        b"\n",
        b"\r\n",
        b"\0",
        b"\xFF = \xFE",
        b"",
    ];
    let mut text = Vec::new();
    for _ in 0..rng.usize(..30) {
        text.extend(PIECES[rng.usize(..PIECES.len())]);
        text.extend(if rng.bool() { &b"\n"[..] } else { b"\r\n" });
    }
    text
}

#[test]
fn every_text_that_can_be_read_is_written_unchanged() {
    let mut rng = fastrand::Rng::with_seed(7);
    let mut read = 0;
    for _ in 0..80_000 {
        let bytes = any_text(&mut rng);
        let Ok(mut text) = SectionText::parse(&bytes) else { continue };
        assert_eq!(text.to_bytes(), bytes);
        if text.set("A", "x", "other") {
            read += 1;
            let again = SectionText::parse(&text.to_bytes()).unwrap();
            assert_eq!(again.get("A", "x").unwrap().value, "other");
            assert!(text.set("A", "x", "1"));
            assert_eq!(text.to_bytes(), bytes, "set back");
        }
    }
    assert!(read > 100, "{read} texts had something to set");
}
