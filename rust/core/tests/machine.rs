//! Faults of the machine: full file systems, limits, directories that others could enter.
#![cfg(not(loom))]
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a failed unwrap is a failed test")]

mod common;

use std::os::unix::fs::{PermissionsExt, symlink};
use std::time::Duration;

use common::machine::{limit, small_tmpfs};
use common::{FILES, Place, Sample, channel, fork, next, publish};
use traincast_core::directory::Directory;
use traincast_core::error::Error;
use traincast_core::numbering::Version;
use traincast_core::reader::Reader;
use traincast_core::snapshot::Snapshot;
use traincast_core::writer::{Writer, WriterOptions};

#[test]
fn a_full_file_system_is_an_error_and_what_was_published_stays() {
    let place = Place::new();
    let child = fork(|| {
        small_tmpfs(place.directory.path(), 20);
        let mut writer = place.writer();
        let error = Sample::new(1, 1, 4, 0).publish(&mut writer).unwrap_err();
        assert!(matches!(error, Error::StorageFull { .. }), "{error}");
        let text = error.to_string();
        assert!(
            text.contains("20480 bytes") && text.contains("is full") && text.contains("TRAINCAST_DIR"),
            "{text}"
        );
        assert_eq!(place.files(), ["run@3.lock", "run@3.owner"], "no unfinished file is left");
        assert_eq!(writer.version(), Version(0));
        0
    });
    assert_eq!(child.join(), 0);
    // No room for the reserve: then the file is just large enough.
    let child = fork(|| {
        small_tmpfs(place.directory.path(), 100);
        let mut writer = place.writer();
        publish(&mut writer, 1);
        assert_eq!(std::fs::metadata(place.path("run@3")).unwrap().len(), 20_480);
        assert_eq!(next(&mut place.reader(), &mut Snapshot::default()).seed, 1);
        0
    });
    assert_eq!(child.join(), 0);
    let child = fork(|| {
        small_tmpfs(place.directory.path(), 400);
        let mut out = Snapshot::default();
        let mut writer = place.writer();
        publish(&mut writer, 1);
        let mut reader = place.reader();
        for seed in 2..5 {
            let error = Sample::new(seed, 1, 4, 100_000).publish(&mut writer).unwrap_err();
            assert!(matches!(error, Error::StorageFull { .. }), "{error}");
            assert_eq!(place.files(), FILES);
            assert_eq!(publish(&mut writer, seed), seed);
            assert_eq!(next(&mut reader, &mut out).seed, seed);
        }
        0
    });
    assert_eq!(child.join(), 0);
    // Room for the channel, none for the roster.
    let child = fork(|| {
        small_tmpfs(place.directory.path(), 264);
        let mut writer = place.writer();
        publish(&mut writer, 1);
        assert_eq!(place.files(), ["run@3", "run@3.lock", "run@3.owner"]);
        next(&mut place.reader(), &mut Snapshot::default());
        0
    });
    assert_eq!(child.join(), 0);
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
        assert_eq!(next(&mut reader, &mut out).seed, 2);
        let error = Sample::new(3, 1, 1, 100_000).publish(&mut writer).unwrap_err();
        assert!(error.to_string().contains("ulimit -n"), "{error}");
        assert!(
            Reader::attach(&place.directory, channel(), Duration::ZERO)
                .unwrap_err()
                .to_string()
                .contains("ulimit -n")
        );
        assert!(!reader.waiter().wait(Duration::from_millis(2)));
        assert_eq!(publish(&mut writer, 3), 3);
        assert_eq!(next(&mut reader, &mut out).seed, 3);
        drop(writer);
        assert!(reader.closed());
        assert!(!reader.read_into(&mut out).unwrap());
        0
    });
    assert_eq!(child.join(), 0);
    // The file that could not be removed is recognized as closed.
    assert_eq!(place.files(), FILES);
    assert_eq!(place.writer().version(), Version(0));
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
        assert_eq!(place.files(), FILES);
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
                assert_eq!(next(&mut reader, &mut out).seed, seed);
                reader.waiter().wait(Duration::from_millis(2));
            }
        }
        0
    });
    assert_eq!(child.join(), 0);
}

