//! Files: examining, creating, renaming and removing them. Safe code, but specific to Linux.
#![forbid(unsafe_code)]

use std::ffi::{OsStr, OsString};
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use rustix::fs::{Access, AtFlags, CWD, Dir, FallocateFlags, FileType, Mode, OFlags, StatFs};
use rustix::io::{Errno, retry_on_intr};

use crate::layout::REMOTE_FILE_SYSTEMS;

/// What has to be known about a file before it is used.
#[derive(Clone, Copy, Debug)]
pub struct FileFacts {
    /// Device and inode: they identify the file.
    pub id: FileId,
    /// Size in bytes.
    pub size: u64,
    /// Owner.
    pub uid: u32,
    /// Permission bits.
    pub mode: u32,
    /// Number of its names (hard links).
    pub links: u64,
    /// "regular file", "directory", ...
    pub kind: &'static str,
}

/// Device and inode.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct FileId(u64, u64);

impl FileId {
    /// In the form of /proc/locks.
    pub(super) fn in_proc_locks(self) -> String {
        format!("{:02x}:{:02x}:{}", rustix::fs::major(self.0 as _), rustix::fs::minor(self.0 as _), self.1)
    }
}

/// [`FileFacts::kind`] of a channel's files.
pub const REGULAR: &str = "regular file";
/// [`FileFacts::kind`] of directories.
pub const DIRECTORY: &str = "directory";
/// [`FileFacts::kind`] of symbolic links.
pub const SYMLINK: &str = "symbolic link";

impl From<rustix::fs::Stat> for FileFacts {
    fn from(stat: rustix::fs::Stat) -> Self {
        let kind = match FileType::from_raw_mode(stat.st_mode) {
            FileType::RegularFile => REGULAR,
            FileType::Directory => DIRECTORY,
            FileType::Symlink => SYMLINK,
            FileType::Fifo => "named pipe",
            FileType::Socket => "socket",
            _ => "device",
        };
        Self {
            id: FileId(stat.st_dev as _, stat.st_ino),
            size: stat.st_size.unsigned_abs(),
            uid: stat.st_uid,
            mode: (stat.st_mode & 0o7777) as _,
            links: stat.st_nlink as _,
            kind,
        }
    }
}

/// Opens a directory, unless the last component of its path is a symbolic link.
pub fn open_directory(path: &Path) -> io::Result<OwnedFd> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    Ok(retry_on_intr(|| rustix::fs::open(path, flags, Mode::empty()))?)
}

/// Creates a directory that only its owner may enter; `false` if the name is taken.
pub fn make_directory(path: &Path) -> io::Result<bool> {
    match retry_on_intr(|| rustix::fs::mkdir(path, Mode::RWXU)) {
        Ok(()) => Ok(true),
        Err(Errno::EXIST) => Ok(false),
        Err(error) => Err(error.into()),
    }
}

/// Facts about the file at a path; a link is not followed.
pub fn facts_of_path(path: &Path) -> io::Result<FileFacts> {
    Ok(retry_on_intr(|| rustix::fs::lstat(path))?.into())
}

/// Facts about an open file.
pub fn facts(file: &OwnedFd) -> io::Result<FileFacts> {
    Ok(retry_on_intr(|| rustix::fs::fstat(file))?.into())
}

