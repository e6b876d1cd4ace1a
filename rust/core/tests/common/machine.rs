//! Conditions of a machine: namespaces, small file systems, limits, denied system calls. For forked, single-threaded processes
//! only.

use std::ffi::CString;
use std::path::Path;

/// Unshares namespaces; a user who is not root becomes root in a user namespace of its own.
pub fn unshare(flags: libc::c_int) {
    // SAFETY: plain system calls.
    unsafe {
        let (uid, gid) = (libc::geteuid(), libc::getegid());
        let flags = if uid == 0 { flags } else { flags | libc::CLONE_NEWUSER };
        assert_eq!(libc::unshare(flags), 0, "unshare: {}", std::io::Error::last_os_error());
        if uid != 0 {
            std::fs::write("/proc/self/setgroups", "deny").unwrap();
            std::fs::write("/proc/self/uid_map", format!("{uid} {uid} 1")).unwrap();
            std::fs::write("/proc/self/gid_map", format!("{gid} {gid} 1")).unwrap();
        }
    }
}

fn text(path: &Path) -> CString {
    CString::new(path.to_str().unwrap()).unwrap()
}

/// Mounts a tmpfs of `kib` KiB over a directory, for this process only.
pub fn small_tmpfs(directory: &Path, kib: u32) {
    unshare(libc::CLONE_NEWNS);
    let (root, kind, target) = (text(Path::new("/")), CString::new("tmpfs").unwrap(), text(directory));
    let options = CString::new(format!("size={kib}k,mode=700")).unwrap();
    // SAFETY: plain system calls with strings that outlive them.
    unsafe {
        let private = libc::MS_REC | libc::MS_PRIVATE;
        libc::mount(std::ptr::null(), root.as_ptr(), std::ptr::null(), private, std::ptr::null());
        let mounted = libc::mount(kind.as_ptr(), target.as_ptr(), kind.as_ptr(), 0, options.as_ptr().cast());
        assert_eq!(mounted, 0, "mount: {}", std::io::Error::last_os_error());
    }
}

/// Lowers one of this process's limits.
pub fn limit(resource: libc::__rlimit_resource_t, value: u64) {
    let limit = libc::rlimit { rlim_cur: value, rlim_max: value };
    // SAFETY: a limit that outlives the call.
    assert_eq!(unsafe { libc::setrlimit(resource, &raw const limit) }, 0);
}

/// Takes the kernel's lock on a range of a file's bytes.
pub fn lock(file: &std::fs::File, range: std::ops::Range<i64>) {
    use std::os::fd::AsRawFd;
    // SAFETY: all zeros is a valid flock.
    let mut lock: libc::flock = unsafe { std::mem::zeroed() };
    lock.l_type = libc::F_WRLCK as _;
    (lock.l_start, lock.l_len) = (range.start, range.end - range.start);
    // SAFETY: an open descriptor, and a flock that outlives the call.
    let locked = unsafe { libc::fcntl(file.as_raw_fd(), libc::F_SETLK, &raw const lock) };
    assert_eq!(locked, 0, "{}", std::io::Error::last_os_error());
}

/// Makes the kernel deny this process every lock from here on, as a security module may: EACCES, which is not contention.
pub fn deny_locks() {
    const fn statement(code: u32, k: u32) -> libc::sock_filter {
        libc::sock_filter { code: code as u16, jt: 0, jf: 0, k }
    }
    /// Goes on with the next statement if the accumulator is `k`; otherwise skips `to` statements, to the one that allows the
    /// call.
    const fn unless(k: u32, to: u8) -> libc::sock_filter {
        libc::sock_filter { code: (libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K) as u16, jt: 0, jf: to, k }
    }
    let load = libc::BPF_LD | libc::BPF_W | libc::BPF_ABS;
    // struct seccomp_data: the call's number at 0, the lower half of its second argument at 24.
    let mut filter = [
        statement(load, 0),
        unless(libc::SYS_fcntl as u32, 3),
        statement(load, 24),
        unless(libc::F_SETLK as u32, 1),
        statement(libc::BPF_RET, libc::SECCOMP_RET_ERRNO | libc::EACCES as u32),
        statement(libc::BPF_RET, libc::SECCOMP_RET_ALLOW),
    ];
    let program = libc::sock_fprog { len: filter.len() as u16, filter: filter.as_mut_ptr() };
    // SAFETY: plain system calls; the program outlives them.
    unsafe {
        assert_eq!(libc::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0), 0);
        let mode = libc::SECCOMP_MODE_FILTER;
        assert_eq!(libc::prctl(libc::PR_SET_SECCOMP, mode, &raw const program, 0, 0), 0);
    }
}

/// If this process is root, it becomes another user.
pub fn become_nobody() {
    // SAFETY: plain system calls.
    unsafe {
        if libc::geteuid() == 0 {
            assert_eq!(libc::setgid(65534), 0);
            assert_eq!(libc::setuid(65534), 0);
        }
    }
}
