"""Make a tiny OWLv2 of transformers' own architecture, its tokenizer cut down to the words it will know.

python -m tools.tiny_models.owl_build data/owl                                       untrained
python -m tools.tiny_models.owl_build data/owl --knowing resources/models/tiny_owl   with what another one knows
"""

import argparse
import json
from pathlib import Path

import torch
from open_clip.tokenizer import SimpleTokenizer, bytes_to_unicode, get_pairs
from safetensors.torch import load_file
from transformers import CLIPTokenizer, Owlv2Config, Owlv2ForObjectDetection, Owlv2ImageProcessor, Owlv2Processor

from tools.tiny_models.vocabulary import true_names

TEXT_LENGTH = 16
TOKENS = "owlv2.text_model.embeddings.token_embedding.weight"
OWL_TEMPLATES = ("{}", "a {}", "a photo of a {}", "an image of a {}")


def _merges_of(words: set[str]) -> list[tuple[str, str]]:
    """CLIP merges that any of the words goes through, in rank order."""
    full = SimpleTokenizer()
    used: set[tuple[str, str]] = set()
    for token in words:
        symbols = [*token[:-1], token[-1] + "</w>"]
        while len(symbols) > 1:
            best = min(get_pairs(tuple(symbols)), key=lambda pair: full.bpe_ranks.get(pair, float("inf")))
            if best not in full.bpe_ranks:
                break
            used.add(best)
            merged, i = [], 0
            while i < len(symbols):
                if i + 1 < len(symbols) and (symbols[i], symbols[i + 1]) == best:
                    merged.append(symbols[i] + symbols[i + 1])
                    i += 2
                else:
                    merged.append(symbols[i])
                    i += 1
            symbols = merged
    return sorted(used, key=full.bpe_ranks.__getitem__)


def build_tokenizer(folder: Path) -> CLIPTokenizer:
    """CLIP's byte-pair tokenizer with the merges of the known words alone."""
    names, _, _ = true_names()
    words = {w for n in names for t in OWL_TEMPLATES for w in t.format(n).split()}
    merges = _merges_of(words)
    letters = list(bytes_to_unicode().values())
    symbols = (
        letters + [s + "</w>" for s in letters] + ["".join(m) for m in merges] + ["<|startoftext|>", "<|endoftext|>"]
    )
    vocabulary = {s: i for i, s in enumerate(dict.fromkeys(symbols))}
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "vocab.json").write_text(json.dumps(vocabulary))
    (folder / "merges.txt").write_text("#version: 0.2\n" + "\n".join(" ".join(m) for m in merges) + "\n")
    return CLIPTokenizer(
        vocab=str(folder / "vocab.json"), merges=str(folder / "merges.txt"), pad_token="!", model_max_length=TEXT_LENGTH
    )


def build_config(vocab_size: int, image_size: int = 512, hidden: int = 192, layers: int = 5) -> Owlv2Config:
    """The tiny model's shape."""
    return Owlv2Config(
        text_config={
            "vocab_size": vocab_size,
            "hidden_size": 128,
            "intermediate_size": 512,
            "num_hidden_layers": 2,
            "num_attention_heads": 4,
            "max_position_embeddings": TEXT_LENGTH,
            "bos_token_id": vocab_size - 2,
            "eos_token_id": vocab_size - 1,
            "pad_token_id": 0,
        },
        vision_config={
            "hidden_size": hidden,
            "intermediate_size": 4 * hidden,
            "num_hidden_layers": layers,
            "num_attention_heads": hidden // 48,
            "image_size": image_size,
            "patch_size": 16,
        },
        projection_dim=128,
    )


def build_processor(tokenizer: CLIPTokenizer, image_size: int) -> Owlv2Processor:
    """Image and text processing for square canvases of ``image_size`` pixels."""
    return Owlv2Processor(
        image_processor=Owlv2ImageProcessor(size={"height": image_size, "width": image_size}), tokenizer=tokenizer
    )


def prompts(names: list[str]) -> list[str]:
    """All training strings: template by template, name by name."""
    return [template.format(name) for template in OWL_TEMPLATES for name in names]


def untrained(config: Owlv2Config) -> Owlv2ForObjectDetection:
    """A model to train from nothing."""
    model = Owlv2ForObjectDetection(config)
    initialise_heads(model)
    return model


@torch.no_grad()
def initialise_heads(model: Owlv2ForObjectDetection) -> None:
    """transformers leaves the heads' weights at N(0, 1), which saturates the boxes and never trains."""
    for head in (model.class_head, model.box_head, model.objectness_head):
        for layer in head.modules():
            if isinstance(layer, torch.nn.Linear):
                layer.weight.normal_(std=layer.in_features**-0.5)
    model.box_head.dense2.weight.mul_(0.1)
    model.objectness_head.dense2.weight.mul_(0.1)
    model.objectness_head.dense2.bias.fill_(-3.0)
    for layer, bias in ((model.class_head.logit_shift, -0.6), (model.class_head.logit_scale, 9.0)):
        layer.weight.mul_(0.05)
        layer.bias.fill_(bias)


@torch.no_grad()
def with_more_words(known: Path, tokenizer: CLIPTokenizer) -> Owlv2ForObjectDetection:
    """The model of a folder, for a tokenizer that knows more: embeddings of the tokens it has go with them."""
    old_words = json.loads((known / "vocab.json").read_text())
    weights = load_file(known / "model.safetensors")
    table = weights[TOKENS].float()
    model = untrained(build_config(len(tokenizer)))
    new = torch.randn(len(tokenizer), table.shape[1]) * table.std()
    for token, number in tokenizer.get_vocab().items():
        if token in old_words:
            new[number] = table[old_words[token]]
    model.load_state_dict({**{name: value.float() for name, value in weights.items()}, TOKENS: new})
    return model


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, help="gets config, processor, tokenizer and weights")
    parser.add_argument("--knowing", type=Path, help="folder of a tiny OWLv2 that knows fewer words")
    args = parser.parse_args()
    torch.manual_seed(0)
    tokenizer = build_tokenizer(args.folder)
    model = with_more_words(args.knowing, tokenizer) if args.knowing else untrained(build_config(len(tokenizer)))
    build_processor(tokenizer, model.config.vision_config.image_size).save_pretrained(args.folder)
    model.save_pretrained(args.folder)
    print(f"{len(tokenizer)} tokens, {sum(p.numel() for p in model.parameters())} parameters")


if __name__ == "__main__":
    main()
