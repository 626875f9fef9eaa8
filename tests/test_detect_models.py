"""Detectors of each family, built small and loaded as a user's would be, against transformers' plain use of them."""

import json
import logging
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from operators import WAITING, Operators
from PIL import Image
from safetensors.torch import load_file, save_file
from torch import Tensor
from transformers import (
    AutoModelForZeroShotObjectDetection,
    AutoProcessor,
    BertTokenizerFast,
    CLIPTokenizerFast,
    DetrImageProcessor,
    GroundingDinoConfig,
    GroundingDinoForObjectDetection,
    GroundingDinoImageProcessor,
    GroundingDinoProcessor,
    OmDetTurboConfig,
    OmDetTurboForObjectDetection,
    OmDetTurboProcessor,
    Owlv2Config,
    Owlv2ForObjectDetection,
    Owlv2ImageProcessor,
    Owlv2Processor,
    OwlViTConfig,
    OwlViTForObjectDetection,
    OwlViTImageProcessor,
    OwlViTProcessor,
)

from clip2.detect.detector import Precision
from clip2.detect.found import Found
from clip2.detect.models import load_detector
from clip2.detect.pixels import SquarePixels, owl_pixels
from clip2.detect.vocabulary import Vocabulary
from clip2.runtime.errors import InputError

CPU = torch.device("cpu")
NAMES = ("car", "traffic cone", "plastic bag", "stroller", "deer")
SIZES = [(90, 160), (160, 90), (120, 120), (37, 53)]  # height, width


def vocabulary(names: tuple[str, ...] = NAMES, synonyms: tuple[tuple[str, int], ...] = ()) -> Vocabulary:
    return Vocabulary(names, (*names, *(s for s, _ in synonyms)), (*range(len(names)), *(n for _, n in synonyms)))


def photo(height: int, width: int, seed: int = 0) -> Tensor:
    """Photo-like: smooth light, hard-edged things, a little noise; (3, H, W) uint8."""
    rng = np.random.default_rng(seed)
    coarse = Image.fromarray(rng.integers(40, 216, (5, 7, 3), dtype=np.uint8)).resize(
        (width, height), Image.Resampling.BICUBIC
    )
    image = np.asarray(coarse).astype(np.int16)
    for _ in range(12):
        y, x = rng.integers(0, height - 4), rng.integers(0, width - 4)
        image[y : y + rng.integers(3, height), x : x + rng.integers(3, width)] = rng.integers(0, 256, 3)
    image = np.clip(image + rng.normal(0, 6, image.shape), 0, 255).astype(np.uint8)
    return torch.from_numpy(image).permute(2, 0, 1)


def clip_tokenizer(folder: Path, length: int) -> CLIPTokenizerFast:
    """CLIP's byte-pair tokenizer without a merge: a token a letter."""
    letters = "abcdefghijklmnopqrstuvwxyz"
    symbols = ["!", *letters, *(letter + "</w>" for letter in letters), "<|startoftext|>", "<|endoftext|>"]
    return CLIPTokenizerFast(
        vocab={symbol: i for i, symbol in enumerate(symbols)}, merges=[], pad_token="!", model_max_length=length
    )


OWL = {"owlv2": (Owlv2Config, Owlv2ForObjectDetection, Owlv2ImageProcessor, Owlv2Processor)}
OWL["owlvit"] = (OwlViTConfig, OwlViTForObjectDetection, OwlViTImageProcessor, OwlViTProcessor)


