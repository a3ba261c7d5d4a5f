"""Writes models of a few kilobytes with random weights, to be run by real engines.

    python tests/tiny_models.py whisper|vosk|piper|llama FOLDER
    python tests/tiny_models.py recordings FOLDER SENTENCE…

What they say is nonsense, but for the voice of recordings, which says the sentences that it was
given and hums everything else, and for vosk, which hears whether somebody speaks; loading,
streaming and timing are the engine's. It runs with the Python of the engines (hack/engines), which
has their libraries.
"""

import json
import string
import struct
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np

WIDTH, HEADS, MELS = 32, 2, 80
LANGUAGES = ("en", "de")
RECORDED_RATE = 22050  # espeak-ng's


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


# Two phones, silence and speech; each has a state, and each state a density.
_TRANSITIONS = """<TransitionModel> <Topology>
<TopologyEntry>
<ForPhones> 1 2 </ForPhones>
<State> 0 <PdfClass> 0 <Transition> 0 0.5 <Transition> 1 0.5 </State>
<State> 1 </State>
</TopologyEntry>
</Topology>
<Triples> 2
1 0 0
2 0 1
</Triples>
<LogProbs> [ 0 -0.693147 -0.693147 -0.693147 -0.693147 ]
</LogProbs> </TransitionModel>
"""
# Kaldi's text form wants the blank behind <Nnet3>. Speech is likelier the louder it is (C0).
_NETWORK = """<Nnet3>\x20
input-node name=input dim=13
component-node name=affine component=affine input=input
output-node name=output input=affine objective=linear

<NumComponents> 1
<ComponentName> affine <FixedAffineComponent> <LinearParams>  [
  0 0 0 0 0 0 0 0 0 0 0 0 0
  0.3 0 0 0 0 0 0 0 0 0 0 0 0 ]
<BiasParams>  [ 0 -6 ]
</FixedAffineComponent>
</Nnet3>
<LeftContext> 0 <RightContext> 0 <Priors>  [ ]
"""
_MFCC = {"sample-frequency": 16000, "use-energy": "false", "num-ceps": 13, "num-mel-bins": 23}
_DECODING = {
    "min-active": 1, "max-active": 100, "beam": 20, "lattice-beam": 6, "acoustic-scale": 1,
    "frame-subsampling-factor": 1, "endpoint.silence-phones": 1,
}  # fmt: skip


def vosk(folder: Path) -> None:
    """A Kaldi model in its text form that knows one word, `speech`."""
    for name in ("am", "conf", "graph"):
        (folder / name).mkdir(parents=True, exist_ok=True)
    (folder / "am" / "final.mdl").write_text(_TRANSITIONS + _NETWORK)
    for file, options in (("mfcc", {**_MFCC, "dither": 0}), ("model", _DECODING)):
        lines = "".join(f"--{name}={value}\n" for name, value in options.items())
        (folder / "conf" / f"{file}.conf").write_text(lines)
    (folder / "graph" / "words.txt").write_text("<eps> 0\nspeech 1\n")
    # Transitions in, words out: 3 and 4 are speech's (again, on), 1 and 2 silence's.
    graph = [
        [(3, 1, 2.0, 1), (1, 0, 0.0, 2)],
        [(3, 0, 0.0, 1), (4, 0, 0.0, 0)],
        [(1, 0, 0.0, 2), (2, 0, 0.0, 0)],
    ]
    (folder / "graph" / "HCLG.fst").write_bytes(_fst(graph))


def _fst(graph: list[list[tuple[int, int, float, int]]]) -> bytes:
    """OpenFst's binary VectorFst of StdArcs; it begins and ends in state 0."""
    text = b"".join(struct.pack("<i", len(word)) + word for word in (b"vector", b"standard"))
    arcs = sum(len(state) for state in graph)
    parts = [struct.pack("<i", 2125659606), text, struct.pack("<iiQqqq", 2, 0, 3, 0, 3, arcs)]
    for number, state in enumerate(graph):
        parts.append(struct.pack("<fq", float("inf") if number else 0.0, len(state)))
        parts += [struct.pack("<iifi", *arc) for arc in state]
    return b"".join(parts)


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
    symbols = "_^$ !'(),-.:;?abcdefghijklmnopqrstuvwxyz"
    (folder / "hum.onnx.json").write_text(json.dumps(_voice_settings(symbols, 16000)))


