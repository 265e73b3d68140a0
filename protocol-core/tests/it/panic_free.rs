//! The program in `protocol-core/panic-free` shows that the functions it calls cannot panic. These
//! tests show that it calls every public function of the core and every hand-written implementation
//! of a trait, and that it logs every public type.

use std::fs::read_to_string;
use std::path::Path;

use syn::{ImplItem, Item, TraitItem, Type, Visibility};

/// The head of that program's `main.rs` names these, with the reason.
const NOT_COVERED: [&str; 3] = ["Display for Frame", "LaserLevel::parse", "text::pushed_positions"];

/// The name and text of each source file in a folder of the crate and its subfolders. The model is
/// left out, because it is compiled for tests only.
fn sources(folder: &Path) -> std::io::Result<Vec<(String, String)>> {
    let mut found = Vec::new();
    for entry in folder.read_dir()? {
        let path = entry?.path();
        if path.is_dir() && !path.ends_with("model") {
            found.extend(sources(&path)?);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            let stem = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
            found.push((stem, read_to_string(&path)?));
        }
    }
    Ok(found)
}

/// The text of a path without its generic arguments.
fn text_of(path: &syn::Path) -> String {
    let names: Vec<_> = path.segments.iter().map(|segment| segment.ident.to_string()).collect();
    names.join("::")
}

/// A name for the failure message, and texts: the program must contain one of them.
type Needed = (String, Vec<String>);

fn needed(module: &str, item: &Item) -> Vec<Needed> {
    match item {
        Item::Fn(function) if matches!(function.vis, Visibility::Public(_)) => {
            let name = &function.sig.ident;
            let pumps = ["blocking", "asynchronous"];
            let pump = if pumps.contains(&module) { format!("{module}::") } else { String::new() };
            vec![(format!("{module}::{name}"), vec![format!("{pump}{name}(")])]
        }
        Item::Trait(of) if matches!(of.vis, Visibility::Public(_)) => {
            let methods = of.items.iter().filter_map(|item| match item {
                TraitItem::Fn(method) => Some(format!("{}::{}", of.ident, method.sig.ident)),
                _ => None,
            });
            methods.map(|name| (name.clone(), vec![format!("{name}(")])).collect()
        }
        Item::Struct(syn::ItemStruct { vis: Visibility::Public(_), ident, .. })
        | Item::Enum(syn::ItemEnum { vis: Visibility::Public(_), ident, .. }) => {
            let texts = vec![format!("log::<{ident}>("), format!("log::<{ident}<")];
            vec![(format!("Format for {ident}"), texts)]
        }
        Item::Impl(block) => needed_of(block),
        _ => Vec::new(),
    }
}

fn needed_of(block: &syn::ItemImpl) -> Vec<Needed> {
    let Type::Path(on) = &*block.self_ty else { return Vec::new() };
    let on = text_of(&on.path);
    if let Some((_, of, _)) = &block.trait_ {
        let Some(of) = of.segments.last().map(|segment| segment.ident.to_string()) else {
            return Vec::new();
        };
        if block.items.is_empty() {
            return Vec::new();
        }
        let mut texts = vec![format!("<{on} as {of}"), format!("<{on}<ErrorKind> as {of}")];
        if of == "Endpoint" {
            texts.push(format!("endpoint::<{on}>("));
        }
        return vec![(format!("{of} for {on}"), texts)];
    }
    let public = block.items.iter().filter_map(|item| match item {
        ImplItem::Fn(method) if matches!(method.vis, Visibility::Public(_)) => {
            Some(format!("{on}::{}", method.sig.ident))
        }
        _ => None,
    });
    public.map(|name| (name.clone(), vec![format!("{name}(")])).collect()
}

/// Whether the code contains this text, except as the end of a longer name.
fn holds(code: &str, text: &str) -> bool {
    code.match_indices(text).any(|(at, _)| {
        let before = code.get(..at).and_then(|before| before.chars().last());
        before.is_none_or(|before| !(before.is_alphanumeric() || before == '_' || before == ':'))
    })
}

#[test]
fn the_panic_free_program_calls_every_public_function() -> std::io::Result<()> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let program: Vec<String> = sources(&root.join("panic-free/src"))?
        .iter()
        .flat_map(|(_, text)| text.lines())
        .filter(|line| !line.trim_start().starts_with("//"))
        .map(String::from)
        .collect();
    let program = program.join("\n");
    let mut missing = Vec::new();
    let mut count = 0;
    for (module, text) in sources(&root.join("src"))? {
        let file = syn::parse_file(&text).map_err(std::io::Error::other)?;
        for (name, texts) in file.items.iter().flat_map(|item| needed(&module, item)) {
            count += 1;
            if !texts.iter().any(|text| holds(&program, text)) {
                missing.push(name);
            }
        }
    }
    missing.sort();
    assert_eq!(missing, NOT_COVERED);
    assert!(count > 100, "only {count} functions were found: does this test still read them?");
    Ok(())
}
