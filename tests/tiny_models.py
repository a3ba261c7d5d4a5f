"""Writes models of a few kilobytes with random weights, to be run by real engines.

    python tests/tiny_models.py whisper|piper|llama FOLDER

What they say is nonsense; loading, streaming and timing are the engine's. It runs with the Python
of the engines (hack/engines), which has their libraries.
"""

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np

WIDTH, HEADS, MELS = 32, 2, 80
LANGUAGES = ("en", "de")


def whisper(folder: Path) -> None:
    """A Whisper of one layer each in CTranslate2's format, with a tokenizer of letters."""
    from ctranslate2.specs import whisper_spec

    folder.mkdir(parents=True, exist_ok=True)
    words = _tokenizer(folder)
    spec: Any = whisper_spec.WhisperSpec(1, HEADS, 1, HEADS)
    random = np.random.default_rng(1)
    for name, shape in _required(1500, len(words)).items():
        weights = np.ones(shape) if "gamma" in name else 0.5 * random.standard_normal(shape)
        _set(spec, name, weights.astype(np.float32))
    spec.register_vocabulary(words)
    ids = {word: number for number, word in enumerate(words)}
    spec.config.suppress_ids = [-1]
    spec.config.suppress_ids_begin = [ids["<|endoftext|>"]]
    spec.config.lang_ids = [ids[f"<|{name}|>"] for name in LANGUAGES]
    spec.config.alignment_heads = [(0, 0)]
    spec.validate()
    spec.save(str(folder))
    (folder / "preprocessor_config.json").write_text(json.dumps({"feature_size": MELS}))


def _required(encoder: int, words: int) -> dict[str, tuple[int, ...]]:
    """The variables of encoder and decoder, with their shapes."""
    norm = ("layer_norm/gamma", "layer_norm/beta")
    own = {"self_attention/linear_0/weight": (3 * WIDTH, WIDTH)}
    own["self_attention/linear_1/weight"] = (WIDTH, WIDTH)
    feed = {"ffn/linear_0/weight": (4 * WIDTH, WIDTH), "ffn/linear_1/weight": (WIDTH, 4 * WIDTH)}
    cross = {
        "attention/linear_0/weight": (WIDTH, WIDTH),
        "attention/linear_1/weight": (2 * WIDTH, WIDTH),
        "attention/linear_2/weight": (WIDTH, WIDTH),
    }
    layer: dict[str, tuple[int, ...]] = {**own, **feed}
    layer |= {f"{part}/{end}": (WIDTH,) for part in ("self_attention", "ffn") for end in norm}
    decoder = {**layer, **cross, **{f"attention/{end}": (WIDTH,) for end in norm}}
    return {
        "encoder/conv1/weight": (WIDTH, MELS, 3), "encoder/conv1/bias": (WIDTH,),
        "encoder/conv2/weight": (WIDTH, WIDTH, 3), "encoder/conv2/bias": (WIDTH,),
        "encoder/position_encodings/encodings": (encoder, WIDTH),
        **{f"encoder/{end}": (WIDTH,) for end in norm},
        **{f"encoder/layer_0/{name}": shape for name, shape in layer.items()},
        "decoder/embeddings/weight": (words, WIDTH), "decoder/projection/weight": (words, WIDTH),
        "decoder/position_encodings/encodings": (448, WIDTH),
        **{f"decoder/{end}": (WIDTH,) for end in norm},
        **{f"decoder/layer_0/{name}": shape for name, shape in decoder.items()},
    }  # fmt: skip


def _set(spec: Any, path: str, value: Any) -> None:
    *parts, last = path.split("/")
    for part in parts:
        name, _, number = part.rpartition("_")
        held = getattr(spec, part, None)
        spec = getattr(spec, name)[int(number)] if held is None else held
    setattr(spec, last, value)


def _tokenizer(folder: Path) -> list[str]:
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers

    letters = sorted(pre_tokenizers.ByteLevel.alphabet())
    special = [
        "<|endoftext|>", "<|startoftranscript|>", *(f"<|{name}|>" for name in LANGUAGES),
        "<|translate|>", "<|transcribe|>", "<|startoflm|>", "<|startofprev|>", "<|nospeech|>",
        "<|notimestamps|>", *(f"<|{n * 0.02:.2f}|>" for n in range(1501)),
    ]  # fmt: skip
    tokenizer = Tokenizer(models.BPE({letter: n for n, letter in enumerate(letters)}, []))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.add_special_tokens(special)
    tokenizer.save(str(folder / "tokenizer.json"))
    return [*letters, *special]


