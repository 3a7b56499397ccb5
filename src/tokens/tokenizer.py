"""The encoder's tokenizer, loaded right and checked against SentencePiece.

``AutoTokenizer`` is not used: transformers 5 rebuilds ViSoBERT's BPE as a Unigram model and silently returns other ids.
A :class:`tokenizers.Tokenizer` does every step here: it normalises to NFC, parses no special token out of a review,
truncates, never pads, and is saved as one JSON string into checkpoints and bundles, so training and prediction
cannot differ.
"""

import json
from array import array
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers

from ..data.nfc import composed
from ..errors import UserError
from .beginning import beginning

SPECIAL = ("<s>", "<pad>", "</s>", "<unk>")  # ids 0..3, the order of XLM-R and ViSoBERT
MASK = "<mask>"
SENTENCEPIECE = "sentencepiece.bpe.model"  # the XLM-R family's file name, whatever kind of model is in it
PAD_ID = 1
LARGEST = 200_000_000  # bytes of a tokenizer.json; XLM-R's has 17 million

# Diacritics, teencode, emoji, digits, punctuation, literal special tokens, spaces in excess: a tokenizer that agrees
# with SentencePiece on these was built from the same model.
PROBES = (
    "Máy đẹp, pin trâu nhưng camera hơi kém 😍😍",
    "shop giao hàng nhanh, đóng gói kĩ... 10 điểm!!!",
    "Mình xài đc 2 tháng thì loa bị rè :(( ko biết bh có đổi k nữa",
    "MÀN HÌNH 120HZ MƯỢT, giá 5.990.000đ quá hời",
    "  hai   khoảng  trắng ",
    "<s> không phải token </s> <mask>",
    "ｆｕｌｌｗｉｄｔｈ ½ ™ 👍🏻 ❤️",
)


def load_tokenizer(folder: Path, max_length: int) -> Tokenizer:
    """The tokenizer of an encoder's folder, from its ``tokenizer.json`` or else its SentencePiece ``.model``.

    Where both are there they must give the same ids. Raises UserError when they do not, when neither is there, and for
    a file that is no tokenizer.
    """
    spm_file = folder / SENTENCEPIECE
    json_file = folder / "tokenizer.json"
    if json_file.is_file():
        if (size := json_file.stat().st_size) > LARGEST:
            raise UserError(f"{json_file}: {size:,} bytes are no tokenizer; {LARGEST:,} at most are read")
        try:
            tokenizer = Tokenizer.from_file(str(json_file))
        except Exception as error:  # the library raises nothing more precise
            raise UserError(f"{json_file}: not a tokenizer ({error})") from error
    elif spm_file.is_file():
        tokenizer = from_sentencepiece(spm_file)
    else:
        raise UserError(
            f"{folder}: no tokenizer.json and no {SENTENCEPIECE} in it; "
            "model.encoder needs a folder that holds one of them"
        )
    if spm_file.is_file():
        _check_against(spm_file, tokenizer, json_file if json_file.is_file() else spm_file)
    return prepare(tokenizer, max_length)


def prepare(tokenizer: Tokenizer, max_length: int) -> Tokenizer:
    """Set everything that a file may have set otherwise: NFC first, truncation to ``max_length``, no padding."""
    own = json.loads(tokenizer.to_str())["normalizer"] or {}
    if own.get("normalizers", [{}])[0].get("type") != "NFC":
        rest = [tokenizer.normalizer] if own else []
        tokenizer.normalizer = normalizers.Sequence([normalizers.NFC(), *rest])
    tokenizer.no_padding()
    tokenizer.enable_truncation(max_length)
    tokenizer.encode_special_tokens = True  # a literal "</s>" in a review is text, as it is for SentencePiece
    return tokenizer


def from_json(text: str, max_length: int) -> Tokenizer:
    """The tokenizer that a checkpoint carries. ``encode_special_tokens`` is not part of the JSON, so it is set anew.

    Raises UserError for a text that is no tokenizer.
    """
    try:
        tokenizer = Tokenizer.from_str(text)
    except Exception as error:  # the library raises nothing more precise
        raise UserError(f"not a tokenizer ({str(error)[:200]})") from error
    return prepare(tokenizer, max_length)


