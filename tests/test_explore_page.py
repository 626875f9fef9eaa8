"""The explorer in a browser, from disk: what a person does with it. Skipped loudly where there is no Chromium."""

import json
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from browser import Browser, browser
from explored_world import Explored, explored_world

from clip2.explore.corrections import apply
from clip2.explore.serve import make_server
from clip2.explore.settings import ExplorerSettings
from clip2.explore.stage import Inputs, run
from clip2.store.schemas import LABELS
from clip2.store.tables import iterate_rows, read_header, write_table

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def downloads(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("downloads")


@pytest.fixture(scope="module")
def window(downloads: Path) -> Iterator[Browser]:
    with browser(downloads) as found:
        yield found


@pytest.fixture(scope="module")
def world(window: Browser, tmp_path_factory: pytest.TempPathFactory) -> Explored:
    """Made after the browser: without one, nothing is made."""
    return explored_world(tmp_path_factory.mktemp("explored"))


@pytest.fixture
def page(window: Browser, world: Explored) -> Iterator[Browser]:
    """The page as at a first visit; afterwards, nothing may have gone wrong in it."""
    window.open(world.page.as_uri())
    window.run("localStorage.clear()")
    window.open(world.page.as_uri())
    window.until("CLIP2.state.model")
    yield window
    assert window.errors() == []


def state(page: Browser, key: str) -> Any:
    return page.run(f"return CLIP2.state.{key}")


def text(page: Browser, selector: str) -> str:
    return str(page.run("return document.querySelector(arguments[0])?.textContent ?? ''", selector))


def things_of(world: Explored, scene: str) -> set[str]:
    return {row["track_id"] for row in world.rows if row["scene"] == scene}


def test_it_opens_with_points_boxes_and_pictures(page: Browser, world: Explored) -> None:
    first, second = world.index["scenes"]["name"]
    assert page.run("return document.querySelectorAll('.scene').length") == 2
    assert set(page.run("return [...CLIP2.state.model.things.keys()]")) == things_of(world, first)
    page.until("CLIP2.frames() > 0")
    page.until(
        "[...document.querySelectorAll('.strip img')].every((image) => image.complete && image.naturalWidth > 0)"
    )
    # Boxes are drawn.
    page.until("""(() => { const canvas = document.querySelector('.lines'); return canvas.getContext('2d')
        .getImageData(0, 0, canvas.width, canvas.height).data.some((value) => value > 0); })()""")
    assert page.run("return document.documentElement.scrollWidth <= innerWidth")
    page.press("]")
    page.until(f"CLIP2.state.model.name === {json.dumps(second)}")
    assert set(page.run("return [...CLIP2.state.model.things.keys()]")) == things_of(world, second)


def test_the_points_are_where_the_scan_has_them(page: Browser) -> None:
    """The browser reads what Python packed."""
    found = page.run("""const { samples, boxes } = CLIP2.state.model; const { position, n } = samples[0].cloud;
        const inside = ({ center, size, yaw }) => {
          const [c, s] = [Math.cos(yaw), Math.sin(yaw)];
          const [l, w, h] = size.map((value) => value / 2 + 0.02);
          let count = 0;
          for (let i = 0; i < 3 * n; i += 3) {
            const [x, y, z] = [0, 1, 2].map((k) => position[i + k] - center[k]);
            count += Math.abs(c * x + s * y) <= l && Math.abs(c * y - s * x) <= w && Math.abs(z) <= h;
          }
          return count;
        };
        return boxes.filter((box) => box.sample === 0 && box.points > 20 && box.points < 100)
          .map((box) => [inside(box), box.points])""")
    assert len(found) > 3
    for seen, annotated in found:
        assert seen >= 0.9 * annotated


def test_it_plays_and_steps(page: Browser) -> None:
    page.press(" ")
    page.until("CLIP2.state.sample === 1")
    page.press(" ")
    page.until("!CLIP2.state.playing")
    at = state(page, "sample")
    page.press("ArrowLeft")
    page.until(f"CLIP2.state.sample === {1 - at}")
    page.run("location.hash = location.hash.replace(/sample=./, 'sample=0')")
    page.until("CLIP2.state.sample === 0")
    page.click(".timeline [aria-label='Next key frame']")
    page.until("CLIP2.state.sample === 1")
    assert "2 / 2" in text(page, ".clock")


def test_views_from_above_and_through_a_camera(page: Browser) -> None:
    page.press("t")
    page.until("document.querySelector('.toolbar [aria-pressed=true]').textContent === 'Top'")
    page.press("c")
    page.until("!document.querySelector('.behind').hidden")
    camera = state(page, "view")
    assert page.run("return document.querySelector('.camera[aria-pressed=true]').textContent") == camera
    page.press("o", "v")
    page.until("document.querySelector('.behind').hidden && CLIP2.state.colour === 'height'")


def test_a_box_its_crop_and_its_picture_are_one_thing(page: Browser, world: Explored) -> None:
    # In the picture: the middle of a view's box, the smallest one that is there.
    thing = page.run("""const area = ({ view: { box: [x1, y1, x2, y2] } }) => (x2 - x1) * (y2 - y1);
        const frames = CLIP2.state.model.samples[0].frames;
        const frame = frames.find((f) => f.views.length);
        const { view, thing } = [...frame.views].sort((a, b) => area(a) - area(b))[0];
        const figure = document.querySelectorAll('figure')[frames.indexOf(frame)];
        figure.scrollIntoView({ inline: 'center' });
        const canvas = figure.querySelector('canvas');
        const { left, top, width } = canvas.getBoundingClientRect();
        const [x1, y1, x2, y2] = view.box.map((value) => value * width / frame.width);
        const at = { clientX: left + (x1 + x2) / 2, clientY: top + (y1 + y2) / 2 };
        canvas.dispatchEvent(new MouseEvent('click', at));
        return thing.id""")
    page.until(f"CLIP2.state.thing === {json.dumps(thing)}")
    row = next(row for row in world.rows if row["track_id"] == thing)
    assert text(page, ".inspector h2") == row["label"]
    assert text(page, ".inspector .bar b") == f"{row['names'][0]['probability']:.2f}"
    members = {m["triplet_id"] for m in iterate_rows(world.members) if m["track_id"] == thing}
    assert page.run("return document.querySelectorAll('.view').length") == len(members)
    page.press("Escape")
    page.until("CLIP2.state.thing === null")
    page.click(f".pick[data-id='{thing}']")
    page.until(f"CLIP2.state.thing === {json.dumps(thing)}")


def test_the_picture_that_shows_a_selected_thing_comes_into_sight(page: Browser) -> None:
    thing, camera = page.run("""const frames = CLIP2.state.model.samples[0].frames;
        const frame = [frames[0], frames.at(-1)].find((f) => f.views.some(({ thing }) =>
          thing.views.filter((view) => view.frame.sample === 0).length === 1));
        const { thing } = frame.views.find(({ thing }) =>
          thing.views.filter((view) => view.frame.sample === 0).length === 1);
        return [thing.id, frame.camera]""")
    page.run("document.querySelector(`.pick[data-id='${arguments[0]}']`).click()", thing)
    page.until(f"CLIP2.state.thing === {json.dumps(thing)}")
    page.until(
        """(() => {
      const strip = document.querySelector('.strip').getBoundingClientRect();
      const own = [...document.querySelectorAll('figure')].find((f) => f.textContent.includes('CAMERA'));
      const { left, right } = own.getBoundingClientRect();
      return left >= strip.left - 1 && right <= strip.right + 1;
    })()""".replace("CAMERA", camera)
    )


def test_a_click_in_space_selects_the_box_there(page: Browser) -> None:
    page.press("t")
    # From above nothing else is near to this one.
    thing = page.run("""const boxes = [...CLIP2.state.model.things.values()].flatMap((thing) => thing.boxes.get(0)
          ? [{ id: thing.id, ...thing.boxes.get(0) }] : []);
        const apart = (a, b) => Math.hypot(a.center[0] - b.center[0], a.center[1] - b.center[1])
          > Math.hypot(...a.size) + Math.hypot(...b.size);
        const alone = (box) => boxes.every((other) => other === box || apart(box, other));
        return boxes.find((box) => box.center[2] < 3 && alone(box)).id""")
    page.run("CLIP2.state.thing = arguments[0]", thing)
    page.press("f", "l")  # into the middle; names would lie over it
    frames = page.run("CLIP2.state.thing = null; return CLIP2.frames()")
    page.press("b", "b")
    page.until(f"CLIP2.frames() > {frames}")
    page.until("CLIP2.state.model.things.size && !CLIP2.state.thing && CLIP2.settled()")
    page.click(".lines")
    page.until(f"CLIP2.state.thing === {json.dumps(thing)}")


def test_the_table_sorts_filters_and_searches(page: Browser, world: Explored) -> None:
    labels = {row["track_id"]: row["label"] for row in world.rows}
    page.press("g")
    page.until("document.querySelectorAll('.tr').length > 5")
    page.click(".thead button:nth-child(6)")  # range
    page.until("document.querySelector('.thead [aria-sort=descending]')")
    ranges = page.run("return [...document.querySelectorAll('.tr')].map((r) => parseFloat(r.children[5].textContent))")
    assert ranges == sorted(ranges, reverse=True)
    name = max(set(labels.values()), key=lambda n: (list(labels.values()).count(n), n))
    page.run(
        "[...document.querySelectorAll('.facet')].find((f) => f.children[2].textContent === arguments[0]).click()", name
    )
    wanted = sum(label == name for label in labels.values())
    page.until(f"document.querySelector('.bar-top b').textContent === '{wanted}'")
    page.press("/")
    page.type("no such word")
    page.press("Enter")
    page.until("document.querySelector('.toast.bad')")
    assert "any words can be searched for" in text(page, ".toast")
    page.press("/")
    page.run("document.querySelector('.search input').value = ''")
    page.type(name[:4])
    page.press("ArrowDown", "Enter")
    page.until("CLIP2.state.query")
    assert page.run("return CLIP2.state.query.names.size") >= 1
    assert text(page, ".tr .label").startswith(name)
    page.click(".tr")
    page.until("CLIP2.state.tab === 'scenes' && CLIP2.state.thing")
    assert labels[state(page, "thing")] == name


def test_an_example_is_a_query_from_disk(page: Browser, world: Explored) -> None:
    page.press("j")
    page.until("CLIP2.state.thing")
    thing = state(page, "thing")
    page.press("i")
    page.until("CLIP2.state.query?.kind === 'words' && document.querySelector('.tr')")
    fits = page.run("return [...document.querySelectorAll('.tr')].map((r) => parseFloat(r.children[3].textContent))")
    assert fits[0] > 0.99  # itself
    assert fits == sorted(fits, reverse=True)
    page.press("Enter")  # opens the row that is marked: the first
    page.until(f"CLIP2.state.tab === 'scenes' && CLIP2.state.thing === {json.dumps(thing)}")


def test_a_review_goes_on_in_the_table(page: Browser, world: Explored) -> None:
    page.press("g")
    page.until("document.querySelectorAll('.tr').length > 5")
    page.press("a")
    page.until("document.querySelectorAll('.tr')[1].getAttribute('aria-selected') === 'true'")
    page.press("x")
    page.until("document.querySelectorAll('.tr')[2].getAttribute('aria-selected') === 'true'")
    page.press("r")
    page.until("document.querySelector('.picker[open]')")
    page.type("hover board")
    page.press("Enter")
    page.until("document.querySelector('.progress').textContent.startsWith('3 of')")
    page.until("document.querySelectorAll('.tr .label')[2].textContent === 'hover board'")
    assert page.run("return [...document.querySelectorAll('.tr')].slice(0, 3).map((r) => r.className)") == [
        "tr accepted",
        "tr rejected",
        "tr renamed",
    ]
    assert text(page, ".tr .meter") == "1.00"  # what was accepted is certain


def test_a_view_of_the_results_leads_to_its_thing(page: Browser, world: Explored) -> None:
    page.press("g", "g")
    page.until("document.querySelector('.ends .view')")
    page.run("document.querySelector('.ends .view').scrollIntoView()")
    page.click(".ends .view")
    page.until("CLIP2.state.tab === 'scenes' && CLIP2.state.thing")
    assert page.run("return document.querySelector('.view.here') !== null")


def test_results_show_what_became_of_the_boxes(page: Browser, world: Explored) -> None:
    page.press("g", "g")
    page.until("document.querySelector('.funnel')")
    counts = read_header(world.triplets)["counts"]
    assert f"{counts['triplets']:,}" in text(page, ".funnel")
    assert "below threshold" in text(page, ".funnel")


def test_a_review_is_kept_saved_and_applied(page: Browser, world: Explored, downloads: Path) -> None:
    """Rename, reject, accept, merge and split by keyboard; reload; save; put into the labels."""
    page.run("localStorage.setItem('clip2:auto', 'no')")
    page.press("j")
    page.until("CLIP2.state.thing")
    renamed = state(page, "thing")
    page.press("r")
    page.until("document.querySelector('.picker[open]')")
    page.type("hover board")
    page.press("Enter")
    page.until("document.querySelector('.inspector h2').textContent === 'hover board'")
    page.press("j", "x", "j", "a")
    page.until("document.querySelector('.progress').textContent.startsWith('3 of')")
    accepted = state(page, "thing")
    page.press("j", "x", "z")  # taken back
    page.press("m")
    page.until("document.querySelector('.picker[open] .crop')")
    merged = state(page, "thing")
    page.press("Enter")
    page.until(f"CLIP2.state.thing !== {json.dumps(merged)}")
    into = state(page, "thing")
    assert page.run("return CLIP2.state.model.things.has(arguments[0])", merged) is False

    page.reload()  # the address leads back to the same thing, and nothing is forgotten
    page.until(f"CLIP2.state.model && CLIP2.state.thing === {json.dumps(into)}")
    assert text(page, ".progress .meter").startswith("4 of")
    names = page.run("return [...CLIP2.state.model.things.values()].map((thing) => thing.name)")
    assert "hover board" in names
    page.press("ctrl+s")
    saved = downloads / "corrections.json"
    page.until("document.querySelector('.toast')")
    for _ in range(100):
        if saved.is_file():
            break
        page.until("true")
    out = world.folder / "corrected.parquet"
    counts = apply(world.labels, saved, out)
    assert [counts[key] for key in ("renamed", "accepted", "rejected", "merged")] == [1, 1, 1, 1]
    rows = list(iterate_rows(out))
    assert {row["label"] for row in rows if row["track_id"] == renamed} == {"hover board"}
    assert {row["score"] for row in rows if row["track_id"] == accepted} == {1.0}
    assert not [row for row in rows if row["track_id"] == merged]
    # The page shows what the corrected labels hold.
    shown = page.run("""const { things, samples } = CLIP2.state.model;
        return [...things.values()].filter((thing) => thing.status !== 'rejected').flatMap((thing) =>
          [...thing.boxes.keys()].map((k) => `${thing.id} ${samples[k].id} ${thing.name}`)).sort()""")
    scene = page.run("return CLIP2.state.model.name")
    assert shown == sorted(f"{r['track_id']} {r['sample']} {r['label']}" for r in rows if r["scene"] == scene)


def test_a_split_thing_is_two(page: Browser) -> None:
    page.press("ArrowRight")
    page.run("localStorage.setItem('clip2:auto', 'no')")
    page.until("CLIP2.state.sample === 1")
    thing = page.run(
        "return [...CLIP2.state.model.things.values()].find((t) => t.boxes.size === 2 && t.views.length).id"
    )
    page.click(f".pick[data-id='{thing}']")
    page.press("s")
    page.until(f"CLIP2.state.thing === {json.dumps(thing + '~2')}")
    sizes = page.run(
        "return [arguments[0], arguments[0] + '~2'].map((id) => CLIP2.state.model.things.get(id).boxes.size)", thing
    )
    assert sizes == [1, 1]


def test_dark_light_and_what_the_system_wishes(page: Browser) -> None:
    theme = "return document.documentElement.dataset.theme"
    first = page.run(theme)
    page.press("d")
    page.until(f"document.documentElement.dataset.theme !== '{first}'")
    page.reload()
    page.until("CLIP2.state.model")
    assert page.run(theme) != first


def test_names_that_mean_harm_are_shown_as_they_are(window: Browser, world: Explored, tmp_path: Path) -> None:
    harm = "<img src=x onerror='globalThis.harmed = true'>"
    rows = [row | {"label": harm, "names": [{"name": harm, "probability": 1.0}]} for row in world.rows]
    write_table(tmp_path / "labels.parquet", rows, LABELS, read_header(world.labels))
    few = ExplorerSettings(max_points=100, picture_width=64)
    run(Inputs(tmp_path / "labels.parquet", [world.frames]), world.root, tmp_path / "index.html", few)
    window.open((tmp_path / "index.html").as_uri())
    window.until("CLIP2.state.model")
    window.press("j")
    window.until("document.querySelector('.inspector h2')?.textContent.startsWith('<img')")
    window.press("g")
    window.until("document.querySelector('.tr')")
    assert window.run("return globalThis.harmed ?? null") is None
    assert window.errors() == []


def test_served_it_finds_any_words_and_keeps_corrections(window: Browser, world: Explored) -> None:
    with make_server(world.page.parent, 0, "cpu") as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            window.open(f"http://127.0.0.1:{server.server_port}/")
            window.until("CLIP2.state.model")
            window.press("/")
            window.type("something red")
            window.press("Enter")
            window.until("CLIP2.state.query?.kind === 'words' && document.querySelector('.tr')")
            assert text(window, ".bar-top b") == str(len({row["track_id"] for row in world.rows}))
            window.click(".tr")
            window.until("CLIP2.state.thing")
            window.press("a")
            window.press("ctrl+s")
            window.until("document.querySelector('.toast')?.textContent.startsWith('Saved as')")
        finally:
            server.shutdown()
            thread.join()
    kept = json.loads((world.page.parent / "corrections.json").read_text())
    assert [entry["status"] for entry in kept["tracks"].values()] == ["accepted"]


def test_a_missing_data_folder_is_told(window: Browser, world: Explored, tmp_path: Path) -> None:
    (tmp_path / "index.html").write_text(world.page.read_text())
    window.open((tmp_path / "index.html").as_uri())
    window.until("document.querySelector('.notice.bad')")
    assert "data/scenes/0.js cannot be read" in text(window, ".notice")
