"""Bulk enrolment from hostile folders and lists: nothing hangs, what fails is named, the rest goes on."""

import json
import os

import numpy as np
import pytest

from facecli.image import write_png
from tests.fakes import photo
from tests.hostile.conftest import assert_clean, assert_refused, start

BAD_LISTS = {
    "empty": b"",
    "no heading": b"nombre,foto\nbob,b.png\n",
    "no row": b"name,image\n",
    "binary": b"\xff\xfe\0\0 garbage",
    "no text": b"name,image\nbob,\xff\xff.png\n",
    "a huge cell": b'name,image\nbob,"' + b"x" * 200_000 + b'"\n',
    "a photograph": None,
}


@pytest.mark.parametrize("content", BAD_LISTS.values(), ids=BAD_LISTS)
def test_a_list_that_is_none(run, people, tmp_path, content):
    path = tmp_path / "list.csv"
    if content is None:
        write_png(path, np.zeros((9, 9, 3), np.uint8))
    else:
        path.write_bytes(content)
    before = people.dump()
    assert_refused(run("enroll", "--json", "--from", path), 2, command="enroll")
    assert people.dump() == before


@pytest.mark.parametrize("source", ["/dev/zero", "/dev/null", "missing", "", "-", "x" * 5000, "\x1b[2J"], ids=ascii)
def test_a_source_that_is_none(run, people, source):
    assert_refused(run("enroll", "--json", "--from", source), 2, command="enroll")


def test_a_fifo_without_a_writer_is_not_waited_for(run, people, tmp_path):
    os.mkfifo(tmp_path / "list.csv")
    assert_refused(run("enroll", "--json", "--from", tmp_path / "list.csv"), 2, command="enroll")


def test_the_shells_own_pipe_is_a_list(people, places, tmp_path):
    reader, writer = os.pipe()
    os.write(writer, f"name,image\nbob,{people.bob}\n".encode())
    os.close(writer)
    done = start("enroll", "--from", f"/dev/fd/{reader}", env=places, pass_fds=[reader])
    os.close(reader)
    assert done.status == 0, done.err


ROWS = [
    *("name,image", "bob,b.png", ",b.png", "carl,", "dora,missing.png", "=1+1,b.png", "../../x,b.png", "erik,pipe"),
    *("fred,-", "gina", "hugo,\x1b]52;c;x\x07.png", "\x1b[2J,b.png"),
]


def test_rows_that_fail_are_named_and_the_others_go_on(run, people, tmp_path):
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "list.csv").write_text("\n".join(ROWS))
    done = run("enroll", "--json", "--from", tmp_path / "list.csv")
    assert done.status == 11
    assert_clean(done.out + done.err)
    lines = [json.loads(line) for line in done.out.splitlines()]
    refused = {line["name"]: line["status"] for line in lines if "error" in line}
    names, photographs = ("", "=1+1", "../../x", "\x1b[2J"), ("carl", "dora", "erik", "fred", "gina", "hugo")
    assert refused == dict.fromkeys(names, 2) | dict.fromkeys(photographs, 7)
    assert lines[-1]["summary"]["added"] == 1
    text = run("enroll", "--from", tmp_path / "list.csv")
    assert text.status == 11
    assert_clean(text.out + text.err)


def test_a_folder_of_hostile_names(run, people, tmp_path):
    folder = tmp_path / "people"
    for number, name in enumerate(("=x", "\x1b[2J", "\udcff", "[bold]", "ok", "a\nb")):
        photo(folder / name, "p.png", number + 10)
    (folder / "ok" / "loop").symlink_to(folder)
    os.mkfifo(folder / "ok" / "pipe.jpg")
    (folder / "ok" / "text.jpg").write_bytes(b"text")
    done = run("enroll", "--json", "--from", folder)
    assert done.status == 11
    assert_clean(done.out + done.err)
    refused = sorted(json.loads(line)["status"] for line in done.out.splitlines() if "error" in line)
    assert refused == [2, 2, 2, 2, 7, 7, 7]
    assert {"[bold]", "ok"} <= {line.split("\t")[0] for line in run("gallery", "list").out.splitlines()}
