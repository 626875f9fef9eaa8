"""``clip2 doctor``: what is good, what is odd, and what stops a run, each with what to do; at any width."""

import shutil
from pathlib import Path

import pytest
import yaml
from conftest import REPOSITORY

from clip2.cli import main
from clip2.workflow.doctor import disk, free_memory, model, packages


@pytest.fixture
def checkout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with what doctor looks at, which is where it runs."""
    for name in ("config.yaml", "requirements.txt"):
        shutil.copy(REPOSITORY / name, tmp_path / name)
    shutil.copytree(REPOSITORY / "resources", tmp_path / "resources")
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def doctor(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str]:
    """Exit code and what was printed, in one line."""
    capsys.readouterr()
    code = 0
    try:
        main(["doctor", *arguments])
    except SystemExit as stop:
        code = int(stop.code or 0)
    return code, " ".join(capsys.readouterr().out.split())


@pytest.mark.parametrize("width", [50, 80, 160])
def test_a_sound_folder_at_any_width(
    checkout: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, width: int
) -> None:
    monkeypatch.setenv("COLUMNS", str(width))
    main(["doctor"])
    lines = capsys.readouterr().out.splitlines()
    assert max(map(len, lines)) <= width
    for what in ("Python", "packages", "torch", "torch_scatter", "disk", "memory", "GPU", "configuration"):
        assert any(line.split()[1:2] == [what] for line in lines), what
    text = " ".join(" ".join(lines).split())
    assert "source world" in text
    assert "fail" not in text


@pytest.mark.parametrize(
    ("overlay", "state", "said"),
    [
        ({"experiment": {"detector": "none"}}, "fail configuration", "has only: tiny_owl"),
        ({"detectors": {"tiny_owl": {"model": "no/such/folder"}}}, "fail detector", "no such folder → give"),
        ({"detectors": {"tiny_owl": {"model": "nobody/none"}}}, "fail detector", "not here, and not to be had"),
        ({"detectors": {"tiny_owl": {"vocabulary": "none.txt"}}}, "fail vocabulary", "none.txt: no such file → set"),
        ({"teachers": {"tiny_clip": {"model": "ViT-none"}}}, "fail teacher", "neither here nor known to open_clip"),
        (
            {"teachers": {"tiny_clip": {"model": "ViT-B-32", "pretrained": "none"}}},
            "fail teacher",
            "no weights 'none' → set `pretrained` to a file or one of: openai",
        ),
        ({"baselines": {"clip2point": {"checkpoint": "c.pth"}}}, "fail rival clip2point", "c.pth: no such file"),
        ({"sources": {"world": {"world": None}}}, "fail source world", "data root: add `--config dataroot="),
        ({"sources": {"world": {"world": None, "root": "config"}}}, "fail source world", "no such folder"),
    ],
)  # fmt: skip
def test_what_stops_a_run_is_told_and_what_to_do(
    checkout: Path, capsys: pytest.CaptureFixture[str], overlay: dict, state: str, said: str
) -> None:
    (checkout / "own.yaml").write_text(yaml.safe_dump(overlay))
    code, text = doctor(capsys, "--configfile", "own.yaml")
    assert code == 1
    assert state in text
    assert said in text
    assert text.endswith("1 fail")


def test_other_packages_than_the_pinned_are_told_and_missing_ones_stop(checkout: Path) -> None:
    pins = checkout / "requirements.txt"
    assert packages(pins).state == "ok"
    pins.write_text(pins.read_text().replace("h5py==", "h5py==0.") + "no-such-package==1\n")
    found = packages(pins)
    assert found.state == "warn"
    assert found.found.startswith("2 of")
    assert "no-such-package not installed, pinned ==1" in found.found
    assert packages(checkout / "none.txt").state == "warn"


def test_room_is_compared_with_what_a_run_takes(tmp_path: Path) -> None:
    free = shutil.disk_usage(tmp_path).free
    assert disk(tmp_path / "results", 0, 0).state == "ok"
    assert disk(tmp_path / "results", 0, 2 * free).state == "warn"
    assert disk(tmp_path / "results", 2 * free).state == "fail"


def test_a_folder_in_which_nothing_can_be_made_stops() -> None:
    assert disk(Path("/proc")).state == "fail"


def test_memory_is_the_container_s_where_it_has_less(tmp_path: Path) -> None:
    (tmp_path / "meminfo").write_text("MemTotal: 9000 kB\nMemAvailable:    8000 kB\n")
    assert free_memory(tmp_path, tmp_path) == 8000 << 10
    (tmp_path / "memory.max").write_text("max\n")
    (tmp_path / "memory.current").write_text("1000\n")
    assert free_memory(tmp_path, tmp_path) == 8000 << 10
    (tmp_path / "memory.max").write_text("5000\n")
    assert free_memory(tmp_path, tmp_path) == 4000


def test_weights_that_are_none_are_named(checkout: Path) -> None:
    folder = checkout / "resources" / "models" / "tiny_owl"
    assert model("detector", str(folder), "config.json").state == "ok"
    weights = folder / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:5000])
    assert "not readable" in model("detector", str(folder), "config.json").found
    weights.write_text("version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 5\n")
    found = model("detector", str(folder), "config.json")
    assert (found.state, found.advice) == ("fail", "`git lfs pull`")
    weights.unlink()
    weights.symlink_to("../blobs/abc")
    assert "is a link to ../blobs/abc, where nothing is" in model("detector", str(folder), "config.json").found
    weights.unlink()
    assert "holds no weights" in model("detector", str(folder), "config.json").found
