"""The explorer's data: packed points, the bundled script, scenes, corrections, and what is served."""

import base64
import json
import os
import re
import shutil
import subprocess
import threading
import urllib.error
import urllib.request
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from explored_world import Explored, explored_world

from clip2.explore.bundle import PAGE, bundle, page_files
from clip2.explore.corrections import apply
from clip2.explore.points import colours, compress, pack, thin
from clip2.explore.serve import make_server
from clip2.explore.settings import ExplorerSettings
from clip2.explore.stage import Inputs, run
from clip2.runtime.errors import InputError
from clip2.store.provenance import file_digest
from clip2.store.schemas import FRAMES, LABELS
from clip2.store.tables import iterate_rows, read_header, read_table, write_table
from clip2.teach.embeddings import read_embeddings

NODE = shutil.which("node")
FEW = ExplorerSettings(max_points=100, picture_width=64)


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Explored:
    """A tiny street with labels and its explorer."""
    return explored_world(tmp_path_factory.mktemp("explored"))


def arrived(path: Path) -> tuple[str, Any, str]:
    """Key, content and blob of a data script."""
    found = re.fullmatch(r'CLIP2\.arrive\("([^"]+)", (.*?)(?:, "([A-Za-z0-9+/=]*)")?\);\n', path.read_text(), re.S)
    assert found
    return found[1], json.loads(found[2]), found[3] or ""


def unpacked(data: bytes, n: int) -> tuple[np.ndarray, np.ndarray]:
    """What the page reads: steps (n, 3) and colours (n, 3)."""
    planes = np.frombuffer(data, np.uint8).reshape(9, n).astype(np.int64)
    coded = planes[:3] | planes[3:6] << 8
    return (np.cumsum((coded >> 1) ^ -(coded & 1), axis=1) & 0xFFFF).T, planes[6:].T


def test_packed_points_come_back_within_half_a_step() -> None:
    rng = np.random.default_rng(0)
    points = rng.uniform([-70, -300, -3], [90, 310, 20], (5000, 3)).astype(np.float32)
    rgb = rng.integers(0, 256, (5000, 3), dtype=np.uint8)
    packed = pack(points, rgb)
    steps, shades = unpacked(zlib.decompress(compress([packed])), packed.n)
    back = np.asarray(packed.low) + packed.step * steps
    order, own = np.lexsort(back.round(1).T), np.lexsort(points.round(1).T)
    assert np.abs(np.sort(back, 0) - np.sort(points, 0)).max() <= packed.step / 2 + 1e-4
    assert len(order) == len(own)
    # Colours stay with their points: the nearest packed point of each has nearly its colour.
    for k in range(0, 5000, 500):
        at = np.linalg.norm(back - points[k], axis=1).argmin()
        assert np.abs(shades[at] - rgb[k]).max() <= 8
    assert pack(points[:0], rgb[:0]).data == b""


def test_points_in_boxes_are_kept_first_and_the_rest_evenly() -> None:
    rng = np.random.default_rng(1)
    dense = rng.normal(0, 1, (9000, 3))
    thing = rng.uniform([19.5, -0.5, -0.5], [20.5, 0.5, 0.5], (200, 3))
    far = rng.uniform(-50, 50, (800, 3))
    points = np.concatenate([dense, thing, far]).astype(np.float32)
    T = np.eye(4)
    T[0, 3] = 20
    box = {"T_points_from_box": T.ravel().tolist(), "size_lwh": [1, 1, 1]}
    kept = thin(points, [box], 1000)
    assert len(kept) <= 1000
    inside = (np.abs(kept[:, :3] - [20, 0, 0]) <= 0.5).all(1).sum()
    assert inside >= 200
    assert (np.linalg.norm(kept[:, :3], axis=1) > 5).sum() > 600  # the dense heap gives way, not the sparse rest
    assert thin(points, [box], 10**6) is points
    # Of two boxes, the one with few points keeps them.
    heap = {"T_points_from_box": np.eye(4).ravel().tolist(), "size_lwh": [4, 4, 4]}
    kept = thin(points, [heap, box], 1000)
    assert (np.abs(kept[:, :3] - [20, 0, 0]) <= 0.5).all(1).sum() >= 200
    assert (np.abs(kept[:, :3]) <= 2).all(1).sum() >= 100


