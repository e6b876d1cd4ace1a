//! Faults of the machine: full file systems, limits, directories that others could enter.
#![cfg(not(loom))]
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a failed unwrap is a failed test")]

mod common;

use std::ffi::CString;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::time::Duration;

use common::{Place, Sample, channel, fork, next, publish};
use traincast_core::directory::Directory;
use traincast_core::error::Error;
use traincast_core::reader::Reader;
use traincast_core::snapshot::Snapshot;
use traincast_core::writer::{Writer, WriterOptions};

/// Mounts a tmpfs of so many KiB over the directory of a place, for this (forked, single-threaded) process
/// alone.
fn small_tmpfs(place: &Place, kib: u32) {
    // SAFETY: plain system calls with strings that live over them.
    unsafe {
        let user = libc::geteuid();
        let (uid, gid) = (libc::geteuid(), libc::getegid());
        let flags = if user == 0 { libc::CLONE_NEWNS } else { libc::CLONE_NEWNS | libc::CLONE_NEWUSER };
        assert_eq!(libc::unshare(flags), 0, "unshare: {}", std::io::Error::last_os_error());
        if user != 0 {
            std::fs::write("/proc/self/setgroups", "deny").unwrap();
            std::fs::write("/proc/self/uid_map", format!("{uid} {uid} 1")).unwrap();
            std::fs::write("/proc/self/gid_map", format!("{gid} {gid} 1")).unwrap();
        }
        let root = CString::new("/").unwrap();
        libc::mount(
            std::ptr::null(),
            root.as_ptr(),
            std::ptr::null(),
            libc::MS_REC | libc::MS_PRIVATE,
            std::ptr::null(),
        );
        let (kind, target) = (CString::new("tmpfs").unwrap(), place.directory.path().to_str().unwrap());
        let (target, options) =
            (CString::new(target).unwrap(), CString::new(format!("size={kib}k,mode=700")).unwrap());
        let mounted = libc::mount(kind.as_ptr(), target.as_ptr(), kind.as_ptr(), 0, options.as_ptr().cast());
        assert_eq!(mounted, 0, "mount: {}", std::io::Error::last_os_error());
    }
}

#[test]
fn a_full_file_system_is_an_error_and_what_was_published_stays() {
    let place = Place::new();
    let child = fork(|| {
        small_tmpfs(&place, 100);
        let mut writer = place.writer();
        let error = Sample::new(1, 1, 4, 0).publish(&mut writer).unwrap_err();
        assert!(matches!(error, Error::StorageFull { .. }), "{error}");
        let text = error.to_string();
        assert!(
            text.contains("266240 bytes") && text.contains("is full") && text.contains("TRAINCAST_DIR"),
            "{text}"
        );
        assert_eq!(place.files(), ["run@3.lock"], "no half-made file is left");
        assert_eq!(writer.version(), 0);
        0
    });
    assert_eq!(child.join(), 0);
    let child = fork(|| {
        small_tmpfs(&place, 400);
        let mut out = Snapshot::default();
        let mut writer = place.writer();
        publish(&mut writer, 1);
        let mut reader = place.reader();
        for seed in 2..5 {
            let error = Sample::new(seed, 1, 4, 100_000).publish(&mut writer).unwrap_err();
            assert!(matches!(error, Error::StorageFull { .. }), "{error}");
            assert_eq!(place.files(), ["run@3", "run@3.lock", "run@3.roster"]);
            assert_eq!(publish(&mut writer, seed), seed);
            assert_eq!(next(&mut reader, &mut out).1, seed);
        }
        0
    });
    assert_eq!(child.join(), 0);
    // Room for the channel, none for the roster.
    let child = fork(|| {
        small_tmpfs(&place, 260);
        let mut writer = place.writer();
        publish(&mut writer, 1);
        assert_eq!(place.files(), ["run@3", "run@3.lock"]);
        next(&mut place.reader(), &mut Snapshot::default());
        0
    });
    assert_eq!(child.join(), 0);
}

