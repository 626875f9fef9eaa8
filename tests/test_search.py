"""Search: ranking against brute force, phrases, negatives, views, examples; the command on made shards."""

import io
import json
import tracemalloc
from pathlib import Path

import h5py
import numpy as np
import pytest
from PIL import Image

from clip2.cli import main
from clip2.runtime.errors import InputError
from clip2.search.mined import Mined
from clip2.search.query import make_query
from clip2.search.ranking import best_things, thing_scores, word_scores
from clip2.search.vectors import ImageVectors
from clip2.store.ragged import ragged_writer, write_array
from clip2.store.schemas import FRAMES, LABELS, TRACK_MEMBERS, TRACKS, TRIPLETS
from clip2.store.tables import read_rows, write_table
from clip2.teach.teacher import Teacher, load_teacher

REPOSITORY = Path(__file__).resolve().parents[1]
WORDS = ("car", "tire", "plastic bag", "tree")
VIEWS = 3
"""Views of each thing."""
THINGS = 12


@pytest.fixture(scope="module")
def teacher() -> Teacher:
    return load_teacher(str(REPOSITORY / "resources/models/tiny_clip"), None, "cpu")


def jpeg(shade: int) -> bytes:
    out = io.BytesIO()
    Image.new("RGB", (32, 32), (shade, 90, 60)).save(out, "JPEG")
    return out.getvalue()


def matrix(x: float = 0, y: float = 0, z: float = 0) -> list[float]:
    T = np.eye(4)
    T[:3, 3] = x, y, z
    return T.ravel().tolist()


def make_mined(root: Path, teacher: Teacher, tracks: bool = True) -> Path:
    """A shard of THINGS things with VIEWS views; thing k shows word k % 4. The sensor stands at (100, 0, 0)."""
    text = teacher.encode_labels(WORDS, ("a photo of a {}",)).cpu().numpy()
    rng = np.random.default_rng(0)
    source, made = root / "results/world", "tiny_owl.auto"
    header = {"kind": "triplets", "source": "world", "source_kind": "real", "split": "train", "sensor": "lidar"}
    views = [(thing, view) for view in range(VIEWS) for thing in range(THINGS)]
    box = np.stack(np.meshgrid([-1.0, 1], [-0.5, 0.5], [-0.25, 0.25]), -1).reshape(-1, 3)
    with ragged_writer(source / f"triplets/{made}/train-000of001.h5") as points:
        for thing, _ in views:
            points.append(box + np.array([thing, 5, 0]))
    frame_ids = [f"frame-{view}" for view in range(VIEWS)]
    frame = dict.fromkeys(FRAMES.names) | {"camera": "left", "image_path": "a.jpg", "width": 64, "height": 64}
    frame |= {"K": [1.0] * 9, "T_cam_from_points": matrix(), "clouds": [], "scene": "drive"}
    rows = [
        frame | {"frame_id": f, "sample": f"s{k}", "timestamp_us": 1000 * k, "T_scene_from_points": matrix(100)}
        for k, f in enumerate(frame_ids)
    ]
    write_table(source / "frames/train-000of001.parquet", rows, FRAMES, header)
    rows = [
        {
            "triplet_id": f"{frame_ids[view]}-{thing:03d}", "frame_id": frame_ids[view], "scene": "drive",
            "sample": f"s{view}", "box": [1, 2, 30, 40], "label": WORDS[thing % 4], "score": 0.5 + 0.01 * view,
            "n_points": len(box), "range_m": 5, "extent": [2, 1, 0.5], "image": jpeg(10 * thing),
        }
        for thing, view in views
    ]  # fmt: skip
    write_table(source / f"triplets/{made}/train-000of001.parquet", rows, TRIPLETS, header)
    images = np.stack([text[thing % 4] + 0.3 * rng.normal(size=text.shape[1]) / 11 for thing, _ in views])
    images /= np.linalg.norm(images, axis=1, keepdims=True)
    path = source / f"embeddings/{made}.tiny_clip/train-000of001.h5"
    path.parent.mkdir(parents=True)
    about = {"teacher": teacher.spec, "labels": list(WORDS), "templates": ["a photo of a {}"], "provenance": {}}
    with h5py.File(path, "w") as file:
        write_array(file, "image", images.astype(np.float16), rows=1024)
        write_array(file, "text", text.astype(np.float16))
        write_array(file, "label_index", np.array([thing % 4 for thing, _ in views], np.int32))
        file.attrs["clip2"] = json.dumps(about)
    if tracks:
        make_tracks(source / f"tracks/{made}.tiny_clip/train-000of001.parquet", frame_ids, box, header)
    return path


