//! Sets PyO3's configuration flags, and extracts the docstrings from the stub.
//!
//! `help()` and editors show the same text, which is written once, in `python/traincast/_core.pyi`. This script writes each
//! docstring to a file that the macro `doc!` includes. `tests/core/test_docstrings.py` compares the two.

use std::path::PathBuf;
use std::{env, fs, io};

const STUB: &str = "../../python/traincast/_core.pyi";
const QUOTES: &str = r#"""""#;

fn main() -> io::Result<()> {
    pyo3_build_config::use_pyo3_cfgs();
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rerun-if-changed={STUB}");
    let stub = fs::read_to_string(STUB)?;
    assert!(!stub.contains('\\'), "{STUB}: a backslash in a docstring would not be read as Python reads it");
    let folder = PathBuf::from(env::var_os("OUT_DIR").unwrap_or_default());
    for (name, text) in docstrings(&stub) {
        fs::write(folder.join(format!("{name}.txt")), text)?;
    }
    Ok(())
}

/// The docstrings, by the name of their owner: `module`, `Class`, `Class.method`, `function`. ruff has formatted the stub: four
/// spaces for each level, and each docstring on lines of its own.
fn docstrings(stub: &str) -> Vec<(String, String)> {
    let (mut found, mut class, mut owner) = (Vec::new(), String::new(), Some("module".to_owned()));
    let mut lines = stub.lines();
    while let Some(line) = lines.next() {
        let text = line.trim_start();
        let indent = line.len() - text.len();
        if let Some(name) = name_after(text, "class ").filter(|_| indent == 0) {
            class.clone_from(&name);
            owner = Some(name);
        } else if let Some(name) = name_after(text, "def ") {
            owner = Some(if indent == 0 { name } else { format!("{class}.{name}") });
        } else if let Some(first) = text.strip_prefix(QUOTES) {
            let doc = docstring(first, indent, &mut lines);
            // A second docstring in a row is a variable's, which has none at run time. Of overloads, the first has the text.
            if let Some(owner) = owner.take().filter(|owner| found.iter().all(|(name, _)| name != owner)) {
                found.push((owner, doc));
            }
        } else if indent == 0 && !text.is_empty() && !text.starts_with(')') {
            owner = None;
        }
    }
    found
}

/// The name that a line declares.
fn name_after(text: &str, keyword: &str) -> Option<String> {
    let rest = text.strip_prefix(keyword)?;
    Some(rest.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect())
}

/// The text between the opening and the closing quotes, without the indentation.
fn docstring<'a>(first: &'a str, indent: usize, lines: &mut impl Iterator<Item = &'a str>) -> String {
    if let Some(whole) = first.strip_suffix(QUOTES) {
        return whole.to_owned();
    }
    let mut doc = first.to_owned();
    for line in lines {
        if line.trim() == QUOTES {
            return doc.trim_end().to_owned();
        }
        doc.push('\n');
        doc.push_str(line.get(indent..).unwrap_or_default());
    }
    panic!("{STUB}: the docstring that begins with {first:?} has no end in a line of its own")
}
