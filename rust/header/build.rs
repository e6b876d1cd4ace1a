//! Compiles the C parts of the tests: the shim that they call, and the programs that they start.
//!
//! With `TRAINCAST_HEADER_SANITIZE=1`, they run under AddressSanitizer and UndefinedBehaviorSanitizer, and any finding ends the
//! process.
#![allow(clippy::expect_used, reason = "a failed expectation fails the build, and says why")]

use std::env;
use std::path::{Path, PathBuf};

const SANITIZE: &str = "TRAINCAST_HEADER_SANITIZE";
const SANITIZERS: &str = "-fsanitize=address,undefined";
const WARNINGS: [&str; 5] = ["-Wall", "-Wextra", "-Wpedantic", "-Wconversion", "-Werror"];
const PROGRAMS: [&str; 1] = ["racer"];

fn compiler(include: &Path, sanitize: bool) -> cc::Build {
    let mut build = cc::Build::new();
    build.std("c11").include(include).opt_level(2).warnings(false);
    for flag in WARNINGS {
        build.flag(flag);
    }
    if sanitize {
        build.flag(SANITIZERS).flag("-fno-sanitize-recover=all").flag("-fno-omit-frame-pointer").debug(true);
    }
    build
}

fn main() {
    let here = PathBuf::from(env::var_os("CARGO_MANIFEST_DIR").expect("cargo sets it"));
    let include = here.join("../../include");
    let out = PathBuf::from(env::var_os("OUT_DIR").expect("cargo sets it"));
    println!("cargo::rerun-if-env-changed={SANITIZE}");
    println!("cargo::rerun-if-changed=../../include/traincast.h");
    println!("cargo::rerun-if-changed=../../include/traincast_scores.h");
    println!("cargo::rerun-if-changed=src/shim.c");
    println!("cargo::rerun-if-changed=programs");
    let sanitize = env::var(SANITIZE).is_ok_and(|value| value == "1");
    compiler(&include, sanitize).file("src/shim.c").compile("traincast_shim");
    if sanitize {
        // rustc links without the C compiler's default libraries, and these are among them. AddressSanitizer intercepts libc only
        // if its whole library is linked into the program.
        for argument in [
            "-Wl,--whole-archive,-l:libasan.a,--no-whole-archive",
            "-l:libubsan.a",
            "-lstdc++",
            "-lm",
            "-ldl",
        ] {
            println!("cargo::rustc-link-arg={argument}");
        }
    }
    for program in PROGRAMS {
        let path = out.join(program);
        let mut command = compiler(&include, sanitize).get_compiler().to_command();
        command.arg(here.join(format!("programs/{program}.c"))).arg("-o").arg(&path);
        assert!(command.status().expect("the C compiler starts").success(), "{program}.c does not compile");
        println!("cargo::rustc-env=TRAINCAST_{}={}", program.to_uppercase(), path.display());
    }
}
