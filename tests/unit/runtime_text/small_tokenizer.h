/* tests/unit/runtime_text/small_tokenizer.h: small tokenizer.json files, and checks on them.
 *
 * JSON is written with ' for ", so that it reads well in C. Failures end the test. */
#pragma once
#include "base/error.h"

#include <stdbool.h>
#include <stddef.h>

struct encode_options;
struct encoder;
struct folder;
struct ids;
struct tokenizer;

/* The members of the file's object. NULL and `err` is filled when it is refused. */
struct tokenizer *open_members(const char *members, struct error *err);
struct tokenizer *open_bytes(const void *file, size_t n_bytes, struct error *err);
/* The same in a folder that is there already, for those who open thousands. */
struct tokenizer *open_bytes_in(const struct folder *folder, const void *file, size_t n_bytes,
                                struct error *err);
/* As above, but it must open. Close it with tokenizer_close(). */
struct tokenizer *small_tokenizer(const char *members);

/* A text has these ids, or NULL: is refused, also when it is encoded so many steps at a time. */
void check_steps(struct encoder *e, const char *text, size_t n_bytes,
                 const struct encode_options *options, size_t n_steps, const struct ids *want);
/* The ids of a text, as "1 2 3": whole, and in steps. */
void check_ids(const struct tokenizer *t, const char *text, const char *want);
void check_ids_with(const struct tokenizer *t, const char *text,
                    const struct encode_options *options, const char *want);
/* The same by the text of the tokens, as "The| cat". */
void check_tokens(const struct tokenizer *t, const char *text, const char *want);

/* The file is refused with this kind, and the message has all of these words (ending with NULL). */
void check_refused(const char *members, enum error_kind kind, const char *const words[]);
