"""Where a gallery lies: a file system that other machines write to as well is no place for one.

SQLite's log needs shared memory and locks that hold (sqlite.org/wal.html: "WAL does not work over a network
filesystem"), and so does facecli's own lock. There a gallery is read, but not written, and no option says otherwise: to
lose people silently is worse than to copy a folder.
"""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import TYPE_CHECKING

from facecli.errors import OutputError
from facecli.names import visible

if TYPE_CHECKING:
    from collections.abc import Iterator

MOUNTS = Path("/proc/self/mountinfo")
"""What Linux says about mounts (proc_pid_mountinfo(5)); elsewhere nothing is known, and nothing refused."""

NETWORK = frozenset(
    {
        *(
            "nfs",
            "nfs4",
            "cifs",
            "smb3",
            "smbfs",
            "ncpfs",
            "afs",
            "coda",
            "ceph",
            "lustre",
            "gpfs",
            "beegfs",
            "orangefs",
        ),
        *("glusterfs", "davfs", "gfs2", "ocfs2"),
        *("fuse.sshfs", "fuse.glusterfs", "fuse.ceph", "fuse.ceph-fuse", "fuse.s3fs", "fuse.rclone", "fuse.davfs2"),
        *("fuse.gcsfuse", "fuse.goofys", "fuse.moosefs", "fuse.mfs", "fuse.juicefs", "fuse.smbnetfs", "fuse.curlftpfs"),
    }
)
"""Types of file systems that several machines can write to."""


def file_system(folder: Path) -> str:
    """Return the type of the file system that a folder lies on, or will; empty where that can't be told."""
    place = folder.absolute()
    while not place.exists() and place != place.parent:
        place = place.parent
    try:
        device = place.stat().st_dev
        mounts = list(_mounts(MOUNTS.read_text(errors="surrogateescape")))
    except (OSError, ValueError):
        return ""
    own = f"{os.major(device)}:{os.minor(device)}"
    kinds = [kind for numbers, _, kind in mounts if numbers == own]
    if kinds:
        return kinds[-1]
    # A few file systems (btrfs) give folders device numbers of their own; then the path has to tell.
    real = place.resolve()
    above = [(len(point), kind) for _, point, kind in mounts if real.is_relative_to(point)]
    return max(above, key=lambda found: found[0])[1] if above else ""


def require_local(folder: Path) -> None:
    """Refuse to write to a network file system.

    Raises
    ------
    OutputError
        The folder lies on one.
    """
    kind = file_system(folder)
    if kind in NETWORK:
        raise OutputError(
            f"can't write to a gallery at {visible(str(folder))}: it lies on a network file system ({kind}), "
            "where a crash or a second machine could damage it",
            hint="keep it on a local disk, and copy it with: facecli gallery snapshot FILE",
        )


def _mounts(text: str) -> Iterator[tuple[str, str, str]]:
    """Read (device numbers, mount point, type) of every mount."""
    for line in text.splitlines():
        before, _, after = line.partition(" - ")
        fields = before.split(" ")
        if len(fields) > 4 and after:
            point = re.sub(r"\\([0-7]{3})", lambda found: chr(int(found[1], 8)), fields[4])
            yield fields[2], point, after.split(" ")[0]
