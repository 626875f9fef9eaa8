"""Lists, vocabularies and JSON that people wrote: one reader for all, whatever editor and system they come from."""

import json
from pathlib import Path

import pytest

from clip2.detect.vocabulary import read_vocabulary
from clip2.runtime.errors import InputError
from clip2.scans.files import absent, what_is
from clip2.scans.modelnet40.objects import object_set
from clip2.scans.once.files import named_sequences
from clip2.scans.scannet.files import split_scenes
from clip2.scans.sunrgbd.votenet import read_votenet
from clip2.scans.texts import plain, read_json, read_names, read_text

WRITTEN = {
    "plain": b"one\ntwo\n",
    "without a last line end": b"one\ntwo",
    "byte order mark": b"\xef\xbb\xbfone\ntwo\n",
    "Windows": b"one\r\ntwo\r\n",
    "old Mac": b"one\rtwo\r",
    "UTF-16": "one\r\ntwo\r\n".encode("utf-16"),
    "UTF-16, the other way": b"\xfe\xff" + "one\ntwo\n".encode("utf-16-be"),
    "UTF-16 without its mark": "one\ntwo\n".encode("utf-16-le"),
    "commas": b"one, two\n",
    "semicolons": b"one;two",
    "blanks": b"one two\n\n  \n",
    "quoted": b"\"one\"\n'two'\n",
    "comment": b"# mine\none\ntwo  # not three\n",
}


@pytest.mark.parametrize("data", WRITTEN.values(), ids=WRITTEN)
def test_a_list_is_read_however_it_was_written(tmp_path: Path, data: bytes) -> None:
    (tmp_path / "list.txt").write_bytes(data)
    assert [name.text for name in read_names(tmp_path / "list.txt")] == ["one", "two"]


@pytest.mark.parametrize("data", [WRITTEN[key] for key in ("byte order mark", "UTF-16", "commas", "Windows")])
def test_every_data_set_reads_its_lists_so(tmp_path: Path, data: bytes) -> None:
    def put(path: str, content: bytes) -> None:
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_bytes(content)

    put("data/x/x.json", b"{}")
    put("ImageSets/train.txt", data)
    assert named_sequences(tmp_path, "train") == ["one", "two"]
    put("scannetv2_train.txt", data)
    assert split_scenes(tmp_path, "train") == ["one", "two"]
    for name in ("shape_names.txt", "train_files.txt", "test_files.txt"):
        put(name, data)
    assert object_set(tmp_path).classes == ("one", "two")
    numbers = data.replace(b"one", b"7").replace(b"two", b"12")
    if data.startswith(b"\xff\xfe"):
        numbers = "7\n12".encode("utf-16")
    put("sunrgbd_trainval/train_data_idx.txt", numbers)
    assert read_votenet(tmp_path, "v2").splits["train"] == ["000007", "000012"]


def test_endings_and_slashes_do_not_matter() -> None:
    assert [plain(n) for n in ("a\\b.PNG", "./a/b/", "a/b.bin", "a/b.v2")] == ["a/b", "a/b", "a/b", "a/b.v2"]


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"", "a list without a name"),
        (b"# nothing\n", "a list without a name"),
        (b"caf\xe9\n", r"not a readable UTF-8 text file \(byte 3"),
        (b"PK\x03\x04\xff", "is a ZIP archive"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 1\n", "is a Git LFS pointer"),
        (b"<!DOCTYPE html><html>", "is a web page"),
        (b"one two\0", "zero bytes"),
    ],
)
def test_what_is_no_list_is_said(tmp_path: Path, data: bytes, said: str) -> None:
    (tmp_path / "list.txt").write_bytes(data)
    with pytest.raises(InputError, match=rf"list\.txt: .*{said}"):
        read_names(tmp_path / "list.txt")


def test_a_name_with_a_blank_is_one_where_it_is_known(tmp_path: Path) -> None:
    (tmp_path / "list.txt").write_text("my drive\nother\n")
    assert [name.text for name in read_names(tmp_path / "list.txt", {"my drive"})] == ["my drive", "other"]


def test_what_is_there_instead_of_a_file_is_said(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to("nowhere/else")
    assert absent(tmp_path / "link").endswith("is a link to nowhere/else, where nothing is")
    assert "is a folder" in absent(tmp_path)
    with pytest.raises(FileNotFoundError, match="is a link to nowhere"):
        read_text(tmp_path / "link")
    pointer = b"version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 1\n"
    assert "git lfs pull" in (what_is(pointer) or "")
    assert "web page" in (what_is(b"\n<!DOCTYPE html><html>") or "")
    assert what_is(b"") == "empty"
    assert what_is(bytes(range(64, 96))) is None


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('{"a": ', r"not JSON \(Expecting"),
        ("<html>404</html>", "is a web page"),
        ("[" * 100_000, r"not JSON \(.*(recursion|nested)"),
        ('{"a": "\\ud800"}', "half a character"),
        ('{"\\udfff": 1}', "half a character"),
    ],
)
def test_what_is_no_json_is_said(tmp_path: Path, text: str, said: str) -> None:
    (tmp_path / "x.json").write_text(text)
    with pytest.raises(InputError, match=rf"x\.json: .*{said}"):
        read_json(tmp_path / "x.json")