/// Facts about a file in a directory; a link is not followed. `None` if there is no such name.
pub fn facts_at(directory: &OwnedFd, name: &OsStr) -> io::Result<Option<FileFacts>> {
    match retry_on_intr(|| rustix::fs::statat(directory, name, AtFlags::SYMLINK_NOFOLLOW)) {
        Ok(stat) => Ok(Some(stat.into())),
        Err(Errno::NOENT) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

/// Opens an existing file. Does not follow a link and does not block on a named pipe. `None` if there is no such name.
pub fn open_at(directory: &OwnedFd, name: &OsStr, writable: bool) -> io::Result<Option<OwnedFd>> {
    let access = if writable { OFlags::RDWR } else { OFlags::RDONLY };
    let flags = access | OFlags::NOFOLLOW | OFlags::CLOEXEC | OFlags::NONBLOCK | OFlags::NOCTTY;
    match retry_on_intr(|| rustix::fs::openat(directory, name, flags, Mode::empty())) {
        Ok(file) => Ok(Some(file)),
        Err(Errno::NOENT) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

/// Opens a file for reading and writing; a new one gets mode 0600. `exclusive`: fails if it exists.
pub fn create_at(directory: &OwnedFd, name: &OsStr, exclusive: bool) -> io::Result<OwnedFd> {
    let mut flags = OFlags::RDWR
        | OFlags::CREATE
        | OFlags::NOFOLLOW
        | OFlags::CLOEXEC
        | OFlags::NONBLOCK
        | OFlags::NOCTTY;
    flags.set(OFlags::EXCL, exclusive);
    Ok(retry_on_intr(|| rustix::fs::openat(directory, name, flags, Mode::RUSR | Mode::WUSR))?)
}

/// Allocates storage for a range of a file and extends the file if necessary: a full file system is an error here, not a SIGBUS
/// later. An interrupted call on a tmpfs frees what it had allocated, so the ranges should be short.
pub fn allocate(file: &OwnedFd, range: std::ops::Range<usize>) -> io::Result<()> {
    // Beyond RLIMIT_FSIZE the kernel would send SIGXFSZ, which kills the process.
    let limit = rustix::process::getrlimit(rustix::process::Resource::Fsize).current;
    if limit.is_some_and(|limit| range.end as u64 > limit) {
        return Err(Errno::FBIG.into());
    }
    let (offset, len) = (range.start as u64, range.len() as u64);
    match retry_on_intr(|| rustix::fs::fallocate(file, FallocateFlags::empty(), offset, len)) {
        Ok(()) => Ok(()),
        Err(Errno::OPNOTSUPP) => write_zeros(file, range.start, range.end),
        Err(error) => Err(error.into()),
    }
}

/// Checks whether modes and mounts allow this process to create files in a directory; the error says why not.
pub fn may_make_files(path: &Path) -> io::Result<()> {
    // Old sandboxes deny the call that checks the effective user, so it is made only where the two users differ.
    let same = rustix::process::getuid() == rustix::process::geteuid();
    let flags = if same { AtFlags::empty() } else { AtFlags::EACCESS };
    let access = Access::WRITE_OK | Access::EXEC_OK;
    Ok(retry_on_intr(|| rustix::fs::accessat(CWD, path, access, flags))?)
}

/// What a file system has left for this user; `u64::MAX` where it has no limit.
#[derive(Clone, Copy, Debug)]
pub struct Room {
    /// Bytes.
    pub bytes: u64,
    /// Files, directories among them.
    pub files: u64,
}

/// The room in the file system behind a path.
pub fn room(path: &Path) -> io::Result<Room> {
    let stat = retry_on_intr(|| rustix::fs::statvfs(path))?;
    let unless_unlimited = |total, left| if total == 0 { u64::MAX } else { left };
    Ok(Room {
        bytes: unless_unlimited(stat.f_blocks, stat.f_bavail.saturating_mul(stat.f_frsize)),
        files: unless_unlimited(stat.f_files, stat.f_favail),
    })
}

/// The mount points of file systems that keep their files in memory.
pub fn memory_file_systems() -> Vec<PathBuf> {
    let mounts = std::fs::read_to_string("/proc/self/mounts").unwrap_or_default();
    let fields = mounts.lines().filter_map(|line| {
        let mut fields = line.split(' ').skip(1);
        Some((fields.next()?, fields.next()?))
    });
    // Spaces and the like are escaped there; such a path is not worth recommending.
    fields
        .filter(|(path, kind)| *kind == "tmpfs" && !path.contains('\\'))
        .map(|(path, _)| path.into())
        .collect()
}

/// The first bytes of a file, at most as many as fit.
pub fn read_start(file: &OwnedFd, bytes: &mut [u8]) -> io::Result<usize> {
    Ok(retry_on_intr(|| rustix::io::pread(file, &mut *bytes, 0))?)
}

/// Overwrites the first bytes of a file with a single call.
pub fn write_start(file: &OwnedFd, bytes: &[u8]) -> io::Result<()> {
    match retry_on_intr(|| rustix::io::pwrite(file, bytes, 0))? {
        written if written == bytes.len() => Ok(()),
        _ => Err(io::ErrorKind::WriteZero.into()),
    }
}

fn write_zeros(file: &OwnedFd, mut offset: usize, bytes: usize) -> io::Result<()> {
    let zeros = [0; 4096];
    while offset < bytes {
        let piece = &zeros[..zeros.len().min(bytes - offset)];
        offset += retry_on_intr(|| rustix::io::pwrite(file, piece, offset as u64))?;
    }
    Ok(())
}

/// Renames a file within a directory and replaces the file that has the new name.
pub fn rename(directory: &OwnedFd, from: &OsStr, to: &OsStr) -> io::Result<()> {
    Ok(retry_on_intr(|| rustix::fs::renameat(directory, from, directory, to))?)
}

/// Removes a file, or an empty directory. `false` if there is no such name.
pub fn unlink(directory: &OwnedFd, name: &OsStr, is_directory: bool) -> io::Result<bool> {
    let flags = if is_directory { AtFlags::REMOVEDIR } else { AtFlags::empty() };
    match retry_on_intr(|| rustix::fs::unlinkat(directory, name, flags)) {
        Ok(()) => Ok(true),
        Err(Errno::NOENT) => Ok(false),
        Err(error) => Err(error.into()),
    }
}

/// The names in a directory, except `.` and `..`.
pub fn list(directory: &OwnedFd) -> io::Result<Vec<OsString>> {
    let mut names = Vec::new();
    for entry in Dir::read_from(directory)? {
        let entry = entry?;
        let name = entry.file_name().to_bytes();
        if name != b"." && name != b".." {
            names.push(OsStr::from_bytes(name).to_owned());
        }
    }
    Ok(names)
}

/// The kind of the file system, if other machines may share it or a user-space program serves it.
pub fn remote_file_system(directory: &OwnedFd) -> io::Result<Option<&'static str>> {
    Ok(remote_kind(&retry_on_intr(|| rustix::fs::fstatfs(directory))?))
}

/// As [`remote_file_system`], by path.
pub fn remote_file_system_of(path: &Path) -> io::Result<Option<&'static str>> {
    Ok(remote_kind(&retry_on_intr(|| rustix::fs::statfs(path))?))
}

fn remote_kind(stat: &StatFs) -> Option<&'static str> {
    let kind = stat.f_type as u64 & 0xffff_ffff;
    REMOTE_FILE_SYSTEMS.iter().find(|(remote, _)| u64::from(*remote) == kind).map(|(_, name)| *name)
}
