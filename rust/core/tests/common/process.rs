//! Processes: forked children, watchdogs.

use std::time::Duration;

/// Runs `body` in a forked child, which ends by `_exit` with its result or is killed.
pub fn fork(body: impl FnOnce() -> i32) -> Child {
    watchdog(); // its `Once` must not be half done when the child gets a copy
    // SAFETY: the child only runs `body` and `_exit`; the tests that use this have no other thread on which the child depends.
    match unsafe { libc::fork() } {
        -1 => panic!("fork failed"),
        0 => {
            // SAFETY: sets a timer in the child, which ends it even if nobody is left to do so.
            unsafe { libc::alarm(900) };
            let status = std::panic::catch_unwind(std::panic::AssertUnwindSafe(body)).unwrap_or(101);
            // SAFETY: ends the child without running the test harness's exit handlers.
            unsafe { libc::_exit(status) }
        }
        pid => Child { pid, over: false },
    }
}

/// A forked child; killed if the test ends before it.
pub struct Child {
    pub pid: i32,
    over: bool,
}

impl Child {
    /// Kills it by SIGKILL and waits until it is gone.
    pub fn kill(mut self) {
        self.end();
    }

    fn end(&mut self) {
        // SAFETY: a child of ours that has not been waited for.
        unsafe { libc::kill(self.pid, libc::SIGKILL) };
        self.reap();
    }

    fn reap(&mut self) -> i32 {
        let mut status = 0;
        // SAFETY: a child of ours, and a status that outlives the call.
        while unsafe { libc::waitpid(self.pid, &raw mut status, 0) } == -1 {}
        self.over = true;
        status
    }

    /// Whether it is still running.
    pub fn lives(&mut self) -> bool {
        let mut status = 0;
        // SAFETY: a child of ours that has not been waited for, and a status that outlives the call.
        self.over =
            self.over || unsafe { libc::waitpid(self.pid, &raw mut status, libc::WNOHANG) } == self.pid;
        !self.over
    }

    /// Waits for its end and returns its exit status.
    pub fn join(mut self) -> i32 {
        let status = self.reap();
        assert!(libc::WIFEXITED(status), "the child was killed by signal {}", libc::WTERMSIG(status));
        libc::WEXITSTATUS(status)
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        if !self.over {
            self.end();
        }
    }
}

/// Ends the test run if a test hangs; no limit on how fast it must be.
pub fn watchdog() {
    static ONCE: std::sync::Once = std::sync::Once::new();
    ONCE.call_once(|| {
        std::thread::spawn(|| {
            std::thread::sleep(Duration::from_secs(600));
            eprintln!("watchdog: a test hangs");
            std::process::abort();
        });
    });
}

/// Waits until `condition` holds (the watchdog limits the time).
pub fn until(mut condition: impl FnMut() -> bool) {
    watchdog();
    while !condition() {
        std::thread::sleep(Duration::from_millis(1));
    }
}
