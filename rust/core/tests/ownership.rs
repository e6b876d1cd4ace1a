//! One writer per channel, whatever happens to its lock and its files: what was removed is put back, and files of another owner
//! are not touched.
#![cfg(not(loom))]
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a failed unwrap is a failed test")]

mod common;

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::time::Duration;

use common::machine::{deny_locks, lock as lock_range};
use common::{FILES, Found, Place, Sample, channel, fork, next, next_polled, publish, verify};
use traincast_core::error::Error;
use traincast_core::inspect::{Status, leftovers, list};
use traincast_core::reader::Reader;
use traincast_core::snapshot::Snapshot;
use traincast_core::writer::{Leftover, Writer, WriterOptions};

/// A channel with a writer that verifies its ownership at each publish, and a reader that has read its first snapshot.
struct Served {
    place: Place,
    writer: Writer,
    reader: Reader,
    out: Snapshot,
    last: Found,
}

impl Served {
    fn new() -> Self {
        let place = Place::new();
        let mut writer = place.writer_verifying(Duration::ZERO);
        let mut out = Snapshot::default();
        publish(&mut writer, 1);
        let mut reader = place.reader();
        let last = next(&mut reader, &mut out);
        Self { place, writer, reader, out, last }
    }

    /// Publishes the next snapshot: version and stamp go on, and both the old reader and a new one read it.
    fn goes_on(&mut self) {
        self.goes_on_for_the_attached();
        let late = next(&mut self.place.reader(), &mut Snapshot::default());
        assert_eq!((late.stamp(), late.seed), (self.last.stamp(), self.last.seed));
        assert_eq!(self.place.files(), FILES);
        assert!(self.place.is_busy_for_another(), "the channel is locked");
        let listed = list(&self.place.directory).unwrap();
        assert_eq!((&listed[0].status, listed[0].writer_pid), (&Status::Live, std::process::id()));
        assert!(leftovers(&self.place.directory).unwrap().is_empty());
    }

    fn goes_on_for_the_attached(&mut self) {
        let seed = self.last.seed + 1;
        assert_eq!(publish(&mut self.writer, seed), self.last.version() + 1);
        let found = next_polled(&mut self.reader, &mut self.out);
        assert_eq!((found.seed, found.version()), (seed, self.last.version() + 1));
        assert_eq!((found.epoch(), found.stamp().term), (self.last.epoch(), self.last.stamp().term));
        self.last = found;
    }

    fn is_warned_once(&mut self, says: &str) {
        let warning = self.writer.take_warning().expect("there is a warning");
        assert!(warning.contains(says) && warning.contains("\"run\" (policy 3)"), "{warning}");
        self.goes_on_for_the_attached();
        assert_eq!(self.writer.take_warning(), None, "said once");
    }
}

#[test]
fn a_lock_that_something_in_the_process_dropped_is_taken_again() {
    let mut served = Served::new();
    for _ in 0..3 {
        drop(fs::File::open(served.place.path("run@3.lock")).unwrap());
        served.goes_on();
    }
}

#[test]
fn a_file_that_was_removed_is_put_back() {
    let mut served = Served::new();
    for file in FILES.iter().chain(&FILES) {
        fs::remove_file(served.place.path(file)).unwrap();
        served.goes_on();
    }
    assert_eq!(served.writer.take_warning(), None);
}

#[test]
fn files_that_were_removed_together_are_put_back() {
    let mut served = Served::new();
    for left in 0..1 << FILES.len() {
        for (index, file) in FILES.iter().enumerate() {
            if left & 1 << index == 0 {
                fs::remove_file(served.place.path(file)).unwrap();
            }
        }
        served.goes_on();
    }
}

#[test]
fn a_file_that_was_replaced_by_nonsense_is_put_back() {
    let mut served = Served::new();
    for content in [&[][..], &[0; 64], &[0xff; 64], &[0x55; 5000]] {
        for file in FILES {
            let path = served.place.path(file);
            fs::remove_file(&path).unwrap();
            fs::write(&path, content).unwrap();
            fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
            served.goes_on();
        }
    }
}

/// As after `cp -r` and `mv`: each file has the same content and another inode.
#[test]
fn files_that_were_replaced_by_copies_are_as_good_as_removed() {
    let mut served = Served::new();
    for file in FILES {
        let (path, copy) = (served.place.path(file), served.place.beside("copy"));
        fs::copy(&path, &copy).unwrap();
        fs::rename(&copy, &path).unwrap();
        served.goes_on();
    }
}

#[test]
fn a_directory_that_was_removed_is_put_back() {
    let mut served = Served::new();
    for _ in 0..3 {
        fs::remove_dir_all(served.place.directory.path()).unwrap();
        served.goes_on();
        let mode = fs::metadata(served.place.directory.path()).unwrap().mode();
        assert_eq!(mode & 0o777, 0o700);
    }
    assert_eq!(served.writer.take_warning(), None);
}