def from_sentencepiece(model_file: Path) -> Tokenizer:
    """Build the tokenizer of the XLM-R family from a SentencePiece model, BPE (ViSoBERT) or Unigram (XLM-R).

    Ids are fairseq's: ``<s> <pad> </s> <unk>``, then SentencePiece's pieces from its fourth on, then ``<mask>``. Raises
    UserError for a file that is no SentencePiece model.
    """
    from sentencepiece import sentencepiece_model_pb2

    spm: Any = sentencepiece_model_pb2  # generated code, without types

    proto = spm.ModelProto()
    try:
        proto.ParseFromString(model_file.read_bytes())
        pieces = [(p.piece, p.score) for p in proto.pieces][3:]
    except Exception as error:
        raise UserError(f"{model_file}: not a SentencePiece model ({error})") from error
    vocab = [(s, 0.0) for s in SPECIAL] + pieces + [(MASK, 0.0)]
    bpe = proto.trainer_spec.model_type == spm.TrainerSpec.BPE
    if bpe:
        ids = {piece: i for i, (piece, _) in enumerate(vocab)}
        model: Any = models.BPE(ids, _merges(pieces), unk_token="<unk>", fuse_unk=True)
    else:
        model = models.Unigram(vocab, unk_id=SPECIAL.index("<unk>"), byte_fallback=False)
    tokenizer = Tokenizer(model)
    collapse = normalizers.Replace(Regex(" {2,}"), " ")
    charsmap = proto.normalizer_spec.precompiled_charsmap
    first = [normalizers.Precompiled(charsmap)] if charsmap else []
    tokenizer.normalizer = normalizers.Sequence([*first, normalizers.Strip(), collapse])
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace()
    tokenizer.decoder = decoders.Metaspace()
    _add_special(tokenizer)
    return tokenizer


def train_tokenizer(texts: Iterable[str], vocab_size: int, max_length: int) -> Tokenizer:
    """A BPE tokenizer of the training texts, for an encoder without pre-training; equal texts give equal tokenizers.

    Lower case, because a few thousand reviews are too few to learn each word twice. Characters that the texts do not
    hold fall back to bytes, so no review turns into ``<unk>``.
    """
    tokenizer = Tokenizer(models.BPE(unk_token="<unk>", fuse_unk=True, byte_fallback=True))
    collapse = normalizers.Replace(Regex(r"\s+"), " ")
    tokenizer.normalizer = normalizers.Sequence(
        [normalizers.NFC(), normalizers.NFKC(), normalizers.Lowercase(), normalizers.Strip(), collapse]
    )
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.Metaspace(), pre_tokenizers.Digits(individual_digits=True), pre_tokenizers.Punctuation()]
    )
    tokenizer.decoder = decoders.Sequence([decoders.ByteFallback(), decoders.Metaspace()])
    bytes_ = [f"<0x{b:02X}>" for b in range(256)]
    trainer = trainers.BpeTrainer(
        vocab_size=vocab_size, special_tokens=[*SPECIAL, *bytes_, MASK], min_frequency=2, show_progress=False
    )
    tokenizer.train_from_iterator(texts, trainer)
    state = json.loads(
        tokenizer.to_str()
    )  # the bytes must be ordinary tokens: as special ones, fallback does not find them
    state["added_tokens"] = [t for t in state["added_tokens"] if t["content"] not in set(bytes_)]
    tokenizer = Tokenizer.from_str(json.dumps(state))
    _add_special(tokenizer)
    return prepare(tokenizer, max_length)


def encode(
    tokenizer: Tokenizer, texts: Sequence[str], chunk: int = 2_000, *, compact: bool = True
) -> tuple[np.ndarray, np.ndarray]:
    """Token ids of all texts in one flat array.

    Returns (ids uint16 [sum of lengths], int32 where the vocabulary has larger ids or ``compact`` is false; offsets
    int64 [N + 1]): review ``i`` is ``ids[offsets[i]:offsets[i + 1]]``.
    """
    # get_vocab copies the vocabulary, slower than encoding one review: callers with single reviews pass compact=False
    small = compact and max(tokenizer.get_vocab().values()) < 2**16
    ids, offsets = array("H" if small else "i"), array("q", [0])  # they grow in place, without a second copy
    for start in range(0, len(texts), chunk):
        for encoding in tokenizer.encode_batch_fast([beginning(tokenizer, t) for t in texts[start : start + chunk]]):
            ids.fromlist(encoding.ids)
            offsets.append(len(ids))
    return np.asarray(ids), np.asarray(offsets)


