//! The identity of this process, and questions about others.
#![allow(unsafe_code, reason = "system calls without a safe form: fork handlers, the auxiliary vector")]

use std::os::unix::fs::MetadataExt;

/// Identifies a process among all that ever ran on this machine, in any container.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Identity {
    /// Its process id, in its pid namespace.
    pub pid: u32,
    /// When it started, in clock ticks since boot; 0 if /proc does not say.
    pub started: u64,
    /// Inode of its pid namespace; 0 if /proc does not say.
    pub pid_namespace: u64,
    /// Inode of its time namespace, whose monotonic clock may be offset from the machine's; 0 if /proc does not say.
    pub time_namespace: u64,
    /// Random bits that the kernel drew when the program was executed. The same for all copies of this library in the process,
    /// and for a forked child.
    pub image: u64,
}

/// This process. A few system calls.
pub fn identity() -> Identity {
    let pid = std::process::id();
    Identity {
        pid,
        started: start_time(pid).unwrap_or(0),
        pid_namespace: inode("/proc/self/ns/pid"),
        time_namespace: time_namespace(),
        image: image(),
    }
}

/// [`Identity::time_namespace`] of this process.
pub fn time_namespace() -> u64 {
    inode("/proc/self/ns/time")
}

fn inode(file: &str) -> u64 {
    std::fs::metadata(file).map_or(0, |file| file.ino())
}

/// The kernel gives each program 16 random bytes at exec; these are the first eight.
fn image() -> u64 {
    // SAFETY: AT_RANDOM is null or the address of 16 bytes that live as long as the process. A byte array needs no alignment.
    unsafe {
        let bytes = libc::getauxval(libc::AT_RANDOM) as *const [u8; 8];
        if bytes.is_null() { 0 } else { u64::from_le_bytes(*bytes) }
    }
}

/// The name of this machine.
pub fn host_name() -> String {
    rustix::system::uname().nodename().to_string_lossy().into_owned()
}

/// 64 random bits.
pub fn random() -> u64 {
    let mut bytes = [0; 8];
    let flags = rustix::rand::GetRandomFlags::NONBLOCK;
    match rustix::rand::getrandom(&mut bytes, flags) {
        Ok(8) => u64::from_le_bytes(bytes),
        // Early at boot the entropy pool is not ready: clock and process make the number unique enough.
        _ => super::clock::now_ns().rotate_left(32) ^ u64::from(std::process::id()) ^ image(),
    }
}

/// The effective user.
pub fn user() -> u32 {
    rustix::process::geteuid().as_raw()
}

/// The effective user's id outside of this process's user namespace. Inside of a container the id may be 0 or anything else, and
/// users of other containers may have the same one.
pub fn user_outside() -> u32 {
    let user = user();
    let map = std::fs::read_to_string("/proc/self/uid_map").unwrap_or_default();
    let outside = map.lines().find_map(|line| {
        let mut numbers = line.split_whitespace().map(str::parse::<u32>);
        let (inside, outside, count) = (numbers.next()?.ok()?, numbers.next()?.ok()?, numbers.next()?.ok()?);
        outside.checked_add(user.checked_sub(inside).filter(|offset| *offset < count)?)
    });
    outside.unwrap_or(user)
}

/// Whether no process of this pid namespace has this pid any more. A zombie is gone too, if /proc says so; without a /proc of
/// this namespace it counts as alive.
pub fn is_gone(pid: u32) -> bool {
    let Some(number) = i32::try_from(pid).ok().and_then(rustix::process::Pid::from_raw) else {
        return false; // 0: no process is known
    };
    if rustix::process::test_kill_process(number) == Err(rustix::io::Errno::SRCH) {
        return true;
    }
    let own = std::fs::read_link("/proc/self");
    let of_this_namespace = own.is_ok_and(|own| own.to_str() == Some(&std::process::id().to_string()));
    // A process lives on after its first thread has ended: that thread is a zombie beside living ones.
    of_this_namespace
        && stat(pid).is_some_and(|fields| {
            let mut fields = fields.split(' ');
            matches!(fields.next(), Some("Z" | "X")) && matches!(fields.nth(16), Some("0" | "1"))
        })
}

/// When a process started, in clock ticks since boot; `None` if it has ended. Together with the pid it identifies the process.
pub fn start_time(pid: u32) -> Option<u64> {
    let fields = stat(pid)?;
    let mut fields = fields.split(' ');
    let ended = matches!(fields.next()?, "Z" | "X");
    if ended { None } else { fields.nth(18)?.parse().ok() }
}

/// The fields of /proc/PID/stat from the third one on, the state.
fn stat(pid: u32) -> Option<String> {
    let stat = std::fs::read(format!("/proc/{pid}/stat")).ok()?;
    // The command's name may contain anything, so the fields are counted from the last parenthesis.
    let after = stat.iter().rposition(|&byte| byte == b')')? + 2;
    String::from_utf8(stat.get(after..)?.to_vec()).ok()
}

/// Registers functions to be called around every fork of the process: before it, after it in the parent, and after it in the
/// child.
pub fn at_fork(before: extern "C" fn(), parent: extern "C" fn(), child: extern "C" fn()) {
    // SAFETY: the functions are safe to call, and live for ever.
    let failed = unsafe { libc::pthread_atfork(Some(before), Some(parent), Some(child)) };
    assert_eq!(failed, 0, "pthread_atfork found no memory");
}

/// Kills the process with SIGKILL. `orphan`: a file. A child is forked first, which lives on for a minute, and its pid is written
/// there.
#[cfg(feature = "failpoints")]
pub fn die(orphan: Option<&std::ffi::OsStr>) -> ! {
    if let Some(file) = orphan {
        // By the raw system call: the functions of `at_fork` would wait for a lock that this thread may hold.
        // SAFETY: a plain fork, without a new stack or shared memory; the child only makes two system calls.
        let pid = unsafe { libc::syscall(libc::SYS_clone, libc::SIGCHLD as libc::c_long, 0, 0, 0, 0) };
        if pid == 0 {
            // SAFETY: two system calls that touch no memory.
            unsafe {
                libc::alarm(60);
                loop {
                    libc::pause();
                }
            }
        }
        let _ = std::fs::write(file, pid.to_string()); // a test that misses it fails
    }
    let _ = rustix::process::kill_process(rustix::process::getpid(), rustix::process::Signal::KILL);
    std::process::abort()
}
