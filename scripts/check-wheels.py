"""Checks each wheel and the sdist of a release, and removes the build's folder from the SBOMs.

Usage: check-wheels.py FOLDER. It needs auditwheel, abi3audit and twine beside the interpreter that runs it.
"""

from __future__ import annotations

import base64
import hashlib
import re
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

BIN = Path(sys.executable).parent
MODULE = "traincast/_core.abi3.so"


def run(*command: str | Path) -> str:
    """Run a tool of the wheels' environment, and show its output if it fails."""
    done = subprocess.run(
        [BIN / command[0], *command[1:]], capture_output=True, text=True, check=False, timeout=300
    )
    if done.returncode:
        sys.exit(f"{command}\n{done.stdout}{done.stderr}")
    return done.stdout


def without_places(wheel: Path) -> None:
    """Make the paths in the SBOM relative, so that the same wheel does not depend on the build's folder."""
    with zipfile.ZipFile(wheel) as archive:
        content = {entry: archive.read(entry) for entry in archive.infolist()}
    here = Path.cwd().as_uri().encode() + b"/"
    (record,) = (entry for entry in content if entry.filename.endswith(".dist-info/RECORD"))
    for entry, data in content.items():
        if "/sboms/" in entry.filename and here in data:
            data = content[entry] = data.replace(here, b"file:")
            digest = base64.urlsafe_b64encode(hashlib.sha256(data).digest()).rstrip(b"=").decode()
            line = f"{entry.filename},sha256={digest},{len(data)}"
            text = content[record].decode()
            content[record] = re.sub(rf"^{re.escape(entry.filename)},.*$", line, text, flags=re.M).encode()
    mended = wheel.with_suffix(".tmp")
    with zipfile.ZipFile(mended, "w", zipfile.ZIP_DEFLATED) as archive:
        for entry, data in content.items():
            archive.writestr(entry, data)
    mended.replace(wheel)


def check_wheel(wheel: Path) -> str:
    """Check its tag, its use of Python's stable ABI, and that it does not contain where it was built."""
    with zipfile.ZipFile(wheel) as archive:
        if archive.testzip() is not None:
            sys.exit(f"{wheel.name}: damaged")
        module = archive.read(MODULE)
        names = archive.namelist()
        for name in names:
            for place in (str(Path.cwd()), str(Path.home())):
                # The root's own home, "/", is in everything.
                if len(place) > 1 and place.encode() in archive.read(name):
                    sys.exit(f"{wheel.name}: {name} has the path {place}")
    if not any("/sboms/" in name for name in names):
        sys.exit(f"{wheel.name}: no SBOM")
    run("abi3audit", "--strict", "--summary", wheel)
    tag = wheel.stem.split(".")[-1].split("-")[-1]
    if tag.startswith("musllinux"):
        found = "not audited: auditwheel takes this machine's libc for the wheel's"
    else:
        said = " ".join(run("auditwheel", "show", wheel).split())
        if f'platform tag: "{tag}"' not in said:
            sys.exit(f"{wheel.name}: {said}")
        found = "auditwheel finds its tag true"
    return f"{len(module) / 1e6:.2f} MB module, {found}"


def main() -> None:
    """Check all of them, and print a line for each."""
    folder = Path(sys.argv[1])
    for wheel in sorted(folder.glob("*.whl")):
        without_places(wheel)
        told = check_wheel(wheel)
        size = wheel.stat().st_size / 1e6
        digest = hashlib.sha256(wheel.read_bytes()).hexdigest()
        print(f"{wheel.name}\n    {size:.2f} MB, {told}\n    sha256 {digest}")
    (sdist,) = folder.glob("*.tar.gz")
    with tarfile.open(sdist) as archive:
        inside = [name.split("/", 1)[-1] for name in archive.getnames()]
    for needed in (".cargo/config.toml", "Cargo.lock", "include/traincast.h"):
        if needed not in inside:
            sys.exit(f"{sdist.name}: without {needed}")
    print(f"{sdist.name}\n    {sdist.stat().st_size / 1e6:.2f} MB, {len(inside)} files")
    print(run("twine", "check", "--strict", *sorted(folder.iterdir())).strip())


if __name__ == "__main__":
    main()