fn limit(resource: libc::__rlimit_resource_t, value: u64) {
    let limit = libc::rlimit { rlim_cur: value, rlim_max: value };
    // SAFETY: a limit that lives over the call.
    assert_eq!(unsafe { libc::setrlimit(resource, &raw const limit) }, 0);
}

#[test]
fn a_limit_of_file_size_is_an_error_and_no_signal() {
    let place = Place::new();
    let child = fork(|| {
        limit(libc::RLIMIT_FSIZE, 300_000);
        let mut writer = place.writer();
        publish(&mut writer, 1);
        let error = Sample::new(2, 1, 1, 100_000).publish(&mut writer).unwrap_err();
        assert!(
            matches!(error, Error::StorageFull { .. }) && error.to_string().contains("ulimit -f"),
            "{error}"
        );
        assert_eq!(publish(&mut writer, 2), 2);
        0
    });
    assert_eq!(child.join(), 0);
}

#[test]
fn without_a_free_descriptor_nothing_that_works_stops_working() {
    let place = Place::new();
    let child = fork(|| {
        let mut out = Snapshot::default();
        let mut writer = place.writer();
        publish(&mut writer, 1);
        let mut reader = place.reader();
        limit(libc::RLIMIT_NOFILE, 0);
        assert_eq!(publish(&mut writer, 2), 2);
        assert_eq!(next(&mut reader, &mut out).1, 2);
        let error = Sample::new(3, 1, 1, 100_000).publish(&mut writer).unwrap_err();
        assert!(error.to_string().contains("ulimit -n"), "{error}");
        assert!(
            Reader::attach(&place.directory, channel(), Duration::ZERO)
                .unwrap_err()
                .to_string()
                .contains("ulimit -n")
        );
        assert!(!reader.waiter().wait(reader.head(), Duration::from_millis(2)));
        assert_eq!(publish(&mut writer, 3), 3);
        assert_eq!(next(&mut reader, &mut out).1, 3);
        drop(writer);
        assert!(reader.closed());
        assert!(!reader.read_into(&mut out).unwrap());
        0
    });
    assert_eq!(child.join(), 0);
    // What could not be removed is taken for what it is.
    assert_eq!(place.files(), ["run@3", "run@3.lock", "run@3.roster"]);
    assert_eq!(place.writer().version(), 0);
}

#[test]
fn without_address_space_growth_is_an_error_and_the_channel_goes_on() {
    let place = Place::new();
    let child = fork(|| {
        let mut writer = place.writer();
        publish(&mut writer, 1);
        let pages: u64 =
            std::fs::read_to_string("/proc/self/statm").unwrap().split(' ').next().unwrap().parse().unwrap();
        let big = Sample::new(2, 1, 1, 20 << 20);
        limit(libc::RLIMIT_AS, pages * 4096 + (40 << 20));
        let error = big.publish(&mut writer).unwrap_err();
        assert!(error.to_string().contains("ulimit -v"), "{error}");
        assert_eq!(publish(&mut writer, 2), 2);
        assert_eq!(place.files(), ["run@3", "run@3.lock", "run@3.roster"]);
        0
    });
    assert_eq!(child.join(), 0);
}

