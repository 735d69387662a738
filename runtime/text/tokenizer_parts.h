/* runtime/text/tokenizer_parts.h: the inside of a tokenizer, for the files that run it. */
#pragma once
#include "runtime/text/decode/decoder.h"
#include "runtime/text/model/model.h"
#include "runtime/text/model/vocabulary.h"
#include "runtime/text/normalize/normalizer.h"
#include "runtime/text/post_processor.h"
#include "runtime/text/split/added_tokens.h"
#include "runtime/text/split/pre_tokenizer.h"
#include "runtime/text/tokenizer.h"

struct tokenizer { /* in the order in which a text goes through it */
    struct added_tokens added;
    struct normalizer normalizer;
    struct pre_tokenizer pre_tokenizer;
    struct vocabulary vocabulary;
    struct model model;
    struct post_processor post_processor;
    struct decoder decoder;
    size_t longest; /* bytes of a token */
};