def piper(folder: Path) -> None:
    """A voice that hums: for each phoneme a tone whose pitch is the phoneme's number."""
    import onnx
    from onnx import TensorProto, helper, numpy_helper

    folder.mkdir(parents=True, exist_ok=True)
    ramp = (np.arange(1024, dtype=np.float32) * 2 * np.pi * 25 / 16000)[None, :]
    nodes = [
        helper.make_node("Cast", ["input"], ["numbers"], to=TensorProto.FLOAT),
        helper.make_node("Reshape", ["numbers", "column"], ["pitch"]),
        helper.make_node("Mul", ["pitch", "ramp"], ["phase"]),
        helper.make_node("Sin", ["phase"], ["tones"]),
        helper.make_node("Reshape", ["tones", "line"], ["output"]),
    ]
    graph = helper.make_graph(
        nodes,
        "voice",
        [
            helper.make_tensor_value_info("input", TensorProto.INT64, [1, "phonemes"]),
            helper.make_tensor_value_info("input_lengths", TensorProto.INT64, [1]),
            helper.make_tensor_value_info("scales", TensorProto.FLOAT, [3]),
        ],
        [helper.make_tensor_value_info("output", TensorProto.FLOAT, [1, 1, 1, "samples"])],
        [
            numpy_helper.from_array(ramp, "ramp"),
            numpy_helper.from_array(np.array([-1, 1], np.int64), "column"),
            numpy_helper.from_array(np.array([1, 1, 1, -1], np.int64), "line"),
        ],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 15)], ir_version=8)
    onnx.save(model, str(folder / "hum.onnx"))
    symbols = {symbol: [n] for n, symbol in enumerate("_^$ !'(),-.:;?abcdefghijklmnopqrstuvwxyz")}
    settings = {
        "audio": {"sample_rate": 16000},
        "espeak": {"voice": "en-us"},
        "phoneme_type": "text",
        "num_symbols": len(symbols),
        "num_speakers": 1,
        "phoneme_id_map": symbols,
    }
    (folder / "hum.onnx.json").write_text(json.dumps(settings))


def llama(folder: Path) -> None:
    """A Llama of one layer as GGUF, with a vocabulary of letters."""
    import gguf

    folder.mkdir(parents=True, exist_ok=True)
    random = np.random.default_rng(1)
    tokens = ["<unk>", "<s>", "</s>", *(f"<0x{n:02X}>" for n in range(256)), "▁", *"abcdefghij"]
    kinds = [gguf.TokenType.UNKNOWN, gguf.TokenType.CONTROL, gguf.TokenType.CONTROL]
    kinds += [gguf.TokenType.BYTE] * 256 + [gguf.TokenType.NORMAL] * (len(tokens) - 259)
    writer = gguf.GGUFWriter(str(folder / "tiny.gguf"), "llama")
    writer.add_context_length(2048)
    writer.add_embedding_length(WIDTH)
    writer.add_block_count(1)
    writer.add_feed_forward_length(4 * WIDTH)
    writer.add_head_count(HEADS)
    writer.add_head_count_kv(HEADS)
    writer.add_layer_norm_rms_eps(1e-5)
    writer.add_rope_dimension_count(WIDTH // HEADS)
    writer.add_vocab_size(len(tokens))
    writer.add_tokenizer_model("llama")
    writer.add_token_list(tokens)
    writer.add_token_scores([-float(n) for n in range(len(tokens))])
    writer.add_token_types(kinds)
    writer.add_bos_token_id(1)
    writer.add_eos_token_id(2)
    shapes = {
        "token_embd": (len(tokens), WIDTH), "output_norm": (WIDTH,),
        "output": (len(tokens), WIDTH), "blk.0.attn_norm": (WIDTH,),
        "blk.0.attn_q": (WIDTH, WIDTH), "blk.0.attn_k": (WIDTH, WIDTH),
        "blk.0.attn_v": (WIDTH, WIDTH), "blk.0.attn_output": (WIDTH, WIDTH),
        "blk.0.ffn_norm": (WIDTH,), "blk.0.ffn_gate": (4 * WIDTH, WIDTH),
        "blk.0.ffn_up": (4 * WIDTH, WIDTH), "blk.0.ffn_down": (WIDTH, 4 * WIDTH),
    }  # fmt: skip
    for name, shape in shapes.items():
        weights = np.ones(shape) if "norm" in name else 0.5 * random.standard_normal(shape)
        writer.add_tensor(f"{name}.weight", weights.astype(np.float32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


if __name__ == "__main__":
    {"whisper": whisper, "piper": piper, "llama": llama}[sys.argv[1]](Path(sys.argv[2]))
