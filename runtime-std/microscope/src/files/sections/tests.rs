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

#[test]
fn a_form_that_files_have_is_read_with_a_warning() {
    for (text, line, expected) in [
        ("<A>\nx = 1\n</A>\n</A>\n", 4, "found </A> again"),
        ("<W>\n<A>\nx = 1\n</A>\n</a>\n<//A>\n</W>\n", 5, "found </a> again"),
        ("<A>\nx = 1\n<//A>\n", 3, "expected </A>, found another slash"),
        ("<A>\nx = 1\n<\\A>\n", 3, "expected </A>, found another slash"),
        ("\u{FEFF}<A>\nx = 1\n</A>\n", 1, "byte order mark"),
        ("\u{FEFF}z = 2\n<A>\nx = 1\n</A>\n", 1, "byte order mark"),
        ("# a = 1\n<A>\nx = 1\n</A>\n", 1, "the comment \"# a = 1\""),
        ("<A>\n // x = 2\nx = 1\n</A>\n", 2, "the comment"),
        ("<A>\n<!-- x = 2 -->\nx = 1\n</A>\n", 2, "the comment"),
        ("<A>\nx = 1\nX = 2\n</A>\n", 3, "expected `X` once in <A>, found it also on line 2"),
        (
            "<A>\nx = 1\n</A>\n<B>\n</B>\n<a>\nx  = 2\n</a>\n",
            6,
            "expected <a> once, found it also on line 1",
        ),
    ] {
        let read = SectionText::parse(text.as_bytes()).unwrap();
        let findings = read.findings();
        let named =
            |finding: &Finding| finding.line == Some(line) && finding.message.contains(expected);
        assert!(findings.iter().any(named), "{text:?}: {findings:?}");
        assert!(findings.iter().all(|finding| finding.severity == Severity::Warning), "{text:?}");
        assert_eq!(read.get("A", "x").unwrap().value, "1", "{text:?}");
        assert_eq!(read.to_bytes(), text.as_bytes());
    }
}

#[test]
fn a_line_with_an_error_takes_nothing_from_the_others() {
    for (text, line, expected) in [
        ("<A>\nx = 1\n<B>\n</A>\n", 4, "expected </B>, found </A>"),
        ("<A>\nx = 1\n", 1, "expected </A> before the end"),
        ("<A>\rx = 1\r</A>", 1, "a line end CR alone"),
        ("<A>\r\rx = 1\r\n</A>\r\n", 1, "a line end CR alone"),
        ("<A>\n\u{A0}x = 1\n</A>\n", 2, "found another space"),
        ("<A>\nx\u{A0}= 1\n</A>\n", 2, "found another space"),
        ("<A>\nx = 1\u{A0}\n</A>\n", 2, "found another space"),
        ("<A>\u{200B}\nx = 1\n</A>\n", 1, "found another space"),
        ("</B>\n<A>\nx = 1\nnonsense\n</A>\n", 4, "found \"nonsense\""),
    ] {
        let read = SectionText::read(text.as_bytes()).unwrap();
        let findings = read.findings();
        let named =
            |finding: &Finding| finding.line == Some(line) && finding.message.contains(expected);
        assert!(findings.iter().any(named), "{text:?}: {findings:?}");
        assert_eq!(read.get("A", "x").unwrap().value, "1", "{text:?}");
        assert_eq!(read.to_bytes(), text.as_bytes());
        assert!(SectionText::parse(text.as_bytes()).is_err(), "{text:?}");
    }
    let latin = SectionText::read(b"<A>\n\xA0x = 1\n</A>\n").unwrap().findings();
    assert!(latin[0].message.contains("found another space"), "{latin:?}");
    let inside = SectionText::parse("<A>\nx = a\u{A0}b\n</A>\n".as_bytes()).unwrap();
    assert_eq!(inside.findings(), [], "a space inside a value is part of it");
}

#[test]
fn a_text_of_wide_characters_is_refused_with_its_name() {
    let text = "<A>\nx = 1\n</A>\n";
    let little: Vec<u8> = text.encode_utf16().flat_map(u16::to_le_bytes).collect();
    let big: Vec<u8> = text.encode_utf16().flat_map(u16::to_be_bytes).collect();
    let widest: Vec<u8> = text.chars().flat_map(|c| u32::from(c).to_le_bytes()).collect();
    let marked = |mark: &[u8], text: &[u8]| [mark, text].concat();
    for (bytes, name) in [
        (marked(&[0xFF, 0xFE], &little), "UTF-16"),
        (marked(&[0xFE, 0xFF], &big), "UTF-16"),
        (marked(&[0xFF, 0xFE, 0, 0], &widest), "UTF-32"),
        (little, "UTF-16"),
        (big, "UTF-16"),
        (widest, "UTF-32"),
    ] {
        let error = SectionText::read(&bytes).unwrap_err().to_string();
        assert!(error.contains(&format!("found {name}")), "{error}");
    }
}

#[test]
fn a_text_of_another_kind_is_refused_after_many_errors() {
    let few = SectionText::read("nonsense\n".repeat(1000).as_bytes()).unwrap();
    assert_eq!(few.findings().len(), 1000);
    let error = SectionText::read("nonsense\n".repeat(2000).as_bytes()).unwrap_err();
    assert_eq!(error.line, 1001);
    let open = "<A>\n".repeat(2000);
    for text in [open.clone(), format!("<B>\n{open}</B>\n")] {
        let error = SectionText::read(text.as_bytes()).unwrap_err().to_string();
        assert!(error.contains("expected at most 1000 errors"), "{error}");
    }
    let deep = format!("{}{}", "<A>\n".repeat(65), "</A>\n".repeat(65));
    let error = SectionText::parse(deep.as_bytes()).unwrap_err();
    assert_eq!((error.line, error.found.as_str()), (65, "<A> in another one"));
    let warned = SectionText::read("# comment\n".repeat(5000).as_bytes()).unwrap().findings();
    assert_eq!(warned.len(), 1000);
    assert!(warned[999].message.contains("the others are not shown"), "{:?}", warned[999]);
}