@pytest.fixture(scope="module", params=["owlv2", "owlvit"])
def owl_folder(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp(request.param)
    make_config, make_model, make_image_processor, make_processor = OWL[request.param]
    length, size = 40, 96
    tokenizer = clip_tokenizer(folder, length)
    end = len(tokenizer) - 1
    layers = {"num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 64}
    text = {"vocab_size": end + 1, "hidden_size": 32, "max_position_embeddings": length, "pad_token_id": 0, **layers}
    config = make_config(
        text_config={**text, "bos_token_id": end - 1, "eos_token_id": end},
        vision_config={"hidden_size": 48, "image_size": size, "patch_size": 16, **layers},
        projection_dim=32,
    )
    torch.manual_seed(0)
    model = make_model(config)
    for name, parameter in model.named_parameters():
        # Fresh towers are so small that all images look alike, fresh OWLv2 heads so large that all saturates.
        parameter.data *= 0.1 if "_head." in name else 1
        parameter.data += 0.1 * torch.randn_like(parameter)
    model.save_pretrained(folder)
    processor = make_image_processor(size={"height": size, "width": size})
    make_processor(image_processor=processor, tokenizer=tokenizer).save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def dino_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("grounding")
    words = ["car", "traffic", "cone", "plastic", "bag", "stroll", "##er", "deer", "##s", "light", ".", "?"]
    (folder / "vocab.txt").write_text("\n".join(["[PAD]", "[UNK]", "[CLS]", "[SEP]", *words]))
    tokenizer = BertTokenizerFast(vocab=str(folder / "vocab.txt"), model_max_length=64)
    ids = tokenizer.get_vocab()
    assert ids["."] < len(ids)
    config = GroundingDinoConfig(
        backbone_config={
            "model_type": "swin", "image_size": 64, "embed_dim": 12, "depths": [1, 1, 1], "num_heads": [1, 2, 2],
            "window_size": 4, "out_features": ["stage2", "stage3"],
        },
        text_config={
            "model_type": "bert", "vocab_size": 1200, "hidden_size": 32, "num_hidden_layers": 1,
            "num_attention_heads": 2, "intermediate_size": 32, "max_position_embeddings": 64,
        },
        d_model=32, encoder_layers=1, decoder_layers=2, encoder_attention_heads=2, decoder_attention_heads=2,
        encoder_ffn_dim=32, decoder_ffn_dim=32, num_queries=20, num_feature_levels=3, max_text_len=24,
        encoder_n_points=2, decoder_n_points=2,
    )  # fmt: skip
    torch.manual_seed(0)
    model = GroundingDinoForObjectDetection(config)
    for parameter in model.parameters():
        parameter.data += 0.05 * torch.randn_like(parameter)
    model.save_pretrained(folder)
    image_processor = GroundingDinoImageProcessor(size={"shortest_edge": 64, "longest_edge": 128})
    GroundingDinoProcessor(image_processor=image_processor, tokenizer=tokenizer).save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def omdet_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A family without a file of its own."""
    folder = tmp_path_factory.mktemp("omdet")
    tokenizer = clip_tokenizer(folder, 77)
    end = len(tokenizer) - 1
    config = OmDetTurboConfig(
        text_config={
            "model_type": "clip_text_model", "vocab_size": end + 1, "hidden_size": 48, "intermediate_size": 32,
            "num_hidden_layers": 1, "num_attention_heads": 2, "projection_dim": 48,
            "bos_token_id": end - 1, "eos_token_id": end, "pad_token_id": 0,
        },
        backbone_config={
            "model_type": "swin", "image_size": 64, "embed_dim": 12, "depths": [1, 1, 1, 1], "num_heads": [1, 2, 2, 2],
            "window_size": 4, "out_features": ["stage2", "stage3", "stage4"],
        },
        text_projection_in_dim=48, text_projection_out_dim=48, class_embed_dim=48, image_size=64, encoder_hidden_dim=32,
        decoder_hidden_dim=32, vision_features_channels=[32, 32, 32], encoder_in_channels=[24, 48, 96],
        encoder_dim_feedforward=32, decoder_dim_feedforward=32, num_queries=20, decoder_num_layers=2,
        decoder_num_heads=2, encoder_attention_heads=2, decoder_num_points=2,
        apply_layernorm_after_vision_backbone=False,
    )  # fmt: skip
    torch.manual_seed(0)
    OmDetTurboForObjectDetection(config).save_pretrained(folder)
    image_processor = DetrImageProcessor(size={"height": 64, "width": 64}, do_pad=False)
    OmDetTurboProcessor(image_processor=image_processor, tokenizer=tokenizer).save_pretrained(folder)
    return folder


def plain(folder: Path) -> tuple[torch.nn.Module, object]:
    return AutoModelForZeroShotObjectDetection.from_pretrained(folder).eval(), AutoProcessor.from_pretrained(folder)


def same(found: Found, result: dict[str, Tensor], labels: Tensor) -> None:
    assert len(found.scores) > 5
    np.testing.assert_allclose(found.scores, result["scores"], atol=1e-3)
    np.testing.assert_allclose(found.boxes, result["boxes"], atol=1e-3 * np.abs(result["boxes"]).max().item())
    np.testing.assert_array_equal(found.labels, labels)


def test_owl_finds_what_transformers_plain_use_finds(owl_folder: Path) -> None:
    detector, spec = load_detector(str(owl_folder), None, CPU)
    assert spec["architecture"] == ("owlv2" if "owlv2" in owl_folder.name else "owlvit")
    detector.encode_vocabulary(vocabulary(), None)
    images = [photo(*size, seed) for seed, size in enumerate(SIZES)]
    model, processor = plain(owl_folder)
    texts = [f"a photo of a {name}" for name in NAMES]
    distinct: set[int] = set()
    for image, found in zip(images, detector(images)()):
        inputs = processor(text=[texts], images=image, return_tensors="pt")
        with torch.inference_mode():
            output = model(**inputs)
        result = processor.post_process_grounded_object_detection(output, threshold=0, target_sizes=[image.shape[1:]])[
            0
        ]
        same(found, result, result["labels"])
        distinct.update(found.labels.tolist())
    assert len(distinct) > 1


def test_a_box_found_by_a_synonym_gets_the_name(owl_folder: Path) -> None:
    detector, _ = load_detector(str(owl_folder), None, CPU)
    image = photo(60, 90)
    detector.encode_vocabulary(vocabulary(("car", "deer", "stag")), "{}")
    apart = detector([image])()[0]
    detector.encode_vocabulary(vocabulary(("car", "deer"), (("stag", 1),)), "{}")
    together = detector([image])()[0]
    np.testing.assert_allclose(together.scores, apart.scores, atol=1e-6)
    np.testing.assert_array_equal(together.labels, np.minimum(apart.labels, 1))


def test_a_vocabulary_longer_than_a_text_batch_is_encoded_whole(owl_folder: Path) -> None:
    letters = "abcdefghijklmnopqrstuvwxyz"
    names = tuple(a + b for a in letters for b in letters)[:300]
    detector, _ = load_detector(str(owl_folder), None, CPU)
    image = photo(60, 90)
    detector.encode_vocabulary(vocabulary(names), None)
    scores = detector([image])()[0].scores
    parts = []
    for start in (0, 150):
        detector.encode_vocabulary(vocabulary(names[start : start + 150]), None)
        parts.append(detector([image])()[0].scores)
    np.testing.assert_allclose(scores, np.maximum(*parts), atol=1e-5)


def test_a_prompt_beyond_the_text_window_is_cut_and_reported(
    owl_folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    detector, _ = load_detector(str(owl_folder), None, CPU)
    detector.encode_vocabulary(vocabulary(("car", "x" * 60)), None)
    assert "1 prompts are longer" in caplog.text
    assert np.isfinite(detector([photo(50, 50)])()[0].scores).all()


@pytest.mark.parametrize("precision", ["bfloat16", "float16"])
def test_half_precision_moves_scores_and_boxes_little(owl_folder: Path, precision: Precision) -> None:
    image = photo(90, 160)
    found = []
    kinds: tuple[Precision, ...] = ("float32", precision)
    for kind in kinds:
        detector, _ = load_detector(str(owl_folder), None, CPU, kind)
        detector.encode_vocabulary(vocabulary(), None)
        found.append(detector([image])()[0])
    tolerance = 0.05 if precision == "bfloat16" else 0.01
    np.testing.assert_allclose(found[1].scores, found[0].scores, atol=tolerance)
    np.testing.assert_allclose(found[1].boxes, found[0].boxes, atol=tolerance * 160)


def test_attention_is_the_fused_one_and_gives_what_the_plain_one_gives(owl_folder: Path) -> None:
    detector, _ = load_detector(str(owl_folder), None, CPU)
    network = detector._network  # type: ignore[attr-defined]
    assert network.base_model.vision_model.config._attn_implementation == "sdpa"
    eager = AutoModelForZeroShotObjectDetection.from_pretrained(owl_folder, attn_implementation="eager").eval()
    pixels = owl_pixels(AutoProcessor.from_pretrained(owl_folder).image_processor, CPU)([photo(60, 90)])
    with torch.inference_mode():
        fused, plain = (model.image_embedder(pixels)[0] for model in (network, eager))
    torch.testing.assert_close(fused, plain, atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("owl_folder", ["owlv2"], indirect=True)  # OWL-ViT goes through transformers' own processor
def test_owlv2_does_nothing_that_the_cpu_would_wait_for(owl_folder: Path) -> None:
    detector, _ = load_detector(str(owl_folder), None, CPU)
    detector.encode_vocabulary(vocabulary(), None)
    images = [photo(90, 60), photo(60, 90), photo(37, 53)]
    with Operators() as operators:
        detector(images)
    assert not WAITING & set(operators.names)


@pytest.mark.parametrize(
    ("height", "width"), [*SIZES, (450, 800), (900, 1600), (480, 640), (96, 96), (2000, 500), (97, 41)]
)
def test_owlv2_pixels_are_those_of_the_models_own_processor(height: int, width: int) -> None:
    processor = Owlv2ImageProcessor(size={"height": 96 if height < 300 else 512, "width": 96 if height < 300 else 512})
    assert SquarePixels.serves(processor)
    image = photo(height, width)
    ours = owl_pixels(processor, CPU)([image])
    theirs = processor(image, return_tensors="pt").pixel_values
    assert ours.shape == theirs.shape
    assert (ours - theirs).abs().max() < 1e-4  # required: 1e-2


def test_pixels_of_a_batch_are_those_of_its_images_alone() -> None:
    pixels = owl_pixels(Owlv2ImageProcessor(size={"height": 64, "width": 64}), CPU)
    images = [photo(*size) for size in SIZES]
    assert torch.equal(pixels(images), torch.cat([pixels([image]) for image in images]))


def test_an_owlv2_processor_with_other_steps_is_used_as_it_is() -> None:
    processor = Owlv2ImageProcessor(size={"height": 64, "width": 64}, do_pad=False)
    assert not SquarePixels.serves(processor)
    image = photo(50, 90)
    assert torch.equal(owl_pixels(processor, CPU)([image]), processor(image, return_tensors="pt").pixel_values)


def test_grounding_dino_finds_what_transformers_plain_use_finds(dino_folder: Path) -> None:
    detector, _ = load_detector(str(dino_folder), None, CPU)
    detector.encode_vocabulary(vocabulary(), None)
    model, processor = plain(dino_folder)
    for seed, size in enumerate(SIZES):
        image = photo(*size, seed)
        found = detector([image])()[0]
        inputs = processor(images=image, text=[list(NAMES)], return_tensors="pt")
        with torch.inference_mode():
            output = model(**inputs)
        result = processor.post_process_grounded_object_detection(output, threshold=0, target_sizes=[image.shape[1:]])[
            0
        ]
        # [CLS] car . traffic cone . plastic bag . stroll ##er . deer . [SEP]
        spans = [[1], [3, 4], [6, 7], [9, 10], [12]]
        assert inputs.input_ids.shape == (1, 15)
        probability = output.logits[0].sigmoid()
        labels = torch.stack([probability[:, span].mean(1) for span in spans], 1).argmax(1)
        same(found, result, labels)


def test_phrases_beyond_the_text_window_get_further_passes(dino_folder: Path) -> None:
    detector, _ = load_detector(str(dino_folder), None, CPU)
    names = (
        "car",
        "traffic cone",
        "plastic bag",
        "stroller",
        "deer",
        "deers",
        "traffic light",
        "plastic cone",
        "light",
        "bag",
    )
    image = photo(60, 90)
    detector.encode_vocabulary(vocabulary(names), None)  # 27 tokens, 24 fit
    found = detector([image])()[0]
    first = vocabulary(names[:8])
    detector.encode_vocabulary(first, None)
    alone = detector([image])()[0]
    assert len(found.scores) == 2 * len(alone.scores)
    np.testing.assert_allclose(found.scores[: len(alone.scores)], alone.scores, atol=1e-5)
    assert set(found.labels[len(alone.scores) :]) <= {8, 9}


def test_remembered_parts_do_not_leak_into_the_next_image(dino_folder: Path) -> None:
    detector, _ = load_detector(str(dino_folder), None, CPU)
    detector.encode_vocabulary(vocabulary(), None)
    images = [photo(60, 90, seed) for seed in range(3)]
    alone = [detector([image])()[0] for image in images]
    for one, other in zip(alone, detector(images)()):
        np.testing.assert_allclose(one.scores, other.scores, atol=1e-4)
    assert not np.allclose(alone[0].scores, alone[1].scores)


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_another_family_goes_through_its_own_processor(omdet_folder: Path, precision: Precision) -> None:
    detector, spec = load_detector(str(omdet_folder), None, CPU, precision)
    assert spec["architecture"] == "omdet-turbo"
    synonyms = ("car", "deer"), (("stag", 1),)
    detector.encode_vocabulary(vocabulary(*synonyms), None)
    images = [photo(60, 90), photo(90, 60)]
    found = detector(images)()
    model, processor = plain(omdet_folder)
    texts = [["car", "deer", "stag"]] * 2
    with torch.inference_mode():
        output = model(**processor(images=images, text=texts, return_tensors="pt"))
    results = processor.post_process_grounded_object_detection(
        output, threshold=0, nms_threshold=1, target_sizes=[(60, 90), (90, 60)]
    )
    for one, result in zip(found, results):
        assert one.boxes.shape == (20, 4)
        assert set(one.labels.tolist()) <= {0, 1}
        if precision == "float32":
            same(one, result, result["labels"].clamp(max=1))


def test_grounding_dino_in_bfloat16(dino_folder: Path) -> None:
    image = photo(60, 90)
    found = []
    kinds: tuple[Precision, ...] = ("float32", "bfloat16")
    for kind in kinds:
        detector, _ = load_detector(str(dino_folder), None, CPU, kind)
        detector.encode_vocabulary(vocabulary(), None)
        found.append(detector([image])()[0])
    # The order of the queries may change with the last bits; what they say as a whole may not.
    np.testing.assert_allclose(np.sort(found[0].scores), np.sort(found[1].scores), atol=0.05)


def test_a_phrase_longer_than_the_window_is_named(dino_folder: Path) -> None:
    detector, _ = load_detector(str(dino_folder), None, CPU)
    with pytest.raises(InputError, match="text window of 24"):
        detector.encode_vocabulary(vocabulary(("car " * 30,)), None)


def test_a_folder_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no such model folder"):
        load_detector(str(tmp_path / "missing"), None, CPU)


def test_a_folder_without_a_model(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"no config\.json"):
        load_detector(str(tmp_path), None, CPU)


def test_a_model_that_is_no_detector(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text('{"model_type": "bert"}')
    with pytest.raises(InputError, match="a bert model, not a zero-shot detector"):
        load_detector(str(tmp_path), None, CPU)


def test_a_detector_without_weights(owl_folder: Path, tmp_path: Path) -> None:
    for file in owl_folder.iterdir():
        if file.suffix == ".json":
            (tmp_path / file.name).write_bytes(file.read_bytes())
    with pytest.raises(InputError, match="needs config, processor and safetensors") as caught:
        load_detector(str(tmp_path), None, CPU)
    assert "\n" not in str(caught.value)


def weights(change: Callable[[dict[str, Tensor]], dict[str, Tensor]]) -> Callable[[Path], None]:
    def rewrite(folder: Path) -> None:
        file = folder / "model.safetensors"
        save_file(change(load_file(file)), file, {"format": "pt"})

    return rewrite


def configuration(change: Callable[[dict[str, Any]], Any]) -> Callable[[Path], None]:
    def rewrite(folder: Path) -> None:
        content = json.loads((folder / "config.json").read_text())
        change(content)
        (folder / "config.json").write_text(json.dumps(content))

    return rewrite


def remove_tokenizer(folder: Path) -> None:
    for name in ("tokenizer.json", "tokenizer_config.json", "vocab.json", "merges.txt"):
        (folder / name).unlink(missing_ok=True)


DAMAGED: dict[str, tuple[Callable[[Path], None], str]] = {
    "heads missing": (
        weights(lambda w: {k: v for k, v in w.items() if not k.startswith("class_head")}),
        r"lacks 6 weights of the model type owlv2 \(class_head",
    ),
    "a prefix": (weights(lambda w: {f"module.{k}": v for k, v in w.items()}), r"lacks .* there are others \(module\."),
    "another family": (configuration(lambda c: c.update(model_type="owlvit")), "lacks .* model type owlvit"),
    "another size": (
        weights(lambda w: w | {"class_head.dense0.bias": torch.zeros(3)}),
        r"class_head.dense0.bias is of size \[3\], but by config.json of",
    ),
    "not finite": (
        weights(lambda w: w | {"layer_norm.bias": w["layer_norm.bias"] * torch.nan}),
        r"1 weights hold .* not finite \(layer_norm.bias\)",
    ),
    "no words": (remove_tokenizer, "has no tokenizer files"),
    "no heads": (configuration(lambda c: c["text_config"].update(num_attention_heads=0)), "division or modulo by zero"),
    "text for a number": (configuration(lambda c: c["text_config"].update(num_hidden_layers="3")), "expected int"),
    "a huge picture": (configuration(lambda c: c["vision_config"].update(image_size=10**9)), "cannot be loaded"),
}


@pytest.mark.parametrize("owl_folder", ["owlv2"], indirect=True)
@pytest.mark.parametrize(("damage", "said"), DAMAGED.values(), ids=DAMAGED)
def test_a_damaged_detector_is_refused_in_one_line(
    owl_folder: Path, tmp_path: Path, damage: Callable[[Path], None], said: str, capfd: pytest.CaptureFixture[str]
) -> None:
    shutil.copytree(owl_folder, tmp_path, dirs_exist_ok=True)
    damage(tmp_path)
    with pytest.raises(InputError, match=said) as caught:
        load_detector(str(tmp_path), None, CPU)
    assert str(caught.value).startswith(str(tmp_path))
    assert "\n" not in str(caught.value)
    assert "REPORT" not in capfd.readouterr().err


@pytest.mark.parametrize("owl_folder", ["owlv2"], indirect=True)
def test_weights_without_a_use_are_told(owl_folder: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    shutil.copytree(owl_folder, tmp_path, dirs_exist_ok=True)
    weights(lambda w: w | {"extra": torch.zeros(1)})(tmp_path)
    with caplog.at_level(logging.WARNING):
        load_detector(str(tmp_path), None, CPU)
    assert "1 weights that the model type owlv2 has no use for (extra)" in caplog.text