def test_json_is_read_whatever_its_mark(tmp_path: Path) -> None:
    content = {"a": "\N{GRINNING FACE}"}
    for data in (json.dumps(content).encode("utf-8-sig"), json.dumps(content).encode("utf-16")):
        (tmp_path / "x.json").write_bytes(data)
        assert read_json(tmp_path / "x.json") == content


# --- vocabularies ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "text",
    [
        "car\ntraffic light\n",
        "car, traffic_light\n",
        "car; traffic light",
        "car . traffic light .",
        "car. traffic light.",
        "car.traffic light",
        "car.\ntraffic light.\n",
        "# a prompt\ncar . traffic light\n",
        '"car"\n"traffic_light"  # quoted\n',
        '["car", "traffic light"]',
        '[{"id": 1, "name": "car"}, {"id": 2, "name": "traffic light"}]',
        '{"images": [], "categories": [{"id": 1, "name": "car"}, {"id": 2, "name": "traffic light"}]}',
        "id,name\n1,car\n2,traffic light\n",
        '"name","id"\n"car",1\n"traffic light",2\n',
    ],
)
def test_a_vocabulary_is_read_in_every_form(tmp_path: Path, text: str) -> None:
    for encoding in ("utf-8", "utf-8-sig", "utf-16"):
        (tmp_path / "v.txt").write_bytes(text.encode(encoding))
        assert read_vocabulary(tmp_path / "v.txt").names == ("car", "traffic light")


UNUSUAL = (
    "3d printer",
    "U.S. mailbox",
    "t-shirt",
    "7-eleven sign",
    "2 door car",
    "16:9 screen",
    "7.5 tonne truck",
)


@pytest.mark.parametrize(
    "names",
    [
        (*UNUSUAL, 'a 12" pipe'),
        ("1 euro coin", "2 euro coin"),
        ("human.pedestrian.adult", "deer"),
        *((n,) for n in UNUSUAL),
    ],
)
def test_unusual_names_are_names(tmp_path: Path, names: tuple[str, ...]) -> None:
    (tmp_path / "v.txt").write_text("\n".join(names))
    assert read_vocabulary(tmp_path / "v.txt").names == names


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("car, auto\nbus\n", "line 1: “car, auto” is not one name"),
        ("1,car\n2,bus\n", "line 1: “1,car” is not one name"),
        ("names:\n- car\n- bus\n", "line 1: “names:” is not one name"),
        ("0: car\n1: bus\n", "line 1: “0: car” is not one name"),
        ("- car\n- bus\n", "line 1: “- car” is not one name"),
        ("1\tcar\n2\tbus\n", "line 1: .* is not one name"),
        ("names: ['car', 'bus']\n", "line 1: “names: .* is not one name"),
        ("0 car\n1 bus\n", "line 1: “0 car” is not one name"),
        ("# c\n1 car\n2 bus\n", "line 2: “1 car” is not one name"),
        ("1.car\n2.bus\n", "line 1: “1.car” is not one name"),
        ("0:car\n1:bus\n", "line 1: “0:car” is not one name"),
        ("1) car\n2) bus\n", r"line 1: “1\) car” is not one name"),
        ("* car\n* bus\n", r"line 1: “\* car” is not one name"),
        ("item {\n  id: 1\n  name: 'car'\n}\n", "line 1: “item {” is not one name"),
        ("<html><body>404</body></html>", "line 1: “<html><body>404</body></html>” is not one name"),
        ("ca\x07r\nbus\n", "line 1: .* is not one name"),
        ("x" * 1000, "line 1: “x{60}” is not one name"),
        ('{"names": ["car"]}', "is JSON, but not a list of names"),
        ("[1, 2]", "is JSON, but not a list of names"),
        ('["car", ', "not JSON"),
    ],
)
def test_a_vocabulary_of_another_form_is_refused(tmp_path: Path, text: str, said: str) -> None:
    (tmp_path / "v.txt").write_text(text)
    with pytest.raises(InputError, match=rf"v\.txt.*{said}"):
        read_vocabulary(tmp_path / "v.txt")
