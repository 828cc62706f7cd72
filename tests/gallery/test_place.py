"""A gallery on a network file system is read, and not written."""

import os

import pytest
from galleries import PIN, fill, units

from facecli.errors import ExitStatus, OutputError
from facecli.gallery import Gallery, place


@pytest.fixture
def mounted(tmp_path_factory, monkeypatch):
    """Return a function that gives a folder's file system another type, as the kernel would tell it."""

    def mount(folder, kind, *, point="/", device=None):
        numbers = device or "{}:{}".format(*(part(folder.stat().st_dev) for part in (os.major, os.minor)))
        listing = tmp_path_factory.mktemp("proc") / "mountinfo"
        listing.write_text(
            f"22 1 0:1 / / rw - ext4 /dev/sda rw\n30 22 {numbers} / {point} rw shared:1 - {kind} host:/x rw\n"
        )
        monkeypatch.setattr(place, "MOUNTS", listing)

    return mount


@pytest.mark.parametrize("kind", ["nfs4", "nfs", "cifs", "smb3", "ceph", "fuse.sshfs"])
def test_a_network_file_system_is_refused_for_writing_and_read(filled, mounted, tmp_path, kind):
    mounted(tmp_path, kind)
    before = {path.name: path.read_bytes() for path in filled.iterdir()}
    with pytest.raises(OutputError, match=rf"network file system \({kind}\)") as caught:
        Gallery.open(filled, writable=True)
    assert caught.value.status is ExitStatus.CANT_WRITE
    with pytest.raises(OutputError, match="network file system"):
        Gallery.create(tmp_path / "new" / "er", PIN)
    assert not (tmp_path / "new").exists()
    with Gallery.open(filled) as gallery:
        assert len(gallery.search(units(1, 1), 3)[0]) == 3
    assert {name: (filled / name).read_bytes() for name in before} == before


@pytest.mark.parametrize("kind", ["ext4", "xfs", "btrfs", "tmpfs", "overlay", "fuseblk", "zfs", "9p"])
def test_a_local_file_system_is_written(tmp_path, mounted, kind):
    mounted(tmp_path, kind)
    assert place.file_system(tmp_path / "a" / "b") == kind
    with Gallery.create(tmp_path / "gallery", PIN) as gallery:
        fill(gallery, 1)


def test_where_device_numbers_do_not_tell_the_path_does(tmp_path, mounted):
    (tmp_path / "a b").mkdir()
    mounted(tmp_path, "nfs4", device="0:4242", point=str(tmp_path / "a b").replace(" ", r"\040"))
    assert place.file_system(tmp_path / "a b" / "gallery") == "nfs4"
    assert place.file_system(tmp_path / "a") == "ext4"


@pytest.mark.parametrize("text", ["", "nonsense\n", "1 2 3\n", None])
def test_where_nothing_is_known_nothing_is_refused(tmp_path, monkeypatch, text):
    listing = tmp_path / "mountinfo"
    if text is not None:
        listing.write_text(text)
    monkeypatch.setattr(place, "MOUNTS", listing)
    assert place.file_system(tmp_path) == ""
    Gallery.create(tmp_path / "gallery", PIN).close()