def spans(tokenizer: Tokenizer, text: str) -> list[tuple[int, int]]:
    """Where each token but the special ones begins and ends, in characters of the text's NFC form.

    Raises UserError as :func:`check_texts` does.
    """
    check_texts([text])
    text = composed(text)
    encoding = tokenizer.encode(beginning(tokenizer, text))
    found = zip(encoding.offsets, encoding.special_tokens_mask, strict=True)
    return [_trimmed(text, *span) for span, special in found if not special]


def check_texts(texts: Sequence[str]) -> None:
    """Raises UserError for every item that is no text, or holds half a surrogate pair, which no encoding can carry."""
    faults = []
    for i, text in enumerate(texts):
        if not isinstance(text, str):
            faults.append(f"text {i}: expected a text, got {type(text).__name__}")
            continue
        try:
            text.encode("utf-8")
        except UnicodeEncodeError as error:
            code = ord(text[error.start])
            faults.append(f"text {i}: not valid Unicode (half a surrogate pair, U+{code:04X}, at {error.start})")
    if faults:
        raise UserError(faults)


def sentencepiece_ids(model_file: Path, texts: Iterable[str]) -> Iterator[list[int]]:
    """The reference: fairseq's ids of SentencePiece's own pieces, ``[0] + [piece + 1, with piece 0 -> 3] + [2]``."""
    from sentencepiece import SentencePieceProcessor

    processor = SentencePieceProcessor(model_file=str(model_file))
    for text in texts:
        yield [0, *(p + 1 if p else 3 for p in processor.encode(text)), 2]


def _check_against(spm_file: Path, tokenizer: Tokenizer, source: Path) -> None:
    probe = Tokenizer.from_str(tokenizer.to_str())
    probe.no_padding()
    probe.no_truncation()
    probe.encode_special_tokens = True
    for text, want in zip(PROBES, sentencepiece_ids(spm_file, PROBES), strict=True):
        got = probe.encode(text).ids
        if got != want:
            raise UserError(
                f"{source}: gives other token ids than {spm_file.name} beside it, so the encoder would read "
                f"other words than it was trained on.\n  text       {text}\n  expected   {want}\n  got        {got}\n"
                f"Transformers 5 writes such a file when it saves ViSoBERT's tokenizer. Delete {source.name} "
                f"(the tokenizer is then built from {spm_file.name}), or take the original folder."
            )


def _merges(pieces: list[tuple[str, float]]) -> list[tuple[str, str]]:
    """BPE merges from SentencePiece's pieces: every split into two known pieces, best merged piece first.

    SentencePiece merges the pair whose *result* scores best; the merge list orders pairs by their result's rank.
    """
    rank = {piece: i for i, (piece, _) in enumerate(pieces)}
    found: list[tuple[float, int, int, str, str]] = []
    for piece, score in pieces:
        for cut in range(1, len(piece)):
            left, right = piece[:cut], piece[cut:]
            if left in rank and right in rank:
                found.append((-score, rank[left], rank[right], left, right))
    return [(left, right) for *_, left, right in sorted(found)]


def _add_special(tokenizer: Tokenizer) -> None:
    tokenizer.add_special_tokens([AddedToken(s, special=True, normalized=False) for s in SPECIAL])
    tokenizer.add_special_tokens([AddedToken(MASK, lstrip=True, special=True, normalized=False)])
    tokenizer.post_processor = processors.TemplateProcessing(
        single="<s> $A </s>", pair="<s> $A </s> </s> $B </s>", special_tokens=[("<s>", 0), ("</s>", 2)]
    )


def _trimmed(text: str, start: int, end: int) -> tuple[int, int]:
    """A token's span without the spaces that it begins with; empty where the token is only spaces."""
    return end - len(text[start:end].lstrip()), end
