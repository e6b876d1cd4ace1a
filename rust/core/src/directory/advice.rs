//! Advice about a directory that cannot hold channels. It must harm nobody: no advice changes a directory that somebody else may
//! use.

use std::path::{Path, PathBuf};

use super::defaults::{SHARED, own_name};
use crate::sys::{self, FileFacts};

/// What to do about an existing path that is refused.
pub fn instead_of(path: &Path, facts: &FileFacts) -> String {
    let (own, default) = (facts.uid == sys::user(), is_default(path));
    if facts.kind == sys::DIRECTORY && own && default {
        return format!("run `chmod 700 {}`: traincast made it for you alone", path.display());
    }
    if facts.kind == sys::DIRECTORY && !default && is_common(facts) && is_usable(path) {
        // Where others create directories too, the user's own has the user id in its name.
        let crowded = !own || facts.mode & 0o022 != 0;
        let name = if crowded { own_name() } else { "traincast".to_owned() };
        return format!(
            "set TRAINCAST_DIR={} for the learner and the envs: traincast makes that directory, for you alone",
            path.join(name).display()
        );
    }
    let elsewhere = elsewhere(path);
    if facts.kind == sys::SYMLINK && !default {
        format!("name the directory itself, or {elsewhere}")
    } else if facts.kind != sys::DIRECTORY && facts.kind != sys::SYMLINK && own {
        format!("remove it, or {elsewhere}")
    } else {
        elsewhere
    }
}

/// Advice to use another directory.
pub fn elsewhere(instead_of: &Path) -> String {
    let name = own_name();
    match usable_parents().next() {
        Some(parent) => {
            let mut path = parent.join(&name);
            if path == instead_of {
                path.set_file_name(format!("{name}-own"));
            }
            format!("set TRAINCAST_DIR={} for the learner and the envs", path.display())
        }
        None => {
            "set TRAINCAST_DIR, for the learner and the envs, to a directory of your own on a local file \
                 system; mount a tmpfs if there is none"
                .to_owned()
        }
    }
}

/// Whether the path is one of traincast's default directories.
fn is_default(path: &Path) -> bool {
    let name = own_name();
    SHARED.iter().any(|shared| Path::new(shared).join(&name) == path)
}

/// Whether a user may create a directory in it without intruding on somebody else: it belongs to the user or to root, or
/// everybody may write to it.
fn is_common(facts: &FileFacts) -> bool {
    facts.uid == sys::user() || facts.uid == 0 || facts.mode & 0o002 != 0
}

fn is_usable(path: &Path) -> bool {
    sys::may_make_files(path).is_ok()
        && matches!(sys::remote_file_system_of(path), Ok(None))
        && sys::room(path).is_ok_and(|room| room.bytes > 0 && room.files > 0)
}

/// Directories in which one for channels can be created, the best first.
fn usable_parents() -> impl Iterator<Item = PathBuf> {
    let variable = |name| std::env::var_os(name).map(PathBuf::from);
    let shared = SHARED.iter().map(PathBuf::from);
    let named = ["TMPDIR", "XDG_RUNTIME_DIR"].into_iter().filter_map(variable);
    let systems = |path: &PathBuf| ["/dev", "/proc", "/sys"].iter().any(|root| path.starts_with(root));
    let memory = sys::memory_file_systems().into_iter().filter(move |path| !systems(path));
    let disk = std::iter::once(PathBuf::from("/var/tmp"));
    let parents = shared.chain(named).chain(memory).chain(disk);
    parents.filter(|path| path.is_absolute() && path.is_dir() && is_usable(path))
}
