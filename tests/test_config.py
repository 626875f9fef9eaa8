"""The configuration's models, the schema that Snakemake validates against, and the page that explains them agree."""

import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from pydantic import ValidationError
from snakemake.utils import update_config

from clip2 import commands
from clip2.cli import build_parser, main
from clip2.pretrain.settings import PretrainSettings
from clip2.runtime.command_flags import parse_settings
from clip2.runtime.errors import InputError
from clip2.workflow.check import read_config
from clip2.workflow.config import PARTS, Config, check_config


def test_shipped_configurations_are_valid(repository: Path) -> None:
    Config.model_validate(read_config([repository / "config.yaml"]))
    for experiment in (repository / "config").glob("*.yaml"):
        config = Config.model_validate(read_config([repository / "config.yaml", experiment]))
        assert config.experiment.benchmark in config.benchmarks


def leaves(tree: Any, path: tuple[str, ...] = ()) -> set[tuple[str, ...]]:
    """Paths of all values that are not sections."""
    if not isinstance(tree, dict):
        return {path}
    return {leaf for key, value in tree.items() for leaf in leaves(value, (*path, key))}


@pytest.mark.parametrize("name", ["nuscenes", "once", "argoverse2", "sunrgbd", "scannet", "folder"])
def test_nothing_of_the_demo_is_left_in_a_real_experiment(repository: Path, name: str) -> None:
    """Files lie over config.yaml key by key: what they do not name stays as the demo has it."""
    own = yaml.safe_load((repository / "config" / f"{name}.yaml").read_text())
    demo = yaml.safe_load((repository / "config.yaml").read_text())
    config = read_config([repository / "config.yaml", repository / "config" / f"{name}.yaml"])
    used: dict[str, Any] = {
        "experiment": config["experiment"],
        "evaluation": config["evaluation"],
        **{section: {k: v for k, v in config[section].items() if v} for section in ("benchmarks", "baselines")},
        **{section: {n: config[section][n] for n in [config["experiment"][part]]} for part, section in PARTS.items()},
    }
    (benchmark,) = used["benchmarks"].values()
    used["sources"] = {n: config["sources"][n] for n in {benchmark["source"], *benchmark["train"]}}
    assert not (leaves(used) & leaves(demo)) - leaves(own)
    checked = Config.model_validate(config)
    assert (checked.benchmarks[config["experiment"]["benchmark"]].detector or checked.experiment.detector) == "owlv2"
    towers = [baseline.tune for baseline in checked.baselines.values() if baseline]
    assert {tune.holdout for tune in towers} == {PretrainSettings().holdout}
    assert {tune.agreement for tune in towers} == {PretrainSettings().agreement}


def test_the_papers_recipe_lies_over_any_experiment(repository: Path) -> None:
    """Whatever the experiment calls its lifter and its model."""
    for experiment in {*(repository / "config").glob("*.yaml")} - {repository / "config" / "paper.yaml"}:
        files = [repository / "config.yaml", experiment, repository / "config" / "paper.yaml"]
        config = Config.model_validate(read_config(files))
        model = config.models[config.experiment.model]
        assert (model.names_from, model.agreement) == ("views", "off"), experiment
        assert config.lifters[config.experiment.lifter].method == "frustum-dbscan", experiment


def test_generated_files_are_up_to_date(repository: Path, tmp_path: Path) -> None:
    main(["schema", "--root", str(tmp_path)])
    for file in (f for f in tmp_path.rglob("*") if f.is_file()):
        name = file.relative_to(tmp_path)
        assert (tmp_path / name).read_text() == (repository / name).read_text(), "run `clip2 schema`"


def test_every_key_is_explained(repository: Path) -> None:
    assert "None |" not in (repository / "docs" / "configuration.md").read_text()


def test_unknown_keys_are_refused() -> None:
    with pytest.raises(ValidationError, match="treshold"):
        Config.model_validate({"detectors": {"a": {"treshold": 1}}})