#[test]
fn a_storm_of_signals_disturbs_nothing() {
    extern "C" fn ignore(_: libc::c_int) {}
    let place = Place::new();
    let child = fork(|| {
        // SAFETY: a handler that does nothing, installed without SA_RESTART, and a timer of this process.
        unsafe {
            let mut action: libc::sigaction = std::mem::zeroed();
            action.sa_sigaction = ignore as *const () as usize;
            libc::sigaction(libc::SIGALRM, &raw const action, std::ptr::null_mut());
            let often = libc::timeval { tv_sec: 0, tv_usec: 200 };
            let timer = libc::itimerval { it_interval: often, it_value: often };
            assert_eq!(libc::setitimer(libc::ITIMER_REAL, &raw const timer, std::ptr::null_mut()), 0);
        }
        let mut out = Snapshot::default();
        for _ in 0..5 {
            let mut writer = place.writer();
            publish(&mut writer, 1);
            let mut reader = place.reader();
            for (seed, blob) in [(2, 100_000), (3, 4_000_000), (4, 10)] {
                Sample::new(seed, 1, 1, blob).publish(&mut writer).unwrap();
                assert_eq!(next(&mut reader, &mut out).1, seed);
                reader.waiter().wait(reader.head(), Duration::from_millis(2));
            }
        }
        0
    });
    assert_eq!(child.join(), 0);
}

#[test]
fn a_directory_that_is_removed_under_everybody() {
    let place = Place::new();
    let mut out = Snapshot::default();
    let mut writer = place.writer();
    publish(&mut writer, 1);
    let mut reader = place.reader();
    std::fs::remove_dir_all(place.directory.path()).unwrap();
    assert_eq!(publish(&mut writer, 2), 2);
    assert_eq!(next(&mut reader, &mut out).1, 2);
    let error = Sample::new(3, 1, 1, 100_000).publish(&mut writer).unwrap_err();
    assert!(error.to_string().contains("the directory has been removed"), "{error}");
    assert_eq!(publish(&mut writer, 3), 3);
    drop(writer);
    let directory = Directory::at(place.directory.path()).unwrap();
    let mut writer = Writer::open(&directory, channel(), WriterOptions::default()).unwrap();
    publish(&mut writer, 4);
    assert_eq!(next(&mut reader, &mut out).1, 4);
}

#[test]
fn directories_that_cannot_be_trusted() {
    let place = Place::new();
    let refused = |path: &std::path::Path, says: &str| {
        let error = Directory::at(path).unwrap_err();
        let text = error.to_string();
        assert!(matches!(error, Error::InsecureDirectory { .. }), "{error:?}");
        assert!(
            text.contains(says) && text.contains("TRAINCAST_DIR") && text.contains(path.to_str().unwrap()),
            "{text}"
        );
    };
    let made = place.path("made/for/us");
    Directory::at(&made).unwrap();
    assert_eq!(std::fs::metadata(&made).unwrap().permissions().mode() & 0o777, 0o700);
    std::fs::set_permissions(&made, std::fs::Permissions::from_mode(0o710)).unwrap();
    refused(&made, "others may enter it (mode 0710); run `chmod 700");
    let file = place.path("file");
    std::fs::write(&file, "").unwrap();
    refused(&file, "it is a regular file");
    let link = place.path("link");
    symlink(place.directory.path(), &link).unwrap();
    refused(&link, "it is a symbolic link");
    // Somebody else's: /proc/1 belongs to root, /proc/self to us; as root, give one away.
    // SAFETY: asks for the user.
    if unsafe { libc::geteuid() } == 0 {
        let other = place.path("other");
        std::fs::create_dir(&other).unwrap();
        std::fs::set_permissions(&other, std::fs::Permissions::from_mode(0o700)).unwrap();
        std::os::unix::fs::chown(&other, Some(12345), None).unwrap();
        refused(&other, "it belongs to user 12345, and you are user 0");
    } else {
        refused(std::path::Path::new("/"), "it belongs to user 0");
    }
    // Opened up while in use: noticed at the next look.
    let mut writer = place.writer();
    publish(&mut writer, 1);
    std::fs::set_permissions(place.directory.path(), std::fs::Permissions::from_mode(0o755)).unwrap();
    let error = Reader::attach(&place.directory, channel(), Duration::ZERO).unwrap_err();
    assert!(matches!(error, Error::InsecureDirectory { .. }), "{error}");
    std::fs::set_permissions(place.directory.path(), std::fs::Permissions::from_mode(0o700)).unwrap();
}