#[test]
fn a_directory_that_somebody_else_created_again_is_used() {
    let mut served = Served::new();
    let directory = served.place.directory.clone();
    fs::remove_dir_all(directory.path()).unwrap();
    directory.make().unwrap();
    served.goes_on();
    // Moved away with all of its content.
    fs::rename(directory.path(), served.place.beside("elsewhere")).unwrap();
    directory.make().unwrap();
    served.goes_on();
}

#[test]
fn growth_after_a_removal_puts_all_back_too() {
    let mut served = Served::new();
    fs::remove_dir_all(served.place.directory.path()).unwrap();
    Sample::new(2, 1, 4, 100_000).publish(&mut served.writer).unwrap();
    served.last = next_polled(&mut served.reader, &mut served.out);
    assert_eq!((served.last.seed, served.last.version()), (2, 2));
    served.goes_on();
}

#[test]
fn a_directory_that_cannot_be_put_back_causes_a_warning_and_the_channel_goes_on() {
    let (nested, hidden) = ("outer/channels", "gone");
    let place = Place::new();
    let directory = traincast_core::directory::Directory::at(place.beside(nested)).unwrap();
    let options = WriterOptions { verify_every: Duration::ZERO, ..WriterOptions::default() };
    let mut writer = Writer::open(&directory, channel(), options).unwrap();
    let mut out = Snapshot::default();
    publish(&mut writer, 1);
    let mut reader = Reader::attach(&directory, channel(), Duration::ZERO).unwrap();
    next(&mut reader, &mut out);
    assert_eq!(writer.take_warning(), None);
    // The parent is gone: only the last component of the path is ever created again.
    fs::rename(place.beside("outer"), place.beside(hidden)).unwrap();
    for seed in 2..5 {
        assert_eq!(publish(&mut writer, seed), seed);
        assert_eq!(next(&mut reader, &mut out).seed, seed, "attached readers are still served");
        let warning = writer.take_warning();
        assert_eq!(warning.is_some(), seed == 2, "one warning: {warning:?}");
    }
    assert!(!place.beside("outer").exists());
    // A snapshot that needs a new file is an error, and the channel goes on.
    let error = Sample::new(5, 1, 4, 100_000).publish(&mut writer).unwrap_err();
    assert!(error.to_string().contains("the directory has been removed"), "{error}");
    assert_eq!(publish(&mut writer, 5), 5);
    // Put back by somebody else, it is used again.
    fs::create_dir(place.beside("outer")).unwrap();
    assert_eq!(publish(&mut writer, 6), 6);
    let mut late = Reader::attach(&directory, channel(), Duration::ZERO).unwrap();
    assert_eq!(next(&mut late, &mut Snapshot::default()).seed, 6);
    assert_eq!(next_polled(&mut reader, &mut out).seed, 6);
}

#[test]
fn a_directory_that_cannot_be_trusted_any_more_is_not_written_to() {
    for what in ["link", "open", "file"] {
        let mut served = Served::new();
        let (path, hidden) = (served.place.directory.path().to_owned(), served.place.beside("hidden"));
        if what != "open" {
            fs::rename(&path, &hidden).unwrap();
        }
        let says = match what {
            "link" => {
                symlink(&hidden, &path).unwrap();
                "symbolic link"
            }
            "open" => {
                fs::set_permissions(&path, fs::Permissions::from_mode(0o777)).unwrap();
                "others may enter it"
            }
            _ => {
                fs::write(&path, "").unwrap();
                "regular file"
            }
        };
        served.goes_on_for_the_attached();
        served.is_warned_once(says);
        match what {
            "open" => fs::set_permissions(&path, fs::Permissions::from_mode(0o700)).unwrap(),
            _ => fs::remove_file(&path).unwrap(), // and the directory is put back
        }
        served.goes_on();
    }
}

/// File names that cannot be used, because something else has them.
#[test]
fn a_file_name_that_something_else_has_causes_a_warning_and_the_channel_goes_on() {
    for file in ["run@3", "run@3.lock"] {
        let mut served = Served::new();
        let path = served.place.path(file);
        fs::remove_file(&path).unwrap();
        fs::create_dir(&path).unwrap();
        served.goes_on_for_the_attached();
        served.is_warned_once("cannot be put back");
        fs::remove_dir(&path).unwrap();
        served.goes_on();
    }
}

