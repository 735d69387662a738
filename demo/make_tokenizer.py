#!/usr/bin/env python3
"""Make the tokenizer of the demo model: byte-level BPE of 2048 tokens, from our own text.

    make_tokenizer.py --out DIR [--characters N]

Writes tokenizer.json and tokenizer_config.json (with the chat template). The pre-tokenizer is the
pattern of the large models of today, with digits one by one, so that sums can be done by place.
All 256 byte symbols are in the vocabulary: any text can be encoded.
"""

import argparse
import json
from pathlib import Path

from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers, processors, trainers

from text.documents import BEGIN, END, IM_END, PAD, SPECIAL, documents, mean_sizes

VOCAB_SIZE = 2048
TEXT_SEED = 7
PATTERN = (r"(?i:'s|'t|'re|'ve|'m|'ll|'d)"  # endings after an apostrophe
           r"|[^\r\n\p{L}\p{N}]?\p{L}+"  # a word with the blank or mark before it
           r"|\p{N}"  # one digit
           r"| ?[^\s\p{L}\p{N}]+[\r\n]*"  # marks
           r"|\s*[\r\n]+|\s+(?!\S)|\s+")  # blanks
CHAT_TEMPLATE = (
    "{{ bos_token }}{% for message in messages %}"
    "{{ '<|im_start|>' + message['role'] + '\\n' + message['content'] + '<|im_end|>\\n' }}"
    "{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}"
)


def plain_documents(n_characters):
    """Training documents without their special tokens, which must not be merged with others."""
    for _, text in documents(TEXT_SEED, mean_sizes()):
        n_characters -= len(text)
        for special in SPECIAL:
            text = text.replace(special, "\n")
        yield text
        if n_characters <= 0:
            return


def make_tokenizer(n_characters):
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence([
        pre_tokenizers.Split(Regex(PATTERN), behavior="isolated"),
        pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
    ])
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(vocab_size=VOCAB_SIZE, special_tokens=SPECIAL, min_frequency=1,
                                  initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
                                  show_progress=False)
    tokenizer.train_from_iterator(plain_documents(n_characters), trainer)
    tokenizer.post_processor = processors.TemplateProcessing(
        single=f"{BEGIN} $A", pair=f"{BEGIN} $A {BEGIN}:1 $B:1",
        special_tokens=[(BEGIN, tokenizer.token_to_id(BEGIN))])
    return tokenizer


def main():
    parser = argparse.ArgumentParser(description="Make the tokenizer of the demo model.")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--characters", type=int, default=6_000_000)
    args = parser.parse_args()

    tokenizer = make_tokenizer(args.characters)
    if tokenizer.get_vocab_size() != VOCAB_SIZE:
        raise SystemExit(f"the text gives {tokenizer.get_vocab_size()} tokens, not {VOCAB_SIZE}")
    args.out.mkdir(parents=True, exist_ok=True)
    tokenizer.save(str(args.out / "tokenizer.json"))
    config = {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "bos_token": BEGIN,
        "eos_token": IM_END,
        "pad_token": PAD,
        "model_max_length": 2048,
        "clean_up_tokenization_spaces": False,
        "chat_template": CHAT_TEMPLATE,
    }
    (args.out / "tokenizer_config.json").write_text(json.dumps(config, indent=2) + "\n")
    text = "Tensor parallelism cuts every weight matrix into pieces. 12 + 30 = 42"
    print(f"{args.out}: {VOCAB_SIZE} tokens; {tokenizer.encode(text).tokens}")


if __name__ == "__main__":
    main()