#[test]
fn directories_that_cannot_be_trusted_are_refused() {
    let place = Place::new();
    let refused = |path: &std::path::Path, says: &str| {
        let directory = Directory::at(path).unwrap();
        let made = directory.make();
        let attached = Reader::attach(&directory, channel(), Duration::ZERO).map(drop);
        let listed = traincast_core::inspect::list(&directory).map(drop);
        for result in [made, attached, listed] {
            let error = result.unwrap_err();
            let text = error.to_string();
            assert!(matches!(error, Error::InsecureDirectory { .. }), "{error:?}");
            assert!(
                text.contains(says)
                    && text.contains("TRAINCAST_DIR")
                    && text.contains(path.to_str().unwrap()),
                "{text}"
            );
        }
    };
    let made = place.path("made/for/us");
    Directory::at(&made).unwrap().make().unwrap();
    for made in [&made, &place.path("made/for"), &place.path("made")] {
        assert_eq!(std::fs::metadata(made).unwrap().permissions().mode() & 0o777, 0o700);
    }
    std::fs::set_permissions(&made, std::fs::Permissions::from_mode(0o710)).unwrap();
    refused(&made, "others may enter it (mode 0710); set TRAINCAST_DIR=");
    let file = place.path("file");
    std::fs::write(&file, "").unwrap();
    refused(&file, "it is a regular file");
    let link = place.path("link");
    symlink(place.directory.path(), &link).unwrap();
    refused(&link, "it is a symbolic link");
    for (unwritten, says) in
        [("", "it is empty"), ("~", "no shell"), ("~/channels", "no shell"), ("$HOME/x", "no shell")]
    {
        let error = Directory::at(unwritten).unwrap_err();
        assert!(
            matches!(error, Error::InsecureDirectory { .. }) && error.to_string().contains(says),
            "{error}"
        );
    }
    // Somebody else's directory: root gives one away; other users try root's.
    // SAFETY: only asks for the user id.
    if unsafe { libc::geteuid() } == 0 {
        let other = place.path("other");
        std::fs::create_dir(&other).unwrap();
        std::fs::set_permissions(&other, std::fs::Permissions::from_mode(0o700)).unwrap();
        std::os::unix::fs::chown(&other, Some(12345), None).unwrap();
        refused(&other, "it belongs to user 12345, and you are user 0");
    } else {
        refused(std::path::Path::new("/"), "it belongs to user 0");
    }
}

#[test]
fn only_a_writer_makes_the_directory() {
    let place = Place::new();
    let directory = Directory::at(place.path("not/yet")).unwrap();
    let attached = Reader::attach(&directory, channel(), Duration::ZERO);
    assert!(matches!(attached, Err(Error::ChannelNotFound { .. })), "{attached:?}");
    assert!(traincast_core::inspect::list(&directory).unwrap().is_empty());
    assert!(traincast_core::inspect::leftovers(&directory).unwrap().is_empty());
    assert!(!traincast_core::inspect::remove_leftover(&directory, &directory.path().join("run@3")).unwrap());
    assert_eq!(place.files(), [""; 0]);
    let mut writer = Writer::open(&directory, channel(), WriterOptions::default()).unwrap();
    publish(&mut writer, 1);
    next(&mut Reader::attach(&directory, channel(), Duration::ZERO).unwrap(), &mut Snapshot::default());
}

#[test]
fn a_directory_that_is_opened_to_others_while_in_use_is_refused() {
    let place = Place::new();
    let mut writer = place.writer();
    publish(&mut writer, 1);
    std::fs::set_permissions(place.directory.path(), std::fs::Permissions::from_mode(0o755)).unwrap();
    let error = Reader::attach(&place.directory, channel(), Duration::ZERO).unwrap_err();
    assert!(matches!(error, Error::InsecureDirectory { .. }), "{error}");
    std::fs::set_permissions(place.directory.path(), std::fs::Permissions::from_mode(0o700)).unwrap();
}
