//! The identity of this process, and questions about others.
#![allow(unsafe_code, reason = "system calls without a safe form: fork handlers, randomness")]

use std::sync::OnceLock;

/// Identifies a process.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Identity {
    /// Its process id.
    pub pid: u32,
    /// When it started; always 0, which means unknown.
    pub started: u64,
    /// Always 0: there are no namespaces.
    pub pid_namespace: u64,
    /// Always 0.
    pub time_namespace: u64,
    /// Random. A forked child has its parent's. Another copy of this library in the process has a different one, which a finished
    /// port has to fix.
    pub image: u64,
}

/// This process.
pub fn identity() -> Identity {
    static IMAGE: OnceLock<u64> = OnceLock::new();
    Identity { pid: std::process::id(), image: *IMAGE.get_or_init(random), ..Identity::default() }
}

/// [`Identity::time_namespace`] of this process.
pub fn time_namespace() -> u64 {
    0
}

/// The name of this machine.
pub fn host_name() -> String {
    rustix::system::uname().nodename().to_string_lossy().into_owned()
}

/// 64 random bits.
pub fn random() -> u64 {
    let mut bytes = [0_u8; 8];
    // SAFETY: `bytes` is eight writable bytes.
    unsafe { libc::arc4random_buf(bytes.as_mut_ptr().cast(), bytes.len()) };
    u64::from_le_bytes(bytes)
}

/// The effective user.
pub fn user() -> u32 {
    rustix::process::geteuid().as_raw()
}

/// The same: there are no user namespaces.
pub fn user_outside() -> u32 {
    user()
}

/// Whether no process has this pid any more. A zombie counts as alive.
pub fn is_gone(pid: u32) -> bool {
    let number = i32::try_from(pid).ok().and_then(rustix::process::Pid::from_raw);
    number.is_some_and(|number| rustix::process::test_kill_process(number) == Err(rustix::io::Errno::SRCH))
}

/// When a process started: always 0, which means unknown; `None` if it has ended.
pub fn start_time(pid: u32) -> Option<u64> {
    (!is_gone(pid)).then_some(0)
}

/// Registers functions to be called around every fork of the process: before it, after it in the parent, and after it in the
/// child.
pub fn at_fork(before: extern "C" fn(), parent: extern "C" fn(), child: extern "C" fn()) {
    // SAFETY: the functions are safe to call, and live for ever.
    let failed = unsafe { libc::pthread_atfork(Some(before), Some(parent), Some(child)) };
    assert_eq!(failed, 0, "pthread_atfork found no memory");
}
