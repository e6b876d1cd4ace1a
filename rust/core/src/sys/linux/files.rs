//! Files: what stands behind a name, and making, renaming, removing it. Safe code, but Linux's.
#![forbid(unsafe_code)]

use std::ffi::{OsStr, OsString};
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use rustix::fs::{Access, AtFlags, CWD, Dir, FallocateFlags, FileType, Mode, OFlags, StatFs};
use rustix::io::{Errno, retry_on_intr};

use crate::layout::REMOTE_FILE_SYSTEMS;

/// What one has to know of a file before using it.
#[derive(Clone, Copy, Debug)]
pub struct FileFacts {
    /// Device and inode: which file it is.
    pub id: FileId,
    /// Size in bytes.
    pub size: u64,
    /// Owner.
    pub uid: u32,
    /// Permission bits.
    pub mode: u32,
    /// Names that it has.
    pub links: u64,
    /// "regular file", "directory", ...
    pub kind: &'static str,
}

/// Device and inode.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct FileId(u64, u64);

impl FileId {
    /// As /proc/locks writes it.
    pub(super) fn in_proc_locks(self) -> String {
        format!("{:02x}:{:02x}:{}", rustix::fs::major(self.0 as _), rustix::fs::minor(self.0 as _), self.1)
    }
}

/// [`FileFacts::kind`] of what channels are made of.
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

/// Opens a directory, if its last component is one and no link to one.
pub fn open_directory(path: &Path) -> io::Result<OwnedFd> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    Ok(retry_on_intr(|| rustix::fs::open(path, flags, Mode::empty()))?)
}

/// Makes a directory that only its owner may enter; `false` if something of that name is there.
pub fn make_directory(path: &Path) -> io::Result<bool> {
    match retry_on_intr(|| rustix::fs::mkdir(path, Mode::RWXU)) {
        Ok(()) => Ok(true),
        Err(Errno::EXIST) => Ok(false),
        Err(error) => Err(error.into()),
    }
}

/// What a path names, links not followed.
pub fn facts_of_path(path: &Path) -> io::Result<FileFacts> {
    Ok(retry_on_intr(|| rustix::fs::lstat(path))?.into())
}

/// What a descriptor stands for.
pub fn facts(file: &OwnedFd) -> io::Result<FileFacts> {
    Ok(retry_on_intr(|| rustix::fs::fstat(file))?.into())
}

/// What a name in a directory stands for, links not followed; `None` if there is no such name.
pub fn facts_at(directory: &OwnedFd, name: &OsStr) -> io::Result<Option<FileFacts>> {
    match retry_on_intr(|| rustix::fs::statat(directory, name, AtFlags::SYMLINK_NOFOLLOW)) {
        Ok(stat) => Ok(Some(stat.into())),
        Err(Errno::NOENT) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

/// Opens an existing file, never through a link, never blocking on a pipe; `None` if there is no such name.
pub fn open_at(directory: &OwnedFd, name: &OsStr, writable: bool) -> io::Result<Option<OwnedFd>> {
    let access = if writable { OFlags::RDWR } else { OFlags::RDONLY };
    let flags = access | OFlags::NOFOLLOW | OFlags::CLOEXEC | OFlags::NONBLOCK | OFlags::NOCTTY;
    match retry_on_intr(|| rustix::fs::openat(directory, name, flags, Mode::empty())) {
        Ok(file) => Ok(Some(file)),
        Err(Errno::NOENT) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

/// Opens a file for reading and writing with mode 0600. `exclusive`: there must be none yet.
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

/// Backs a range of a file by storage, extending the file if need be: a full file system is an error here, not a SIGBUS
/// later. An interrupted call on a tmpfs gives back what it had allocated, so keep the ranges short.
pub fn allocate(file: &OwnedFd, range: std::ops::Range<usize>) -> io::Result<()> {
    // A file beyond RLIMIT_FSIZE would cost a SIGXFSZ, which kills.
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

/// Whether a directory lets this process make files in it, as far as modes and mounts say; if not, why.
pub fn may_make_files(path: &Path) -> io::Result<()> {
    // Old sandboxes deny the call that knows of effective users: it is made only where that makes a difference.
    let same = rustix::process::getuid() == rustix::process::geteuid();
    let flags = if same { AtFlags::empty() } else { AtFlags::EACCESS };
    let access = Access::WRITE_OK | Access::EXEC_OK;
    Ok(retry_on_intr(|| rustix::fs::accessat(CWD, path, access, flags))?)
}

/// What a file system has left for this user. Where it sets no limit: a lot.
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

/// Where file systems are mounted that keep their files in memory.
pub fn memory_file_systems() -> Vec<PathBuf> {
    let mounts = std::fs::read_to_string("/proc/self/mounts").unwrap_or_default();
    let fields = mounts.lines().filter_map(|line| {
        let mut fields = line.split(' ').skip(1);
        Some((fields.next()?, fields.next()?))
    });
    // A path with a space or the like is written in escapes: it is no path to recommend.
    fields
        .filter(|(path, kind)| *kind == "tmpfs" && !path.contains('\\'))
        .map(|(path, _)| path.into())
        .collect()
}

/// The first bytes of a file, at most as many as fit.
pub fn read_start(file: &OwnedFd, bytes: &mut [u8]) -> io::Result<usize> {
    Ok(retry_on_intr(|| rustix::io::pread(file, &mut *bytes, 0))?)
}

/// Puts these bytes in place of a file's first ones, at once.
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

/// Renames within a directory, in place of what has the name.
pub fn rename(directory: &OwnedFd, from: &OsStr, to: &OsStr) -> io::Result<()> {
    Ok(retry_on_intr(|| rustix::fs::renameat(directory, from, directory, to))?)
}

/// Removes a name, a directory's too if it is empty. `false` if there is none.
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

/// The name of the file system's kind if several machines, or a program, may stand behind it.
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
