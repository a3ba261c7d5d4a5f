"""Whether a model is in the form that an engine opens: seen from names and first bytes.

whisper   CTranslate2: model.bin, config.json and a vocabulary, without which 4.8 loads nothing,
          and tokenizer.json, which faster-whisper would download, and a pod may not
vosk      Kaldi: am/final.mdl, conf/model.conf and a graph, or final.mdl in older models
          (alphacephei.com/vosk/models)
llamacpp  one file that begins with GGUF (github.com/ggml-org/ggml, docs/gguf.md)
piper     one .onnx with its .onnx.json beside it (github.com/OHF-Voice/piper1-gpl)
vllm      a folder in Hugging Face's form with config.json, in Mistral's with params.json, or a GGUF
"""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final

from callfleet_agent.services.models.errors import ModelError

_GGUF: Final = b"GGUF"


def fit(path: Path, engine: str) -> None:
    """`path` is what the engine opens.

    Raises:
        ModelError: Unfit, what is missing; NotFound, nothing is there.
    """
    if not path.exists():
        raise ModelError("NotFound", f"the model has no {path.name}")
    missing = FORMS[engine](path)
    if missing:
        raise ModelError("Unfit", f"{engine} opens {missing}")


def _whisper(path: Path) -> str:
    vocabularies = ("vocabulary.json", "vocabulary.txt")
    lacks = _lacks(path, ("model.bin",), ("config.json",), ("tokenizer.json",), vocabularies)
    return f"a folder in CTranslate2's form, and {lacks} is not in it" if lacks else ""


def _vosk(path: Path) -> str:
    if (path / "final.mdl").is_file():
        return ""
    graphs = ("graph/HCLG.fst", "graph/HCLr.fst")
    lacks = _lacks(path, ("am/final.mdl",), ("conf/model.conf",), graphs)
    return f"a folder in Kaldi's form, and {lacks} is not in it" if lacks else ""


def _llamacpp(path: Path) -> str:
    return "" if _is_gguf(path) else f"a file in GGUF's form, and {path.name} is none"


def _piper(path: Path) -> str:
    if not path.is_file():
        return f"one .onnx file, and {path.name} is a folder"
    beside = f"{path.name}.json"
    if path.with_name(beside).is_file():
        return ""
    return f"a voice of two files, and {beside} is not beside {path.name}"


def _vllm(path: Path) -> str:
    if _is_gguf(path) or any((path / name).is_file() for name in ("config.json", "params.json")):
        return ""
    return "a folder in Hugging Face's form, and config.json is not in it"


def _lacks(path: Path, *wanted: tuple[str, ...]) -> str:
    """The first of what is wanted of which no name is there."""
    for names in wanted:
        if not any((path / name).is_file() for name in names):
            return " or ".join(names)
    return ""


def _is_gguf(path: Path) -> bool:
    if not path.is_file():
        return False
    with path.open("rb") as file:
        return file.read(len(_GGUF)) == _GGUF


FORMS: Final[Mapping[str, Callable[[Path], str]]] = {
    "whisper": _whisper,
    "vosk": _vosk,
    "llamacpp": _llamacpp,
    "piper": _piper,
    "vllm": _vllm,
}