#[test]
fn a_record_of_another_owner_means_that_the_channel_is_lost() {
    let record = {
        let other = Place::new();
        let child = fork(|| {
            std::mem::forget(other.writer());
            0
        });
        assert_eq!(child.join(), 0);
        fs::read(other.path("run@3.owner")).unwrap()
    };
    let Served { place, mut writer, mut reader, mut out, .. } = Served::new();
    fs::write(place.path("run@3.owner"), &record).unwrap();
    for _ in 0..2 {
        let error = Sample::new(2, 1, 4, 0).publish(&mut writer).unwrap_err();
        assert!(matches!(error, Error::ChannelLost { .. }), "{error}");
    }
    assert!(writer.is_closed());
    drop(writer);
    assert_eq!(place.files(), FILES, "no file of another owner is removed");
    assert_eq!(fs::read(place.path("run@3.owner")).unwrap(), record);
    assert!(!reader.read_into(&mut out).unwrap() && !reader.closed());
    // It holds no lock any more: the channel can be taken again, by this process too.
    let mut writer = place.writer();
    assert_eq!(publish(&mut writer, 2), 3, "the previous writer may have published one more");
    assert_eq!(next_polled(&mut reader, &mut out).seed, 2);
}

/// Two copies of the library in one process do not know each other: the record tells them, before either opens the lock file,
/// because closing that would drop the lock.
#[test]
fn another_copy_of_the_library_in_this_process_is_known_by_the_record() {
    let place = Place::new();
    let mut writer = place.writer();
    publish(&mut writer, 1);
    let record = fs::read(place.path("run@3.owner")).unwrap();
    let segment = fs::read(place.path("run@3")).unwrap();
    drop(writer);
    for (file, content) in [("run@3", &segment), ("run@3.owner", &record), ("run@3.lock", &vec![])] {
        fs::write(place.path(file), content).unwrap();
        fs::set_permissions(place.path(file), fs::Permissions::from_mode(0o600)).unwrap();
    }
    // As the other copy does it: it holds the lock through a descriptor that this copy does not know.
    let lock = fs::File::options().read(true).write(true).open(place.path("run@3.lock")).unwrap();
    lock_range(&lock, 0..1);
    for _ in 0..3 {
        let error = place.try_writer(Leftover::Continue).unwrap_err();
        let text = error.to_string();
        assert!(matches!(error, Error::ChannelBusy { .. }) && text.contains("another copy"), "{text}");
        assert!(place.reader().writer_alive().unwrap());
        assert!(leftovers(&place.directory).unwrap().is_empty());
        assert_eq!(list(&place.directory).unwrap()[0].status, Status::Live);
        assert!(place.is_busy_for_another(), "none of that has dropped the lock");
    }
    // Without its lock, its record is a leftover.
    drop(lock);
    assert_eq!(publish(&mut place.writer(), 2), 3);
}

#[test]
fn a_denied_lock_is_not_reported_as_a_busy_channel() {
    let place = Place::new();
    let child = fork(|| {
        let mut out = Snapshot::default();
        let mut writer = place.writer_verifying(Duration::ZERO);
        publish(&mut writer, 1);
        let mut reader = place.reader();
        next(&mut reader, &mut out);
        deny_locks();
        // A writer that has a channel keeps it, and warns once.
        for seed in 2..5 {
            assert_eq!(publish(&mut writer, seed), seed);
            assert_eq!(next(&mut reader, &mut out).seed, seed);
            let warning = writer.take_warning();
            assert_eq!(warning.is_some_and(|text| text.contains("file locks are denied here")), seed == 2);
        }
        // A new writer is told why it fails.
        let other = traincast_core::directory::ChannelName::new("other", 0).unwrap();
        let error = Writer::open(&place.directory, other, WriterOptions::default()).unwrap_err();
        let text = error.to_string();
        assert!(
            matches!(error, Error::System { .. }) && text.contains("file locks are denied here"),
            "{text}"
        );
        // A reader works without a line in the roster.
        assert_eq!(next(&mut place.reader(), &mut Snapshot::default()).seed, 4);
        0
    });
    assert_eq!(child.join(), 0);
}

#[test]
fn between_two_verifications_nothing_is_noticed_and_closing_verifies() {
    let place = Place::new();
    let mut writer = place.writer_verifying(Duration::MAX);
    let mut out = Snapshot::default();
    publish(&mut writer, 1);
    let mut reader = place.reader();
    next(&mut reader, &mut out);
    for file in FILES {
        fs::remove_file(place.path(file)).unwrap();
    }
    publish(&mut writer, 2);
    assert_eq!(next(&mut reader, &mut out).seed, 2);
    assert_eq!(place.files(), [""; 0]);
    // Before growth, it is verified in any case.
    Sample::new(3, 1, 4, 100_000).publish(&mut writer).unwrap();
    assert_eq!(place.files(), FILES);
    assert_eq!(next_polled(&mut reader, &mut out).seed, 3);
    fs::remove_file(place.path("run@3.lock")).unwrap();
    drop(writer);
    assert_eq!(place.files(), [""; 0]);
    assert!(reader.closed() && verify(&out).seed == 3);
}
