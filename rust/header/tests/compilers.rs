//! The headers compile without a warning, as C11 and as C++17, with gcc and with clang, at several optimisation levels.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a failed unwrap is a failed test")]

use std::path::Path;
use std::process::Command;

const WARNINGS: [&str; 7] =
    ["-Wall", "-Wextra", "-Wpedantic", "-Wconversion", "-Wshadow", "-Wcast-align", "-Werror"];

#[test]
fn gcc_and_clang_compile_the_headers_without_a_warning() {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    let object = tempfile::NamedTempFile::new().unwrap();
    for compiler in ["gcc", "clang"] {
        for (language, standard) in [("c", "-std=c11"), ("c++", "-std=c++17")] {
            for level in ["-O0", "-O2", "-O3"] {
                let done = Command::new(compiler)
                    .args(["-x", language, standard, level, "-c"])
                    .args(WARNINGS)
                    .arg("-I")
                    .arg(here.join("../../include"))
                    .arg(here.join("src/shim.c"))
                    .arg("-o")
                    .arg(object.path())
                    .output()
                    .unwrap_or_else(|error| {
                        panic!("{compiler} is missing ({error}): `make clang` installs it")
                    });
                let said = String::from_utf8_lossy(&done.stderr);
                assert!(done.status.success() && said.is_empty(), "{compiler} {standard} {level}: {said}");
            }
        }
    }
}

/// Macros that a user defines decide what the system's headers declare.
#[test]
fn the_header_compiles_with_the_macros_that_users_define() {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    let folder = tempfile::tempdir().unwrap();
    let source = folder.path().join("user.c");
    let late = Some("include traincast.h before other headers");
    let hidden = Some("traincast_scores.h needs madvise()");
    for (before, header, refused) in [
        ("", "traincast_scores.h", None),
        ("#define _GNU_SOURCE\n", "traincast_scores.h", None),
        ("#define _POSIX_C_SOURCE 200809L\n", "traincast.h", None),
        ("#define _POSIX_C_SOURCE 200809L\n", "traincast_scores.h", hidden),
        ("#define _POSIX_C_SOURCE 200809L\n#define _DEFAULT_SOURCE\n", "traincast_scores.h", None),
        ("#define _DEFAULT_SOURCE\n#include <stdlib.h>\n", "traincast_scores.h", None),
        ("#include <stdlib.h>\n", "traincast.h", late), // and said so
    ] {
        std::fs::write(
            &source,
            format!("{before}#include \"{header}\"\nint user(tc_reader *r) {{ return tc_poll(r); }}\n"),
        )
        .unwrap();
        let done = Command::new("gcc")
            .args(["-std=c11", "-Wall", "-Werror", "-fsyntax-only", "-I"])
            .arg(here.join("../../include"))
            .arg(&source)
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&done.stderr);
        assert_eq!(done.status.success(), refused.is_none(), "{before}{header}: {said}");
        assert!(said.contains(refused.unwrap_or_default()), "{said}");
    }
}