@pytest.mark.parametrize(
    ("overlay", "said"),
    [
        ({"teachers": {"tiny_clip": {"templates": ["a photo"]}}}, "templates.0: 'a photo': a prompt template holds"),
        ({"teachers": {"tiny_clip": {"templates": ["a {label}"]}}}, "exactly one {} and no other brace"),
        ({"evaluation": {"zeroshot": {"templates": ["{} and {}"]}}}, "exactly one {} and no other brace"),
        ({"evaluation": {"zeroshot": {"classes": ["car", "truck", "car"]}}}, "'car' stands there twice"),
        ({"evaluation": {"seeds": [0, 1, 0]}}, "evaluation.seeds: 0 stands there twice"),
        ({"evaluation": {"seeds": [0, -1]}}, "evaluation.seeds.1"),
        ({"evaluation": {"objects": {"class_range": {"car": -5}}}}, "class_range.car"),
        ({"benchmarks": {"nuscenes": {"train": ["world", "world"]}}}, "'world' stands there twice"),
        ({"benchmarks": {"nuscenes": {"evaluation": {"zero_shot": {}}}}}, "evaluation.zero_shot"),
        ({"benchmarks": {"nuscenes": {"evaluation": {"zeroshot": {"clases": ["car"]}}}}}, "evaluation.zeroshot.clases"),
        ({"benchmarks": {"nuscenes": {"evaluation": {"fewshot": {"finetune_batch": 0}}}}}, "fewshot.finetune_batch"),
        ({"models": {"small": {"lr": float("inf")}}}, "models.small.lr: Input should be a finite number"),
        ({"detectors": {"tiny_owl": {"score_threshold": True}}}, "score_threshold is True, and has to be a number"),
        ({"sources": {"world": {"settings": {"train_shards": 3_000_000}}}}, "train_shards"),
    ],
)
def test_what_would_be_noticed_late_or_never_is_refused_at_once(repository: Path, overlay: dict, said: str) -> None:
    raw = read_config([repository / "config.yaml"])
    update_config(raw, overlay)
    with pytest.raises(InputError) as error:
        check_config(raw)
    assert said in str(error.value)
    assert "\n" not in str(error.value)


LIFT = ["lift", "--frames", "f", "--detections", "d", "--data-root", "r", "--out", "o"]


def test_flags_win_over_settings() -> None:
    settings = json.dumps({"min_points": 9, "max_range": 50})
    parsed = parse_settings(build_parser().parse_args([*LIFT, "--settings", settings, "--min-points", "7"]))
    assert (parsed.min_points, parsed.max_range, parsed.method) == (7, 50.0, "auto")


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--min-points", "many"], r"setting 'min_points'.*'many'"),
        (["--settings", '{"mni_points": 3}'], "setting 'mni_points'"),
        (["--method", "magic"], "setting 'method'.*frustum"),
    ],
)
def test_a_wrong_setting_is_named(flags: list[str], message: str) -> None:
    with pytest.raises(InputError, match=message):
        parse_settings(build_parser().parse_args([*LIFT, *flags]))


def test_errors_are_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stop:
        main(["ingest", "nuscenes", "--root", str(tmp_path / "none"), "--source", "x", "--out", str(tmp_path)])
    assert stop.value.code == 2
    error = capsys.readouterr().err.strip()
    assert error.startswith("clip2: error:")
    assert "\n" not in error
    assert "no such folder" in error


def test_a_closed_file_is_one_line(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """Where no reader says it better. Root, who may run the tests, is kept out of nothing: the error is raised here."""

    def closed(arguments: Any) -> None:
        raise PermissionError(13, "Permission denied", "drive_a/calibration.json")

    monkeypatch.setattr(commands, "usage", closed)
    with pytest.raises(SystemExit) as stop:
        main(["usage"])
    assert stop.value.code == 2
    assert capsys.readouterr().err.strip().startswith("clip2: error: drive_a/calibration.json: no permission")