def test_points_take_the_colour_of_the_camera_that_sees_them() -> None:
    K, T = np.array([[100, 0, 50], [0, 100, 50], [0, 0, 1.0]]), np.eye(4)
    frame = {"width": 100, "height": 100, "K": K.ravel(), "T_cam_from_points": T.ravel()}
    picture = np.zeros((50, 50, 3), np.uint8)
    picture[:, 25:] = (200, 100, 0)
    points = np.array([[1, 0, 4.0], [-1, 0, 4.0], [0, 0, -4.0]])
    assert colours(points, [frame], [picture]).tolist() == [[200, 100, 1], [1, 1, 1], [0, 0, 0]]
    assert not colours(points, [frame], [None]).any()


# --- the script -------------------------------------------------------------------------------------------------------
def write_modules(folder: Path, **modules: str) -> Path:
    for name, source in modules.items():
        (folder / f"{name}.js").write_text(source)
    return folder


@pytest.mark.skipif(NODE is None, reason="no node to run the script")
def test_modules_become_one_script_that_does_the_same(tmp_path: Path) -> None:
    write_modules(
        tmp_path,
        main="import { twice as t, ONE } from './a.js';\nimport {\n  Deep,\n} from './b.js';\n"
        "console.log(t(ONE), new Deep().x);",
        a="import { base } from './b.js';\nexport const ONE = 1;\nexport function twice(x) { return 2 * x + base; }",
        b="const secret = 5;\nclass Deep { x = 'deep'; }\nexport { Deep, secret as base };\n",
    )
    script = tmp_path / "all.js"
    script.write_text(bundle(tmp_path, "main.js"))
    assert NODE is not None
    done = subprocess.run([NODE, str(script)], capture_output=True, text=True, check=True)
    assert done.stdout == "7 deep\n"


@pytest.mark.parametrize(
    ("modules", "message"),
    [
        ({"main": "import { x } from './gone.js';"}, "no such module"),
        ({"main": "import x from './a.js';", "a": ""}, "not understood: import x"),
        ({"main": "export default 3;"}, "not understood: export default"),
        ({"main": "import { a } from './a.js';", "a": "import { m } from './main.js';"}, "in a circle: main.js → a.js"),
    ],
)
def test_what_the_bundle_does_not_understand_is_refused(tmp_path: Path, modules: dict[str, str], message: str) -> None:
    with pytest.raises(InputError, match=re.escape(message)):
        bundle(write_modules(tmp_path, **modules), "main.js")


