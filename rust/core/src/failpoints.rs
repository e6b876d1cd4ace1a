//! Named points at which a test can kill the process. Only with the feature `failpoints`: without it, [`failpoint!`] expands to
//! nothing.
//!
//! | variable | meaning |
//! |---|---|
//! | `TRAINCAST_FAILPOINT` | `NAME:N`: SIGKILL at the N-th passing of the point NAME |
//! | `TRAINCAST_FAILPOINT_ORPHAN` | a file: before the kill, a child is forked that lives on, and its pid is written there |
//! | `TRAINCAST_FAILPOINT_TRACE` | a file: each point passed is appended to it |

/// Marks a point: `failpoint!("step.what-is-done")`. What it names is done, and nothing after it has begun.
macro_rules! failpoint {
    ($name:literal) => {
        #[cfg(feature = "failpoints")]
        $crate::failpoints::pass($name);
    };
}
pub(crate) use failpoint;

/// Passes a point.
#[cfg(feature = "failpoints")]
pub fn pass(name: &str) {
    use std::io::Write;
    use std::sync::OnceLock;

    struct Plan {
        name: String,
        passing: u64,
        orphan: Option<std::ffi::OsString>,
        trace: Option<std::ffi::OsString>,
    }
    static PLAN: OnceLock<Plan> = OnceLock::new();
    static PASSED: crate::words::Counter = crate::words::Counter::new();

    let plan = PLAN.get_or_init(|| {
        let wanted = std::env::var("TRAINCAST_FAILPOINT").unwrap_or_default();
        let (name, passing) = wanted.split_once(':').unwrap_or((&wanted, "1"));
        Plan {
            name: name.to_owned(),
            passing: passing.parse().unwrap_or(1),
            orphan: std::env::var_os("TRAINCAST_FAILPOINT_ORPHAN"),
            trace: std::env::var_os("TRAINCAST_FAILPOINT_TRACE"),
        }
    });
    if let Some(trace) = &plan.trace {
        let file = std::fs::File::options().create(true).append(true).open(trace);
        let _ = file.and_then(|mut file| writeln!(file, "{name}")); // a test that misses a line fails
    }
    if plan.name == name && PASSED.next() == plan.passing {
        crate::sys::die(plan.orphan.as_deref());
    }
}