def make_tracks(out: Path, frame_ids: list[str], box: np.ndarray, header: dict) -> None:
    place = {"n_triplets": 1, "n_points": len(box)}
    rows, members = [], []
    for thing in range(THINGS):
        path = [
            place | {"sample": f"s{k}", "timestamp_us": 1000 * k, "T_scene_from_thing": matrix(100 + thing, 5)}
            for k in range(VIEWS)
        ]
        rows.append(
            dict.fromkeys(TRACKS.names)
            | {"track_id": f"frame-0-{thing:03d}", "scene": "drive", "label": WORDS[thing % 4], "path": path}
        )
        members += [{"track_id": f"frame-0-{thing:03d}", "triplet_id": f"{f}-{thing:03d}"} for f in frame_ids]
    write_table(out, rows, TRACKS, header)
    write_table(out.with_suffix(".members.parquet"), members, TRACK_MEMBERS, header)
    with ragged_writer(out.with_suffix(".h5")) as points:
        for _ in rows:
            points.append(box)


@pytest.fixture
def searched(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]):
    """Run ``clip2 search …`` in a folder with one mined shard; the file's content."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "80")
    (tmp_path / "config.yaml").write_text((REPOSITORY / "config.yaml").read_text())

    def run(*arguments: str, name: str) -> dict:
        main(["search", "--device", "cpu", "--threads", "1", *arguments])
        path = Path("results/search") / f"{name}.json"
        assert Image.open(path.with_suffix(".png")).width > 1000
        run.printed = capsys.readouterr().out  # type: ignore[attr-defined]
        return dict(json.loads(path.read_text()))

    return run


def test_scores_of_words_are_a_softmax_each_against_the_others_alone() -> None:
    rng = np.random.default_rng(0)
    words, others = rng.uniform(-1, 1, (9, 2)), rng.uniform(-1, 1, (9, 3))
    detector = np.zeros((9, 2))
    detector[4, 1] = 0.8
    scores = word_scores(7.0, words, others, detector)
    for k in range(9):
        each = [
            (np.exp(7 * words[k, w]) / (np.exp(7 * words[k, w]) + np.exp(7 * others[k]).sum()) + detector[k, w]) / 2
            for w in range(2)
        ]
        assert scores[k] == pytest.approx(max(each), abs=1e-6)
    alone = word_scores(7.0, words, np.empty((9, 0)), detector)
    assert alone == pytest.approx(np.where(np.arange(9) == 4, 0.9, 0.5))


def test_a_thing_scores_the_mean_of_its_two_best_views() -> None:
    rng = np.random.default_rng(0)
    thing = np.concatenate([np.arange(20), rng.integers(0, 20, 80)])
    scores = rng.permutation(100).astype(np.float32)
    found, best = thing_scores(scores, thing, 20)
    for k in range(20):
        own = np.sort(scores[thing == k])[::-1]
        assert found[k] == pytest.approx(own[:2].mean())
        assert scores[best[k]] == own[0]
        assert thing[best[k]] == k
    few = best_things(scores, thing, 20, 5)
    tops = np.array([scores[thing == k].max() for k in range(20)])
    assert set(few) == set(np.argsort(-tops)[:5])
    assert best_things(scores, thing, 20, 30).tolist() == list(range(20))


@pytest.mark.parametrize("rows", [None, 7, 1000])
def test_mapped_vectors_give_the_same_product_as_read_ones(tmp_path: Path, rows: int | None) -> None:
    vectors = np.random.default_rng(0).normal(size=(2500, 48)).astype(np.float16)
    with h5py.File(tmp_path / "a.h5", "w") as file:
        write_array(file, "image", vectors, rows=rows)
    mapped = ImageVectors(tmp_path / "a.h5")
    columns = np.random.default_rng(1).normal(size=(3, 48)).astype(np.float32)
    np.testing.assert_allclose(mapped.cosines(columns), vectors.astype(np.float32) @ columns.T, atol=1e-4)
    chosen = np.array([0, 6, 7, 999, 1000, 2499])
    np.testing.assert_array_equal(mapped.rows(chosen), vectors[chosen])


def test_vectors_that_are_no_numbers_are_refused(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "a.h5", "w") as file:
        write_array(file, "image", np.full((3, 4), np.nan, np.float16), rows=1024)
    with pytest.raises(InputError, match="not finite"):
        ImageVectors(tmp_path / "a.h5").cosines(np.ones((1, 4), np.float32))


def test_many_vectors_are_gone_over_in_little_memory(tmp_path: Path) -> None:
    """A twelfth of nuScenes: 1 GB there are 80 MB here. How long it takes: ``benchmarks.search_scale``."""
    n, dim = 100_000, 512
    vectors = np.random.default_rng(0).integers(-9, 9, (n, dim)).astype(np.float16)
    with h5py.File(tmp_path / "a.h5", "w") as file:
        write_array(file, "image", vectors, rows=1024)
    del vectors
    columns = np.ones((3, dim), np.float32)
    ImageVectors(tmp_path / "a.h5").cosines(columns)  # from the disk
    tracemalloc.start()
    found = ImageVectors(tmp_path / "a.h5").cosines(columns)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert len(found) == n
    assert peak < 80e6


def test_a_query_of_phrases_negatives_and_examples() -> None:
    query = make_query(["tire|Big  wheel", "plastic_bag"], ["car"])
    assert query.phrases == ("tire", "Big wheel", "plastic bag")
    assert query.file_name == "tire_big_wheel_plastic_bag_not_car"
    for wrong in ((), ()), (("a",), (), ("b.jpg",)), ((), ("car",), ("b.jpg",)), (("|",), ()):
        with pytest.raises(InputError):
            make_query(*wrong)


def test_words_find_the_things_that_show_them(searched, tmp_path: Path, teacher: Teacher) -> None:
    make_mined(tmp_path, teacher)
    result = searched("plastic bag", "--hits", "6", name="plastic_bag")
    assert {hit["track_id"] for hit in result["hits"][:3]} == {f"frame-0-{k:03d}" for k in (2, 6, 10)}
    assert [hit["rank"] for hit in result["hits"]] == [1, 2, 3, 4, 5, 6]
    assert result["hits"][2]["score"] > 2 * result["hits"][3]["score"]
    assert result["counts"] == {"shards": 1, "triplets": VIEWS * THINGS, "things": THINGS}
    assert result["background"] == ["car", "tire", "tree"]
    first = result["hits"][0]
    assert (first["label"], first["n_views"], first["source"]) == ("plastic bag", VIEWS, "world")
    assert first["timestamp_us"] == 1000 * int(first["sample"][1:])
    # The track's box, brought from the scene's frame to that of the sample's points, 100 m beside it.
    np.testing.assert_allclose(first["center"], [int(first["track_id"][-3:]), 5, 0], atol=1e-3)
    np.testing.assert_allclose(first["size_lwh"], [2, 1, 0.5], atol=0.05)
    main(["show", "results/search/plastic_bag.json"])
    assert "frame-0-002" in searched.printed
    assert "…" not in searched.printed


def test_without_tracks_each_triplet_is_a_thing(searched, tmp_path: Path, teacher: Teacher) -> None:
    make_mined(tmp_path, teacher, tracks=False)
    result = searched("tree", "--hits", "9", name="tree")
    assert result["counts"]["things"] == VIEWS * THINGS
    assert {hit["label"] for hit in result["hits"]} == {"tree"}
    assert all(hit["track_id"] == hit["triplet_id"] for hit in result["hits"])
    np.testing.assert_allclose(result["hits"][0]["center"][1:], [5, 0], atol=1e-3)


def test_several_phrases_and_what_it_must_not_be(searched, tmp_path: Path, teacher: Teacher) -> None:
    make_mined(tmp_path, teacher)
    both = searched("car|tire", "--hits", "6", name="car_tire")
    assert {hit["label"] for hit in both["hits"]} == {"car", "tire"}
    without = searched("car|tire", "--not", "car", "--hits", "12", name="car_tire_not_car")
    assert {hit["label"] for hit in without["hits"][:3]} == {"tire"}
    score = {name: {hit["track_id"]: hit["score"] for hit in r["hits"]} for name, r in (("w", without), ("b", both))}
    for hit in both["hits"]:
        if hit["label"] == "car":
            assert score["w"][hit["track_id"]] < 0.6 * hit["score"]


def test_like_a_thing_and_like_a_picture(searched, tmp_path: Path, teacher: Teacher) -> None:
    path = make_mined(tmp_path, teacher)
    like = searched("--like", "frame-0-001", "--hits", "2", name="like_frame_0_001")
    assert {hit["track_id"] for hit in like["hits"]} == {"frame-0-005", "frame-0-009"}
    (tmp_path / "a.jpg").write_bytes(jpeg(7))
    found = searched("--like", "a.jpg", "--hits", "1", name="like_a_jpg")["hits"][0]
    vector = teacher.encode_images([jpeg(7)]).numpy()
    mined = Mined([path], 1)
    expected = thing_scores(mined.cosines(vector)[:, 0], mined.thing, mined.n_things)[0]
    assert found["score"] == pytest.approx(expected.max(), abs=1e-5)
    with pytest.raises(SystemExit):
        main(["search", "--like", "nothing.jpg"])


def test_boxes_of_labels_come_first(searched, tmp_path: Path, teacher: Teacher) -> None:
    make_mined(tmp_path, teacher)
    row = dict.fromkeys(LABELS.names) | {"scene": "drive", "T_points_from_box": matrix(1, 2, 3), "size_lwh": [4, 2, 1]}
    rows = [row | {"sample": f"s{k}", "track_id": f"frame-0-{t:03d}"} for k in range(VIEWS) for t in (2, 6)]
    write_table(tmp_path / "results/labels/labels.parquet", rows, LABELS, {})
    hits = searched("plastic bag", "--hits", "3", name="plastic_bag")["hits"]
    boxes = {hit["track_id"]: (hit["center"], hit["size_lwh"]) for hit in hits}
    assert boxes["frame-0-002"] == boxes["frame-0-006"] == ([1, 2, 3], [4, 2, 1])
    assert boxes["frame-0-010"][1] == pytest.approx([2, 1, 0.5], abs=0.05)


def test_nothing_mined_and_wrong_files_are_one_line(
    searched, tmp_path: Path, teacher: Teacher, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit):
        main(["search", "tire"])
    assert "nothing is mined yet" in capsys.readouterr().err
    path = make_mined(tmp_path, teacher)
    members = path.parents[2] / "tracks/tiny_owl.auto.tiny_clip/train-000of001.members.parquet"
    write_table(members, [{"track_id": "a", "triplet_id": "b"}], TRACK_MEMBERS, {})
    with pytest.raises(InputError, match="not the tracks of"):
        Mined([path], 1)


def test_rows_are_read_by_number(tmp_path: Path) -> None:
    rows = [{"track_id": str(k), "triplet_id": str(-k)} for k in range(3000)]
    write_table(tmp_path / "a.parquet", rows, TRACK_MEMBERS, {})
    assert read_rows(tmp_path / "a.parquet", [2999, 0, 1024, 0]) == [rows[k] for k in (2999, 0, 1024, 0)]