def test_no_string_of_the_page_is_ever_parsed_as_html() -> None:
    forbidden = re.compile(r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\(|new Function|DOMParser")
    own = list(PAGE.glob("*.js"))
    assert len(own) > 10
    assert not [path.name for path in own if forbidden.search(path.read_text())]


def test_the_page_loads_nothing_from_a_network() -> None:
    own = [path for path in PAGE.iterdir() if path.is_file()]
    assert {os.path.relpath(path) for path in own} < set(page_files())
    links = [found for path in own for found in re.findall(r"https?://[^\s'\"]+", path.read_text())]
    assert {link.rstrip("'") for link in links} <= {"http://www.w3.org/2000/svg"}  # a name, not an address


# --- scenes -----------------------------------------------------------------------------------------------------------
def test_a_scene_holds_its_points_boxes_and_views(world: Explored) -> None:
    key, scene, _ = arrived(world.data / "scenes" / "0.js")
    assert key == "scene/0"
    labels = [row for row in world.rows if row["scene"] == scene["name"]]
    assert len(scene["boxes"]) == len(labels) > 10
    for box, row in zip(scene["boxes"], labels, strict=True):
        assert scene["things"][box[0]]["id"] == row["track_id"]
        assert scene["samples"][box[1]]["id"] == row["sample"]
        T = np.reshape(row["T_points_from_box"], (4, 4))
        assert box[2:5] == pytest.approx(T[:3, 3], abs=1e-3)
        assert box[5:8] == pytest.approx(row["size_lwh"], abs=1e-3)
        assert np.cos(box[8]) == pytest.approx(T[0, 0], abs=1e-3)
    names = world.index["names"]
    members = {row["triplet_id"]: row["track_id"] for row in iterate_rows(world.members)}
    labelled = {row["track_id"] for row in labels}
    triplets = [row for row in iterate_rows(world.triplets) if members[row["triplet_id"]] in labelled]
    assert len(scene["views"]) == sum(row["scene"] == scene["name"] for row in triplets) > 10
    said = {(names[view[6]], view[7]) for view in scene["views"]}
    assert said == {(r["label"], round(r["score"], 3)) for r in triplets if r["scene"] == scene["name"]}
    assert all(sample["points"] <= 12000 < sample["all_points"] for sample in scene["samples"])


def test_pictures_and_index_tell_what_there_is(world: Explored) -> None:
    frames = read_table(world.frames, ["scene"])["scene"].to_pylist()
    assert len(list((world.data / "pictures").rglob("*.webp"))) == len(frames)
    assert world.index["scenes"]["name"] == list(dict.fromkeys(frames))
    assert sum(world.index["scenes"]["things"]) == len({row["track_id"] for row in world.rows})
    assert world.index["labels"] == file_digest(world.labels)
    _, things, _ = arrived(world.data / "things.js")
    assert {len(column) for column in things.values()} == {sum(world.index["scenes"]["things"])}


def test_the_funnel_accounts_for_every_box(world: Explored) -> None:
    _, found, _ = arrived(world.data / "results.js")
    triplets = next(row for row in found["funnel"] if row["stage"] == "triplets")
    assert triplets["in"] == triplets["out"] + sum(triplets["lost"].values())
    assert found["funnel"][-1]["out"] == sum(world.index["scenes"]["things"])


def test_words_that_mean_harm_are_only_words(world: Explored, tmp_path: Path) -> None:
    """Names come from vocabularies that anybody may have written."""
    harm = '</script><script>alert(1)</script> [[SCRIPT]] "quoted" \\'
    rows = [row | {"label": harm, "names": [{"name": harm, "probability": 1.0}]} for row in world.rows]
    labels = tmp_path / "labels.parquet"
    write_table(labels, rows, LABELS, read_header(world.labels))
    run(Inputs(labels, [world.frames]), world.root, tmp_path / "index.html", ExplorerSettings(max_points=100))
    page = (tmp_path / "index.html").read_text()
    assert page.count("</script>") == 2
    assert json.loads(re.findall(r'id="index">(.*?)</script>', page, re.S)[0])["names"] == [harm]
    assert arrived(tmp_path / "data/scenes/0.js")[1]["things"][0]["names"] == [[0, 1.0]]


def test_the_same_inputs_give_the_same_files(world: Explored, tmp_path: Path) -> None:
    world.write(tmp_path / "index.html", threads=2)
    for path in sorted((tmp_path / "data").rglob("*.*")):
        assert path.read_bytes() == (world.data / path.relative_to(tmp_path / "data")).read_bytes(), path.name
    assert (tmp_path / "index.html").read_bytes() == world.page.read_bytes()


def test_a_picture_that_cannot_be_read_is_counted(world: Explored, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="frames could not be read"):
        run(Inputs(world.labels, [world.frames]), tmp_path, tmp_path / "index.html", ExplorerSettings())
    run(Inputs(world.labels, [world.frames]), tmp_path, tmp_path / "index.html", ExplorerSettings(max_bad_share=1))
    _, scene, _ = arrived(tmp_path / "data/scenes/0.js")
    assert {frame["picture"] for frame in scene["frames"]} == {None}
    assert {sample["points"] for sample in scene["samples"]} == {0}


def test_scans_in_which_nothing_was_found_can_be_looked_at(world: Explored, tmp_path: Path) -> None:
    write_table(tmp_path / "labels.parquet", [], LABELS, read_header(world.labels))
    inputs = Inputs(tmp_path / "labels.parquet", [world.frames], [world.triplets], [world.tracks])
    run(inputs, world.root, tmp_path / "index.html", ExplorerSettings(max_points=100, picture_width=64))
    _, scene, _ = arrived(tmp_path / "data/scenes/0.js")
    assert (scene["things"], scene["boxes"], scene["views"]) == ([], [], [])
    assert scene["samples"][0]["points"] > 0


def test_a_scene_of_which_two_shards_have_parts_is_shown_in_parts(world: Explored, tmp_path: Path) -> None:
    """Lists may put samples of one recording into mining and evaluation."""
    rows = list(iterate_rows(world.frames))
    first: dict[str, str] = {}
    for row in rows:
        first.setdefault(row["scene"], row["sample"])
    parts = [[row for row in rows if (row["sample"] in first.values()) is wanted] for wanted in (True, False)]
    paths = [tmp_path / f"{number}.parquet" for number in range(2)]
    for path, part in zip(paths, parts, strict=True):
        write_table(path, part, FRAMES, read_header(world.frames))
    run(Inputs(world.labels, paths), world.root, tmp_path / "index.html", FEW)
    shown = [arrived(tmp_path / f"data/scenes/{number}.js")[1] for number in range(4)]
    assert [scene["name"] for scene in shown] == [*first, *(f"{name} (2)" for name in first)]
    assert sum(len(scene["boxes"]) for scene in shown) == len(world.rows)


def test_best_and_worst_views_of_a_name_are_those_that_others_agree_with_and_do_not(world: Explored) -> None:
    _, found, _ = arrived(world.data / "results.js")
    assert sum(row["n"] for row in found["examples"]) > 50
    for row in found["examples"]:
        agree = [[own["teacher"] == own["track"] == row["name"] for own in row[end]] for end in ("best", "worst")]
        assert sum(agree[0]) / len(agree[0]) >= sum(agree[1]) / max(1, len(agree[1]))
    tiles = [own["tile"] for row in found["examples"] for end in ("best", "worst") for own in row[end]]
    assert tiles == list(range(len(tiles)))
    assert (world.data / "examples.webp").is_file()


def test_a_thing_looks_like_what_the_teacher_sees_alike(world: Explored) -> None:
    """The few bytes that the page has give nearly the order of the whole vectors."""
    _, things, _ = arrived(world.data / "things.js")
    _, content, blob = arrived(world.data / "likeness.js")
    packed = np.frombuffer(base64.b64decode(blob), np.int8).reshape(len(things["id"]), content["dimensions"])
    embedded = read_embeddings(world.embeddings)
    ids = read_table(world.triplets, ["triplet_id"])["triplet_id"].to_pylist()
    track_of = {row["triplet_id"]: row["track_id"] for row in iterate_rows(world.members)}
    tracks = np.array([track_of[triplet] for triplet in ids])
    mean = np.stack([embedded.image[tracks == thing].astype(np.float64).mean(0) for thing in things["id"]])
    mean /= np.linalg.norm(mean, axis=1, keepdims=True)
    mean -= mean.mean(0)
    mean /= np.linalg.norm(mean, axis=1, keepdims=True)
    own = packed / np.linalg.norm(packed, axis=1, keepdims=True)
    apart = np.triu_indices(len(own), 1)
    assert np.corrcoef((own @ own.T)[apart], (mean @ mean.T)[apart])[0, 1] > 0.95


def test_few_samples_keep_more_points() -> None:
    settings = ExplorerSettings()
    assert [settings.points_of(n) for n in (1, 60, 150, 6000)] == [60000, 40000, 16000, 16000]
    assert ExplorerSettings(max_points=500).points_of(1) == 500


def test_inputs_that_do_not_belong_together_are_refused(world: Explored, tmp_path: Path) -> None:
    def refused(message: str, **inputs: Any) -> None:
        given = {"labels": world.labels, "frames": [world.frames], **inputs}
        with pytest.raises(InputError, match=message):
            run(Inputs(**given), world.root, tmp_path / "index.html", ExplorerSettings(max_points=100))

    refused("give the same shards", triplets=[world.triplets] * 2)
    refused("without their triplets", tracks=[world.tracks])
    stranger = [row | {"scene": "elsewhere"} for row in world.rows]
    write_table(tmp_path / "labels.parquet", stranger, LABELS, read_header(world.labels))
    refused("are in no scene of the frames", labels=tmp_path / "labels.parquet")
    assert not (tmp_path / "index.html").exists()


# --- corrections ------------------------------------------------------------------------------------------------------
NAMES = [{"name": "car", "probability": 0.6}, {"name": "truck", "probability": 0.4}]
MADE_OF = {"inputs": {"frames/train-000of001.parquet": "abc"}}


def label(track: str, sample: int, n_points: int = 10, scene: str = "s", name: str = "car") -> dict[str, Any]:
    return {
        **{"scene": scene, "sample": f"{scene}{sample}", "timestamp_us": sample, "track_id": track, "label": name},
        **{"score": 0.6, "names": NAMES, "T_points_from_box": np.eye(4).ravel().tolist(), "size_lwh": [1.0, 1.0, 1.0]},
        **{"size_from": "measured", "velocity": [0.0, 0.0, 0.0], "n_points": n_points, "range_m": 1.0},
        **{"triplet_id": None, "frame_id": None, "box": [np.nan] * 4},
    }


class Corrected:
    """Labels, corrections of them, and what came of it."""

    def __init__(self, folder: Path, rows: list[dict[str, Any]]) -> None:
        self.labels, self.file, self.out = folder / "labels.parquet", folder / "c.json", folder / "corrected.parquet"
        header = {"kind": "labels", "source": "s", "counts": {"labels": len(rows)}, "provenance": MADE_OF}
        write_table(self.labels, rows, LABELS, header)

    def __call__(self, **tracks: dict[str, str]) -> list[tuple[str, int, str, float]]:
        """Apply corrections; (track, time, name, score) of the boxes that are left."""
        content = {"kind": "corrections", "source": "s", "labels": file_digest(self.labels), "tracks": tracks}
        self.file.write_text(json.dumps(content))
        self.counts = apply(self.labels, self.file, self.out)
        rows = iterate_rows(self.out)
        return [(row["track_id"], row["timestamp_us"], row["label"], round(row["score"], 2)) for row in rows]


@pytest.fixture
def corrected(tmp_path: Path) -> Corrected:
    rows = [label("a", t) for t in (1, 2, 3)] + [label("b", 3, 99, name="bus"), label("b", 4, name="bus")]
    return Corrected(tmp_path, [*rows, label("far", 1, scene="other")])


REST = [("far", 1, "car", 0.6)]


def test_without_corrections_labels_stay(corrected: Corrected) -> None:
    corrected()
    assert read_table(corrected.out).to_string() == read_table(corrected.labels).to_string()
    inputs = read_header(corrected.out)["provenance"]["inputs"]  # an export finds the frames by them
    assert set(inputs) == {*MADE_OF["inputs"], "labels", "corrections"}


def test_accepted_and_renamed_things_are_certain(corrected: Corrected) -> None:
    found = corrected(a={"status": "accepted"}, b={"status": "accepted", "label": "coach"})
    assert found[:5] == [("a", t, "car", 1.0) for t in (1, 2, 3)] + [("b", t, "coach", 1.0) for t in (3, 4)]
    row = next(iter(iterate_rows(corrected.out)))
    assert row["names"] == [{"name": "car", "probability": 1.0}]
    assert corrected.counts["renamed"] == corrected.counts["accepted"] == 1


def test_rejected_things_go(corrected: Corrected) -> None:
    assert corrected(a={"status": "rejected"}) == [("b", 3, "bus", 0.6), ("b", 4, "bus", 0.6), *REST]
    counts = read_header(corrected.out)["counts"]
    assert counts["boxes"] == counts["labels"] + counts["lost_rejected"] + counts.get("lost_merged", 0)


def test_merged_things_are_one_with_the_fuller_box(corrected: Corrected) -> None:
    found = corrected(a={"into": "b"})
    assert found == [("b", 1, "bus", 0.6), ("b", 2, "bus", 0.6), ("b", 3, "bus", 0.6), ("b", 4, "bus", 0.6), *REST]
    assert [row["n_points"] for row in iterate_rows(corrected.out)][2] == 99
    assert corrected.counts["lost_merged"] == 1


def test_a_split_thing_is_two_and_its_parts_can_be_corrected(corrected: Corrected) -> None:
    found = corrected(**{"a": {"split": "s2"}, "a~2": {"label": "van", "status": "accepted"}})
    assert found[:3] == [("a", 1, "car", 0.6), ("a~2", 2, "van", 1.0), ("a~2", 3, "van", 1.0)]
    found = corrected(**{"a": {"split": "s2"}, "a~2": {"into": "b"}})
    assert found[:2] == [("a", 1, "car", 0.6), ("b", 2, "bus", 0.6)]


@pytest.mark.parametrize(
    ("tracks", "message"),
    [
        ({"gone": {"status": "accepted"}}, "has no track gone"),
        ({"a~2": {"status": "accepted"}}, "has no track a~2"),
        ({"a": {"into": "far"}}, "in another scene"),
        ({"a": {"into": "b"}, "b": {"into": "a"}}, "goes into itself"),
        ({"a": {"split": "nowhere"}}, "split at sample nowhere"),
        ({"a": {"status": "perhaps"}}, "tracks.a.status"),
        ({"a": {"lable": "x"}}, "tracks.a.lable"),
    ],
)
def test_wrong_corrections_are_refused(corrected: Corrected, tracks: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=re.escape(message)):
        corrected(**tracks)
    assert not corrected.out.exists()


def test_a_file_that_is_no_corrections_is_refused(corrected: Corrected) -> None:
    with pytest.raises(InputError, match="no such file"):
        apply(corrected.labels, corrected.file, corrected.out)
    corrected.file.write_text("[1]")
    with pytest.raises(InputError, match="save it in the explorer"):
        apply(corrected.labels, corrected.file, corrected.out)


# --- served -----------------------------------------------------------------------------------------------------------
@pytest.fixture
def served(world: Explored) -> Iterator[str]:
    server = make_server(world.page.parent, 0, "cpu")
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_address[1]}"
    server.shutdown()
    server.server_close()
    thread.join()


def ask(address: str, content: Any = None, **headers: str) -> tuple[int, str]:
    body = None if content is None else json.dumps(content).encode()
    names = {key.replace("_", "-"): value for key, value in headers.items()}
    try:
        request = urllib.request.Request(address, body, {"Content-Type": "application/json", **names})
        with urllib.request.urlopen(request, timeout=60) as answer:
            return answer.status, answer.read().decode("utf-8", "replace")
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()


def test_any_words_find_things(world: Explored, served: str) -> None:
    status, text = ask(f"{served}/api/search?words=something+to+sit+on")
    scores = json.loads(text)["scores"]
    assert status == 200
    assert set(scores) >= {row["track_id"] for row in world.rows}
    assert list(scores.values()) == sorted(scores.values(), reverse=True)
    name = world.index["names"][0]
    best = list(json.loads(ask(f"{served}/api/search?{urllib.parse.urlencode({'words': name})}")[1])["scores"])
    own = {row["track_id"] for row in world.rows if row["label"] == name}
    assert len(own & set(best[: len(own)])) > len(own) ** 2 / len(best)  # better than by chance
    assert ask(f"{served}/api/search?words=")[0] == 400
    example = next(iter(own))
    like = json.loads(ask(f"{served}/api/search?like={example}")[1])["scores"]
    assert example not in like
    assert set(like) < set(scores) | own
    assert ask(f"{served}/api/search?like=/etc/hostname")[0] == 400  # no file of this machine is looked at


def test_the_page_is_served_and_nothing_above_it(world: Explored, served: str) -> None:
    assert ask(f"{served}/")[1] == world.page.read_text()
    assert ask(f"{served}/../labels.parquet")[0] == 404
    assert ask(f"{served}/%2e%2e/labels.parquet")[0] == 404


def test_corrections_are_kept_beside_the_page(world: Explored, served: str) -> None:
    content = {"kind": "corrections", "source": "world", "labels": file_digest(world.labels), "tracks": {}}
    kept = world.page.parent / "corrections.json"
    assert ask(f"{served}/api/corrections", {"kind": "other"})[0] == 400
    assert ask(f"{served}/api/corrections", content, Origin="http://elsewhere.example")[0] == 403
    assert ask(f"{served}/api/corrections", content, Host="elsewhere.example")[0] == 403
    assert ask(f"{served}/api/corrections", content, Content_Type="text/plain")[0] == 404
    assert not kept.exists()
    status, text = ask(f"{served}/api/corrections", content, Origin=served)
    assert (status, json.loads(kept.read_text())) == (200, content)
    assert "clip2 explore --apply" in text
    kept.unlink()


def test_serving_nothing_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="snakemake explorer"):
        make_server(tmp_path, 0)
