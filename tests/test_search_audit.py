"""Search held against human boxes: scores by hand and against other formulas; the stage on a built-in street whose
things are made here of the human boxes themselves, so that what it has to say is known."""

import json
from collections import defaultdict
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from labelled_world import Labelled, nuscenes_world

from clip2.cli import main
from clip2.evaluate.retrieval.metrics import chance_average_precision
from clip2.evaluate.search_audit_summary import Sought, judge, measure, summary
from clip2.evaluate.settings import SearchAuditSettings
from clip2.geometry import invert
from clip2.scans.clouds import load_points
from clip2.store.atomic import read_json
from clip2.store.ragged import ragged_writer, write_array
from clip2.store.schemas import ANNOTATIONS, TRACK_MEMBERS, TRACKS, TRIPLETS
from clip2.store.tables import iterate_rows, read_header, write_table
from clip2.teach.teacher import load_teacher

REPOSITORY = Path(__file__).resolve().parents[1]
MADE = "tiny_owl.auto"
Row = dict[str, Any]


def test_scores_by_hand() -> None:
    ranked = ["a", "a", None, "b", "unseen", "other", "c"]
    right = judge(ranked, {"a", "b", "c", "lost"}, {"unseen"})
    assert right.tolist() == [True, False, False, True, False, True]  # found once each; the unseen takes no place
    found = measure(right, 4, (1, 4, 6, 99))
    assert found.ap == pytest.approx((1 / 1 + 2 / 4 + 3 / 6) / 4)
    assert found.recall == [0.25, 0.5, 0.75, 0.75]
    assert measure(judge([None, "other"], {"a"}, set()), 1, (1,)) == (0.0, [0.0])


def test_names_dealt_out_at_random_score_as_chance() -> None:
    rng = np.random.default_rng(1)
    things = [f"object {k}" for k in range(600)]
    named = {f"name {k}": set(things[k * 20 : k * 20 + 20]) for k in range(30)}
    sought = [Sought(name, rng.permutation(things).tolist(), own, set()) for name, own in named.items()]
    methods = summary(sought, things, SearchAuditSettings(ks=(60,)))["methods"]
    exact = chance_average_precision(600, 20)  # each object is one thing, so this is the expectation
    assert methods["chance"]["mean_ap"] == pytest.approx(exact, rel=0.03)
    assert methods["chance"]["recall"]["60"] == pytest.approx(0.1, rel=0.05)
    spread = np.std([one["ap"] for one in methods["search"]["per_query"].values()]) / np.sqrt(30)
    assert abs(methods["search"]["mean_ap"] - exact) < 3 * spread


@pytest.mark.parametrize("tracks", [1, 3])
def test_chance_with_repeated_things_and_lost_objects(tracks: int) -> None:
    """Against orders that are drawn and judged one by one, as a ranking is."""
    things = [f"o{k % 8}" for k in range(8 * tracks)] + [None] * 40 + ["far"] * 5
    one = Sought("name", things, {"o1", "o2", "lost"}, {"far"})
    found = summary([one], things, SearchAuditSettings(ks=(20,), chance_orders=2000))["methods"]["chance"]
    rng = np.random.default_rng(5)
    orders = [[things[k] for k in rng.permutation(len(things))] for _ in range(2000)]
    drawn = [measure(judge(order, one.relevant, one.unseen), 3, (20,)) for order in orders]
    assert found["mean_ap"] == pytest.approx(np.mean([order.ap for order in drawn]), rel=0.1)
    assert found["recall"]["20"] == pytest.approx(np.mean([order.recall[0] for order in drawn]), rel=0.1)


# The stage


@pytest.fixture(scope="module")
def street(tmp_path_factory: pytest.TempPathFactory) -> Labelled:
    return nuscenes_world(tmp_path_factory.mktemp("street") / "results/world")


def name_of(box: Row) -> str:
    return str(box["fine_name"] or box["category"].split(".")[-1]).replace("_", " ")


def inside(points: np.ndarray, box: Row, margin: float) -> np.ndarray:
    local = points[:, :3] @ (T := invert(np.reshape(box["T_points_from_box"], (4, 4))))[:3, :3].T + T[:3, 3]
    return np.all(np.abs(local) <= np.array(box["size_lwh"]) / 2 + margin, axis=1)


