#include "runtime/text/model/model.h"

#include "base/error.h"
#include "base/json.h"

#include <string.h>

typedef bool model_parse_fn(struct model *model, struct vocabulary *vocabulary, const json_t *value,
                            const char *file, const struct json_skim *skim, struct error *err);

static bool parse_vocabulary(struct vocabulary *vocabulary, const char *file,
                             const struct json_skim *skim, struct error *err)
{
    if (skim->vocab.n_bytes == 0 || file[skim->vocab.begin] != '{')
        return error_set(err, ERROR_INPUT, "\"vocab\" is missing, want an object of ids");
    return vocabulary_parse(vocabulary, file, &skim->vocab, err) || error_in(err, "\"vocab\"");
}

static bool parse_bpe(struct model *model, struct vocabulary *vocabulary, const json_t *value,
                      const char *file, const struct json_skim *skim, struct error *err)
{
    if (!parse_vocabulary(vocabulary, file, skim, err))
        return false;
    if (skim->merges.n_bytes == 0 || file[skim->merges.begin] != '[')
        return error_set(err, ERROR_INPUT, "\"merges\" is missing, want an array");
    model->kind = MODEL_BPE;
    return bpe_parse(&model->bpe, vocabulary, value, file, &skim->merges, err);
}

static bool parse_unigram(struct model *model, struct vocabulary *vocabulary, const json_t *value,
                          const char *file, const struct json_skim *skim, struct error *err)
{
    if (skim->vocab.n_bytes == 0 || file[skim->vocab.begin] != '[')
        return error_set(err, ERROR_INPUT, "\"vocab\" is missing, want an array of [token, score]");
    model->kind = MODEL_UNIGRAM;
    return unigram_parse(&model->unigram, vocabulary, value, file, &skim->vocab, err);
}

static bool parse_word_piece(struct model *model, struct vocabulary *vocabulary,
                             const json_t *value, const char *file, const struct json_skim *skim,
                             struct error *err)
{
    if (!parse_vocabulary(vocabulary, file, skim, err))
        return false;
    model->kind = MODEL_WORD_PIECE;
    return word_piece_parse(&model->word_piece, vocabulary, value, err);
}

static bool parse_word_level(struct model *model, struct vocabulary *vocabulary,
                             const json_t *value, const char *file, const struct json_skim *skim,
                             struct error *err)
{
    if (!parse_vocabulary(vocabulary, file, skim, err))
        return false;
    model->kind = MODEL_WORD_PIECE;
    return word_level_parse(&model->word_piece, vocabulary, value, err);
}

static const char *guess_type(const json_t *value, const char *file, const struct json_skim *skim)
{
    if (skim->vocab.n_bytes > 0 && file[skim->vocab.begin] == '[' && skim->merges.n_bytes == 0)
        return "Unigram";
    if (skim->merges.n_bytes == 0 && json_object_get(value, "max_input_chars_per_word") != NULL)
        return "WordPiece";
    if (skim->merges.n_bytes == 0 && json_object_get(value, "unk_token") != NULL)
        return "WordLevel";
    return "BPE";
}

bool model_parse(struct model *model, struct vocabulary *vocabulary, const json_t *value,
                 const char *file, const struct json_skim *skim, struct error *err)
{
    static const struct {
        const char *name;
        model_parse_fn *parse;
    } types[] = {
        {"BPE", parse_bpe},
        {"Unigram", parse_unigram},
        {"WordLevel", parse_word_level},
        {"WordPiece", parse_word_piece},
    };
    *model = (struct model){0};
    if (value == NULL || !json_is_object(value))
        return error_set(err, ERROR_INPUT, value ? "is no object" : "is missing");
    const char *type = guess_type(value, file, skim);
    if (!json_get_text(value, "type", false, &type, err))
        return false;
    for (size_t i = 0; i < sizeof types / sizeof *types; i++)
        if (strcmp(types[i].name, type) == 0)
            return types[i].parse(model, vocabulary, value, file, skim, err);
    return error_set(err, ERROR_UNSUPPORTED,
                     "type \"%.60s\" is not supported, only BPE, Unigram, WordLevel, WordPiece",
                     type);
}

void model_release(struct model *model)
{
    switch (model->kind) {
    case MODEL_NONE:
        break;
    case MODEL_BPE:
        bpe_release(&model->bpe);
        break;
    case MODEL_UNIGRAM:
        unigram_release(&model->unigram);
        break;
    case MODEL_WORD_PIECE:
        word_piece_release(&model->word_piece);
        break;
    }
    model->kind = MODEL_NONE;
}

size_t model_part(const struct model *model, const char *word, size_t n_bytes)
{
    return model->kind == MODEL_BPE ? bpe_part(&model->bpe, word, n_bytes) : n_bytes;
}

void model_begin(const struct model *model, struct model_work *work, const char *word,
                 size_t n_bytes)
{
    work->word = word;
    work->n_bytes = n_bytes;
    if (model->kind == MODEL_BPE)
        bpe_begin(&model->bpe, &work->bpe, word, n_bytes);
    else if (model->kind == MODEL_UNIGRAM)
        unigram_begin(&work->unigram, word, n_bytes);
}

bool model_step(const struct model *model, struct model_work *work, size_t *n_steps,
                struct ids *out, bool *done, struct error *err)
{
    *done = true;
    switch (model->kind) {
    case MODEL_NONE:
        break;
    case MODEL_BPE:
        *done = bpe_step(&model->bpe, &work->bpe, n_steps, out);
        break;
    case MODEL_UNIGRAM:
        return unigram_step(&model->unigram, &work->unigram, n_steps, out, done, err);
    case MODEL_WORD_PIECE:
        return word_piece_encode(&model->word_piece, work->word, work->n_bytes, out, err);
    }
    return true;
}

void model_work_release(struct model_work *work)
{
    bpe_work_release(&work->bpe);
    unigram_work_release(&work->unigram);
}