def _voice_settings(symbols: str, rate: int) -> dict[str, Any]:
    return {
        "audio": {"sample_rate": rate},
        "espeak": {"voice": "en-us"},
        "phoneme_type": "text",
        "num_symbols": len(symbols),
        "num_speakers": 1,
        "phoneme_id_map": {symbol: [n] for n, symbol in enumerate(symbols)},
    }


def recordings(folder: Path, sentences: list[str]) -> None:
    """A voice that plays a recording of espeak-ng for each sentence, known by a weighted sum of its
    phonemes, and a hum for any other.
    """
    import onnx
    from onnx import TensorProto, helper, numpy_helper

    folder.mkdir(parents=True, exist_ok=True)
    symbols = "_^$" + "".join(c for c in string.printable if c.isprintable() and c not in "_^$")
    weights = np.random.default_rng(1).integers(1, 1 << 40, 4096, np.int64)
    sounds = [_hum(), *(_spoken(sentence) for sentence in sentences)]
    keys = [0, *(_key(sentence, symbols, weights) for sentence in sentences)]
    ends = np.cumsum([len(sound) for sound in sounds])
    constants = {
        "weights": weights,
        "sounds": np.concatenate(sounds),
        "keys": np.array(keys, np.int64),
        "starts": np.array([0, *ends[:-1]], np.int64),
        "ends": np.array(ends, np.int64),
        "zero": np.array([0], np.int64),
        "line": np.array([-1], np.int64),
        "shape": np.array([1, 1, 1, -1], np.int64),
    }
    nodes = [
        helper.make_node("Slice", ["weights", "zero", "input_lengths"], ["own_weights"]),
        helper.make_node("Reshape", ["input", "line"], ["phonemes"]),
        helper.make_node("Mul", ["phonemes", "own_weights"], ["parts"]),
        helper.make_node("ReduceSum", ["parts"], ["key"], keepdims=1),
        helper.make_node("Equal", ["keys", "key"], ["same"]),
        helper.make_node("Cast", ["same"], ["hit"], to=TensorProto.FLOAT),
        helper.make_node("ArgMax", ["hit"], ["number"], axis=0, keepdims=1),
        helper.make_node("Gather", ["starts", "number"], ["start"]),
        helper.make_node("Gather", ["ends", "number"], ["end"]),
        helper.make_node("Slice", ["sounds", "start", "end"], ["sound"]),
        helper.make_node("Reshape", ["sound", "shape"], ["output"]),
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
        [numpy_helper.from_array(value, name) for name, value in constants.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 15)], ir_version=8)
    onnx.save(model, str(folder / "recordings.onnx"))
    settings = json.dumps(_voice_settings(symbols, RECORDED_RATE))
    (folder / "recordings.onnx.json").write_text(settings)


def _key(sentence: str, symbols: str, weights: Any) -> int:
    """As Piper lines phonemes up: a beginning, the letters with blanks between, an end."""
    ids = [symbols.index("^"), 0]
    for letter in sentence:
        ids += [symbols.index(letter), 0]
    ids.append(symbols.index("$"))
    return int(np.dot(np.array(ids, np.int64), weights[: len(ids)]))


def _spoken(sentence: str) -> Any:
    """espeak-ng's sound, -1 to 1. The header's lengths are not filled in by a pipe."""
    command = ["espeak-ng", "-v", "en-us", "-s", "165", "-b", "1", "--stdin", "--stdout"]
    done = subprocess.run(command, input=sentence.encode(), capture_output=True, check=True)
    assert int.from_bytes(done.stdout[24:28], "little") == RECORDED_RATE
    body = done.stdout[44:]
    return np.frombuffer(body[: len(body) & ~1], "<i2").astype(np.float32) / 32768


def _hum() -> Any:
    at = np.arange(RECORDED_RATE // 2, dtype=np.float32) / RECORDED_RATE
    return 0.3 * np.sin(2 * np.pi * 200 * at)


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
    kind, into = sys.argv[1], Path(sys.argv[2])
    if kind == "recordings":
        recordings(into, sys.argv[3:])
    else:
        {"whisper": whisper, "vosk": vosk, "piper": piper, "llama": llama}[kind](into)