def pictured(points: np.ndarray, frame: Row) -> np.ndarray:
    T, K = np.reshape(frame["T_cam_from_points"], (4, 4)), np.reshape(frame["K"], (3, 3))
    x, y, z = K @ (T[:3, :3] @ points[:, :3].T + T[:3, 3:])
    with np.errstate(all="ignore"):
        return (z > 0) & (x / z >= 0) & (x / z < frame["width"]) & (y / z >= 0) & (y / z < frame["height"])


class Mining:
    """Triplets of human boxes: the points that a picture sees of one and that are in no other."""

    def __init__(self, street: Labelled) -> None:
        boxes, frames = defaultdict(list), defaultdict(list)
        for box in iterate_rows(street.annotations):
            boxes[box["sample"]].append(box)
        for frame in street.pictures:
            frames[frame["sample"]].append(frame)
        self.views: list[tuple[Row, Row, np.ndarray]] = []
        self.seen: dict[str, str] = {}
        """Objects outside the benchmark's classes that a picture sees → name."""
        for sample, own in boxes.items():
            points = load_points(frames[sample][0]["clouds"], street.root, 1.0)
            wide = np.array([inside(points, box, 0.1) for box in own])
            for number, box in enumerate(own):
                counts = [int((wide[number] & pictured(points, frame)).sum()) for frame in frames[sample]]
                if max(counts) >= 5 and box["class_name"] is None:
                    self.seen[box["instance"]] = name_of(box)
                alone = points[wide[number] & (wide.sum(0) == 1)]
                if max(counts) >= 5 and len(alone):
                    self.views.append((box, frames[sample][int(np.argmax(counts))], alone))

    def write(self, street: Labelled, leave_out: set[str], tracks: dict[str, int], sure: set[str]) -> Path:
        """A shard of all but some objects. A detector and a teacher that are always right made it.

        Args:
            tracks: objects that come as so many tracks, one view each; sure: those that the detector is surest of.
        """
        teacher = load_teacher(str(REPOSITORY / "resources/models/tiny_clip"), None, "cpu")
        views = [view for view in self.views if view[0]["instance"] not in leave_out]
        words = sorted({name_of(box) for box, _, _ in views})
        text = teacher.encode_labels(words, ("a photo of a {}",)).cpu().numpy()
        results, stem = street.frames.parents[1], street.frames.stem
        header = read_header(street.frames)
        header = {key: header[key] for key in ("source", "source_kind", "split", "sensor")} | {"kind": "triplets"}
        number: dict[str, int] = defaultdict(int)
        rows, members = [], []
        for k, (box, frame, points) in enumerate(views):
            about = {
                "triplet_id": f"t{k:04d}",
                "label": name_of(box),
                "n_points": len(points),
                "range_m": 1,
                "image": b"",
            }
            about |= {"score": 0.9 if box["instance"] in sure else 0.8, "box": [0, 0, 9, 9], "extent": [1, 1, 1]}
            rows.append(about | {key: frame[key] for key in ("frame_id", "scene", "sample")})
            part = min(number[box["instance"]], tracks.get(box["instance"], 1) - 1)
            number[box["instance"]] += 1
            members.append({"track_id": f"{box['instance']}/{part}", "triplet_id": about["triplet_id"]})
        triplets, tracked = results / f"triplets/{MADE}/{stem}", results / f"tracks/{MADE}.tiny_clip/{stem}"
        write_table(triplets.with_suffix(".parquet"), rows, TRIPLETS, header)
        with ragged_writer(triplets.with_suffix(".h5")) as writer:
            for _, _, points in views:
                writer.append(points[:, :3])
        ids = dict.fromkeys(member["track_id"] for member in members)
        blank = dict.fromkeys(TRACKS.names)
        write_table(tracked.with_suffix(".parquet"), [blank | {"track_id": name} for name in ids], TRACKS, header)
        write_table(tracked.with_suffix(".members.parquet"), members, TRACK_MEMBERS, header)
        out = results / f"embeddings/{MADE}.tiny_clip/{stem}.h5"
        out.parent.mkdir(parents=True, exist_ok=True)
        label = np.array([words.index(row["label"]) for row in rows], np.int32)
        with h5py.File(out, "w") as file:
            write_array(file, "image", text[label].astype(np.float16), rows=1024)
            write_array(file, "text", text.astype(np.float16))
            write_array(file, "label_index", label)
            about = {"teacher": teacher.spec, "labels": words, "templates": ["a photo of a {}"], "provenance": {}}
            file.attrs["clip2"] = json.dumps(about)
        return out


