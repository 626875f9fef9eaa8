"""Models on the Hugging Face hub: uploaded, downloaded, from there loaded; by the real client, from a small server."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import yaml
from small_hub import TOKEN, Hub, small_hub
from taken_home import train_tiny

import clip2
from clip2.pretrain.hub import is_hub_id
from clip2.pretrain.modelfiles import FILES

CROP = np.random.default_rng(0).normal(size=(50, 3))


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return train_tiny(tmp_path_factory.mktemp("checkout")) / "results/models/shapes"


def python(code: str, hub: Hub, home: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run some Python on a crop."""
    begin = "import numpy as np, clip2\nCROP = np.random.default_rng(0).normal(size=(50, 3))\n"
    return python_in(home, begin + code, hub, home, **environment)


def python_in(folder: Path, code: str, hub: Hub, home: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run Python with another hub's address, which the client reads when it is imported."""
    quiet = {"HF_HUB_DISABLE_PROGRESS_BARS": "1", "HF_HUB_DISABLE_TELEMETRY": "1", "HF_HUB_DISABLE_XET": "1"}
    own = {**os.environ, **quiet, "HF_ENDPOINT": hub.address, "HF_HOME": str(home), **environment}
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=own, cwd=folder)


def test_a_model_goes_to_the_hub_with_its_card_and_comes_back_the_same(trained: Path, tmp_path: Path) -> None:
    (trained / "world_zeroshot.json").write_text("{}")  # results of the benchmarks lie there, too
    with small_hub() as hub:
        push = f"print(clip2.load({str(trained)!r}, 'cpu').push_to_hub('me/shapes', private=True))"
        done = python(push, hub, tmp_path, HF_TOKEN=TOKEN)
        assert done.returncode == 0, done.stderr
        assert done.stdout.startswith(f"{hub.address}/me/shapes/commit/")
        assert hub.private == {"me/shapes": True}
        assert hub.files["me/shapes"] == {name: (trained / name).read_bytes() for name in FILES}
        hub.files["me/shapes"]["pytorch_model.bin"] = b"a pickle"
        hub.asked.clear()
        load = "print(clip2.load('me/shapes', 'cpu').encode_points(CROP).tolist())\n"
        load += (
            "print(clip2.Clip2Model.from_pretrained('me/shapes', 'cpu', revision='main').encode_points(CROP).tolist())"
        )
        done = python(load, hub, tmp_path)
        assert done.returncode == 0, done.stderr
        expected = clip2.load(trained, "cpu").encode_points(CROP)
        for line in done.stdout.splitlines():
            np.testing.assert_allclose(json.loads(line), expected, atol=1e-6)  # another process, other threads
        assert not [path for _, path in hub.asked if "pytorch_model" in path]
    offline = python(load.partition("\n")[0], hub, tmp_path, HF_HUB_OFFLINE="1")  # it was downloaded once
    assert offline.returncode == 0, offline.stderr


def test_what_the_hub_refuses_is_one_line(trained: Path, tmp_path: Path) -> None:
    said = "try: {}\nexcept clip2.InputError as error: print(error)\n"
    push = said.format(f"clip2.load({str(trained)!r}, 'cpu').push_to_hub('me/shapes')")
    both = said.format("clip2.load('me/none')") + push
    with small_hub() as hub:
        missing, refused = python(both, hub, tmp_path, HF_TOKEN="wrong").stdout.splitlines()
    no_way, not_sent = python(both, hub, tmp_path, HF_TOKEN=TOKEN).stdout.splitlines()
    for line in (missing, no_way):
        assert line.startswith("me/none: no such folder here, and not to be had from the Hugging Face hub (")
    for line in (refused, not_sent):
        assert line.startswith("me/shapes: not uploaded (")
        assert "hf auth login" in line


def test_saved_files_are_those_of_the_model_and_open_again(trained: Path, tmp_path: Path) -> None:
    clip2.load(trained, "cpu").save_pretrained(tmp_path / "saved/here")
    assert {path.name for path in (tmp_path / "saved/here").iterdir()} == set(FILES)
    again = clip2.Clip2Model.from_pretrained(tmp_path / "saved/here", "cpu")
    np.testing.assert_array_equal(again.encode_points(CROP), clip2.load(trained, "cpu").encode_points(CROP))


def test_the_card_begins_as_the_hub_wants_it(trained: Path) -> None:
    front, _, text = (trained / "README.md").read_text().removeprefix("---\n").partition("\n---\n")
    assert yaml.safe_load(front) == {
        "library_name": "clip2",
        "tags": ["point-cloud", "3d", "zero-shot", "clip", "synthetic"],
    }
    assert "teacher, `resources/teacher`." in text
    assert 'teacher="FOLDER"' in text


def test_folders_come_before_ids(trained: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    clip2.load(trained, "cpu").save_pretrained(tmp_path / "me/shapes")
    monkeypatch.chdir(tmp_path)
    assert clip2.load("me/shapes", "cpu").folder == Path("me/shapes")
    with pytest.raises(ValueError, match="revision 'v2': me/shapes is no id of the hub"):
        clip2.load("me/shapes", "cpu", revision="v2")
    with pytest.raises(clip2.InputError, match="no such file, so this is no model folder"):
        clip2.load(Path("me/none"))
    assert [is_hub_id(name) for name in ("me/shapes", "me/a.b-c_d", "shapes", "a/b/c", "./shapes", "../a", "/a")] == [
        True, True, False, False, False, False, False,
    ]  # fmt: skip