@pytest.fixture(scope="module")
def mining(street: Labelled) -> Mining:
    return Mining(street)


def audited(street: Labelled, embeddings: Path, out: Path, annotations: Path | None = None) -> Row:
    files = ["--annotations", str(annotations or street.annotations), "--embeddings", str(embeddings)]
    main(["audit-search", *files, "--data-root", str(street.root), "--out", str(out), "--device", "cpu"])
    return dict(read_json(out))


def test_a_street_of_known_things(
    street: Labelled,
    mining: Mining,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("COLUMNS", "120")
    of_name, n_views = defaultdict(list), defaultdict(int)
    for instance, name in mining.seen.items():
        of_name[name].append(instance)
    for box, _, _ in mining.views:
        n_views[box["instance"]] += 1
    mined = {instance for instance in mining.seen if n_views[instance]}
    # One object is not mined; another one, whose name has others, comes as two tracks that are the best of all.
    twice = next(i for name, own in of_name.items() for i in own if n_views[i] > 1 and len(mined & set(own)) > 2)
    lost = next(i for i in sorted(mined) if mining.seen[i] == mining.seen[twice] and i != twice)
    embeddings = mining.write(street, {lost}, {twice: 2}, {twice})
    result = audited(street, embeddings, tmp_path / "search_audit.json")
    assert result["objects"] == {name: len(own) for name, own in sorted(of_name.items())}
    assert result["mined"] == {name: len(mined & set(own) - {lost}) for name, own in of_name.items()}
    search = result["methods"]["search"]
    for name, own in of_name.items():
        n = result["mined"][name]
        places = [1, *range(3, n + 2)] if name == mining.seen[twice] else range(1, n + 1)
        expected = sum(found / place for found, place in enumerate(places, 1)) / len(own)
        assert search["per_query"][name]["ap"] == pytest.approx(expected, abs=1e-6), name
    assert search["mean_ap"] == pytest.approx(np.mean([one["ap"] for one in search["per_query"].values()]), abs=1e-5)
    assert search["mean_ap"] > 3 * result["methods"]["chance"]["mean_ap"]
    assert (result["no_box"], result["things"]) == (0, len(set(n_views) - {lost}) + 1)
    assert f"embeddings/{embeddings.name}" in result["provenance"]["inputs"]
    printed = capsys.readouterr().out
    main(["show", str(tmp_path / "search_audit.json")])
    assert capsys.readouterr().out == printed
    assert "BUILT-IN WORLD" in printed
    assert mining.seen[twice] in printed


def test_objects_that_nobody_followed(
    street: Labelled, mining: Mining, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    embeddings = mining.write(street, set(), {}, set())
    blind = tmp_path / "annotations.parquet"
    rows = [row | {"instance": None} for row in iterate_rows(street.annotations)]
    write_table(blind, rows, ANNOTATIONS, read_header(street.annotations))
    with pytest.raises(SystemExit):
        audited(street, embeddings, tmp_path / "search_audit.json", blind)
    assert "needs people to have followed objects" in capsys.readouterr().err
    tracks = street.frames.parents[1] / f"tracks/{MADE}.tiny_clip/{street.frames.stem}.parquet"
    tracks.unlink()  # each triplet is a thing then, and each box an object
    result = audited(street, embeddings, tmp_path / "search_audit.json", blind)
    assert result["things"] == len(mining.views)
    assert sum(result["mined"].values()) == sum(box["class_name"] is None for box, _, _ in mining.views)
    assert result["methods"]["search"]["mean_ap_of_mined"] == 1
